"""Decoding: the result of a call from its HTTP response.

Rules:
- Decoding never raises, for any status, headers and body.
- The HTTP status alone selects the class of the result. The error body only fills in its fields.
- A success without a body is an `Ok` for a write whose result has no required fields.
- A documented field of the wrong type counts as absent. It is kept in `extra`, as unknown fields are.
- What can be read of a success that cannot be decoded is in the `extra` of the `Unreadable`, its ids above all.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import Any, Final, TypeVar

from attrs import fields_dict

from .calls import Call
from .codec import Problems, from_plain, is_nested_deeper, load, parse_leniently, salvage
from .codegen import constructor
from .http import Response
from .results import (
    ApiError,
    Balance,
    Conflict,
    Detail,
    Forbidden,
    InsufficientBalance,
    Invalid,
    Meta,
    NotFound,
    Ok,
    RateLimit,
    Result,
    ServerFault,
    Throttled,
    Unauthorized,
    Unavailable,
    Unexpected,
    Unprocessable,
    Unreadable,
)

T = TypeVar("T")
Envelope = dict[str, object]
DEEPEST: Final = 32  # levels; a deeper error body is ignored

_SUCCESS: Final = frozenset({200, 201, 202, 204})
_KINDS: Final[Mapping[int, type[ApiError]]] = {
    400: Invalid,
    401: Unauthorized,
    402: InsufficientBalance,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: Unprocessable,
    429: Throttled,
    503: Unavailable,
}
_new_meta, _new_rate_limit, _new_ok = constructor(Meta), constructor(RateLimit), constructor(Ok)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE: Final = re.compile(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII)
_DIGITS: Final = 15  # of a whole number in a header
_SECONDS: Final = re.compile(r"\d{1,15}(\.\d{1,15})?", re.ASCII)


def decode(call: Call[T], response: Response, *, attempts: int = 1, elapsed: float = 0.0) -> Result[T]:
    """Return the result of *call*, decoded from *response*.

    *attempts* and *elapsed*, in seconds, are copied to its `meta`. A success whose body cannot be decoded is
    `Unreadable`.
    """
    headers = response.headers
    meta = _new_meta(
        status=response.status,
        attempts=attempts,
        elapsed=elapsed,
        idempotency_key=call.idempotency_key,
        location=headers.get("location"),
        rate_limit=_rate_limit(headers),
        server_time=_unix_time(headers.get("date", "")),
    )
    if response.status not in _SUCCESS:
        return _failure(response, meta)
    value = load(response.body, call.returns)
    if not response.body and call.method != "GET":
        empty = load(b"{}", call.returns)
        value = value if isinstance(empty, Problems) else empty
    if isinstance(value, Problems):
        message = f"HTTP {response.status}, but the body cannot be decoded: {_size(response)}"
        return Unreadable(message=message, problems=value.lines(), meta=meta, extra=salvage(response.body, DEEPEST))
    return _new_ok(value, meta=meta)


def _failure(response: Response, meta: Meta) -> ApiError:
    status, headers = response.status, response.headers
    kind = _KINDS.get(status) or (ServerFault if 500 <= status <= 599 else Unexpected)  # noqa: PLR2004 - 5xx
    body = parse_leniently(response.body)
    rest: Envelope = dict(body) if isinstance(body, dict) and not is_nested_deeper(body, DEEPEST) else {}
    known: dict[str, Any] = {}
    for name, reader in (("error", _text), ("message", _text), *_READERS.items()):
        if name in _FIELDS[kind] and name in rest:
            value = reader(rest[name])
            if value is not None:
                known[name] = value
            if value is not None or rest[name] is None:
                del rest[name]
    if not rest.get("details", True):
        del rest["details"]  # an empty list has no information
    if "retry_after" in _FIELDS[kind]:
        known["retry_after"] = _larger(known.get("retry_after"), _retry_after(headers, meta.server_time))
    code = known.pop("error", None) or f"http_{status}"
    message = known.pop("message", None) or f"HTTP {status} without a message: {_size(response)}"
    return kind(code=code, message=message, meta=meta, extra=rest, **known)


def _size(response: Response) -> str:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip() or "of no stated type"
    return f"{len(response.body)} bytes {media_type}"


# The documented fields of an error body. Each reader returns None for a value of the wrong type.


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _details(value: object) -> tuple[Detail, ...] | None:
    if not isinstance(value, list):
        return None
    found = []
    for item in value:
        path, message = (item.get("field"), item.get("message")) if isinstance(item, dict) else (None, None)
        if not isinstance(path, str | None) or not isinstance(message, str | None) or path is message:
            return None
        found.append(Detail(path or "", message or ""))
    return tuple(found)


def _balance(value: object) -> Balance | None:
    found = from_plain(value, Balance)
    return None if isinstance(found, Problems) else found


def _amount(value: object) -> Decimal | None:
    found = from_plain(value, Decimal)
    return None if isinstance(found, Problems) else found


def _duration(value: object) -> float | None:
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return max(0.0, float(value))


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "details": _details,
    "balance": _balance,
    "required_amount": _amount,
    "topup_url": _text,
    "retry_after": _duration,
}
_FIELDS: Final = {
    kind: {"error", "message", *(fields_dict(kind).keys() & _READERS.keys())}
    for kind in (*_KINDS.values(), ServerFault, Unexpected)
}


# Headers.


def _rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    limit = headers.get("x-ratelimit-limit")
    remaining = headers.get("x-ratelimit-remaining")
    reset = headers.get("x-ratelimit-reset")
    if limit is None and remaining is None and reset is None:
        return None
    return _new_rate_limit(limit=_limit(limit), remaining=_count(remaining), reset=_reset(reset))


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and len(text) <= _DIGITS and text.isdecimal() and text.isascii() else None


def _number(text: str | None) -> float | None:
    whole = _count(text)
    if whole is not None:
        return float(whole)
    return float(text) if text is not None and _SECONDS.fullmatch(text) else None


_limit: Final = lru_cache(maxsize=64)(_count)  # mostly the same value in every response
_reset: Final = lru_cache(maxsize=64)(_number)


def _retry_after(headers: Mapping[str, str], server_time: float | None) -> float | None:
    # A date is compared with the `Date` of the same response: the clocks of client and server can differ.
    text = headers.get("retry-after", "")
    at = _unix_time(text)
    if at is not None and server_time is not None:
        return max(0.0, at - server_time)
    return _number(text)


def _larger(one: float | None, other: float | None) -> float | None:
    given = [seconds for seconds in (one, other) if seconds is not None]
    return max(given, default=None)


@lru_cache(maxsize=64)
def _unix_time(text: str) -> float | None:
    found = _DATE.fullmatch(text)
    if not found or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[group]) for group in (1, 3, 4, 5, 6))
    try:
        moment = datetime(year, _MONTHS.index(found[2]) + 1, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp()
