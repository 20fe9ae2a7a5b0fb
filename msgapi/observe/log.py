"""The log: what calls and batches came to, as records of the standard library's `logging`.

Rule: a record has routes, codes, counts and seconds in it, and nothing of a person or a content.
"""

import logging
from typing import Final, final

from ..calls import Call
from ..redact import HIDDEN, key, mask, word
from ..results import CALLED_OFF, ApiError, NotSent, Ok, Result, Unanswered
from .naming import kind_of, route_of
from .watching import BatchWatch, Observer, Watch

_log: Final = logging.getLogger("msgapi")


def log(*, slow: float = 1.0) -> Observer:
    """Make an observer that logs under the logger `msgapi`.

    A call that ended badly is a WARNING, one that took more than one attempt or waited for more than
    *slow* seconds for its turn INFO, as are the stops of a batch, and every other call DEBUG. The
    fields of a record begin with `msgapi_`: `route`, `outcome`, `status`, `code`, `reason`,
    `attempts`, `seconds`, `key` and `stopped`, each where there is one; the key only if it is a UUID.
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
            _log.info("%s waited for its turn at the rate limit: %.3g s", *fields.values(), extra=fields)

    def result(self, result: Result[object] | None, /) -> None:
        level = _level(result)
        if _log.isEnabledFor(level):
            fields = _fields(route_of(self._call), self._call, result)
            told = (fields["msgapi_route"], fields["msgapi_outcome"], _shown(fields))
            _log.log(level, "%s: %s%s", *told, extra=fields)


@final
class _BatchLog(BatchWatch):
    def stopped(self, reason: str, error: ApiError | None, /) -> None:
        if _log.isEnabledFor(logging.INFO):
            told = {} if error is None else _told(error)
            _log.info("a batch has stopped: %s%s", reason, _shown(told), extra={**told, "msgapi_stopped": reason})


def _level(result: Result[object] | None) -> int:
    match result:
        case None:
            return logging.WARNING if kind_of(None) == "Raised" else logging.DEBUG
        case Ok(meta=meta):
            return logging.INFO if meta.attempts > 1 else logging.DEBUG
        case NotSent(code=code) if code == CALLED_OFF:
            return logging.DEBUG  # as its batch wished
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
    return fields if isinstance(result, Ok) else fields | _told(result)


def _told(error: ApiError) -> dict[str, object]:
    fields: dict[str, object] = {}
    if error.code:
        fields["msgapi_code"] = HIDDEN if word(error.code) == HIDDEN else error.code
    if isinstance(error, NotSent | Unanswered):
        fields["msgapi_reason"] = mask(error.reason)
    return fields


def _shown(fields: dict[str, object]) -> str:
    names = ("status", "code", "reason", "attempts")
    return "".join([f", {name}={fields[at]}" for name in names if (at := f"msgapi_{name}") in fields])
