"""The response over httpx2: its body read up to a limit, and the outcome that stands for each exception."""

from collections.abc import AsyncIterable, Iterable
from typing import Final

import httpcore2
import httpx2

from ...results import NotSent, Unanswered
from ..common.http1 import join_parts, make_response
from ..protocol import Answer
from .network import CONNECT_TIMED_OUT

INVALID_URL: Final = NotSent("the URL is not valid")
CONNECTION_LOST: Final = Unanswered("the connection was lost")
TIMED_OUT: Final = Unanswered("no answer in time")
NETWORK_ERRORS: Final = (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.RequestError, OSError)
_NOT_HTTP: Final = (httpcore2.RemoteProtocolError, httpx2.RemoteProtocolError)

# For the exceptions of a caller's client; the first match counts.
_OUTCOMES: Final = (
    (httpx2.ConnectTimeout, CONNECT_TIMED_OUT),
    (httpx2.PoolTimeout, NotSent("no connection was free in time")),
    (httpx2.ConnectError, NotSent("could not connect")),
    (httpx2.ProxyError, NotSent("the proxy refused to connect")),
    (httpx2.TimeoutException, TIMED_OUT),
)


async def read_response(
    status: int, headers: Iterable[tuple[bytes, bytes]], parts: AsyncIterable[bytes], limit: int
) -> Answer:
    """Read the body in *parts*, and return the response, or `Unanswered` if it is incomplete or over *limit* bytes."""
    try:
        body = await join_parts(parts, limit)
    except _NOT_HTTP:
        return Unanswered("the response was cut short")
    texts = {name.decode(errors="replace"): value.decode(errors="surrogateescape") for name, value in headers}
    return make_response(status, texts, body, limit)


def outcome_of(error: Exception) -> NotSent | Unanswered:
    """Return the outcome of a request that raised *error*, one of `NETWORK_ERRORS`."""
    for kind, outcome in _OUTCOMES:
        if isinstance(error, kind):
            return outcome
    if isinstance(error, _NOT_HTTP) and not str(error).startswith("Server disconnected"):
        return Unanswered("the response is not HTTP")
    return CONNECTION_LOST
