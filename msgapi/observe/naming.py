"""Naming: what a call and its end are called where they are counted; few names, and none with an id in it."""

import sys
from typing import Final

from ..calls import Call
from ..redact import route
from ..results import Result

OTHER: Final = "_OTHER"  # as the conventions of OpenTelemetry have it
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


def method_of(method: str) -> str:
    """Give *method* if it is one of HTTP's."""
    return method if method in _METHODS else OTHER


def route_of(call: Call[object]) -> str:
    """Name the route of *call*, such as `GET /v1/messages/{id}`."""
    return f"{method_of(call.method)} {route(call.path)}"


def kind_of(result: Result[object] | None) -> str:
    """Name what a call came to, such as `Throttled`; `Cancelled` or `Raised` where it came to nothing."""
    if result is not None:
        return type(result).__name__
    return broke_off(sys.exception())


def broke_off(error: BaseException | None) -> str:
    """Name what came instead of an end: `Raised`, or `Cancelled` if *error* is no exception like others."""
    return "Raised" if isinstance(error, Exception) else "Cancelled"
