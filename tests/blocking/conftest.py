"""Fixtures for the tests of blocking clients."""

import signal
import threading
from collections.abc import Callable, Iterator

import pytest


class SoftTimeLimit(Exception):
    """What a signal handler raises in the main thread; no OSError, which asyncio suppresses in a write to itself."""


@pytest.fixture
def alarm() -> Iterator[Callable[[], None]]:
    """A function that interrupts the main thread as the soft time limit of a task queue does."""

    def interrupt(*_: object) -> None:
        raise SoftTimeLimit

    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.main_thread().ident
    assert main is not None
    yield lambda: signal.pthread_kill(main, signal.SIGUSR1)
    _ = signal.signal(signal.SIGUSR1, before)
