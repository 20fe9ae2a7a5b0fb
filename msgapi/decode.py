"""Decoding: the result of a call from its HTTP response.

Rules:
- Decoding never raises, for any status, headers and body.
- The HTTP status alone selects the class of the result. The error body only fills in its fields.
- One function, `is_from_service`, decides whether an answer is the service's. The body of an error that is not fills in
  no field but `retry_after`; all of it is kept in `extra`.
- A success without a body is an `Ok` for a write whose result has no required fields.
- A documented field of the wrong type counts as absent. It is kept in `extra`, as unknown fields are.
- What can be read of a success that cannot be decoded is in the `extra` of the `Unreadable`, its ids above all.
"""

import re
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

from attrs import NOTHING, evolve, fields_dict

from .calls import Call
from .codec import Problems, from_dict, from_json
from .codec.json import is_nested_deeper, parse_leniently, salvage
from .codegen import EXTRA, Cache, constructor
from .http import CONTROL_PREFIX, SANDBOX_HEADER, Response
from .redact import mask
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
from .retry import parse_http_date, parse_retry_after

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
_CODE: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)  # of an error of the service
_NOT_FOUND: Final = 404
_REQUEST_TIMEOUT: Final = 408
_NOT_A_SANDBOX: Final = (
    f"HTTP 404: the server is not a sandbox, which alone has the routes below {CONTROL_PREFIX}; "
    "check base_url, or MSGAPI_BASE_URL"
)
_NO_ID: Final = Detail("", "has an empty id")
_NO_AMOUNT: Final = Detail("", "has none of free, reserved and total")
_LONGEST_LOCATION: Final = 2000  # characters of a header that are looked at
_LONGEST_TARGET: Final = 200  # characters of the target of a redirect in a message
_DIGITS: Final = 15  # of a whole number in a header
_SECONDS: Final = re.compile(r"\d{1,15}(\.\d{1,15})?", re.ASCII)


def decode(
    call: Call[T],
    response: Response,
    *,
    attempts: int = 1,
    elapsed: float = 0.0,
    now: Callable[[], float] = time.time,
) -> Result[T]:
    """Return the result of *call*, decoded from *response*.

    *attempts* and *elapsed*, in seconds, are copied to its `meta`. A success whose body cannot be decoded, or is an
    error, is `Unreadable`. *now* returns the Unix time: a `Retry-After` that is a date is compared with it if the
    response has no `Date`.
    """
    status, headers = response.status, response.headers
    date = headers.get("date")
    meta = _new_meta(
        status=status,
        attempts=attempts,
        elapsed=elapsed,
        idempotency_key=call.idempotency_key,
        location=headers.get("location"),
        rate_limit=_rate_limit(headers),
        server_time=None if date is None else parse_http_date(date),
        headers=headers,
    )
    if status not in _SUCCESS:
        return _failure(call, response, meta, now)
    value = from_json(response.body, call.returns)
    if not response.body and call.method != "GET":
        empty = from_json(b"{}", call.returns)
        value = value if isinstance(empty, Problems) else empty
    # A success that decodes is the service's unless it is an error or its id is empty. Only few bodies need to be read
    # a second time.
    if isinstance(value, Problems) or _looks_foreign(call.returns, value, response.body):
        body = salvage(response.body, DEEPEST)
        from_service = is_from_service(call, status, body, value)
        if isinstance(value, Problems) or not from_service:
            return _unreadable(response, meta, body, value, from_service=from_service)
    return _new_ok(value, meta=meta)


def is_from_service(call: Call[Any], status: int, body: object, value: object = None) -> bool:
    """Return whether an answer to *call* is the service's, by its *status* and its parsed *body*.

    An error is the service's if its body is an object whose `error` is a code in lower case and whose `message` is a
    string. A success is the service's if it is no such object, and has the id that the result requires; a balance has
    an amount. *value* is what a success was decoded to, or its `Problems`.
    """
    error = (
        isinstance(body, dict)
        and isinstance(body.get("error"), str)
        and _CODE.fullmatch(body["error"]) is not None
        and isinstance(body.get("message"), str)
    )
    if status not in _SUCCESS:
        return error
    ids, _ = _checks[call.returns]
    if not isinstance(value, Problems):
        return not error and all(getattr(value, name) for name in ids) and not _is_empty(value)
    return not error and isinstance(body, dict) and any(isinstance(body.get(name), str) and body[name] for name in ids)


def _find_checks(model: type) -> tuple[list[str], bool]:
    # The ids that *model* requires, and whether a field `error` of a body is always in its `extra`. An id is a field
    # that is called `id` or, for example, `message_id`.
    fields = getattr(model, "__attrs_attrs__", ())
    required = [field.name for field in fields if field.default is NOTHING]
    names = {field.name for field in fields}
    return [name for name in required if name == "id" or name.endswith("_id")], EXTRA in names and "error" not in names


_checks: Final = Cache(_find_checks)


def _is_empty(value: object) -> bool:
    return isinstance(value, Balance) and value.free is value.reserved is value.total is None


def _looks_foreign(model: type, value: Any, body: bytes) -> bool:  # noqa: ANN401 - a model
    # Whether *value* has an empty id, or its *body* can have a field `error`. To look for one in the `extra` takes
    # a tenth of the time of a search in the body.
    ids, keeps_error = _checks[model]
    for name in ids:
        if not getattr(value, name):
            return True
    if model is Balance and _is_empty(value):
        return True
    return "error" in value.extra if keeps_error else b'"error"' in body


def _unreadable(response: Response, meta: Meta, body: Envelope, value: object, *, from_service: bool) -> Unreadable:
    problem = f"HTTP {response.status}, but the body cannot be decoded: {_size(response)}"
    if not isinstance(value, Problems):
        missing = (_NO_AMOUNT, "it has no amount") if _is_empty(value) else (_NO_ID, "its id is empty")
        is_error = (Detail("error", "is an error, not a result"), "the body is an error")
        detail, wrong = is_error if "error" in body else missing
        value = Problems((detail,))
        problem = f"HTTP {response.status}, but {wrong}: {_size(response)}"
    return Unreadable(message=problem, problems=value.lines(), meta=meta, extra=body, from_service=from_service)


def _failure(call: Call[Any], response: Response, meta: Meta, now: Callable[[], float]) -> ApiError:
    status, body = response.status, parse_leniently(response.body)
    kind = _KINDS.get(status) or (ServerFault if 500 <= status <= 599 else Unexpected)  # noqa: PLR2004 - 5xx
    from_service = is_from_service(call, status, body)
    rest, server_now = _fields(body), _server_clock(meta, now)
    if status == _NOT_FOUND and call.path.startswith(CONTROL_PREFIX) and SANDBOX_HEADER not in response.headers:
        return NotFound(code="not_a_sandbox", message=_NOT_A_SANDBOX, meta=meta, extra=rest, own_words=True)
    known: dict[str, Any] = {}
    in_header = parse_retry_after(response.headers.get("retry-after"), server_now)
    if in_header is not None:
        meta = evolve(meta, retry_after=in_header)
    if "retry_after" in _FIELDS[kind]:
        known["retry_after"] = _retry_after(rest, in_header, server_now)
    to = f" to {_target(meta.location)}" if meta.location and 300 <= status <= 399 else ""  # noqa: PLR2004 - 3xx
    if not from_service:
        refused = 300 <= status <= 499 and status != _REQUEST_TIMEOUT  # noqa: PLR2004 - 3xx and 4xx
        return kind(
            code=f"http_{status}",
            message=f"HTTP {status}{to}, but not from the service: {_size(response)}",
            may_have_happened=not refused,
            meta=meta,
            extra=rest,
            from_service=False,
            **known,
        )
    code, message = f"{rest.pop('error')}", f"{rest.pop('message')}"
    for name, reader in _READERS.items():
        if name in _FIELDS[kind] and name in rest:
            value = reader(rest[name])
            if value is not None:
                known[name] = value
            if value is not None or rest[name] is None:
                del rest[name]
    if not rest.get("details", True):
        del rest["details"]  # an empty list has no information
    message = message or f"HTTP {status} without a message: {_size(response)}"
    return kind(code=code, message=f"{message} (HTTP {status}{to})" if to else message, meta=meta, extra=rest, **known)


def _fields(body: object) -> Envelope:
    # A value that is nested too deep could not be written as JSON again.
    items = body.items() if isinstance(body, dict) else ()
    return {name: value for name, value in items if not is_nested_deeper(value, DEEPEST - 1)}


def _size(response: Response) -> str:
    media_type = response.headers.get("content-type", "").partition(";")[0].strip() or "of no stated type"
    return f"{len(response.body)} bytes {media_type}"


def _target(location: str) -> str:
    # The target of a redirect without user, query and fragment, which can contain secrets.
    try:
        parts = urlsplit(location[:_LONGEST_LOCATION])
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "an address that is not a URL"
    host = f"[{host}]" if ":" in host else host
    target = urlunsplit((parts.scheme, f"{host}:{port}" if port else host, parts.path, "", ""))
    return mask(target).encode("unicode_escape").decode()[:_LONGEST_TARGET]


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
    found = from_dict(value, Balance)
    return None if isinstance(found, Problems) else found


def _amount(value: object) -> Decimal | None:
    found = from_dict(value, Decimal)
    return None if isinstance(found, Problems) else found


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    "details": _details,
    "balance": _balance,
    "required_amount": _amount,
    "topup_url": _text,
}
_FIELDS: Final = {kind: fields_dict(kind).keys() for kind in (*_KINDS.values(), ServerFault, Unexpected)}


# Headers.

_LIMIT: Final = "x-ratelimit-limit"
_REMAINING: Final = "x-ratelimit-remaining"
_RESET: Final = "x-ratelimit-reset"


def _rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    limit: str | None
    remaining: str | None
    reset: str | None
    try:
        limit, remaining, reset = headers[_LIMIT], headers[_REMAINING], headers[_RESET]
    except KeyError:
        limit, remaining, reset = headers.get(_LIMIT), headers.get(_REMAINING), headers.get(_RESET)
        if limit is None and remaining is None and reset is None:
            return None
    return _new_rate_limit(
        limit=_limits[limit],
        remaining=_count(remaining),
        reset=_resets[reset],
    )


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and len(text) <= _DIGITS and text.isdecimal() and text.isascii() else None


def _number(text: str | None) -> float | None:
    whole = _count(text)
    if whole is not None:
        return float(whole)
    return float(text) if text is not None and _SECONDS.fullmatch(text) else None


_limits: Final = Cache(_count)  # mostly the same value in every response
_resets: Final = Cache(_number)


def _server_clock(meta: Meta, now: Callable[[], float]) -> Callable[[], float]:
    # A date is compared with the `Date` of the same response if there is one: the clocks of both can differ.
    server_time = meta.server_time
    return now if server_time is None else lambda: server_time


def _retry_after(rest: Envelope, in_header: float | None, server_now: Callable[[], float]) -> float | None:
    # The larger of the body field and the header.
    in_body = parse_retry_after(rest.get("retry_after"), server_now)
    if in_body is not None or rest.get("retry_after", False) is None:
        del rest["retry_after"]
    return max((seconds for seconds in (in_body, in_header) if seconds is not None), default=None)
