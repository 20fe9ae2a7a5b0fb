"""Records: the results of calls and batches as records of the standard library's `logging`.

Rule: a record contains routes, codes, counts and seconds, and no personal data or content.
"""

import logging
from typing import Final, final

from ..calls import Call
from ..redact import HIDDEN, key, mask, word
from ..results import CALLED_OFF, ApiError, NotSent, Ok, Result, Unanswered
from .hooks import BatchWatch, Observer, Watch, kind_of, route_of

_log: Final = logging.getLogger("msgapi")


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
