"""Transport: what carries a request to a server and brings back what happened."""

from typing import Protocol, TypeAlias

from ..http import Request, Response
from ..results import NotSent, Unanswered

Answer: TypeAlias = Response | NotSent | Unanswered
"""What became of a request: an answer, proof that nothing left, or neither."""


class Transport(Protocol):
    """Any async function from a request to an answer; a plain `async def` will do.

    It raises nothing of the network's: what surely did not leave this machine is `NotSent`, what
    may have left and was not answered whole is `Unanswered`. Cancellation passes through it.
    """

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request* once and wait for what becomes of it."""
        ...  # pragma: no cover
