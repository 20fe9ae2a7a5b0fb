"""Several observers as one, and none of them able to do harm.

Rules:
- Each is asked by itself: one that raises keeps nothing from the others.
- What it raised is logged by its type and its place: the text may quote what must not be shown.
"""

import logging
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import chain
from traceback import extract_tb
from typing import Final, Generic, TypeVar, final

from ..calls import Call
from ..http import Request
from ..results import ApiError, Result
from .watching import BatchWatch, Observer, Watch

T = TypeVar("T")
W = TypeVar("W")
_log: Final = logging.getLogger("msgapi")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_NOT_THEIRS: Final = re.compile(
    "accept-encoding|connection|content-.*|cookie|expect|host|idempotency-key|te|trailer|transfer-encoding|upgrade"
)


def both(*observers: Observer) -> Observer:
    """Make one observer of *observers*, asked in their order; of a header that two give, the first one's is sent."""
    return _Several(tuple(chain.from_iterable(map(_parts, observers))))


@final
class _Several(Observer):
    def __init__(self, observers: tuple[Observer, ...]) -> None:
        self.observers = observers

    def call(self, call: Call[object], /) -> Watch | None:
        watches = _willing(self.observers, lambda observer: observer.call(call))
        return _Watches(watches) if watches else None

    def batch(self) -> BatchWatch | None:
        watches = _willing(self.observers, lambda observer: observer.batch())
        return _BatchWatches(watches) if watches else None


def _parts(observer: Observer) -> tuple[Observer, ...]:
    return observer.observers if isinstance(observer, _Several) else (observer,)


def _willing(observers: tuple[Observer, ...], ask: Callable[[Observer], T | None]) -> list[T]:
    watches: list[T] = []
    for observer in observers:
        try:
            watch = ask(observer)
        except Exception as error:  # noqa: BLE001 - logged; the call is not the observer's
            _tell(observer, error)
        else:
            if watch is not None:
                watches.append(watch)
    return watches


class _Told(Generic[W]):
    def __init__(self, watches: list[W]) -> None:
        self._watches = watches

    def _each(self, tell: Callable[[W], object]) -> None:
        for watch in tuple(self._watches):
            try:
                _ = tell(watch)
            except Exception as error:  # noqa: BLE001 - logged; the call is not the observer's
                self._watches.remove(watch)
                _tell(watch, error)


@final
class _Watches(_Told[Watch], Watch):
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
class _BatchWatches(_Told[BatchWatch], BatchWatch):
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
    # All of them or none: what the transport would refuse must not get as far as that.
    if not more:
        return
    known = {name.lower() for name in (*request.headers, *headers)}
    fresh = {name: value for name, value in more.items() if name.lower() not in known}
    for name, value in fresh.items():
        if not (_theirs(name) and value.isascii() and value.isprintable()):
            raise ValueError("not a header that an observer can add")
    headers.update(fresh)


@lru_cache(maxsize=64)
def _theirs(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not _NOT_THEIRS.fullmatch(name.lower())


def _tell(who: object, error: Exception) -> None:
    where = extract_tb(error.__traceback__)[-1]
    told = (type(who).__qualname__, type(error).__name__, f"{where.filename}:{where.lineno}")
    _log.error("the observer %s raised %s at %s: it is told no more of this call or batch", *told)
