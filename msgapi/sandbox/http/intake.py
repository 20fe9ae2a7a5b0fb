"""Intake: what a route is given, read with the models and checked with the forms of the client."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from attrs import NOTHING, fields

from ...codec import Problems, read
from ...forms import Form
from ...results import Detail
from .responses import Reply, invalid

T = TypeVar("T")
Reader: TypeAlias = Callable[[str], object]
"""Reads one value of a query; raises `Wrong` for one that does not fit."""
_MOST_PARAMETERS: Final = 50


class Wrong(ValueError):
    """A parameter does not fit; the text says how, and never quotes it."""


def take(form: Form, model: type[T], value: Mapping[str, object]) -> T | Reply:
    """Read the body *value* as the *model* of *form*, or refuse it.

    A field that has a default may be left out or be null; one that the model does not have is refused.
    """
    known = {one.name: one.default for one in fields(form.model)}
    strange = [Detail(name, "is not a known field") for name in value if name not in known]
    defaults = {name: default for name, default in known.items() if default is not NOTHING}
    given = {name: part for name, part in value.items() if part is not None and name in known}
    found = read({**defaults, **given}, model)
    if isinstance(found, Problems):
        return invalid([*strange, *found.details])
    details = (*strange, *form.check(found))
    return invalid(details) if details else found


def parameters(query: str, readers: Mapping[str, Reader]) -> dict[str, Any] | Reply:
    """Read the parameters of a *query*, or refuse it: each at most once, and none but those of *readers*."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return invalid([Detail("query", f"has more than {_MOST_PARAMETERS} parameters")])
    found: dict[str, Any] = {}
    details = []
    for name, value in pairs:
        try:
            if name not in readers:
                raise Wrong("is not a known parameter")
            if name in found:
                raise Wrong("is given twice")
            found[name] = readers[name](value)
        except Wrong as wrong:
            details.append(Detail(name, str(wrong)))
    return invalid(details) if details else found
