"""The life of a queued message, with the money, the sessions and the events that depend on it.

Rules:
- Nothing happens by itself except in `advance`. What happens there has the time at which it was due.
- A delivered message is charged. The hold of a message that will never be delivered is released.
- A status for which the docs have no event page, such as SENT, emits no event.
- A message expires by the clock, also where nothing delivers it.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from ..http.responses import format_time
from ..model.billing import Pair
from ..model.faults import DeliveryStep, following, plan_delivery
from ..model.messages import EVENT_NAMES, NOT_DELIVERED, LogEntry, MessageStatus
from ..model.state import AccountState, ReloadRetry
from .account import apply_email_status, retry_reload

_UNDER_WAY: Final = frozenset({"QUEUED", "SENT"})
_RECEIVED: Final = frozenset({"DELIVERED", "READ", "CLICKED"})
REACHABLE_FROM: Final[dict[MessageStatus, frozenset[str]]] = {
    "SENT": frozenset({"QUEUED"}),
    "DELIVERED": _UNDER_WAY,
    "READ": frozenset({"DELIVERED"}),
    "CLICKED": _RECEIVED,
    "COMPLAINED": _RECEIVED,
    "UNSUBSCRIBED": _RECEIVED,
    "FAILED": _UNDER_WAY,
    "BOUNCED": _UNDER_WAY,
    "EXPIRED": _UNDER_WAY,
    "REVOKED": _UNDER_WAY,
}
"""From which statuses a message can change to another one."""
_FIELDS: Final = ("message_id", "agent_id", "to", "status")
_RCS_EVENTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "QUEUED": ("message.queued", (*_FIELDS, "queued_at")),
    "DELIVERED": ("message.delivered", (*_FIELDS, "delivered_at")),
    "READ": ("message.read", (*_FIELDS, "read_at")),
    "FAILED": ("message.failed", (*_FIELDS, "failure_reason", "failed_at")),
    "EXPIRED": ("message.expired", (*_FIELDS, "expired_at")),
    "REVOKED": ("message.revoked", ("message_id", "agent_id", "revoked_at")),
}
_EMAIL_EVENTS: Final[Mapping[str, tuple[str, str]]] = {
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


def queue(state: AccountState, entry: LogEntry, ttl: float | None = None) -> None:
    """Add an accepted message to the log, and schedule its delivery; it expires after *ttl* seconds."""
    state.log.add(entry)
    _emit_message_event(state, entry, "QUEUED", entry.created_at)
    timing = state.schedule.timing
    if timing is not None:
        steps = plan_delivery(entry, timing, ttl)
    else:
        steps = () if ttl is None else (DeliveryStep(ttl, "EXPIRED"),)
    state.schedule.add_steps(entry.id, steps, entry.created_at)


def change_status(
    state: AccountState, message_id: str, status: MessageStatus, now: float, *, reason: str = ""
) -> LogEntry | None:
    """Change the status of a message and return it; None if there is no such message or the change is not possible.

    A delivered message is charged. The hold of a message that will not be delivered is released, and the session or
    the month that it paid for is unpaid again. *reason* is why it failed or bounced. A message whose status is final
    then may be dropped from the log.
    """
    changed = _apply_status(state, message_id, status, now, reason=reason)
    _finish_if_final(state, message_id, changed)
    return changed


def _apply_status(
    state: AccountState, message_id: str, status: MessageStatus, now: float, *, reason: str = ""
) -> LogEntry | None:
    entry = state.log.find(message_id)
    if entry is None or entry.direction == "INBOUND" or entry.status not in REACHABLE_FROM.get(status, ()):
        return None
    if status == "REVOKED" and not entry.is_revocable:
        return None
    if status == "DELIVERED":
        state.wallet.charge(entry.id, now)
    if status in NOT_DELIVERED:
        pair = (entry.sender, entry.to)
        state.wallet.release(entry.id, now)
        state.sessions.undo_payment(pair, entry.id)
        state.newsletters.undo(pair, entry.id)
    error_code = _error_code(status, reason) if status in NOT_DELIVERED else None
    changed = state.log.set_status(entry, status, now, error_code=error_code)
    _emit_message_event(state, changed, status, now, reason=reason)
    if changed.channel == "EMAIL":
        apply_email_status(state, changed, status, now)
    return changed


def fail_delivery(state: AccountState, message_id: str, reason: str, now: float) -> LogEntry | None:
    """Let the delivery of a message fail; an email bounces, permanently unless *reason* is `full`."""
    entry = state.log.find(message_id)
    if entry is None or entry.channel == "RCS":
        return change_status(state, message_id, "FAILED", now, reason=reason)
    return change_status(state, message_id, "BOUNCED", now, reason="full" if reason == "full" else "bounce")


def advance(state: AccountState, now: float) -> None:
    """Carry out everything that is due by *now*, in the order in which it is due."""
    while (taken := state.schedule.take(now)) is not None:
        at, item, steps = taken
        if isinstance(item, str):
            step, later = steps[0], following(steps)
            entry = _apply_status(state, item, step.status, at, reason=step.reason)
            if entry is not None:
                state.schedule.add_steps(item, later, at)
            if step.status != "SENT":  # a step that follows may not be possible: EXPIRED after FAILED
                _finish_if_final(state, item, entry)
        elif isinstance(item, ReloadRetry):
            retry_reload(state, at)
        elif state.sessions.close_expired(item, at):
            _emit_conversation_ended(state, item, at)


def _finish_if_final(state: AccountState, message_id: str, changed: LogEntry | None) -> None:
    # The state of a message is final if its money is settled, and no change of its status is scheduled.
    entry = state.log.find(message_id) if changed is None else changed
    if entry is None or entry.status in _UNDER_WAY:
        return
    scheduled = state.schedule.next_status(message_id)
    if scheduled is None or entry.status not in REACHABLE_FROM[scheduled]:
        state.log.finish(entry)


def _error_code(status: MessageStatus, reason: str) -> str | None:
    match status:
        case "FAILED":
            return reason or "UNKNOWN_RCS_USER"
        case "BOUNCED":
            return reason
        case _:
            return "MESSAGE_EXPIRED" if status == "EXPIRED" else None


def _emit_message_event(
    state: AccountState, entry: LogEntry, status: MessageStatus, now: float, *, reason: str = ""
) -> None:
    if entry.channel == "EMAIL" and status in _EMAIL_EVENTS:
        name, time_field = _EMAIL_EVENTS[status]
        state.emit_event(name, now, {**_email_data(entry, status, reason), time_field: format_time(now)})
    elif entry.channel == "RCS" and status in _RCS_EVENTS:
        name, fields = _RCS_EVENTS[status]
        state.emit_event(name, now, (fields, *_rcs_values(entry, status)))


def _rcs_values(entry: LogEntry, status: MessageStatus) -> tuple[str | None, ...]:
    match status:
        case "REVOKED":
            return (entry.id, entry.sender)
        case "FAILED":
            return (entry.id, entry.sender, entry.to, "failed", entry.error_code)
        case _:
            return (entry.id, entry.sender, entry.to, EVENT_NAMES[status])


def _email_data(entry: LogEntry, status: MessageStatus, reason: str) -> dict[str, object]:
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


def _emit_conversation_ended(state: AccountState, pair: Pair, now: float) -> None:
    agent_id, user = pair
    data = {"agent_id": agent_id, "with": user, "ended_at": format_time(now), "reason": "ttl_expired"}
    state.emit_event("conversation.ended", now, data)
