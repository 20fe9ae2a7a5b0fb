"""Responses: success bodies, error envelopes, and the delay or loss that is simulated on the way back."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from math import floor
from typing import Any, Final, final

import attrs
import orjson
from attrs import frozen

from ...codegen import constructor
from ...http import Response, new_response
from ...results import Detail

_MICROSECONDS: Final = 1_000_000  # of a second
JSON_HEADERS: Final = {"content-type": "application/json"}


@final
@frozen
class Wait:
    """What a request waits for, at most *seconds*: a message that `matches`."""

    seconds: float
    matches: Callable[[Any], bool]


@final
@frozen
class SimulatedResponse:
    """A response, and what the caller has to do to it: wait *delay* seconds first, or drop it.

    A *lost* response was produced and its effects are in the account, but the client never receives it. *fault* is the
    name of the random fault of the request, and *replayed* whether its idempotency key was known.

    If *wait* is not None, the caller waits for a message first. This is the response if none has come in time.
    """

    response: Response
    delay: float = 0.0
    lost: bool = False
    fault: str | None = None
    replayed: bool = False
    wait: Wait | None = None


new_simulated: Final = constructor(SimulatedResponse)
"""`SimulatedResponse(...)`, in half of the time."""


def json_response(body: object, status: int = 200) -> SimulatedResponse:
    """Return a response with a JSON *body*, which may contain attrs models."""
    return new_simulated(new_response(status, JSON_HEADERS, compact(_dump(body))))


def created(body: object, location: str) -> SimulatedResponse:
    """Return a 201 response with a JSON *body* and a Location header."""
    return SimulatedResponse(Response(201, {**JSON_HEADERS, "location": location}, compact(_dump(body))))


def error_response(status: int, code: str, message: str, **fields: object) -> SimulatedResponse:
    """Return an error envelope (docs: /api/errors) with the additional *fields* of this error code."""
    return json_response({"error": code, "message": message, **fields}, status)


def invalid_request(details: Iterable[Detail], message: str = "The request is not valid.") -> SimulatedResponse:
    """Return a 400 response that names the invalid fields."""
    return error_response(400, "validation_error", message, details=details_to_json(details))


def not_found(what: str) -> SimulatedResponse:
    """Return a 404 response for *what*, such as `contact`."""
    return error_response(404, "not_found", f"There is no such {what}.")


def details_to_json(details: Iterable[Detail]) -> list[Mapping[str, str]]:
    """Return *details* as the error envelope contains them."""
    return [{"field": one.field, "message": one.message} for one in details]


def compact(body: bytes) -> bytes:
    """Return a copy of *body* that uses no more memory than needed: orjson's own result keeps about 4 kB."""
    return memoryview(body).tobytes()


def to_datetime(moment: float) -> datetime:
    """Return a *moment* in Unix seconds as a datetime in UTC, truncated to milliseconds."""
    found = datetime.fromtimestamp(moment, UTC)
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


def format_time(moment: float) -> str:
    """Return a *moment* in Unix seconds as ISO 8601 in UTC, with milliseconds.

    It is that of `to_datetime`, in a third of the time: moments that follow one another are in the same second.
    """
    second = floor(moment)
    microsecond = round((moment - second) * 1e6)
    if microsecond == _MICROSECONDS:
        second, microsecond = second + 1, 0
    return f"{_format_second(second)}.{microsecond // 1000:03}Z"


@lru_cache(maxsize=16)
def _format_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()


def _dump(body: object) -> bytes:
    return orjson.dumps(body, default=_default, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _default(value: Any) -> object:  # noqa: ANN401 - any value that a model holds
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return float(value)
    # A field that has its default is left out, as the OpenAPI document does not require it.
    # `extra` is for what a client does not know.
    fields = ((one, getattr(value, one.name)) for one in attrs.fields(type(value)) if one.name != "extra")
    return {one.name: part for one, part in fields if one.default is attrs.NOTHING or part != one.default}
