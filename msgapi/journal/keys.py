"""Keys and marks: what names a row of a batch to the service, and what tells that it has changed."""

from functools import lru_cache
from hashlib import blake2b
from typing import Final

from ..calls import Call

_SIZE: Final = 16  # bytes
_UUID8: Final = (
    0xFFFFFFFF_FFFF_0FFF_3FFF_FFFFFFFFFFFF,
    0x8000_8000_000000000000,
)  # its own bits, version and variant


def key_of(batch: str, row: str) -> str:
    """Derive the idempotency key of a *row* of a *batch*: a UUID (version 8), the same each time."""
    own, version = _UUID8
    hashed = blake2b(row.encode(), digest_size=_SIZE, key=_hashed(batch)).digest()
    text = f"{int.from_bytes(hashed) & own | version:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@lru_cache(16)
def _hashed(batch: str) -> bytes:
    return blake2b(batch.encode()).digest()


def mark_of(call: Call[object]) -> bytes:
    """Hash what *call* asks for, without its key: another mark is another request."""
    asked = f"{call.method} {call.target}\0".encode()
    return blake2b(asked + (call.body or b""), digest_size=_SIZE).digest()
