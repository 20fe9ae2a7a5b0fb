"""Workspaces: several sandboxes at one address, selected by the API key of the request."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import final

from ..clock import Clock
from ..http import Request
from ..transports import Answer, Transport
from .http.requests import bearer_token
from .http.responses import SimulatedResponse
from .sandbox import Sandbox, respond


@final
class Workspaces:
    """Routes each request to the sandbox with its key. A request without a valid key is refused by the first one.

    Each sandbox must have its own key. A key gives no access to the other sandboxes.
    """

    def __init__(self, sandboxes: Iterable[Sandbox]) -> None:
        """Serve *sandboxes* at one address. Raises ValueError if there is none, or if two have the same key."""
        self._all = tuple(sandboxes)
        self._by_key = {one.api_key: one for one in self._all}
        if not self._all or len(self._by_key) != len(self._all):
            raise ValueError("there must be at least one workspace, and each must have a key of its own")

    @property
    def clock(self) -> Clock:
        """The clock of the first sandbox."""
        return self._all[0].clock

    def handle(self, request: Request) -> SimulatedResponse:
        """Return the response to *request* at once. The caller applies its delay and its loss."""
        given = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
        return self._by_key.get(bearer_token(given) or "", self._all[0]).handle(request)

    def handle_malformed(self) -> SimulatedResponse:
        """Return the response of the first sandbox to bytes that are not a valid HTTP request."""
        return self._all[0].handle_malformed()

    async def __call__(self, request: Request, /) -> Answer:
        """Respond to *request* as a transport does, with the delay or the loss of a simulated fault."""
        return await respond(self.handle, request, self.clock)

    @asynccontextmanager
    async def deliver_webhooks(self, transport: Transport) -> AsyncIterator[None]:
        """Send the webhooks of all sandboxes over *transport* for the duration of an `async with`."""
        async with AsyncExitStack() as stack:
            for one in self._all:
                await stack.enter_async_context(one.deliver_webhooks(transport))
            yield
