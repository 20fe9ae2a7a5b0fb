"""Idempotency keys of rows, and the digest that shows whether a row has changed."""

from functools import lru_cache
from hashlib import blake2b
from typing import Final

from ..calls import Call

_SIZE: Final = 16  # bytes
_UUID8: Final = (
    0xFFFFFFFF_FFFF_0FFF_3FFF_FFFFFFFFFFFF,
    0x8000_8000_000000000000,
)  # a mask for the free bits, and the bits of version and variant


def key_of(batch: str, row: str) -> str:
    """Return the idempotency key of a *row* of a *batch*: a UUID (version 8) that is always the same."""
    free, version = _UUID8
    hashed = blake2b(row.encode(), digest_size=_SIZE, key=_hash(batch)).digest()
    text = f"{int.from_bytes(hashed) & free | version:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@lru_cache(16)
def _hash(batch: str) -> bytes:
    return blake2b(batch.encode()).digest()


def request_digest(call: Call[object]) -> bytes:
    """Return a hash of the request of *call* without its key. Another digest is another request."""
    head = f"{call.method} {call.target}\0".encode()
    return blake2b(head + (call.body or b""), digest_size=_SIZE).digest()
