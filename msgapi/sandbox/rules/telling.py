"""Telling: what has become of a message or a session, as the event that the docs have for it.

A status for which the docs have no event page, such as SENT, is not told.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from ..http.responses import iso
from ..model.messages import Entry, Status
from ..model.sessions import Pair
from ..model.state import State

_RCS: Final[Mapping[str, tuple[str, str]]] = {
    "QUEUED": ("message.queued", "queued_at"),
    "DELIVERED": ("message.delivered", "delivered_at"),
    "READ": ("message.read", "read_at"),
    "FAILED": ("message.failed", "failed_at"),
    "EXPIRED": ("message.expired", "expired_at"),
    "REVOKED": ("message.revoked", "revoked_at"),
}
_EMAIL: Final[Mapping[str, tuple[str, str]]] = {
    "DELIVERED": ("email.delivered", "delivered_at"),
    "BOUNCED": ("email.bounced", "bounced_at"),
    "READ": ("email.opened", "opened_at"),
    "CLICKED": ("email.clicked", "clicked_at"),
    "COMPLAINED": ("email.complained", "complained_at"),
    "UNSUBSCRIBED": ("email.unsubscribed", "unsubscribed_at"),
}
_BOUNCES: Final[Mapping[str, dict[str, object]]] = {
    "bounce": {"bounce_type": "hard", "bounce_code": "550", "bounce_message": "No such mailbox."},
    "full": {"bounce_type": "soft", "bounce_code": "452", "bounce_message": "The mailbox is full."},
}


def tell(state: State, entry: Entry, status: Status, now: float, *, reason: str = "") -> None:
    """Tell that *entry* came into *status* at *now*."""
    name, moment = (_EMAIL if entry.channel == "EMAIL" else _RCS).get(status, ("", ""))
    if name:
        data = _email(entry, status, reason) if entry.channel == "EMAIL" else _rcs(entry, status)
        state.emit(name, now, {**data, moment: iso(now)})


def _rcs(entry: Entry, status: Status) -> dict[str, object]:
    data: dict[str, object] = {"message_id": entry.id, "agent_id": entry.sender}
    if status == "REVOKED":
        return data
    failed = {"failure_reason": entry.error_code} if status == "FAILED" else {}
    return {**data, "to": entry.to, "status": status.lower(), **failed}


def _email(entry: Entry, status: Status, reason: str) -> dict[str, object]:
    data: dict[str, object] = {"message_id": entry.id, "channel_id": entry.sender, "to": entry.to}
    match status:
        case "DELIVERED":
            return {**data, "subject": orjson.loads(entry.body).get("subject") or ""}
        case "BOUNCED":
            return {**data, **_BOUNCES.get(reason, _BOUNCES["bounce"])}
        case "CLICKED":
            return {**data, "url": "https://link.example/"}
        case _:
            return data


def started(state: State, pair: Pair, now: float, ends: float, message: Mapping[str, object]) -> None:
    """Tell that a user wrote *message* to an agent; every reply is told, not only the first."""
    agent_id, user = pair
    data: dict[str, object] = {
        "agent_id": agent_id,
        "from": user,
        "session_expires_at": iso(ends),
        "user_message": dict(message),
    }
    state.emit("conversation.started", now, data)


def ended(state: State, pair: Pair, now: float) -> None:
    """Tell that the session of *pair* has ended for want of a reply."""
    agent_id, user = pair
    state.emit(
        "conversation.ended", now, {"agent_id": agent_id, "with": user, "ended_at": iso(now), "reason": "ttl_expired"}
    )
