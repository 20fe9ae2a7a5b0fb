"""Undocumented bodies: answers whose body the docs do not show are read leniently, and nothing of them is lost.

Rules:
- What a model has no field for, or what has another type than the field, is kept in its `extra` unchanged.
- Reading fails only if a required field is missing, or if it is ambiguous which one is meant.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast

from attrs import fields, resolve_types

from ..codec import Problems, detailed, fast, from_plain
from ..codegen import Tree
from .mapping import normalise

T = TypeVar("T")

_CURSOR: Final = "next_cursor"
_LIKELY_ARRAYS: Final = ("items", "data", "results", "entries", "rows")
_FORWARD: Final = ("after", "next")  # names of the next cursor inside an object of cursors
_HAS_MORE: Final = ("hasmore", "hasnext", "hasnextpage", "more")  # flags that are false on the last page
_BACKWARD: Final = ("prev", "before", "start", "first")  # parts of the name of a cursor to earlier pages


def read_leniently(model: type, *, array: str = "", aliases: Mapping[str, str] | None = None) -> None:
    """Read the answer *model*, whose body the docs do not show, and keep what it has no field for in its `extra`.

    *aliases* maps other names under which a field may arrive to the name of the field. *array* is as in
    `normalise`; an array under another name is read as it if it is the only candidate. The `next_cursor` may have
    any name that contains `cursor` and does not lead backward, and may be inside an object.
    """
    names, aliases = {one.name for one in fields(model)} - {"extra"}, aliases or {}

    def transform(value: Tree) -> Tree:
        known, extra = _split(value, names, aliases)
        if array and array not in known:
            found = _find_array(extra)
            if found is not None:
                known[array] = extra.pop(found)
        if _CURSOR in names and _is_last_page(value):
            extra |= {_CURSOR: cursor} if (cursor := known.pop(_CURSOR, None)) else {}
        elif _CURSOR in names and _CURSOR not in value:
            known[_CURSOR] = _find_cursor(extra)
        before = value.get("extra", {})
        return {**known, "extra": {**(before if type(before) is dict else {"extra": before}), **extra}}

    normalise(model, transform, array=array)
    for converter in (fast, detailed):
        converter.register_structure_hook(
            model, _retry_without_misfits(converter.get_structure_hook(model), model, transform)
        )


def _split(value: Tree, names: set[str], aliases: Mapping[str, str]) -> tuple[Tree, Tree]:
    known, extra = {}, {}
    for given, part in value.items():
        name = given if aliases.get(given) in value else aliases.get(given, given)
        if name in names and name not in known:
            known[name] = part
        elif given != "extra":
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


def _find_cursor(extra: Tree) -> str | None:
    found = [
        (tree, name)
        for parent, tree in (("", extra), *_objects(extra))
        for name, part in tree.items()
        if type(part) is str and part and _is_next_cursor(name, parent)
    ]
    if not found:
        return None
    tree, name = next((one for one in found if "next" in one[1].lower()), found[0])
    cursor: str = tree.pop(name) if tree is extra else tree[name]
    return cursor


def _objects(value: Tree) -> Iterator[tuple[str, Tree]]:
    return ((name, part) for name, part in value.items() if type(part) is dict)


def _is_next_cursor(name: str, parent: str) -> bool:
    lower = name.lower()
    if "cursor" in parent.lower() and lower in _FORWARD:
        return True
    return "cursor" in lower and not any(word in lower for word in _BACKWARD)


def _is_last_page(value: Tree) -> bool:
    trees = [value, *(tree for _, tree in _objects(value))]
    return any(part is False and _without_case(name) in _HAS_MORE for tree in trees for name, part in tree.items())


def _without_case(name: str) -> str:
    return name.lower().replace("_", "")


def _retry_without_misfits(
    structure: Callable[[Any, Any], T], model: type, transform: Callable[[Tree], Tree]
) -> Callable[[object, object], T]:
    def read(value: object, kind: object) -> T:
        try:
            return structure(value, kind)
        except Exception:
            moved = _move_misfits(transform(value), model) if type(value) is dict else None
            if moved is None:
                raise
            return structure(moved, kind)

    return read


def _move_misfits(value: Tree, model: type) -> Tree | None:
    # Moves optional fields of an unexpected type to `extra`. None if there is no such field.
    misfits = {
        one.name: value[one.name]
        for one in fields(resolve_types(model))
        if one.default is None
        and value.get(one.name) is not None
        and isinstance(from_plain(value[one.name], cast("Any", one.type)), Problems)
    }
    if not misfits:
        return None
    fitting = {name: part for name, part in value.items() if name not in misfits}
    return fitting | {"extra": {**value["extra"], **misfits}}
