"""Generated code: functions that are written and compiled once for each model, to build, read and write it.

attrs looks up every field by its name to set a frozen value, and cattrs calls a hook for every field. The functions
here set the slots directly, and read or write plain fields in one expression. Decoding takes 2.2 times as long
without them, and building 1.7 times.

Rules:
- A reader accepts what the hooks accept and returns what they return; it calls them for every field that is not plain.
- A writer keeps the order of the fields: a request that is built again is the same to the byte.
- A reader that refuses a value does not say why; the caller reads it again with the hooks, which explain.
- The generated code contains only names of fields and names made here, never values from outside.
"""

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from types import MemberDescriptorType
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, cast, get_origin

import attrs

P = ParamSpec("P")
T = TypeVar("T")
Names = dict[str, object]
Structure = Callable[[Any, Any], T]
Tree = dict[str, Any]
FACTORY: Final = cast("type", attrs.Factory)  # a class that its stub declares as a function
_EXACT: Final = {str: "str", int: "int", bool: "bool", float: "float"}  # read without conversion


def _compile(name: str, lines: list[str], names: Names) -> object:
    # Define the function *name* from the source *lines*, with *names* as its globals.
    exec(compile("\n".join(lines), f"<generated {name}>", "exec"), names)  # noqa: S102 - written in this file only
    return names[name]


class Refused(TypeError):
    """A value does not match its model."""


class Slot(NamedTuple):
    """A field, the function that sets it, and the factory of its default, if it has one."""

    field: "attrs.Attribute[Any]"
    put: Callable[[Any, object], None]
    factory: Callable[[], object] | None


def slots_of(model: Callable[..., object]) -> list[Slot] | None:
    """Return the fields of *model*; None if building it takes more than setting them (converters, validators …)."""
    kind = cast("type", model)
    found = [_slot(kind, one) for one in attrs.fields(kind)]
    known = [one for one in found if one is not None]
    more = any(hasattr(kind, name) for name in ("__attrs_pre_init__", "__attrs_post_init__"))
    return None if more or len(known) < len(found) else known


def _slot(kind: type, one: "attrs.Attribute[Any]") -> Slot | None:
    place = getattr(kind, one.name, None)
    if type(place) is not MemberDescriptorType or one.converter or one.validator or not one.init:
        return None
    if not isinstance(one.default, FACTORY):
        return Slot(one, place.__set__, None)
    made: Any = one.default
    return None if made.takes_self else Slot(one, place.__set__, made.factory)


def constructor(model: Callable[P, T]) -> Callable[P, T]:
    """Return a faster function with the parameters of *model*; *model* itself if building it takes more."""
    kind = get_origin(model) or model
    known = slots_of(kind)
    if known is None:
        return model
    names: Names = {}
    given: list[str] = []
    for at, (field, _, factory) in enumerate(known):
        names[f"_default{at}"] = attrs.NOTHING if factory else field.default
        if field.kw_only and "*" not in given:
            given.append("*")
        given.append(f"{field.alias}" if field.default is attrs.NOTHING else f"{field.alias}=_default{at}")
    body = _build_lines(kind, known, [f"{one.field.alias}" for one in known], names)
    return cast("Callable[P, T]", _compile("make", [f"def make({', '.join(given)}):", *body], names))


def _build_lines(model: Callable[..., object], known: list[Slot], values: list[str], names: Names) -> list[str]:
    # The last lines of a function that builds *model* from the variables *values*; NOTHING asks for the factory.
    # What they need goes into *names*, under names that no field has: those begin with an underscore.
    names |= {"_new": object.__new__, "_model": model, "_NOTHING": attrs.NOTHING}
    lines = ["    _made = _new(_model)"]
    for at, ((_, put, factory), value) in enumerate(zip(known, values, strict=True)):
        names |= {f"_put{at}": put, f"_factory{at}": factory}
        if factory:
            lines += [f"    if {value} is _NOTHING:", f"        {value} = _factory{at}()"]
        lines.append(f"    _put{at}(_made, {value})")
    return [*lines, "    return _made"]


class Part(NamedTuple):
    """How a field is read: its *kind* without None, the *hook* that reads it, and its *exact* type in JSON."""

    field: "attrs.Attribute[Any]"
    kind: object
    exact: type | None
    hook: Structure[Any]


def reader(model: Callable[..., T], parts: list[Part]) -> Structure[T]:
    """Return a function that reads *model* by its *parts*; it raises `Refused` for a value that does not match."""
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
    lines += _result_lines(model, parts, names)
    return cast("Structure[T]", _compile("read", lines, names))


def _result_lines(model: Callable[..., object], parts: list[Part], names: Names) -> list[str]:
    # The last lines of a function that has read each part.
    known, values = slots_of(model), [f"part{at}" for at in range(len(parts))]
    if known is not None:
        return _build_lines(model, known, values, names)
    given = ", ".join(f"{part.field.alias}={value}" for part, value in zip(parts, values, strict=True))
    return [f"    return model({given})"]


def _absent(at: int, one: "attrs.Attribute[Any]", names: Names) -> str:
    # The statement for a field that the value lacks.
    if one.default is attrs.NOTHING:
        return "raise Refused"
    names[f"default{at}"] = attrs.NOTHING if isinstance(one.default, FACTORY) else one.default
    return f"part{at} = default{at}"


class Place(NamedTuple):
    """Where a field is written: under which *keys*, encoded by *code*. None and the value *omitted* are not written."""

    name: str
    keys: tuple[str, ...]
    code: Callable[[Any], object] | None
    omitted: object


def writer(places: list[Place], mark: tuple[str, ...], other: Callable[[Any], object]) -> Callable[[object], Tree]:
    """Return a function that turns a model into a JSON object.

    *other* encodes values that are not strings. An object at the keys of *mark* is always written.
    """
    names: Names = {"other": other}
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
    return cast("Callable[[object], Tree]", _compile("write", lines, names))


def _parent(keys: tuple[str, ...], parents: dict[tuple[str, ...], str]) -> str:
    return parents.setdefault(keys, f"at{len(parents)}")


@lru_cache(1024, typed=True)
def number(value: float) -> Decimal:
    """Return the shortest decimal number that reads as *value*; prices repeat, so results are cached.

    A zero has no sign: 0.0 and -0.0 are equal, so one could be returned for the other from the cache.
    """
    made = Decimal(repr(value or 0.0))
    if made.is_finite():
        return made
    raise Refused
