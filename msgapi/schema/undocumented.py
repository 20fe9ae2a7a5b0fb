"""Guesses: answers whose body the docs don't show, read for what they can be, with nothing lost.

Rules:
- What a model has no field for, or what is not of the type that we guessed, is in its `extra` as it came.
- Only what is needed and missing, or could be several things, is in the way of reading.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast

from attrs import fields, resolve_types

from ..codec import Problems, explaining, fast, read
from ..codegen import Tree
from .wire_mapping import normalise

T = TypeVar("T")

_CURSOR: Final = "next_cursor"
_LIKELY: Final = ("items", "data", "results", "entries", "rows")
_ON: Final = ("after", "next")  # what it is called in an object of cursors
_MORE: Final = ("hasmore", "hasnext", "hasnextpage", "more")  # false on the last page
_BACK: Final = ("prev", "before", "start", "first")  # what a cursor is called that leads back


def allow_undocumented(
    model: type, *, array: str = "", same: Mapping[str, str] | None = None, documented: bool = False
) -> None:
    """Read an answer's *model*, whose body the docs don't show, and keep what it has no field for in its `extra`.

    *same* says under which other names a field may come, by those names. *array* is as in `normalise`, and is what an
    array of another name is taken for where it is the only one that can be meant. A `next_cursor` may have
    any name with `cursor` in it that does not lead back, and stand in an object of its own. What is *documented*
    is no guess: a field of another type is in the way of reading.
    """
    names, others = {one.name for one in fields(model)} - {"extra"}, same or {}

    def how(value: Tree) -> Tree:
        known, extra = _split(value, names, others)
        if array and array not in known:
            found = _array(extra)
            if found is not None:
                known[array] = extra.pop(found)
        if _CURSOR in names and _is_last(value):
            extra |= {_CURSOR: cursor} if (cursor := known.pop(_CURSOR, None)) else {}
        elif _CURSOR in names and _CURSOR not in value:
            known[_CURSOR] = _cursor(extra)
        before = value.get("extra", {})
        return {**known, "extra": {**(before if type(before) is dict else {"extra": before}), **extra}}

    normalise(model, how, array=array)
    for converter in () if documented else (fast, explaining):
        converter.register_structure_hook(model, _patient(converter.get_structure_hook(model), model, how))


def _split(value: Tree, names: set[str], others: Mapping[str, str]) -> tuple[Tree, Tree]:
    known, extra = {}, {}
    for given, part in value.items():
        name = given if others.get(given) in value else others.get(given, given)
        if name in names and name not in known:
            known[name] = part
        elif given != "extra":
            extra[given] = part
    return known, extra


def _array(extra: Tree) -> str | None:
    several = [name for name, part in extra.items() if type(part) is list]
    if not several:
        return None
    filled = [name for name in several if extra[name] and all(type(one) is dict for one in extra[name])]
    empty = [name for name in several if not extra[name]]
    for choice in ([name for name in _LIKELY if name in several], filled or empty[:1], several):
        if len(choice) == 1:
            return choice[0]
    return None


def _cursor(extra: Tree) -> str | None:
    found = [
        (tree, name)
        for within, tree in (("", extra), *_objects(extra))
        for name, part in tree.items()
        if type(part) is str and part and _leads_on(name, within)
    ]
    if not found:
        return None
    tree, name = next((one for one in found if "next" in one[1].lower()), found[0])
    cursor: str = tree.pop(name) if tree is extra else tree[name]
    return cursor


def _objects(value: Tree) -> Iterator[tuple[str, Tree]]:
    return ((name, part) for name, part in value.items() if type(part) is dict)


def _leads_on(name: str, within: str) -> bool:
    lower = name.lower()
    if "cursor" in within.lower() and lower in _ON:
        return True
    return "cursor" in lower and not any(word in lower for word in _BACK)


def _is_last(value: Tree) -> bool:
    pages = [value, *(tree for _, tree in _objects(value))]
    return any(part is False and _bare(name) in _MORE for tree in pages for name, part in tree.items())


def _bare(name: str) -> str:
    return name.lower().replace("_", "")


def _patient(
    structure: Callable[[Any, Any], T], model: type, how: Callable[[Tree], Tree]
) -> Callable[[object, object], T]:
    def once_more(value: object, kind: object) -> T:
        try:
            return structure(value, kind)
        except Exception:
            loose = _loosened(how(value), model) if type(value) is dict else None
            if loose is None:
                raise
            return structure(loose, kind)

    return once_more


def _loosened(value: Tree, model: type) -> Tree | None:
    # What need not be there, and is not what we took it for, goes to what was kept.
    strange = {
        one.name: value[one.name]
        for one in fields(resolve_types(model))
        if one.default is None
        and value.get(one.name) is not None
        and isinstance(read(value[one.name], cast("Any", one.type)), Problems)
    }
    if not strange:
        return None
    kept = {name: part for name, part in value.items() if name not in strange}
    return kept | {"extra": {**value["extra"], **strange}}
