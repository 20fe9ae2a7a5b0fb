"""A transport that is not open yet."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, final

from .protocol import Transport

Close: TypeAlias = Callable[[], Awaitable[None] | None]
Opened: TypeAlias = tuple[Transport, Close]
"""A transport, and the function that closes it."""


@final
class Unopened:
    """A transport that is not open yet: `async with`, or the `Client` that it is passed to, opens and closes it.

    This is no generator, which an event loop would end by itself when it ends.
    """

    def __init__(self, start: Callable[[], Opened]) -> None:
        self._start = start
        self._close: Close | None = None

    async def __aenter__(self) -> Transport:
        """Open it, in the running event loop."""
        if self._close is not None:
            raise RuntimeError("this transport is open already: pass on what its `async with` gives, or open another")
        transport, self._close = self._start()
        return transport

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        close, self._close = self._close, None
        if close is not None and (closing := close()) is not None:
            await closing
