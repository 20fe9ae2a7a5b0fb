"""The response over aiohttp: its body read up to a limit, and the outcome that stands for each exception."""

from collections.abc import Mapping
from typing import Final, final

import aiohttp
from aiohttp.http import HttpProcessingError
from attrs import frozen

from ...results import NotSent, Unanswered
from ..common.response import make_response
from ..protocol import Answer

# The first match counts: aiohttp's connector errors are OSErrors too, and its time-outs are TimeoutErrors.
_OUTCOMES: Final = (
    (aiohttp.ConnectionTimeoutError, NotSent("could not connect in time")),
    (aiohttp.ClientConnectorDNSError, NotSent("the host name could not be resolved")),
    (aiohttp.ClientSSLError, NotSent("no secure connection: TLS failed")),
    (
        aiohttp.ServerFingerprintMismatch,
        NotSent("no secure connection: the fingerprint does not match"),
    ),
    (aiohttp.ClientConnectorError, NotSent("could not connect")),
    (aiohttp.ClientHttpProxyError, NotSent("the proxy refused to connect")),
    (aiohttp.InvalidURL, NotSent("the URL is not valid")),
    (TimeoutError, Unanswered("no answer in time")),
    (aiohttp.ClientPayloadError, Unanswered("the response was cut short")),
    (aiohttp.ClientResponseError, Unanswered("the response is not HTTP")),
    (HttpProcessingError, Unanswered("the response is not HTTP")),
)


def outcome_of(error: Exception) -> NotSent | Unanswered:
    """Return the outcome of a request that raised *error*, an exception of aiohttp or of the socket."""
    for kind, outcome in _OUTCOMES:
        if isinstance(error, kind):
            return outcome
    return Unanswered("the connection was lost")


@final
@frozen
class ResponseLimit:
    """A response of more than *size* bytes is not read to its end."""

    size: int

    async def read(self, content: aiohttp.StreamReader) -> bytes | None:
        """Read *content* to its end; return None if it is over the limit, with the rest unread."""
        if content.is_eof():  # a short body has arrived whole with its head: there is nothing to wait for
            body = content.read_nowait()
            return body if len(body) <= self.size else None
        buffer = bytearray()
        async for part in content.iter_any():
            buffer += part
            if len(buffer) > self.size:
                return None
        return bytes(buffer)

    def make_response(self, status: int, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """Return the response, unpacked if need be; the names of *headers* may have any case."""
        return make_response(status, headers, body, self.size)
