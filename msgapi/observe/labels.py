"""Labels: the names of routes and outcomes in logs, spans and metrics. There are few, and none contains an id."""

import sys
from typing import Final

from ..calls import Call
from ..redact import route
from ..results import Result

OTHER: Final = "_OTHER"  # defined by the OpenTelemetry conventions
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


def method_of(method: str) -> str:
    """Return *method* if it is a known HTTP method, else `_OTHER`."""
    return method if method in _METHODS else OTHER


def route_of(call: Call[object]) -> str:
    """Return the route of *call*, such as `GET /v1/messages/{id}`."""
    return f"{method_of(call.method)} {route(call.path)}"


def kind_of(result: Result[object] | None) -> str:
    """Return the class name of *result*, such as `Throttled`.

    For None, return `Raised` or `Cancelled`, according to the exception that is being handled.
    """
    if result is not None:
        return type(result).__name__
    return kind_of_exception(sys.exception())


def kind_of_exception(error: BaseException | None) -> str:
    """Return `Raised` if *error* is an `Exception`, else `Cancelled`."""
    return "Raised" if isinstance(error, Exception) else "Cancelled"
