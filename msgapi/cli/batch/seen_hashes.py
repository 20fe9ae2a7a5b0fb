"""A set of texts that only stores their hashes, for the ids and messages of a batch."""

from hashlib import blake2b
from typing import Final, final

_STORED: Final = 7  # bytes of a hash; two more choose the bucket


@final
class SeenHashes:
    """A set of texts, each stored as 7 bytes of its hash. It grows with the texts, and is never full.

    Two different texts are taken for the same with a probability of rows² / 2⁶⁷: 1 in 147 million for a million rows.
    """

    def __init__(self, rows: int) -> None:
        """Create an empty set for about *rows* texts. Many more of them make it slower."""
        # The hashes of a bucket are one bytes object: searched and extended by C code, with little overhead a hash.
        self._buckets = [b""] * (1 << min(16, max(10, (rows >> 8).bit_length())))

    def add(self, text: str) -> bool:
        """Add *text* and return whether it was added before."""
        number, stored = _hash(text, len(self._buckets))
        if _is_in(self._buckets[number], stored):
            return True
        self._buckets[number] += stored
        return False

    def __contains__(self, text: str) -> bool:
        """Return whether *text* was added."""
        number, stored = _hash(text, len(self._buckets))
        return _is_in(self._buckets[number], stored)


def _hash(text: str, buckets: int) -> tuple[int, bytes]:
    digest = blake2b(text.encode(), digest_size=_STORED + 2).digest()
    return int.from_bytes(digest[_STORED:]) % buckets, digest[:_STORED]


def _is_in(bucket: bytes, stored: bytes) -> bool:
    at = bucket.find(stored)
    while at % _STORED and at != -1:  # it spans two hashes
        at = bucket.find(stored, at + 1)
    return at != -1
