"""Requests: build a call from checked input, or a call that carries the problems found.

`build_call` is for the routes that this package knows. `define_call` is for the others, and `extend_call` for fields
that the package does not know of a route that it does.

Some rules here are stricter than the docs: the forms of a `ttl` (`"900s"` and `"24h"`), amounts in whole cents, changes
that change nothing, a calendar event that ends when it starts, and the length of a code. Every function that applies
one takes `strict`. With `strict=False` only the documented rules apply, and the service decides.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any, Final, TypeAlias, TypeVar, final, get_origin, overload
from urllib.parse import quote

import attrs
from attrs import field, frozen

from ..calls import Call
from ..codec import to_json
from ..codec.converter import format_time
from ..codec.json import is_readable, parse, to_plain
from ..results import Detail, Invalid
from .validators import CHECKS, UNCHECKABLE, Validator, path_segment, problems_of
from .validators import idempotency_key as validate_key

T = TypeVar("T")
_METHOD: Final = re.compile(r"[A-Z]{1,20}")
_PATH: Final = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+")  # RFC 3986, section 3.3
Query: TypeAlias = Mapping[str, tuple[Validator, object]]
"""The parameters of a query: for each name its validator and its value. A value of None is omitted."""


@final
@frozen
class Schema:
    """What a request *model* may hold: a validator for each field, and *check_whole* for rules over several fields.

    *check_whole* runs only if every field is valid by itself. Some rules are not in the docs: `strict=False` replaces
    the validators of *documented*, and skips *check_own*.
    """

    model: type
    validators: Mapping[str, Validator]
    check_whole: Callable[[Any], Iterable[Detail]] = field(default=lambda _: ())
    documented: Mapping[str, Validator] = field(factory=dict, kw_only=True)
    check_own: Callable[[Any], Iterable[Detail]] = field(default=lambda _: (), kw_only=True)

    def __attrs_post_init__(self) -> None:
        """Make the first schema of a model the check of that model in frameworks."""
        _ = CHECKS.setdefault(self.model, self.check)

    def check(self, value: object, *, strict: bool = True) -> tuple[Detail, ...]:
        """Return the problems found in *value*; empty if valid. Never raise. It is itself a validator.

        If *strict* is false, only the documented rules apply.
        """
        if type(value) is not self.model:
            return (Detail("", f"must be a {self.model.__name__}"),)
        validators = self.validators if strict else {**self.validators, **self.documented}
        details = [
            detail
            for name, validate in validators.items()
            for detail in problems_of(name, validate, getattr(value, name))
        ]
        for check in (self.check_whole, self.check_own) if strict else (self.check_whole,):
            details = details or problems_of("", check, value)
        return tuple(details)


def make_invalid(details: tuple[Detail, ...]) -> Invalid:
    """Return the error that the service itself returns for a request with these *details*."""
    return Invalid(
        message="; ".join(f"{one.field} {one.message}".strip() for one in details), details=details, own_words=True
    )


def check_key(idempotency_key: str) -> Detail | None:
    """Return the problem found in an idempotency key; None if valid: 1 to 255 visible ASCII characters.

    The docs advise a UUID and state no limit (docs: /api/conventions). This is what a header can hold.
    """
    return next(iter(problems_of("idempotency_key", validate_key, idempotency_key)), None)


def build_call(
    method: str,
    path: str,
    returns: type[T],
    *,
    path_params: Mapping[str, str] | None = None,
    query: Query | None = None,
    body: object = None,
    schema: Schema | None = None,
    strict: bool = True,
    idempotency_key: str | None = None,
) -> Call[T]:
    """Return the call of *method* and *path*, whose `{names}` are replaced by *path_params*.

    If the input has problems, the call carries all of them in `invalid` and is never sent. *strict* is as in
    `Schema.check`. Never raise.
    """
    path_params = path_params or {}
    params = {name: pair for name, pair in (query or {}).items() if pair[1] is not None}
    details = [one for name, given in path_params.items() for one in problems_of(name, path_segment, given)]
    details += [one for name, (validate, given) in params.items() for one in problems_of(name, validate, given)]
    details += schema.check(body, strict=strict) if schema else ()
    key_problem = None if idempotency_key is None else check_key(idempotency_key)
    # A subclass of str may raise later, so the key is made a str.
    key = None if key_problem or idempotency_key is None else str.__str__(idempotency_key)
    details += (key_problem,) if key_problem else ()
    if not details:
        try:
            target = path.format_map({name: quote(given, safe="") for name, given in path_params.items()})
            pairs = tuple((name, format_query_value(given)) for name, (_, given) in params.items())
            return Call(method, target, returns, pairs, None if body is None else to_json(body), key)
        except Exception:  # noqa: BLE001 - a method of a value raised, or its second answer was not the first
            details.append(Detail("", UNCHECKABLE))
    return Call(method, path, returns, idempotency_key=key, invalid=make_invalid(tuple(details)))


def format_query_value(value: object) -> str:
    """Return *value* as text for a query: a time in UTC with `Z`, a date in ISO 8601, `true` or `false`."""
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else f"{value}"


@overload
def define_call(
    method: str,
    path: str,
    *,
    query: Mapping[str, object] | None = None,
    body: object = None,
    idempotency_key: str | None = None,
) -> Call[object]: ...


@overload
def define_call(
    method: str,
    path: str,
    *,
    returns: type[T],
    query: Mapping[str, object] | None = None,
    body: object = None,
    idempotency_key: str | None = None,
) -> Call[T]: ...


def define_call(
    method: str,
    path: str,
    *,
    returns: type[Any] = object,
    query: Mapping[str, object] | None = None,
    body: object = None,
    idempotency_key: str | None = None,
) -> Call[Any]:
    """Return a call of a route that this package has no function for.

    - *path*: the path with its version, such as `/v1/reports`, percent-encoded and without a query.
    - *returns*: the type that the body of a success is decoded to: an attrs class, a dataclass, a `list[...]`, a
      `dict[str, object]`, or `object` for any JSON, which is the default.
    - *query*: the parameters; times are written in UTC and dates in ISO 8601. One that is None is left out.
    - *body*: what the request contains as JSON: types of JSON, attrs instances, `Decimal` and aware times.
    - *idempotency_key*: the key under which the call may be repeated, if the route takes one. Without a key only a GET
      is repeated.

    Bad input is an `Invalid` in `call.invalid`, and is never sent. Raise TypeError if JSON cannot be decoded to
    *returns*.
    """
    given_type: object = returns
    if not is_readable(given_type):
        is_type = isinstance(given_type, type) or get_origin(given_type) is not None
        name = repr(given_type) if is_type else f"a value of type {type(given_type).__name__}"
        raise TypeError(
            f"returns is a type to decode JSON to, such as an attrs class or dict[str, object], not {name}; "
            "leave it out for any JSON"
        )
    details = [Detail("method", "must be in upper case, such as GET")] if not _matches(_METHOD, method) else []
    if not _matches(_PATH, path):
        details.append(Detail("path", "must begin with a slash, be percent-encoded and have no query"))
    key_problem = None if idempotency_key is None else check_key(idempotency_key)
    details += [key_problem] if key_problem else []
    pairs: tuple[tuple[str, str], ...] = ()
    content = None
    try:
        given = (query or {}).items()
        pairs = tuple((name, format_query_value(value)) for name, value in given if value is not None)
        _ = [text.encode() for pair in pairs for text in (f"{pair[0]}", pair[1])]  # fails for a lone surrogate
        content = None if body is None else _to_json(body)
    except Exception:  # noqa: BLE001 - a method of a value raised, or it is not JSON
        details.append(Detail("body", UNCHECKABLE))
    invalid = make_invalid(tuple(details)) if details else None
    return Call(method, path, returns, pairs, content, None if key_problem else idempotency_key, invalid=invalid)


def extend_call(call: Call[T], fields: Mapping[str, object]) -> Call[T]:
    """Return *call* with more *fields* in its body, such as one that the service has just introduced.

    An object in *fields* is merged into the object of the same name; anything else replaces what was there. The fields
    are not checked. The key stays the same: extend a call before it is sent for the first time. A call that is invalid
    is returned as it is. Fields that are not JSON, or a call that has no JSON object as its body, make an `Invalid`.
    """
    if call.invalid is not None:
        return call
    content = parse(call.body or b"")
    if not isinstance(content, dict):
        return attrs.evolve(call, invalid=make_invalid((Detail("", "has no JSON object as its body to extend"),)))
    try:
        return attrs.evolve(call, body=_to_json(_merge(content, fields)))
    except Exception:  # noqa: BLE001 - a method of a value raised, or it is not JSON
        return attrs.evolve(call, invalid=make_invalid((Detail("", UNCHECKABLE),)))


def _to_json(value: object) -> bytes:
    # Raise ValueError for NaN and infinity, which would be written as null.
    content = to_json(value)
    if b"null" in content:
        _ = json.dumps(to_plain(value), allow_nan=False)
    return content


def _matches(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _merge(content: dict[str, Any], fields: Mapping[str, object]) -> dict[str, Any]:
    merged = dict(content)
    for name, value in fields.items():
        known = merged.get(name)
        merged[name] = _merge(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return merged
