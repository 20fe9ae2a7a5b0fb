"""Counted: which messages are counted already, as a call that is made again is answered as it was at first."""

from collections import deque
from threading import Lock
from typing import Final, final

_MOST: Final = 65_536


@final
class Counted:
    """The last *most* messages, by the hashes of their ids: some 7 MB when it is full. Any thread may ask it."""

    def __init__(self, most: int = _MOST) -> None:
        self._hashes: set[int] = set()
        self._order: deque[int] = deque()
        self._most, self._turn = most, Lock()

    def new(self, message_id: str) -> bool:
        """Take *message_id* down, and tell whether it was not there; one that is empty never is."""
        if not message_id:
            return True
        at = hash(message_id)
        with self._turn:
            if at in self._hashes:
                return False
            self._hashes.add(at)
            self._order.append(at)
            if len(self._order) > self._most:
                self._hashes.discard(self._order.popleft())
        return True
