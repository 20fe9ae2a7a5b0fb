"""Differences: where the answers of the service differ from the models, by name and type only.

The public documentation of the API shows no body for many routes. The models of those routes are assumptions, and what
an answer has beside them is kept in `extra`. This observer lists the differences, so that they can be reported.

Rules:
- A difference has names and types of fields, and no value. A name that may be data is shown as `***`.
- Only answers of the service are compared: the page of a proxy is no drift.
- The number of differences is bounded, whatever the service sends.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, Union, final, get_args, get_origin

import attrs
from attrs import frozen

from ..calls import Call
from ..redact import HIDDEN, word
from ..results import Ok, Result, Unreadable
from .hooks import Observer, Watch, route_of

Kind: TypeAlias = Literal["unknown", "unexpected_type", "absent"]

_log: Final = logging.getLogger("msgapi")
_EXTRA: Final = "extra"
_MOST: Final = 1000  # differences that are kept
_LEVELS: Final = 4  # of an unknown object
_MISMATCH: Final = re.compile("must be (.+), not (.+)")
_OF_EVERY_ERROR: Final = frozenset({"code", "message", "may_have_happened", "meta", "from_service", _EXTRA})
_JSON_TYPES: Final[Mapping[type, str]] = {
    NoneType: "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}
_EXPECTED: Final[dict[object, str]] = {
    **dict(_JSON_TYPES.items()),
    Decimal: "a number",
    datetime: "an ISO 8601 time",
    tuple: "an array",
    Literal: "a string",
}


@final
@frozen(kw_only=True)
class FieldDifference:
    """One field in which answers differ from the model of their route.

    *field* is its path, such as `billing.tier.current` or `messages[].cost`. *kind* is:

    - `unknown`: the model has no such field; *found* is the JSON type that arrived, and *expected* is empty.
    - `unexpected_type`: the field has another type than the model *expected*.
    - `absent`: a required field was absent, or an optional one was absent or null in every answer so far; *found* is
      empty.

    *answers* is the number of answers that differ so, of *compared* answers of the route.
    """

    route: str
    field: str
    kind: Kind
    expected: str = ""
    found: str = ""
    answers: int = 0
    compared: int = 0

    def __str__(self) -> str:
        """Return the difference as one sentence."""
        match self.kind:
            case "unknown":
                what = f"is not a field of the model, and arrived as {self.found}"
            case "unexpected_type":
                what = f"arrived as {self.found}, where the model expects {self.expected}"
            case _:
                what = f"was absent in {self.answers} of {self.compared} answers"
        return f"{self.route}: {self.field} {what}"


_Key: TypeAlias = tuple[str, str, Kind, str, str]  # route, path, kind, expected and found type


def drift(*, report: Callable[[FieldDifference], object] | None = None) -> "Drift":
    """Return an observer that compares every answer with the model of its route.

    *report* is called with each new difference as it is found; the default writes a WARNING to the logger `msgapi`. An
    optional field that is never sent is not reported. `differences()` of the observer returns all differences. The
    comparison of an answer takes a few times as long as its decoding.
    """
    return Drift(_log_difference if report is None else report)


@final
class Drift(Observer):
    """Collects the differences between the answers of the service and the models; see `drift`."""

    def __init__(self, report: Callable[[FieldDifference], object]) -> None:
        self._report = report
        self._found: dict[_Key, int] = {}
        self._seen: dict[tuple[str, str], list[int]] = {}  # of a field that may be absent: answers with it, and all
        self._expected: dict[tuple[str, str], str] = {}
        self._answers: dict[str, int] = {}  # compared so far, by route

    def call(self, call: Call[object], /) -> Watch:
        """Return the hooks for *call*."""
        return _Comparison(self, call)

    def differences(self) -> tuple[FieldDifference, ...]:
        """Return all differences so far, sorted by route and field."""
        # Copies, since a blocking client compares answers in another thread.
        found = [self._difference(key, count) for key, count in self._found.copy().items()]
        known = {(one.route, one.field) for one in found}
        absent = [
            self._difference((*at, "absent", self._expected[at], ""), count)
            for at, (present, count) in self._seen.copy().items()
            if not present and at not in known
        ]
        return tuple(sorted((*found, *absent), key=lambda one: (one.route, one.field, one.kind, one.found)))

    def compare(self, route: str, result: Result[object]) -> None:
        """Compare *result*, an answer of the service to a call of *route*, with its model."""
        # A field counts once for an answer, however many rows of a list have it.
        keys, seen = set[_Key](), dict[tuple[str, str], bool]()
        self._answers[route] = self._answers.get(route, 0) + 1
        for one in _compared(result):
            if isinstance(one, _Field):
                at = route, one.path
                seen[at] = seen.get(at, False) or one.present
                _ = self._expected.setdefault(at, one.expected)
            else:
                keys.add((route, *one))
        for at, present in seen.items():
            counts = self._seen.setdefault(at, [0, 0])
            counts[0] += present
            counts[1] += 1
        for key in sorted(keys):
            self._add(key)

    def _add(self, key: _Key) -> None:
        is_new = key not in self._found
        if is_new and len(self._found) >= _MOST:
            return
        self._found[key] = self._found.get(key, 0) + 1
        if is_new:
            _ = self._report(self._difference(key, 1))

    def _difference(self, key: _Key, count: int) -> FieldDifference:
        route, field, kind, expected, found = key
        compared = self._answers[route]
        return FieldDifference(
            route=route, field=field, kind=kind, expected=expected, found=found, answers=count, compared=compared
        )


def _log_difference(difference: FieldDifference) -> None:
    _log.warning("%s", difference, extra={"msgapi_route": difference.route, "msgapi_field": difference.field})


@final
class _Comparison(Watch):
    def __init__(self, observer: Drift, call: Call[object]) -> None:
        self._observer, self._call = observer, call

    def answer(self, result: Result[object], /) -> None:
        route = route_of(self._call)
        if isinstance(result, Ok):
            self._observer.compare(route, result)
        elif result.from_service:
            route = route if isinstance(result, Unreadable) else f"{route} {result.meta.status}"
            self._observer.compare(route, result)


@final
@frozen
class _Field:
    # A field of a model that an answer may lack.
    path: str
    present: bool
    expected: str


_Found: TypeAlias = tuple[str, Kind, str, str]  # path, kind, expected and found type


def _compared(result: Result[object]) -> Iterator[_Found | _Field]:
    if isinstance(result, Ok):
        yield from _walk(result.value, "", frozenset())
    elif isinstance(result, Unreadable):
        yield from map(_of_problem, result.problems)
    else:
        yield from _walk(result, "", _OF_EVERY_ERROR)


def _of_problem(problem: str) -> _Found:
    # A problem of the codec, such as `must be a number, not a string @ $.messages[0].cost`.
    message, _, path = problem.rpartition(" @ $")
    field = re.sub(r"\[\d+\]", "[]", path.removeprefix("."))
    if message == "is required":
        return field, "absent", "", ""
    mismatch = _MISMATCH.fullmatch(message)
    if mismatch is None:
        return field, "unexpected_type", message.removeprefix("must be "), "another value"
    return field, "unexpected_type", mismatch[1], mismatch[2]


def _walk(value: Any, prefix: str, without: frozenset[str]) -> Iterator[_Found | _Field]:  # noqa: ANN401 - any model
    # Yields the fields of a model and of the models in it.
    known, extra = attrs.fields_dict(attrs.resolve_types(type(value))), getattr(value, _EXTRA, {})
    for name, one in known.items():
        if name in without or name == _EXTRA:
            continue
        path, part, expected = _join(prefix, name), getattr(value, name), _expected_of(one.type)
        present = name in extra or not _is_default(value, one, part)
        if one.default is None or _has_factory(one):
            yield _Field(path, present, expected)
        if name in extra:
            yield from _odd(extra[name], path, one.type)
        elif present:
            for inner, where in _models_in(part, path):
                yield from _walk(inner, where, frozenset())
    for name, part in extra.items():
        if name not in known:
            yield from _unknown(part, _join(prefix, name), _LEVELS)


def _models_in(part: object, path: str) -> list[tuple[object, str]]:
    if isinstance(part, tuple):
        return [(row, f"{path}[]") for row in part if attrs.has(type(row))]
    return [(part, path)] if attrs.has(type(part)) else []


def _has_factory(one: "attrs.Attribute[Any]") -> bool:
    return hasattr(one.default, "takes_self")


def _is_default(value: object, one: "attrs.Attribute[Any]", part: object) -> bool:
    if _has_factory(one):
        factory: Any = one.default
        return bool(part == (factory.factory(value) if factory.takes_self else factory.factory()))
    return part is None and one.default is None


def _odd(raw: object, path: str, kind: object) -> Iterator[_Found]:
    # A documented field that has an unexpected type, or elements of one, is in `extra` as it came.
    kind = _required(kind)
    if isinstance(raw, list) and get_origin(kind) is tuple:
        for element in raw:
            yield f"{path}[]", "unexpected_type", _expected_of(get_args(kind)[0]), _type_of(element)
    else:
        yield path, "unexpected_type", _expected_of(kind), _type_of(raw)


def _unknown(raw: object, path: str, levels: int) -> Iterator[_Found]:
    yield path, "unknown", "", _type_of(raw)
    rows = raw if isinstance(raw, list) else [raw]
    path = f"{path}[]" if isinstance(raw, list) else path
    for row in rows if levels else ():
        for name, part in row.items() if isinstance(row, dict) else ():
            yield from _unknown(part, _join(path, name), levels - 1)


def _join(prefix: str, name: str) -> str:
    shown = HIDDEN if word(name) == HIDDEN else name
    return f"{prefix}.{shown}" if prefix else shown


def _type_of(raw: object) -> str:
    return _JSON_TYPES.get(type(raw), "an object")


def _required(kind: object) -> object:
    if get_origin(kind) in {Union, UnionType}:
        return next(part for part in get_args(kind) if part is not NoneType)
    return kind


def _expected_of(kind: object) -> str:
    kind = _required(kind)
    return _EXPECTED.get(kind) or _EXPECTED.get(get_origin(kind), "an object")
