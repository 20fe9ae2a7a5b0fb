"""Hooks: the classes to subclass in order to observe calls and batches. Each method does nothing by default.

Rules:
- A hook is a synchronous function and runs in the task that makes the call. A slow hook delays the call.
- For one call: `attempt` and `answer` alternate, `wait` comes before an attempt, `retry` after an answer, and
  `result` is last. It is called once, also if the call is cancelled or raises.
- The repr of what a hook receives contains no API key, recipient or content, except for the caller's own values.
"""

import sys
from collections.abc import Mapping
from typing import Final

from ..calls import Call
from ..http import Request
from ..redact import route
from ..results import ApiError, Result

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


class Watch:
    """The hooks for one call, in the order in which they are called."""

    def attempt(self, request: Request, /) -> Mapping[str, str] | None:  # noqa: ARG002 - for a subclass
        """Handle *request* before it is sent. Return headers to add to it, such as `traceparent`, or None.

        A header that the request already has is not replaced. Headers that determine the destination, the body or the
        operation cannot be added.
        """
        return None

    def answer(self, result: Result[object], /) -> None:
        """Handle the result of an attempt."""

    def wait(self, seconds: float, /) -> None:
        """Handle a delay of *seconds* by the rate limit, once it is over."""

    def retry(self, error: ApiError, seconds: float, /) -> None:
        """Handle a retry because of *error*, before the wait of *seconds*."""

    def result(self, result: Result[object] | None, /) -> None:
        """Handle the final result of the call; it is None if the call was cancelled or its transport raised.

        In the latter case `sys.exception()` returns the exception.
        """


class BatchWatch:
    """The hooks for one batch, in the order in which they are called."""

    def outcome(self, call: Call[object], result: Result[object], /) -> None:
        """Handle the result of a row: once for each row, and again if `resume` sent it again."""

    def stopped(self, reason: str, error: ApiError | None, /) -> None:
        """Handle a stop of the batch. *reason* and *error* are those of `batch.Stopped`."""

    def resumed(self) -> None:
        """Handle that the batch sends again after a stop."""

    def broken(self, error: BaseException, /) -> None:
        """Handle that the batch ends with *error*: an exception of the loop, source or client, or a cancellation."""

    def ended(self) -> None:
        """Handle the end of the batch, however it ends: once, and after all other hooks."""


class Observer:
    """Base class of observers. It returns the hooks for each call and each batch when it starts.

    Pass an instance to `Client` or `batch.send`. If it raises, the exception is logged, its hooks are not called again
    for this call or batch, and the call itself is not affected.
    """

    def call(self, call: Call[object], /) -> Watch | None:  # noqa: ARG002 - for a subclass
        """Return the hooks for *call*, or None for none."""
        return None

    def batch(self) -> BatchWatch | None:
        """Return the hooks for a batch, or None for none."""
        return None
