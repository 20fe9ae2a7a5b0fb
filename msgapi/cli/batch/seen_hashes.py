"""A set of texts that only remembers their hashes, for the ids and messages of a batch."""

from array import array
from hashlib import blake2b
from typing import Final, final

_FULL: Final = 2, 3  # at most two of three slots are in use, so a search looks at five of them on average


@final
class SeenHashes:
    """A set of texts, each stored as an 8-byte hash: 12 bytes a row, reserved at the start for so many *rows*.

    More texts are possible: the table then grows. Two different texts are taken for the same with a probability of
    rows² / 2⁶⁵: 1 in 37 million for a million rows.
    """

    def __init__(self, rows: int) -> None:
        """Reserve space for *rows* texts."""
        self._reserve(rows)

    def add(self, text: str) -> bool:
        """Add *text* and return whether it was added before."""
        digest = int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) or 1
        at = self._find(digest)
        if self._slots[at]:
            return True
        if not self._left:
            self._grow()
            at = self._find(digest)
        self._slots[at] = digest
        self._left -= 1
        return False

    def _reserve(self, rows: int) -> None:
        used, slots = _FULL
        self._slots = array("Q", bytes(8)) * (rows * slots // used + 1)
        self._left = rows

    def _find(self, digest: int) -> int:
        # Return the slot of *digest*, or the free one for it. There is always a free slot.
        slots = self._slots
        size = len(slots)
        at = digest % size
        while (stored := slots[at]) and stored != digest:
            at += 1
            if at == size:
                at = 0
        return at

    def _grow(self) -> None:
        before = self._slots
        self._reserve(max(8, len(before)))
        for digest in before:
            if digest:
                self._slots[self._find(digest)] = digest
                self._left -= 1
