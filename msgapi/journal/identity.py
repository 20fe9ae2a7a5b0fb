"""Identity: what identifies a row of a batch, and the idempotency key it is sent under.

Rules:
- A row without an id of its own is identified by what it says: method, target and body, without the idempotency key.
  The order of the rows does not matter, and equal rows have the same id.
- The letter case of an email address makes no other row and no other recipient. The address is sent as it was given.
- A changed id would send a batch a second time. Whatever changes the results of this module needs another
  `RULE_VERSION`, which journals store.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

import orjson

from ..calls import Call

RULE_VERSION: Final = 1
"""The version of the rule by which the ids of rows are made."""

RECIPIENT_SIZE: Final = 8  # bytes
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


def changed_key(batch: str, row: str, digest: bytes) -> str:
    """Return the idempotency key of a *row* that is sent again, with another request that has this *digest*."""
    return key_of(batch, changed_id(row, digest))


@lru_cache(16)
def _hash(batch: str) -> bytes:
    return blake2b(batch.encode()).digest()


def request_digest(*legs: Call[object]) -> bytes:
    """Return a hash of the request of a row without its key. Another digest is another request.

    A row with a fallback has several *legs*; all of them count.
    """
    digest = blake2b(digest_size=_SIZE)
    for leg in legs:
        digest.update(f"{leg.method} {leg.target}\0".encode())
        digest.update(_fold(leg.body or b""))
    return digest.digest()


def content_id(digest: bytes, count: int = 1) -> str:
    """Return the id of a row without an id of its own; *count* numbers equal rows from 1."""
    return f"{digest.hex()}#{count}"


def changed_id(row: str, digest: bytes) -> str:
    """Return the id under which a *row* is recorded that was left out since its request has this *digest* now."""
    return f"{row}/{digest.hex()}"


def row_number_id(number: int) -> str:
    """Return the id under which a row that is never sent is recorded: it may have no content."""
    return f"row {number}"


def recipient_hashes(batch: str, *legs: Call[object]) -> bytes:
    """Return the hashes of the recipients of *legs*, 8 bytes each: pseudonyms that differ in each *batch*."""
    return b"".join(_recipient_hash(batch, leg) for leg in legs)


def split_hashes(hashes: bytes) -> Iterable[bytes]:
    """Return the single hashes in *hashes*, which `recipient_hashes` has made."""
    return (hashes[at : at + RECIPIENT_SIZE] for at in range(0, len(hashes), RECIPIENT_SIZE))


def _recipient_hash(batch: str, leg: Call[object]) -> bytes:
    to = _recipient(leg.body or b"")
    return b"" if to is None else blake2b(to.casefold().encode(), digest_size=RECIPIENT_SIZE, key=_hash(batch)).digest()


def _recipient(body: bytes) -> str | None:
    found = orjson.loads(body) if b'"to":' in body else None
    to = found.get("to") if isinstance(found, dict) else None
    return to if isinstance(to, str) else None


def _fold(body: bytes) -> bytes:
    if b"@" not in body:
        return body
    to = _recipient(body)
    if to is None or "@" not in to:
        return body
    return body.replace(b'"to":' + orjson.dumps(to), b'"to":' + orjson.dumps(to.casefold()), 1)
