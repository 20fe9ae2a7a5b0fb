"""Generated code: functions that are written and compiled once for each model, to build, read and write it.

attrs sets each field of a frozen value by a call of `object.__setattr__`, and cattrs calls a hook for every field. The
functions here assign the fields of an instance of a mutable subclass, which then becomes an instance of the model: a
value of eight fields takes a fifth of the instructions. They check, read or write plain fields in one expression.

Rules:
- The mutable subclass adds no slots, so the layout is that of the model. No value of it leaves the function.
- A reader accepts what the hooks accept and returns what they return; it calls them for every field that is not plain.
- A writer keeps the order of the fields: a request that is built again is the same to the byte.
- A reader that refuses a value does not say why; the caller reads it again with the hooks, which explain.
- The generated code contains only names of fields and names made here, never values from outside.
"""

import sys
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from types import MemberDescriptorType
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, cast, final, get_origin

import attrs

P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
Names = dict[str, object]
Structure = Callable[[Any, Any], T]
Tree = dict[str, Any]
FACTORY: Final = cast("type", attrs.Factory)  # a class that its stub declares as a function
EXTRA: Final = "extra"  # the field of an answer that keeps what the model has no other field for
_LONG: Final = 24  # characters; shorter decimal numbers are cached
# An interpreter without the global lock stops all threads to change the class of an object.
_HAS_GIL: Final[bool] = getattr(sys, "_is_gil_enabled", lambda: True)()
_KNOWN_NUMBERS: Final = 1024
_LEAST, _MOST = 1e-4, 1e15  # numbers that are written without an exponent
_EXACT: Final[Mapping[object, str]] = {  # read without conversion
    str: "str",
    int: "int",
    bool: "bool",
    float: "float",
    Mapping[str, object]: "dict",
}


def _compile(name: str, lines: list[str], names: Names) -> object:
    # Define the function *name* from the source *lines*, with *names* as its globals.
    exec(compile("\n".join(lines), f"<generated {name}>", "exec"), names)  # noqa: S102 - written in this file only
    return names[name]


class Refused(TypeError):
    """A value does not match its model."""


class Slot(NamedTuple):
    """A field, and the factory of its default, if it has one."""

    field: "attrs.Attribute[Any]"
    factory: Callable[[], object] | None


def slots_of(model: Callable[..., object], *, convert: bool = True) -> list[Slot] | None:
    """Return the fields of *model*; None if building it takes more than setting them (converters, validators …).

    If *convert* is false, the values are converted already, so converters do not matter.
    """
    kind = cast("type", model)
    found = [_slot(kind, one, convert=convert) for one in attrs.fields(kind)]
    known = [one for one in found if one is not None]
    more = any(hasattr(kind, name) for name in ("__attrs_pre_init__", "__attrs_post_init__"))
    return None if more or len(known) < len(found) or not _HAS_GIL else known


def _slot(kind: type, one: "attrs.Attribute[Any]", *, convert: bool) -> Slot | None:
    place = getattr(kind, one.name, None)
    if type(place) is not MemberDescriptorType or (one.converter and convert) or one.validator or not one.init:
        return None
    if not isinstance(one.default, FACTORY):
        return Slot(one, None)
    made: Any = one.default
    return None if made.takes_self else Slot(one, made.factory)


def constructor(model: Callable[P, T], *, convert: bool = True) -> Callable[P, T]:
    """Return a faster function with the parameters of *model*; *model* itself if building it takes more.

    If *convert* is false, the function takes values that are converted already.
    """
    kind = get_origin(model) or model
    known = slots_of(kind, convert=convert)
    if known is None:
        return model
    names: Names = {}
    given: list[str] = []
    for at, (field, factory) in enumerate(known):
        names[f"_default{at}"] = attrs.NOTHING if factory else field.default
        if field.kw_only and "*" not in given:
            given.append("*")
        given.append(f"{field.alias}" if field.default is attrs.NOTHING else f"{field.alias}=_default{at}")
    body = _build_lines(kind, known, [f"{one.field.alias}" for one in known], names)
    return cast("Callable[P, T]", _compile("make", [f"def make({', '.join(given)}):", *body], names))


def copier(model: type[T], *changed: str) -> Callable[..., T]:
    """Return a faster `attrs.evolve` for *model*: a function of a value, and of new values for the *changed* fields."""
    known = slots_of(model, convert=False)
    if known is None:
        return lambda value, *new: attrs.evolve(value, **dict(zip(changed, new, strict=True)))
    names: Names = {}
    values = [one.field.name if one.field.name in changed else f"_value.{one.field.name}" for one in known]
    body = _build_lines(model, [Slot(one.field, None) for one in known], values, names)
    return cast("Callable[..., T]", _compile("copy", [f"def copy({', '.join(['_value', *changed])}):", *body], names))


def _build_lines(model: Callable[..., object], known: list[Slot], values: list[str], names: Names) -> list[str]:
    # The last lines of a function that builds *model* from the variables *values*; NOTHING asks for the factory.
    # What they need goes into *names*, under names that no field has: those begin with an underscore.
    names |= {"_Mutable": _mutable(cast("type", model)), "_model": model, "_NOTHING": attrs.NOTHING}
    lines = ["    _made = _Mutable()"]
    for at, ((field, factory), value) in enumerate(zip(known, values, strict=True)):
        if factory:
            names[f"_factory{at}"] = factory
            lines += [f"    if {value} is _NOTHING:", f"        {value} = _factory{at}()"]
        lines.append(f"    _made.{field.name} = {value}")
    return [*lines, "    _made.__class__ = _model", "    return _made"]


@lru_cache(256)
def _mutable(model: type) -> type:
    # Return a subclass of *model* with the same slots. With the three methods of `object`, the interpreter sets each
    # slot without a call, which a frozen class prevents.
    plain = {name: getattr(object, name) for name in ("__init__", "__setattr__", "__delattr__")}
    return type(model)(f"_Mutable{model.__name__}", (model,), {"__slots__": (), **plain})


class Part(NamedTuple):
    """How a field is read: its *kind* without None, the *hook* that reads it, and its *exact* type in JSON."""

    field: "attrs.Attribute[Any]"
    kind: object
    exact: type | None
    hook: Structure[Any]


class Unusual(NamedTuple):
    """What a reader does with an object that has not exactly the fields of its model.

    *read* reads the object in another way: if a required field is absent, or if one of *names* is among the fields
    that the model does not have. If *names* is None, any such field counts, and is looked for first.
    """

    read: Structure[Any]
    names: frozenset[str] | None


def reader(
    model: Callable[..., T], parts: list[Part], unusual: Unusual | None = None, *, open_: bool = False
) -> Structure[T]:
    """Return a function that reads *model* by its *parts*; it raises `Refused` for a value that does not match.

    If *open_*, the fields that the model does not have are kept in its field `extra`.
    """
    parts = [part for part in parts if part.field.name != EXTRA or not open_]
    known = frozenset(part.field.name for part in parts)
    known_decimal, decimal = _number_readers()
    names: Names = {"model": model, "Refused": Refused, "known": known, "flatten": _flatten}
    names |= {
        "known_decimal": known_decimal,
        "decimal": decimal,
        "decimal_texts": text_numbers,
        "time": datetime.fromisoformat,
        "in_utc": in_utc,
        "UTC": UTC,
    }
    names |= {"read_unusual": unusual and unusual.read, "names": unusual and unusual.names}
    lines = ["def read(value, kind):", "    if type(value) is not dict:", "        raise Refused"]
    if unusual and unusual.names is None:
        lines += ["    if not value.keys() <= known:", "        return read_unusual(value, kind)"]
    lines += [f"    present = {len(parts)}"] if open_ else []
    for at, part in enumerate(parts):
        names |= {f"hook{at}": part.hook, f"kind{at}": part.kind}
        exact = [f"    {line}" for line in _exact_lines(f"part{at}", part)]
        if part.field.default is attrs.NOTHING:
            absent = ["return read_unusual(value, kind)" if unusual else "raise Refused"]
        else:
            names[f"default{at}"] = attrs.NOTHING if isinstance(part.field.default, FACTORY) else part.field.default
            absent = [f"part{at} = default{at}", *(["present -= 1"] if open_ else [])]
        lines += [f"    if {part.field.name!r} in value:", f"        part{at} = value[{part.field.name!r}]", *exact]
        lines += [f"        {'elif' if exact else 'if'} part{at} is None:", f"            {absent[0]}"]
        lines += ["        else:", f"            part{at} = hook{at}(part{at}, kind{at})"]
        lines += ["    else:", *(f"        {line}" for line in absent)]
    if open_:
        lines += [
            "    extra = {}",
            "    if len(value) != present:",
            "        extra = value.copy()",
            "        pop = extra.pop",
            *(f"        pop({part.field.name!r}, None)" for part in parts),
            f"        if {EXTRA!r} in extra:",
            "            extra = flatten(extra)",
        ]
        if unusual and unusual.names is not None:
            lines += ["        if not names.isdisjoint(extra):", "            return read_unusual(value, kind)"]
    values = {part.field.name: f"part{at}" for at, part in enumerate(parts)}
    lines += _result_lines(model, values | {EXTRA: "extra"} if open_ else values, names)
    return cast("Structure[T]", _compile("read", lines, names))


def unknown_fields(value: Tree, known: Collection[str]) -> Tree:
    """Return the fields of *value* that are not *known*, with those that were kept in an `extra` before."""
    return _flatten({name: part for name, part in value.items() if name not in known or name == EXTRA})


def _flatten(extra: Tree) -> Tree:
    # Put the fields that were kept in an `extra` before into the object that it is in.
    before = extra.pop(EXTRA, None)
    kept: Tree = dict(before) if type(before) is dict else {} if before is None else {EXTRA: before}
    return kept | extra


def _result_lines(model: Callable[..., object], values: dict[str, str], names: Names) -> list[str]:
    # The last lines of a function that has read each field into the variable that *values* names.
    known = slots_of(model)
    if known is not None:
        known = [Slot(one.field, None) if values[one.field.name] == EXTRA else one for one in known]  # it has a value
        return _build_lines(model, known, [values[one.field.name] for one in known], names)
    given = ", ".join(f"{one.alias}={values[one.name]}" for one in attrs.fields(cast("type", model)))
    return [f"    return model({given})"]


def _exact_lines(name: str, part: Part) -> list[str]:
    # The beginning of the statement that reads the variable *name*: the branch for what needs no hook.
    if part.exact in _EXACT:
        return [f"    if type({name}) is {_EXACT[part.exact]}:", "        pass"]
    if part.kind is Decimal:
        return [
            f"    if type({name}) is float:",
            f"        {name} = known_decimal({name}) or decimal({name})",
            f"    elif type({name}) is str and len({name}) < {_LONG}:",
            f"        {name} = decimal_texts[{name}]",
        ]
    if part.kind is datetime:
        return [
            f"    if type({name}) is str:",
            f"        {name} = time({name})",
            f"        if {name}.tzinfo is not UTC:",
            f"            {name} = in_utc({name})",
        ]
    return []


def checker(checks: list[tuple[str, Callable[[Any], object], object]]) -> Callable[[object], bool]:
    """Return a function that returns whether a model passes all *checks*; False if one of them raises.

    Each check is the name of a field, a function that returns the problems of a value, and one value that is known to
    have none, such as the default.
    """
    names: Names = {}
    lines = ["def check(value):", "    try:"]
    for at, (name, check, good) in enumerate(checks):
        names |= {f"check{at}": check, f"good{at}": good}
        lines += [f"        part = value.{name}", f"        if part is not good{at} and check{at}(part):"]
        lines += ["            return False"]
    lines += ["    except Exception:", "        return False", "    return True"]
    return cast("Callable[[object], bool]", _compile("check", lines, names))


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


@final
class Cache(dict[K, V]):
    """The results of *compute* by its argument: `cache[key]`, which calls no function if the key is known.

    Once it has *size* entries, all are removed. An exception of *compute* propagates.
    """

    __slots__ = ("_compute", "_size")

    def __init__(self, compute: Callable[[K], V], size: int = 1024) -> None:
        super().__init__()
        self._compute: Final = compute
        self._size: Final = size

    def __missing__(self, key: K) -> V:
        """Compute the value of a *key* that is new."""
        value = self._compute(key)
        if len(self) >= self._size:
            self.clear()
        self[key] = value
        return value


@lru_cache(1)
def _number_readers() -> tuple[Callable[[float], Decimal | None], Callable[[float], Decimal]]:
    # Two functions that return the shortest decimal number that reads as a float: the first one only if it is known,
    # since prices repeat and balances do not. A zero has no sign: 0.0 and -0.0 are equal, so one could be returned for
    # the other. For numbers that are mostly new this is faster than a `Cache`.
    from orjson import dumps  # `import msgapi` must not load it

    known: dict[float, Decimal] = {}

    def number(value: float) -> Decimal:
        # orjson needs half of the time of `repr`, and writes the same digits where neither uses an exponent.
        made = Decimal(dumps(value).decode()) if _LEAST <= value < _MOST else _text_number(repr(value or 0.0))
        if len(known) >= _KNOWN_NUMBERS:
            known.clear()
        known[value] = made
        return made

    return known.get, number


def _text_number(text: str) -> Decimal:
    # Return the finite decimal number that *text* is.
    made = Decimal(text)
    if made.is_finite():
        return made
    raise Refused


text_numbers: Final = Cache(_text_number)


def in_utc(time: datetime) -> datetime:
    """Return *time* in UTC; without a time zone it is in UTC already."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
