"""Combining: several observers as one, with their exceptions contained.

Rules:
- An observer that raises affects neither the call nor the other observers.
- Of its exception only the type and the place are logged: the text may quote personal data.
"""

import logging
from collections.abc import Callable, Mapping
from itertools import chain
from traceback import extract_tb
from typing import Final, Generic, TypeVar, final

from ..calls import Call
from ..http import Request, may_be_added
from ..results import ApiError, Result
from .hooks import BatchWatch, Observer, Watch

T = TypeVar("T")
W = TypeVar("W")
_log: Final = logging.getLogger("msgapi")


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
