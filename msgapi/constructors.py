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
MAKING: Final[Names] = {"new": object.__new__, "NOTHING": attrs.NOTHING}


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
    names: Names = {"model": kind, **MAKING}
    given: list[str] = []
    lines = []
    for at, (field, put, factory) in enumerate(known):
        names |= {f"put{at}": put, f"default{at}": field.default, f"factory{at}": factory}
        if field.kw_only and "*" not in given:
            given.append("*")
        default = "" if field.default is attrs.NOTHING else "=NOTHING" if factory else f"=default{at}"
        given.append(f"{field.alias}{default}")
        if factory:
            lines += [f"    if {field.alias} is NOTHING:", f"        {field.alias} = factory{at}()"]
    lines += ["    self = new(model)", *(f"    put{at}(self, {one.field.alias})" for at, one in enumerate(known))]
    text = "\n".join([f"def make({', '.join(given)}):", *lines, "    return self"])
    exec(compile(text, "<making>", "exec"), names)  # noqa: S102 - written here, of names of ours
    return cast("Callable[P, T]", names["make"])
