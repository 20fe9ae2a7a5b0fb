"""The API key of a fleet: which one it sends with, and the name that stands for it where others can read it.

Rules:
- A fleet sends with one key. One worker may send a chunk and another may send it again: under one key the service
  recognises the same operation, under two keys it may carry out two. So the first key that works claims the fleet,
  before anything is sent.
- A key that the service refuses sends nothing and claims nothing. A key that was not tried yet should not claim either.
- The key itself is never stored or used in a name; its hash is.
"""

from hashlib import blake2b
from typing import Final

from .backend import RecordStore, Revision
from .records.manifest import FleetConflict

_FLEET: Final = "_fleet"  # not a valid name of a batch
_KEY: Final = "key"


def hash_key(key: str) -> str:
    """Return a hash of the API *key*, 16 hexadecimal digits, that does not disclose it."""
    return blake2b(key.encode()).hexdigest()[:16]


async def check(records: RecordStore, fleet: str, api_key: str) -> None:
    """Raise `FleetConflict` if *fleet*, whose records are *records*, is claimed by another key than *api_key*."""
    _ = await _is_owner(records, fleet, hash_key(api_key).encode())


async def claim(records: RecordStore, fleet: str, api_key: str) -> None:
    """Claim *fleet* for *api_key*; raise `FleetConflict` if another key has claimed it. May be repeated."""
    own_hash = hash_key(api_key).encode()
    while True:
        claimed, revision = await _is_owner(records, fleet, own_hash)
        if claimed or await records.write(_FLEET, _KEY, own_hash, revision):
            return


async def disclaim(records: RecordStore, api_key: str) -> None:
    """Drop the claim of *api_key*, which the service has refused; do nothing if another key has claimed the fleet."""
    owner, revision = await records.read(_FLEET, _KEY)
    if owner == hash_key(api_key).encode():
        _ = await records.write(_FLEET, _KEY, b"", revision)  # False: another worker has dropped it already


async def _is_owner(records: RecordStore, fleet: str, own_hash: bytes) -> tuple[bool, Revision]:
    owner, revision = await records.read(_FLEET, _KEY)
    if owner and owner != own_hash:
        raise FleetConflict(f"the fleet {fleet} sends with another API key: set that one, or name another fleet")
    return owner == own_hash, revision
