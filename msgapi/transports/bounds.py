"""An answer within its bound: its body read, and what becomes of it."""

import zlib
from collections.abc import AsyncIterable, Mapping
from typing import Final

from anyio import CancelScope

from ..http import Response
from ..results import Unanswered
from .protocol import Answer

MAX_RESPONSE: Final = 10 * 2**20  # bytes
_GZIP: Final = 16 + zlib.MAX_WBITS
_PACKED: Final = frozenset({"content-encoding", "content-length"})


async def collected(parts: AsyncIterable[bytes], most: int) -> bytes | None:
    """Put *parts* together; None if they are more than *most* bytes, and then the rest is cancelled.

    A generator that is left half-way does not close those inside it; one that is cancelled does.
    """
    body = bytearray()
    with CancelScope() as scope:
        async for part in parts:
            body += part
            if len(body) > most:
                scope.cancel()
    return bytes(body) if len(body) <= most else None


def answered(status: int, headers: Mapping[str, str], body: bytes | None, most: int) -> Answer:
    """Make the answer, of *most* bytes, and unpack a *body* that something in between has packed.

    Nobody asked for that; what can't be unpacked stays as it came. No body is one beyond the bound.
    """
    if body is None:
        return _too_large(most)
    response = Response(status, headers, body)
    if response.headers.get("content-encoding") not in {"gzip", "x-gzip"}:
        return response
    stream = zlib.decompressobj(_GZIP)
    try:
        plain = stream.decompress(body, most + 1)
    except zlib.error:
        return response
    if len(plain) > most:
        return _too_large(most)
    return Response(status, {name: value for name, value in response.headers.items() if name not in _PACKED}, plain)


def _too_large(most: int) -> Unanswered:
    return Unanswered(f"the answer is larger than {most} bytes")
