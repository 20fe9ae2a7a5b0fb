"""Hooks: the classes to subclass in order to observe calls and batches, several observers as one, and `log`.

Each hook does nothing by default. `log` writes the results of calls and batches as records of the standard library's
`logging`.

Rules:
- A hook is a synchronous function and runs in the task that makes the call. A slow hook delays the call.
- For one call: `attempt` and `answer` alternate, `wait` comes before an attempt, `retry` after an answer, and
  `result` is last. It is called once, also if the call is cancelled or raises.
- The repr of what a hook receives contains no API key, recipient or content, except for the caller's own values.
- An observer that raises affects neither the call nor the other observers. Of its exception only the type and the place
  are logged: the text may quote personal data.
- A record of `log` contains routes, codes, counts and seconds, and no personal data or content.
"""

import logging
import sys
from collections.abc import Callable, Mapping
from itertools import chain
from traceback import extract_tb
from typing import Final, Generic, TypeVar, final

from ..calls import Call
from ..http import Request, may_be_added
from ..redact import HIDDEN, key, mask, route, word
from ..results import CALLED_OFF, ApiError, NotSent, Ok, Result, Unanswered

T = TypeVar("T")
W = TypeVar("W")
OTHER: Final = "_OTHER"  # defined by the OpenTelemetry conventions
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_log: Final = logging.getLogger("msgapi")


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


# Several observers as one.


def combine(*observers: Observer) -> Observer:
    """Return one observer that calls *observers* in their order.

    If two of them add the same header, the value of the first one is sent.
    """
    return _Combined(tuple(chain.from_iterable(map(_parts, observers))))


@final
class _Combined(Observer):
    def __init__(self, observers: tuple[Observer, ...]) -> None:
        self.observers = observers

    def call(self, call: Call[object], /) -> Watch | None:
        watches = _collect(self.observers, lambda observer: observer.call(call))
        return _Watches(watches) if watches else None

    def batch(self) -> BatchWatch | None:
        watches = _collect(self.observers, lambda observer: observer.batch())
        return _BatchWatches(watches) if watches else None


def _parts(observer: Observer) -> tuple[Observer, ...]:
    return observer.observers if isinstance(observer, _Combined) else (observer,)


def _collect(observers: tuple[Observer, ...], start: Callable[[Observer], T | None]) -> list[T]:
    watches: list[T] = []
    for observer in observers:
        try:
            watch = start(observer)
        except Exception as error:  # noqa: BLE001 - logged; the call continues
            _log_exception(observer, error)
        else:
            if watch is not None:
                watches.append(watch)
    return watches


class _Contained(Generic[W]):
    def __init__(self, watches: list[W]) -> None:
        self._watches = watches

    def _each(self, hook: Callable[[W], object]) -> None:
        for watch in tuple(self._watches):
            try:
                _ = hook(watch)
            except Exception as error:  # noqa: BLE001 - logged; the call continues
                self._watches.remove(watch)
                _log_exception(watch, error)


@final
class _Watches(_Contained[Watch], Watch):
    def attempt(self, request: Request, /) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        self._each(lambda watch: _add(headers, request, watch.attempt(request)))
        return headers

    def answer(self, result: Result[object], /) -> None:
        self._each(lambda watch: watch.answer(result))

    def wait(self, seconds: float, /) -> None:
        self._each(lambda watch: watch.wait(seconds))

    def retry(self, error: ApiError, seconds: float, /) -> None:
        self._each(lambda watch: watch.retry(error, seconds))

    def result(self, result: Result[object] | None, /) -> None:
        self._each(lambda watch: watch.result(result))


@final
class _BatchWatches(_Contained[BatchWatch], BatchWatch):
    def outcome(self, call: Call[object], result: Result[object], /) -> None:
        self._each(lambda watch: watch.outcome(call, result))

    def stopped(self, reason: str, error: ApiError | None, /) -> None:
        self._each(lambda watch: watch.stopped(reason, error))

    def resumed(self) -> None:
        self._each(lambda watch: watch.resumed())

    def broken(self, error: BaseException, /) -> None:
        self._each(lambda watch: watch.broken(error))

    def ended(self) -> None:
        self._each(lambda watch: watch.ended())


def _add(headers: dict[str, str], request: Request, more: Mapping[str, str] | None) -> None:
    # Adds all headers or none: one that the transport would refuse must not reach it.
    if not more:
        return
    known = {name.lower() for name in (*request.headers, *headers)}
    fresh = {name: value for name, value in more.items() if name.lower() not in known}
    for name, value in fresh.items():
        if not may_be_added(name, value):
            raise ValueError("not a header that an observer can add")
    headers.update(fresh)


def _log_exception(source: object, error: Exception) -> None:
    where = extract_tb(error.__traceback__)[-1]
    shown = (type(source).__qualname__, type(error).__name__, f"{where.filename}:{where.lineno}")
    _log.error("the observer %s raised %s at %s: it is not called again for this call or batch", *shown)


def log(*, slow: float = 1.0) -> Observer:
    """Return an observer that writes to the logger `msgapi`.

    The levels are:

    - WARNING: a call that ended in an error or raised, unless its `only_while` cancelled it.
    - INFO: a call that succeeded after more than one attempt, a call that the rate limit delayed for more than *slow*
      seconds (1.0 by default), and the stop of a batch.
    - DEBUG: every other call.

    The attributes of a record begin with `msgapi_`: `route`, `outcome`, `status`, `code`, `reason`, `attempts`,
    `seconds`, `key` and `stopped`. Each is present only if it has a value; the idempotency key only if it is a UUID.
    `reason` says why a call failed, in words of this package: see the `explanation` of an error.
    """
    return _Log(slow)


@final
class _Log(Observer):
    def __init__(self, slow: float) -> None:
        self._slow = slow

    def call(self, call: Call[object], /) -> Watch:
        return _CallLog(call, self._slow)

    def batch(self) -> BatchWatch:
        return _BatchLog()


@final
class _CallLog(Watch):
    def __init__(self, call: Call[object], slow: float) -> None:
        self._call, self._slow = call, slow

    def wait(self, seconds: float, /) -> None:
        if seconds > self._slow and _log.isEnabledFor(logging.INFO):
            fields = {"msgapi_route": route_of(self._call), "msgapi_seconds": seconds}
            _log.info("%s was delayed by the rate limit: %.3g s", *fields.values(), extra=fields)

    def result(self, result: Result[object] | None, /) -> None:
        level = _level(result)
        if _log.isEnabledFor(level):
            fields = _fields(route_of(self._call), self._call, result)
            shown = (fields["msgapi_route"], fields["msgapi_outcome"], _shown(fields))
            _log.log(level, "%s: %s%s", *shown, extra=fields)


@final
class _BatchLog(BatchWatch):
    def stopped(self, reason: str, error: ApiError | None, /) -> None:
        if _log.isEnabledFor(logging.INFO):
            fields = {} if error is None else _error_fields(error)
            _log.info("a batch has stopped: %s%s", reason, _shown(fields), extra={**fields, "msgapi_stopped": reason})


def _level(result: Result[object] | None) -> int:
    match result:
        case None:
            return logging.WARNING if kind_of(None) == "Raised" else logging.DEBUG
        case Ok(meta=meta):
            return logging.INFO if meta.attempts > 1 else logging.DEBUG
        case NotSent(code=code) if code == CALLED_OFF:
            return logging.DEBUG  # its batch cancelled it
        case _:
            return logging.WARNING


def _fields(route: str, call: Call[object], result: Result[object] | None) -> dict[str, object]:
    fields: dict[str, object] = {"msgapi_route": route, "msgapi_outcome": kind_of(result)}
    if call.idempotency_key is not None and key(call.idempotency_key) != HIDDEN:
        fields["msgapi_key"] = call.idempotency_key
    if result is None:
        return fields
    meta = result.meta
    fields |= {"msgapi_attempts": meta.attempts, "msgapi_seconds": meta.elapsed}
    if meta.status is not None:
        fields["msgapi_status"] = meta.status
    return fields if isinstance(result, Ok) else fields | _error_fields(result)


def _error_fields(error: ApiError) -> dict[str, object]:
    fields: dict[str, object] = {}
    if error.code:
        fields["msgapi_code"] = HIDDEN if word(error.code) == HIDDEN else error.code
    fields["msgapi_reason"] = mask(error.reason) if isinstance(error, NotSent | Unanswered) else error.explanation
    return fields


def _shown(fields: dict[str, object]) -> str:
    names = ("status", "code", "reason", "attempts")
    return "".join([f", {name}={fields[at]}" for name in names if (at := f"msgapi_{name}") in fields])
