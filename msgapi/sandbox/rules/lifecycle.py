"""The life of a message after it was queued, the money and the sessions with it, and what is told of both.

Rules:
- Nothing happens by itself but in `advance`, and what does carries the moment at which it was due.
- A delivered message is paid for; one that never will be gives its hold back.
"""

from typing import Final

from ..model.deliveries import Again, Next
from ..model.endings import plan
from ..model.messages import FREE, Entry, Status
from ..model.state import State
from ..routes.consents import affect
from .reloads import retry
from .telling import ended, tell

_UNDER_WAY: Final = frozenset({"QUEUED", "SENT"})
_SEEN: Final = frozenset({"DELIVERED", "READ", "CLICKED"})
FROM: Final[dict[Status, frozenset[str]]] = {
    "SENT": frozenset({"QUEUED"}),
    "DELIVERED": _UNDER_WAY,
    "READ": frozenset({"DELIVERED"}),
    "CLICKED": _SEEN,
    "COMPLAINED": _SEEN,
    "UNSUBSCRIBED": _SEEN,
    "FAILED": _UNDER_WAY,
    "BOUNCED": _UNDER_WAY,
    "EXPIRED": _UNDER_WAY,
    "REVOKED": _UNDER_WAY,
}
"""From which statuses a message can come into another."""


def queue(state: State, entry: Entry, ttl: float | None = None) -> None:
    """Enter a message that was accepted, and let its life begin; it lapses after *ttl* seconds."""
    state.log.add(entry)
    tell(state, entry, "QUEUED", entry.created_at)
    timing = state.deliveries.timing
    if timing is not None:
        state.deliveries.follow(entry.id, plan(entry, timing, ttl), entry.created_at)


def move(state: State, message_id: str, status: Status, now: float, *, reason: str = "") -> Entry | None:
    """Bring a message into *status* at *now*; None if there is none, or if it cannot come there.

    A delivered message is paid for. One that will not be delivered gives its hold back, and the
    session or the month for which it paid is unpaid again. *reason* says why it failed or bounced.
    """
    entry = state.log.find(message_id)
    if entry is None or entry.direction == "INBOUND" or entry.status not in FROM.get(status, ()):
        return None
    if status == "REVOKED" and not entry.revocable:
        return None
    if status == "DELIVERED":
        state.purse.settle(entry.id, now)
    if status in FREE:
        pair = (entry.sender, entry.to)
        state.purse.release(entry.id, now)
        state.sessions.undo(pair, entry.id)
        state.newsletters.undo(pair, entry.id)
    moved = state.log.move(entry, status, now, error_code=_code(status, reason))
    tell(state, moved, status, now, reason=reason)
    affect(state, moved, status, now)
    return moved


def fail(state: State, message_id: str, reason: str, now: float) -> Entry | None:
    """Let the delivery of a message fail for *reason*; an email bounces, for good but where that is `full`."""
    entry = state.log.find(message_id)
    if entry is None or entry.channel == "RCS":
        return move(state, message_id, "FAILED", now, reason=reason)
    return move(state, message_id, "BOUNCED", now, reason="full" if reason == "full" else "bounce")


def _code(status: Status, reason: str) -> str | None:
    return {"FAILED": reason or "UNKNOWN_RCS_USER", "BOUNCED": reason, "EXPIRED": "MESSAGE_EXPIRED"}.get(status)


def advance(state: State, now: float) -> None:
    """Let everything happen that is due by *now*, in its order."""
    while (taken := state.deliveries.take(now)) is not None:
        at, due = taken
        if isinstance(due, Next):
            step, *rest = due.steps
            if move(state, due.message_id, step.status, at, reason=step.reason) is not None:
                state.deliveries.follow(due.message_id, tuple(rest), at)
        elif isinstance(due, Again):
            retry(state, at)
        elif state.sessions.close(due, at):
            ended(state, due, at)
