"""Signals: the requests of the user and of the system to stop, as an async iterator, on every platform.

Rules:
- A signal that is caught does not interrupt what is running: it is yielded, and the command decides.
- The event loops of Windows have no `add_signal_handler`. There the signals are caught by `signal.signal`.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from types import FrameType

import anyio


@contextmanager
def open_signals(*numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
    """Catch the signals *numbers* for the duration of a `with`, and yield an iterator of those that arrive.

    Use it on asyncio, in the main thread.
    """
    with ExitStack() as stack:
        try:
            signals = stack.enter_context(anyio.open_signal_receiver(*numbers))
        except NotImplementedError:
            signals = stack.enter_context(_catch(*numbers))
        yield signals


@contextmanager
def _catch(*numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
    loop = asyncio.get_running_loop()
    send, receive = anyio.create_memory_object_stream[signal.Signals](inf)

    def deliver(number: int, _: FrameType | None) -> None:
        _handle = loop.call_soon_threadsafe(send.send_nowait, signal.Signals(number))  # wakes the loop, too

    before = {number: signal.signal(number, deliver) for number in numbers}
    try:
        with send, receive:
            yield receive
    finally:
        for number, handler in before.items():
            _ = signal.signal(number, handler)
