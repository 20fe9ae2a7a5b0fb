"""Opening: a transport that is not open yet, and what the transports that open their own connections share."""

import ssl
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final, TypeAlias, final

from ...results import NotSent
from ..protocol import Transport

CloseFunction: TypeAlias = Callable[[], Awaitable[None] | None]
OpenTransport: TypeAlias = tuple[Transport, CloseFunction]
"""A transport, and the function that closes it."""


@final
class UnopenedTransport:
    """A transport that is opened and closed by `async with`, or by the `Client` that it is passed to.

    This is not an async generator, since an event loop closes those by itself when it ends.
    """

    def __init__(self, start: Callable[[], OpenTransport]) -> None:
        self._start = start
        self._close: CloseFunction | None = None

    async def __aenter__(self) -> Transport:
        """Open the transport in the running event loop."""
        if self._close is not None:
            raise RuntimeError("this transport is open already: pass on what its `async with` gives, or open another")
        transport, self._close = self._start()
        return transport

    async def __aexit__(self, *_: object) -> None:
        """Close the transport."""
        close, self._close = self._close, None
        if close is not None and (closing := close()) is not None:
            await closing


@final
class ConnectFailed(Exception):
    """No connection could be made; *outcome* holds the reason. Nothing was sent."""

    def __init__(self, outcome: NotSent) -> None:
        super().__init__()
        self.outcome: Final = outcome


@lru_cache(1)
def default_ssl_context() -> ssl.SSLContext:
    """Return the context with the system's certificates. It is made once, since that reads all of them."""
    return ssl.create_default_context()
