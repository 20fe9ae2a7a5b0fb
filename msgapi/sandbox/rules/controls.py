"""Controls: what recipients, reviewers, carriers and the service itself do, for which the API has no routes.

`Sandbox` has a method for each of them, and `routes.controls` a route below `/_sandbox`.

Rules:
- A control that is not possible raises ControlError, and changes nothing.
- A delivery of an event to an endpoint is pending from when it is scheduled until its attempt is made. One that is not
  pending is made again from its first attempt.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, final

import orjson
from attrs import evolve, frozen

from ...results import Detail
from ...schema.validators import phone_number
from ..http.responses import compact, format_time
from ..model.agents import TEST_AGENT, AgentRecord, AgentStatus, CarrierDecision
from ..model.billing import AMOUNT_BOUND, amount_problem
from ..model.campaigns import CampaignExecution
from ..model.faults import BOUNCE_REASONS, FAIL_REASONS, FaultShares
from ..model.messages import LogEntry, MessageStatus
from ..model.state import AccountState
from ..model.webhooks import DeliveryRecord, WebhookFaults
from .account import change_consent
from .account import set_balance as set_free_balance
from .lifecycle import change_status, fail_delivery

HaltStatus: TypeAlias = Literal["PAUSED_ERROR", "PAUSED_BALANCE"]
MAX_SECONDS: Final = 315_576_000.0
"""The longest time in seconds by which a control moves the clock or a delivery: ten years."""
_LATEST: Final = 32_503_680_000.0  # 3000-01-01: every time is a valid date, also with the time to live of a message
_REORDER_GAP: Final = 1.0  # seconds between two deliveries whose order is changed


class ControlError(ValueError):
    """The control is not possible: what it refers to does not exist, or is in another state.

    If what it was given is not valid, *details* say where.
    """

    def __init__(self, message: str, details: Iterable[Detail] = ()) -> None:
        """Create the error."""
        super().__init__(message)
        self.details: tuple[Detail, ...] = tuple(details)


@final
@frozen(kw_only=True)
class FaultSettings:
    """The random faults: the *shares* of the requests, the seconds of a slow response, and those of the *webhooks*."""

    shares: FaultShares
    slow_seconds: float
    webhooks: WebhookFaults


def reply(state: AccountState, user: str, agent_id: str, text: str, now: float) -> LogEntry:
    """Let *user* write *text* to an agent, which opens a session or extends it to 24 hours from *now*."""
    problem = phone_number(user)
    if problem is not None:
        raise ControlError(f"to {problem}")
    return _receive(state, user, agent_id, {"type": "text", "text": text}, now)


def tap(state: AccountState, message_id: str, text: str, now: float) -> LogEntry:
    """Let the recipient of a message tap its suggestion with this *text*, which also opens or extends a session."""
    entry = state.log.find(message_id)
    found = None if entry is None else _find_suggestion(entry, text)
    if entry is None:
        raise ControlError("There is no such message.")
    if not entry.was_sent:
        is_now = f"{entry.direction} and {entry.status}"
        raise ControlError(f"The message is {is_now}: a tap needs one that was sent to a recipient and has not failed.")
    if found is None:
        raise ControlError("The message has no suggestion with this text.")
    return _receive(state, entry.to, entry.sender, found, now)


def approve(state: AccountState, agent_id: str, now: float) -> str:
    """Approve an agent that is under review; return its new id."""
    approved = _review(state, agent_id, "APPROVED", approved_at=now)
    live = state.agents.rename(approved, state.new_id("ag_live_")).agent.agent_id
    data = {"agent_id": live, "display_name": approved.display_name, "approved_at": format_time(now)}
    state.emit_event("agent.approved", now, data)
    return live


def reject(state: AccountState, agent_id: str, reason: str, now: float) -> None:
    """Reject an agent that is under review."""
    rejected = _review(state, agent_id, "REJECTED", rejected_at=now, rejection_reason=reason)
    data = {"agent_id": rejected.agent.agent_id, "display_name": rejected.display_name}
    state.emit_event("agent.rejected", now, {**data, "rejected_at": format_time(now), "reason": reason})


def launch(state: AccountState, agent_id: str, decision: CarrierDecision, now: float) -> None:
    """Apply the *decision* of a carrier to an approved agent."""
    found = state.agents.find(agent_id)
    decided = None if found is None else found.decide_launch(decision, now)
    if decided is None:
        raise ControlError("There is no such agent or carrier, or the launch cannot change to this status.")
    state.agents.put(decided)


def halt(state: AccountState, campaign_id: str, status: HaltStatus, now: float) -> None:
    """Pause a running campaign, as the service does after an error or for want of balance."""
    state.set_run(evolve(_running(state, campaign_id, now), status=status))


def fail_executions(state: AccountState, campaign_id: str, count: int, now: float) -> None:
    """Let *count* of the pending executions of a running campaign fail."""
    run = _running(state, campaign_id, now)
    if not 1 <= count <= run.pending:
        raise ControlError(f"The campaign has {run.pending} pending executions.")
    state.set_run(evolve(run, done=run.done + count, failed=run.failed + count))


def confirm(state: AccountState, consent_id: str, now: float) -> None:
    """Confirm a consent that is pending, as the contact does in a double opt-in."""
    for contact in state.contacts:
        for one in contact.consents:
            if (one.id, one.status) == (consent_id, "PENDING"):
                granted = evolve(one, status="GRANTED", doi_status="DOI_ACCEPTED", granted_at=now)
                _ = change_consent(state, contact, granted, now)
                return
    raise ControlError("There is no such consent that is pending.")


def set_status(state: AccountState, message_id: str, status: MessageStatus, now: float) -> LogEntry:
    """Change the status of a message."""
    return _changed(change_status(state, message_id, status, now), status)


def fail(state: AccountState, message_id: str, reason: str | None, now: float) -> LogEntry:
    """Let the delivery of a message fail for a *reason*; an email bounces.

    By default the reason is the first one of its channel.
    """
    entry = state.log.find(message_id)
    reasons = BOUNCE_REASONS if entry is not None and entry.channel == "EMAIL" else FAIL_REASONS
    chosen = reasons[0] if reason is None else reason
    if entry is not None and chosen not in reasons:
        what = "An email bounces" if entry.channel == "EMAIL" else "An RCS message fails"
        raise ControlError(f"{what} for one of these reasons: {', '.join(reasons)}.")
    return _changed(fail_delivery(state, message_id, chosen, now), "FAILED")


def top_up(state: AccountState, amount: Decimal, now: float) -> None:
    """Add *amount* to the free balance, as the dashboard does."""
    _check_amount("amount", amount, state.wallet.total)
    state.wallet.add(amount, now)


def set_balance(state: AccountState, free: Decimal, now: float) -> None:
    """Set the free balance. What is reserved stays reserved. There is no transaction for it."""
    _check_amount("free", free, state.wallet.reserved)
    set_free_balance(state, free, now)


def faults(state: AccountState) -> FaultSettings:
    """Return the random faults."""
    return FaultSettings(shares=state.faults.shares, slow_seconds=state.slow, webhooks=state.webhook_queue.faults)


def set_faults(state: AccountState, settings: FaultSettings) -> None:
    """Change the random faults. A request that had one has none again under the same idempotency key."""
    _require("slow_seconds", check_seconds(settings.slow_seconds))
    state.faults.shares, state.slow = settings.shares, settings.slow_seconds
    state.webhook_queue.faults = settings.webhooks
    state.changes.add("faults")


def replay(state: AccountState, delivery_id: str, now: float) -> float:
    """Make a delivery now: the next attempt of a pending one, or the first one again. Return when it is due."""
    return state.webhook_queue.move_or_add(_find_delivery(state, delivery_id), now)


def duplicate(state: AccountState, delivery_id: str, now: float) -> float:
    """Make a delivery once more: at the time of the pending one, or now. Return when it is due."""
    record = _find_delivery(state, delivery_id)
    due = state.webhook_queue.due_of(record)
    return state.webhook_queue.add(record, now if due is None else due)


def delay(state: AccountState, delivery_id: str, seconds: float, now: float) -> float:
    """Make a delivery *seconds* later than it is due; one that is not pending, again so many seconds from now.

    Return when it is due.
    """
    _require("seconds", check_seconds(seconds))
    record = _find_delivery(state, delivery_id)
    due = state.webhook_queue.due_of(record)
    return state.webhook_queue.move_or_add(record, (now if due is None else max(due, now)) + seconds)


def reorder(state: AccountState, delivery_id: str, now: float) -> float:
    """Make a delivery now, and a second later the one before it to the same endpoint. Return when it is due."""
    record = _find_delivery(state, delivery_id)
    before = state.webhook_queue.before(record)
    if before is None:
        raise ControlError("There is no delivery to this endpoint before it.")
    _ = state.webhook_queue.move_or_add(before, now + _REORDER_GAP)
    return state.webhook_queue.move_or_add(record, now)


def check_seconds(value: object) -> str | None:
    """Return why *value* is not a number of seconds by which something can be moved; None if it is."""
    valid = isinstance(value, int | float) and 0 <= value <= MAX_SECONDS
    return None if valid else f"must be from 0 to {MAX_SECONDS:.0f} seconds, which are ten years"


def check_advance(seconds: float, now: float) -> None:
    """Raise ControlError if the clock cannot be moved forward by *seconds* at the time *now*."""
    _require("advance", check_seconds(seconds))
    _require("advance", None if now + seconds <= _LATEST else "must not go beyond the year 2999")


def _require(name: str, problem: str | None) -> None:
    if problem is not None:
        raise ControlError(f"{name} {problem}", [Detail(name, problem)])


def _check_amount(name: str, amount: Decimal, other: Decimal) -> None:
    problem = amount_problem(amount)
    if problem is None and amount + other >= AMOUNT_BOUND:
        problem = f"must leave the balance below {AMOUNT_BOUND:,} EUR"
    _require(name, problem)


def _find_delivery(state: AccountState, delivery_id: str) -> DeliveryRecord:
    record = state.webhook_queue.find(delivery_id)
    if record is None or state.endpoints.find(record.webhook_id) is None:
        raise ControlError("There is no such delivery, or its endpoint was deleted.")
    return record


def _changed(entry: LogEntry | None, status: str) -> LogEntry:
    if entry is None:
        raise ControlError(f"There is no such message, or its status cannot change to {status}.")
    return entry


def _review(state: AccountState, agent_id: str, status: AgentStatus, **changes: Any) -> AgentRecord:  # noqa: ANN401 - fields
    found = state.agents.find(agent_id)
    if found is None or found.agent.status != "PENDING_REVIEW":
        raise ControlError("There is no such agent that is under review.")
    reviewed = evolve(found, agent=evolve(found.agent, status=status), **changes)
    state.agents.put(reviewed)
    return reviewed


def _running(state: AccountState, campaign_id: str, now: float) -> CampaignExecution:
    run = state.run_of(campaign_id, now)
    if run is None or run.status != "RUNNING":
        raise ControlError("There is no such campaign that is running.")
    return run


def _receive(state: AccountState, user: str, agent_id: str, message: dict[str, object], now: float) -> LogEntry:
    # The docs show the message types `text` and `suggested_reply`; a tapped action is sent as the latter.
    agent = TEST_AGENT if agent_id == TEST_AGENT.agent_id else state.agents.sender(agent_id)
    if agent is None or agent.status != "APPROVED" or not agent.launched:
        raise ControlError("There is no such agent that is approved and launched.")
    entry = LogEntry(
        id=state.new_id("msg_"),
        to=user,
        sender=agent.agent_id,
        channel="RCS",
        channel_id=agent.channel_id,
        contact_id=state.contact_id_of(user),
        message_type="CONVERSATION",
        content_type="TEXT" if message["type"] == "text" else "INTERACTIVE",
        unit="",
        hold=Decimal(0),
        created_at=now,
        body=compact(orjson.dumps({"content": {name: part for name, part in message.items() if name != "type"}})),
        status="DELIVERED",
        event_names=("received",),
        event_times=(now,),
        direction="INBOUND",
        number=state.log.accepted,
    )
    state.log.add(entry)
    state.log.finish(entry)
    pair = (agent.agent_id, user)
    session = state.sessions.open_or_extend(pair, now)
    state.schedule.add(pair, session.ends)
    data = {
        "agent_id": agent.agent_id,
        "from": user,
        "session_expires_at": format_time(session.ends),
        "user_message": message,
    }
    state.emit_event("conversation.started", now, data)  # for every reply, not only the first
    return entry


def _find_suggestion(entry: LogEntry, text: str) -> dict[str, object] | None:
    for one in _tappable_suggestions(entry):
        if one.get("text") == text:
            data = one.get("postback_data")
            return {"type": "suggested_reply", "text": text, **({"postback_data": data} if data else {})}
    return None


def tappable(entry: LogEntry) -> tuple[str, ...]:
    """Return the texts of the suggestions of a message that its recipient can tap."""
    texts = (one.get("text") for one in _tappable_suggestions(entry))
    return tuple(dict.fromkeys(one for one in texts if isinstance(one, str)))


def _tappable_suggestions(entry: LogEntry) -> Iterator[dict[str, Any]]:
    # None if the message was not sent or has failed. The data of an email's template are not suggestions, whatever
    # their names are.
    if entry.was_sent and entry.channel == "RCS":
        inner = (one.get("reply") or one.get("action") for one in _suggestions(orjson.loads(entry.body)))
        yield from (one for one in inner if isinstance(one, dict))


def _suggestions(value: object) -> Iterator[dict[str, Any]]:
    # A message has suggestions under its text, or on its cards.
    if isinstance(value, dict):
        for name, part in value.items():
            if name == "suggestions" and isinstance(part, list):
                yield from (one for one in part if isinstance(one, dict))
            else:
                yield from _suggestions(part)
    elif isinstance(value, list):
        for part in value:
            yield from _suggestions(part)
