"""What comes back over aiohttp: a body read within a bound, and the value that each error stands for."""

from collections.abc import Mapping
from typing import Final, final

import aiohttp
from aiohttp.http import HttpProcessingError
from attrs import frozen

from ..results import NotSent, Unanswered
from .bounds import answered
from .protocol import Answer

# The first that fits counts: aiohttp's connector errors are OSErrors too, its time-outs TimeoutErrors.
_REASONS: Final = (
    (aiohttp.ConnectionTimeoutError, NotSent("could not connect in time")),
    (aiohttp.ClientConnectorDNSError, NotSent("the host name could not be resolved")),
    (aiohttp.ClientSSLError, NotSent("no secure connection: TLS failed")),
    (aiohttp.ServerFingerprintMismatch, NotSent("no secure connection: not the certificate that was asked for")),
    (aiohttp.ClientConnectorError, NotSent("could not connect")),
    (aiohttp.ClientHttpProxyError, NotSent("the proxy refused to connect")),
    (aiohttp.InvalidURL, NotSent("the URL is not valid")),
    (TimeoutError, Unanswered("no answer in time")),
    (aiohttp.ClientPayloadError, Unanswered("the answer was cut short")),
    (aiohttp.ClientResponseError, Unanswered("the answer is not HTTP")),
    (HttpProcessingError, Unanswered("the answer is not HTTP")),
)


def explain(error: Exception) -> NotSent | Unanswered:
    """Tell what an exception of aiohttp's, or of the socket, means for the request."""
    for kind, answer in _REASONS:
        if isinstance(error, kind):
            return answer
    return Unanswered("the connection was lost")


@final
@frozen
class Limit:
    """The *most* bytes that an answer may have."""

    most: int

    async def read(self, content: aiohttp.StreamReader) -> bytes | None:
        """Read *content* to its end; None if that is beyond the limit, with the rest unread."""
        if content.is_eof():  # a short answer has come whole with its head: nothing to wait for
            whole = content.read_nowait()
            return whole if len(whole) <= self.most else None
        body = bytearray()
        async for part in content.iter_any():
            body += part
            if len(body) > self.most:
                return None
        return bytes(body)

    def answer(self, status: int, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """Make the answer from *headers* of any case, unpacked if need be."""
        return answered(status, headers, body, self.most)
