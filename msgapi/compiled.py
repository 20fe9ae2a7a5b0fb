"""Reading and writing quickly: for each model one function that is written out, field by field.

Rules:
- It reads what the hooks read, and gives what they give; it calls them for all that is not plain.
- What goes out is in the order of the fields: a request that is made again is the same to the byte.
- What it refuses is read again by whoever explains: it says only that something is wrong.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeVar

import attrs

from .constructors import FACTORY, Names, making, slots

T = TypeVar("T")
Structure = Callable[[Any, Any], T]
Tree = dict[str, Any]
_EXACT: Final = {str: "str", int: "int", bool: "bool", float: "float"}  # read as they are


class Refused(TypeError):
    """A value does not fit its model."""


class Part(NamedTuple):
    """How a field is read: what *kind* of value it holds beside None, by which *hook*; *exact* is its type in JSON."""

    field: "attrs.Attribute[Any]"
    kind: object
    exact: type | None
    hook: Structure[Any]


def reader(model: Callable[..., T], parts: list[Part]) -> Structure[T]:
    """Write the function that reads *model* by its *parts*, and compile it."""
    names: Names = {"model": model, "Refused": Refused, "decimal": number}
    lines = ["def read(value, _):", "    if type(value) is not dict:", "        raise Refused", "    get = value.get"]
    for at, part in enumerate(parts):
        names |= {f"hook{at}": part.hook, f"kind{at}": part.kind}
        lines += [
            f"    part{at} = get({part.field.name!r})",
            f"    if part{at} is None:",
            f"        {_absent(at, part.field, names)}",
        ]
        if part.exact in _EXACT:
            lines.append(f"    elif type(part{at}) is not {_EXACT[part.exact]}:")
        elif part.kind is Decimal:
            lines += [f"    elif type(part{at}) is float:", f"        part{at} = decimal(part{at})", "    else:"]
        else:
            lines.append("    else:")
        lines.append(f"        part{at} = hook{at}(part{at}, kind{at})")
    lines += _made(model, parts, names)
    exec(compile("\n".join(lines), "<reading>", "exec"), names)  # noqa: S102 - written here, of names of ours
    made: Structure[T] = names["read"]  # type: ignore[assignment]
    return made


def _made(model: Callable[..., object], parts: list[Part], names: Names) -> list[str]:
    # The end of a function that has read each part.
    known, values = slots(model), [f"part{at}" for at in range(len(parts))]
    if known is not None:
        return making(model, known, values, names)
    given = ", ".join(f"{part.field.alias}={value}" for part, value in zip(parts, values, strict=True))
    return [f"    return model({given})"]


class Place(NamedTuple):
    """Where a field is written: under which *keys*, in what form by *code*; None, and what is *omitted*, is not."""

    name: str
    keys: tuple[str, ...]
    code: Callable[[Any], object] | None
    omitted: object


def writer(places: list[Place], mark: tuple[str, ...], other: Callable[[Any], object]) -> Callable[[object], Tree]:
    """Write the function that makes an object of a model; *other* writes what is no string, *mark* is always there."""
    names: dict[str, object] = {"other": other}
    parents: dict[tuple[str, ...], str] = {(): "out"}
    levels = [mark[:depth] for depth in range(1, len(mark) + 1)]
    body = [f"    {_parent(keys, parents)} = {parents[keys[:-1]]}[{keys[-1]!r}] = {{}}" for keys in levels]
    made = set(parents)
    for at, place in enumerate(places):
        names |= {f"code{at}": place.code, f"omitted{at}": place.omitted}
        unless = "" if place.omitted is None else f" and part != omitted{at}"
        body += [f"    part = value.{place.name}", f"    if part is not None{unless}:"]
        for depth in range(1, len(place.keys)):
            keys = place.keys[:depth]
            if keys not in made:
                held = f"{_parent(keys, parents)} = {parents[keys[:-1]]}[{keys[-1]!r}] = {{}}"
                body += [f"        if {parents[keys]} is None:", f"            {held}"]
        form = f"code{at}(part)" if place.code else "part if type(part) is str else other(part)"
        body.append(f"        {parents[place.keys[:-1]]}[{place.keys[-1]!r}] = {form}")
    begun = [f"    {parents[keys]} = None" for keys in parents if keys not in made]
    lines = ["def write(value):", "    out = {}", *begun, *body, "    return out"]
    exec(compile("\n".join(lines), "<writing>", "exec"), names)  # noqa: S102 - written here, of names of ours
    written: Callable[[object], Tree] = names["write"]  # type: ignore[assignment]
    return written


def _parent(keys: tuple[str, ...], parents: dict[tuple[str, ...], str]) -> str:
    return parents.setdefault(keys, f"at{len(parents)}")


def _absent(at: int, one: "attrs.Attribute[Any]", names: Names) -> str:
    # What a field is where nothing was said of it.
    if one.default is attrs.NOTHING:
        return "raise Refused"
    names[f"default{at}"] = attrs.NOTHING if isinstance(one.default, FACTORY) else one.default  # it is made then
    return f"part{at} = default{at}"


@lru_cache(1024, typed=True)
def number(value: float) -> Decimal:
    """Take *value* for the shortest decimal number that reads as it; prices come again and again.

    A zero has no sign: the two are equal, so that the one could be found where the other was asked for.
    """
    made = Decimal(repr(value or 0.0))
    if made.is_finite():
        return made
    raise Refused
