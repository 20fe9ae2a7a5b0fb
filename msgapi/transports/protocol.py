"""The transport protocol: an async function that sends one request and returns its outcome."""

from typing import Protocol, TypeAlias

from ..http import Request, Response
from ..results import NotSent, Unanswered

Answer: TypeAlias = Response | NotSent | Unanswered
"""The outcome of a request: a response, `NotSent` if it was certainly not sent, or `Unanswered` if it may have been."""


class Transport(Protocol):
    """An async function from a request to its outcome; a plain `async def` is enough.

    It does not raise network errors. It returns `NotSent` if the request certainly did not leave this machine, and
    `Unanswered` if it may have left and no complete response was received. Cancellation propagates.

    Every status is a `Response`, also a redirect, which is not followed. A transport with an attribute `keeps_limits`
    that is True keeps the `Request.limits` itself; over any other one, a request whose time is up is cancelled. The
    page "The client" has an example over httpx, and what to test.
    """

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request* once and wait for its outcome."""
        ...  # pragma: no cover
