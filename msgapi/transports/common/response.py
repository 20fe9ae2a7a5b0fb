"""The response: its body read up to a limit, and unpacked."""

import zlib
from collections.abc import AsyncIterable, Mapping
from typing import Final

from anyio import CancelScope

from ...http import Response
from ...results import Unanswered
from ..protocol import Answer

MAX_RESPONSE: Final = 10 * 2**20  # bytes
_GZIP: Final = 16 + zlib.MAX_WBITS
_ENCODING_HEADERS: Final = frozenset({"content-encoding", "content-length"})


async def join_parts(parts: AsyncIterable[bytes], limit: int) -> bytes | None:
    """Return *parts* joined; None if they are more than *limit* bytes, and then the rest is not read.

    The iteration is cancelled, not abandoned: an abandoned generator does not close the generators inside it.
    """
    body = bytearray()
    with CancelScope() as scope:
        async for part in parts:
            body += part
            if len(body) > limit:
                scope.cancel()
    return bytes(body) if len(body) <= limit else None


def make_response(status: int, headers: Mapping[str, str], body: bytes | None, limit: int) -> Answer:
    """Return the response, or `Unanswered` if it is larger than *limit* bytes; a *body* of None is too large.

    No transport asks for compression, but a proxy may compress the body with gzip. It is unpacked here; a body that
    cannot be unpacked stays as it is.
    """
    if body is None:
        return _too_large(limit)
    response = Response(status, headers, body)
    if response.headers.get("content-encoding") not in {"gzip", "x-gzip"}:
        return response
    stream = zlib.decompressobj(_GZIP)
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error:
        return response
    if len(plain) > limit:
        return _too_large(limit)
    kept = {name: value for name, value in response.headers.items() if name not in _ENCODING_HEADERS}
    return Response(status, kept, plain)


def _too_large(limit: int) -> Unanswered:
    return Unanswered(f"the response is larger than {limit} bytes")
