"""Workspaces: several sandboxes behind one address, told apart by their keys, as the service does it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import final

from ..clock import Clock
from ..http import Request
from ..transports import Answer, Transport
from .http.responses import Reply
from .sandbox import Sandbox, carried_out

_BEARER = "bearer "


@final
class Workspaces:
    """Answers each request from the sandbox whose key it has; a key of none is refused by the first.

    No two may have the same key. What one of them holds, the key of another cannot see.
    """

    def __init__(self, sandboxes: Iterable[Sandbox]) -> None:
        """Put *sandboxes* behind one address; they share the clock of the first."""
        self._all = tuple(sandboxes)
        self._by_key = {one.api_key: one for one in self._all}
        if not self._all or len(self._by_key) != len(self._all):
            raise ValueError("there must be at least one workspace, and each must have a key of its own")

    @property
    def clock(self) -> Clock:
        """The clock of the first."""
        return self._all[0].clock

    def handle(self, request: Request) -> Reply:
        """Answer *request* at once; the caller acts on delay and loss."""
        said = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
        key = said[len(_BEARER) :] if said[: len(_BEARER)].lower() == _BEARER else ""
        return self._by_key.get(key, self._all[0]).handle(request)

    def unreadable(self) -> Reply:
        """Answer what is no request that can be read, as the first does."""
        return self._all[0].unreadable()

    async def __call__(self, request: Request, /) -> Answer:
        """Answer *request*, after a while or never where that is its lot."""
        return await carried_out(self.handle, request, self.clock)

    @asynccontextmanager
    async def posting(self, transport: Transport) -> AsyncIterator[None]:
        """Let the webhooks of all of them go out over *transport* for the time of an `async with`."""
        async with AsyncExitStack() as stack:
            for one in self._all:
                await stack.enter_async_context(one.posting(transport))
            yield
