"""Constructors: frozen values of attrs, made in half the time that the class takes.

A class looks every field up by its name to set it, and copies what it is given by name; here a function is
written for each class, which sets the slots.
"""

from collections.abc import Callable
from types import MemberDescriptorType
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar, cast, get_origin

import attrs

P = ParamSpec("P")
T = TypeVar("T")
Names = dict[str, object]
FACTORY: Final = cast("type", attrs.Factory)  # a class, which its stub shows as a function


class Slot(NamedTuple):
    """A field, how it is set, and what makes its default where that is not one value for all."""

    field: "attrs.Attribute[Any]"
    put: Callable[[Any, object], None]
    factory: Callable[[], object] | None


def slots(model: Callable[..., object]) -> list[Slot] | None:
    """List the fields of *model*; None where making one takes more than to set them."""
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
    """Write a function that takes what *model* takes, and gives what it gives; the class itself if it does more."""
    kind = get_origin(model) or model
    known = slots(kind)
    if known is None:
        return model
    names: Names = {}
    given: list[str] = []
    for at, (field, _, factory) in enumerate(known):
        names[f"_default{at}"] = attrs.NOTHING if factory else field.default
        if field.kw_only and "*" not in given:
            given.append("*")
        given.append(f"{field.alias}" if field.default is attrs.NOTHING else f"{field.alias}=_default{at}")
    lines = making(kind, known, [f"{one.field.alias}" for one in known], names)
    text = "\n".join([f"def make({', '.join(given)}):", *lines])
    exec(compile(text, "<making>", "exec"), names)  # noqa: S102 - written here, of names of ours
    return cast("Callable[P, T]", names["make"])


def making(model: Callable[..., object], known: list[Slot], values: list[str], names: Names) -> list[str]:
    """Write how a function ends that gives a *model* of its variables *values*, NOTHING where a factory is to make one.

    What that needs goes into *names*, under names that no field has: those begin with an underscore.
    """
    names |= {"_new": object.__new__, "_model": model, "_NOTHING": attrs.NOTHING}
    lines = ["    _made = _new(_model)"]
    for at, ((_, put, factory), value) in enumerate(zip(known, values, strict=True)):
        names |= {f"_put{at}": put, f"_factory{at}": factory}
        if factory:
            lines += [f"    if {value} is _NOTHING:", f"        {value} = _factory{at}()"]
        lines.append(f"    _put{at}(_made, {value})")
    return [*lines, "    return _made"]
