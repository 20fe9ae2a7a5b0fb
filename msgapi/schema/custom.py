"""Custom calls: routes that this package does not know, and fields that it does not know of a route that it does."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_origin, overload

import attrs

from ..calls import Call
from ..codec import to_json
from ..codec.json import is_readable, parse, to_plain
from ..results import Detail
from .requests import check_key, format_query_value, make_invalid
from .validators import UNCHECKABLE

T = TypeVar("T")
_METHOD: Final = re.compile(r"[A-Z]{1,20}")
_PATH: Final = re.compile(r"(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+")  # RFC 3986, section 3.3


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
