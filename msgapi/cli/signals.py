"""Signals: the requests of the user and of the system to stop, as an async iterator, on every platform.

Rules:
- A signal that is caught does not interrupt what is running: it is yielded, and the command decides.
- The event loops of Windows have no `add_signal_handler`. There the signals are caught by `signal.signal`.
"""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from math import inf
from types import FrameType
from typing import TypeAlias

import anyio
from anyio.lowlevel import current_token

Signals: TypeAlias = AsyncIterator[signal.Signals]


@contextmanager
def open_signals(*numbers: signal.Signals) -> Iterator[Signals]:
    """Catch the signals *numbers* for the duration of a `with`, and yield an iterator of those that arrive."""
    receiver: AbstractContextManager[Signals] = anyio.open_signal_receiver(*numbers)
    try:
        signals = receiver.__enter__()
    except NotImplementedError:
        receiver = _open_by_handler(*numbers)
        signals = receiver.__enter__()
    with receiver_exit(receiver):
        yield signals
