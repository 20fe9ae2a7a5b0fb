"""Answers: under which names the fields of an answer are found, where the docs show several forms or none.

Rules:
- An object that has exactly the fields of its model is read as it is. Only another one is mapped first.
- What a model has no field for, or what has another type than the field, is kept in its `extra` unchanged.
- Reading fails only if a required field is missing, or if it is ambiguous which one is meant.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from attrs import fields
from cattrs.gen import make_dict_unstructure_fn, override

from ..codec import compiled_reader, detailed, fast, tolerant_reader
from ..codegen import EXTRA, Tree, Unusual, unknown_fields
from .cursor_pages import find_cursor, is_last_page

T = TypeVar("T")
_CURSOR: Final = "next_cursor"
_LIKELY_ARRAYS: Final = ("items", "data", "results", "entries", "rows")


def map_answer(model: type, *, array: str = "", aliases: Mapping[str, str] | None = None) -> None:
    """Read the answer *model*, whose body the docs do not show, and keep what it has no field for in its `extra`.

    *aliases* maps other names under which a field may arrive to the name of the field. If *array* is given, a bare
    array is read as an object that has it under that name; an array under another name is read as it if it is the
    only candidate. The `next_cursor` may have any name that `cursor_pages.find_cursor` knows.
    """
    names, aliases = {one.name for one in fields(model)} - {EXTRA}, aliases or {}

    def transform(value: Tree) -> Tree:
        known, extra = _split(value, names, aliases)
        if array and array not in known:
            found = _find_array(extra)
            if found is not None:
                known[array] = extra.pop(found)
        if _CURSOR in names and is_last_page(value):
            extra |= {_CURSOR: cursor} if (cursor := known.pop(_CURSOR, None)) else {}
        elif _CURSOR in names and _CURSOR not in value:
            known[_CURSOR] = find_cursor(extra)
        return {**known, EXTRA: {**unknown_fields(value, value.keys()), **extra}}

    map_answer_by(transform, model, array=array, names=None if array or _CURSOR in names else frozenset(aliases))


def map_answer_by(
    transform: Callable[[Tree], Tree],
    model: type,
    *,
    array: str = "",
    names: frozenset[str] | None = None,
    hooks: Mapping[str, Callable[[Any, Any], Any]] | None = None,
) -> None:
    """Read the answer *model* from what *transform* returns for the object that arrived, which it must not change.

    *transform* is only called if a required field is absent, or if the object has a field of *names*, which are not
    those of the model; None stands for any such field. *array* is as in `map_answer`. *hooks* read the fields that
    they name. The model is written with all fields, except those that are None by default and in value, and an empty
    `extra`.
    """
    overrides = {one.name: override(omit_if_default=one.default is None or one.name == EXTRA) for one in fields(model)}
    fast.register_unstructure_hook(model, make_dict_unstructure_fn(model, fast, **cast("dict[str, Any]", overrides)))
    transformed = _transforming(compiled_reader(model, hooks=hooks or {}), transform)
    read = compiled_reader(model, Unusual(transformed, names), hooks or {})
    fast.register_structure_hook(model, _accepting_array(read, array))
    tolerant: Callable[[Any, Any], Any] = _transforming(tolerant_reader(model, hooks or {}), transform)
    detailed.register_structure_hook(model, _accepting_array(tolerant, array))


def _transforming(structure: Callable[[Any, Any], T], transform: Callable[[Tree], Tree]) -> Callable[[Any, Any], T]:
    return lambda value, model: structure(transform(value) if type(value) is dict else value, model)


def _accepting_array(structure: Callable[[Any, Any], T], array: str) -> Callable[[Any, Any], T]:
    if not array:
        return structure
    return lambda value, model: structure({array: value} if type(value) is list else value, model)


def _split(value: Tree, names: set[str], aliases: Mapping[str, str]) -> tuple[Tree, Tree]:
    known, extra = {}, {}
    for given, part in value.items():
        name = given if aliases.get(given) in value else aliases.get(given, given)
        if name in names and name not in known:
            known[name] = part
        elif given != EXTRA:
            extra[given] = part
    return known, extra


def _find_array(extra: Tree) -> str | None:
    several = [name for name, part in extra.items() if type(part) is list]
    if not several:
        return None
    filled = [name for name in several if extra[name] and all(type(one) is dict for one in extra[name])]
    empty = [name for name in several if not extra[name]]
    for candidates in ([name for name in _LIKELY_ARRAYS if name in several], filled or empty[:1], several):
        if len(candidates) == 1:
            return candidates[0]
    return None
