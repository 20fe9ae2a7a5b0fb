"""Seen: which texts came before, in 16 to 32 bytes a row and whatever their length."""

from array import array
from hashlib import blake2b
from typing import final


@final
class Seen:
    """Remembers up to *rows* texts, each as 8 bytes of a hash.

    Two different texts are taken for one with a chance of rows² / 2⁶⁵: 1 in 37 million for a million.
    """

    def __init__(self, rows: int) -> None:
        """Make room for *rows* texts."""
        size = 1 << (2 * rows).bit_length()
        self._mask = size - 1
        self._slots = array("Q", bytes(8)) * size

    def again(self, text: str) -> bool:
        """Remember *text*, and tell whether it came before."""
        mark = int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) or 1
        at = mark & self._mask
        while there := self._slots[at]:
            if there == mark:
                return True
            at = (at + 1) & self._mask
        self._slots[at] = mark
        return False
