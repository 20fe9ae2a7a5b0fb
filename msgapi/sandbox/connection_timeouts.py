"""The guard of a connection: one on which a request does not come to its end in time is cut.

Rules:
- Time runs while something is waited for: the first request, the rest of one that has begun to come, or
  that the client reads its answers.
- It stands still while a request is answered, however long that takes and whatever comes meanwhile.
- A connection on which nothing is begun may be idle for a while, and is closed then.
"""

import asyncio
from typing import cast, final

SLOWEST = 10.0  # seconds in which the head of a request has to come, and again its body
IDLE = 75.0  # seconds for which a connection may wait for its next request
_END = b"\r\n\r\n"
_TAIL = 64  # bytes by which the end of a request is told


@final
class Guards:
    """The guards of all connections of a server, by their transports."""

    def __init__(self) -> None:
        """Begin with none."""
        self._all: dict[asyncio.BaseTransport, Guard] = {}

    def around(self, inner: asyncio.Protocol) -> "Guard":
        """Put a guard around the protocol of a new connection."""
        return Guard(inner, self._all)

    def of(self, transport: asyncio.BaseTransport | None) -> "Guard":
        """Find the guard of a connection; for one that is gone, a guard of nothing."""
        found = None if transport is None else self._all.get(transport)
        return self.around(asyncio.Protocol()) if found is None else found


@final
class Guard(asyncio.Protocol):
    """Passes everything on to *inner*, and cuts the connection where a request takes too long to come."""

    def __init__(self, inner: asyncio.Protocol, everyone: "dict[asyncio.BaseTransport, Guard]") -> None:
        """Guard *inner*, as one of *everyone*."""
        self._inner = inner
        self._all = everyone
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._tail = b""
        self._answering = False
        self._begun = False

    def begin(self) -> None:
        """Say that the head of a request has come, and is answered from now on."""
        self._calm()
        self._answering = True

    def read(self, body: bytes) -> None:
        """Say that its *body* has come as well."""
        # What came last is the end of this request, or else another one has begun to come behind it.
        self._begun = not self._tail.endswith((_END, (_END + body)[-_TAIL:]))

    def end(self) -> None:
        """Say that it is answered: what has come behind it has to come to its end in time."""
        self._answering = False
        if self._begun:
            self._wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._all[transport] = self
        self._wait()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of what has begun to come."""
        self._tail = (self._tail + data[-_TAIL:])[-_TAIL:]
        if self._answering:
            self._begun = True
        elif self._timer is None:
            self._wait()
        self._inner.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._calm()
        if self._transport is not None:
            _ = self._all.pop(self._transport, None)
            self._transport = None
        self._inner.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Wait for the client to read its answers."""
        if self._timer is None:
            self._wait()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Wait no longer: it has read some."""
        self._calm()
        self._inner.resume_writing()

    def _calm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SLOWEST, self._cut)

    def _cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()
