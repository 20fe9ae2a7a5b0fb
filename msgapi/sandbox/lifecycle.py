"""The life of a message after it was queued: sent, delivered, failed or revoked, and the money with it."""

from typing import Final

from .log import REVOCABLE, Entry, Status
from .state import State

FROM: Final[dict[Status, frozenset[str]]] = {
    "SENT": frozenset({"QUEUED"}),
    "DELIVERED": frozenset({"QUEUED", "SENT"}),
    "READ": frozenset({"DELIVERED"}),
    "FAILED": frozenset({"QUEUED", "SENT"}),
    "REVOKED": REVOCABLE,
}
"""From which statuses a message can come into another."""


def move(state: State, message_id: str, status: Status, now: float) -> Entry | None:
    """Bring a message into *status* at *now*; None if there is none, or if it cannot come there.

    A delivered message is paid for. One that failed or was revoked gives its hold back, and the
    session or the month for which it paid is unpaid again.
    """
    entry = state.log.find(message_id)
    if entry is None or entry.status not in FROM.get(status, ()):
        return None
    if status == "DELIVERED":
        state.purse.settle(entry.id)
    if status in {"FAILED", "REVOKED"}:
        pair = (entry.sender, entry.to)
        state.purse.release(entry.id)
        state.sessions.undo(pair, entry.id)
        state.newsletters.undo(pair, entry.id)
    return state.log.move(entry, status, now, error_code="UNKNOWN_RCS_USER" if status == "FAILED" else None)
