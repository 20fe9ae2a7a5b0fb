"""The guard of a connection: one on which a request does not come to its end in time is cut."""

import asyncio
from typing import cast, final

SLOWEST = 10.0  # seconds in which the head of a request has to come, and again its body


@final
class Guards:
    """The guards of all connections of a server, by their transports."""

    def __init__(self) -> None:
        """Begin with none."""
        self._all: dict[asyncio.BaseTransport, Guard] = {}

    def around(self, inner: asyncio.Protocol) -> "Guard":
        """Put a guard around the protocol of a new connection."""
        return Guard(inner, self._all)

    def calm(self, transport: asyncio.BaseTransport | None) -> None:
        """Say that what was waited for on *transport* has come."""
        guard = None if transport is None else self._all.get(transport)
        if guard is not None:
            guard.calm()


@final
class Guard(asyncio.Protocol):
    """Passes everything on to *inner*, and cuts the connection where a request takes too long to come."""

    def __init__(self, inner: asyncio.Protocol, everyone: "dict[asyncio.BaseTransport, Guard]") -> None:
        """Guard *inner*, as one of *everyone*."""
        self._inner = inner
        self._all = everyone
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._all[transport] = self
        self._wait()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of what has begun to come."""
        if self._timer is None:
            self._wait()
        self._inner.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self.calm()
        if self._transport is not None:
            _ = self._all.pop(self._transport, None)
        self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()

    def calm(self) -> None:
        """Stop waiting: it has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SLOWEST, self._cut)

    def _cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()
