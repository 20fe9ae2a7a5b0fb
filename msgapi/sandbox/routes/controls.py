"""Controls: what the API has no route for, as somebody else does it: users answer, carriers decide, campaigns fail.

They stand below `/_sandbox`, so that nobody takes them for routes of the service.
"""

from ...codec import plain
from ..http.intake import take
from ..http.responses import Reply, refuse, say
from ..model.agents import Launched
from ..model.messages import Entry
from ..model.state import Ask, State
from ..rules.controls import reply as answer
from ..rules.controls import suggestion
from . import agents as agency
from . import campaigns, consents, orders


def reply(state: State, ask: Ask) -> Reply:
    """Let a user write to an agent: `{"agent_id", "user", "text"}`."""
    given = take(orders.WRITTEN, orders.Written, ask.value)
    if isinstance(given, Reply):
        return given
    return _noted(answer(state, given.user, given.agent_id, ask.now, {"type": "text", "text": given.text}))


def tap(state: State, ask: Ask) -> Reply:
    """Let the recipient of a message tap one of its suggestions: `{"message_id", "text"}`."""
    given = take(orders.TAPPED, orders.Tapped, ask.value)
    if isinstance(given, Reply):
        return given
    entry = state.log.find(given.message_id)
    found = None if entry is None else suggestion(entry, given.text)
    if entry is None or found is None:
        return _nothing("message that was sent, or no suggestion with this text in it")
    return _noted(answer(state, entry.to, entry.sender, ask.now, found))


def approve(state: State, ask: Ask) -> Reply:
    """Let an agent pass its review; the answer has the id that it has from now on."""
    live = agency.approve(state, ask.id, ask.now)
    return _no_agent() if live is None else _done(orders.Reviewed(agent_id=live, status="APPROVED"))


def reject(state: State, ask: Ask) -> Reply:
    """Let an agent not pass its review: `{"reason"}`."""
    given = take(orders.REJECTION, orders.Rejection, ask.value)
    if isinstance(given, Reply):
        return given
    done = agency.reject(state, ask.id, given.reason, ask.now)
    return _done(orders.Reviewed(agent_id=ask.id, status="REJECTED")) if done else _no_agent()


def launch(state: State, ask: Ask) -> Reply:
    """Let a carrier launch an approved agent, or do else with it: `{"carrier", "status", "reason"}`."""
    given = take(orders.LAUNCHED, Launched, ask.value)
    if isinstance(given, Reply):
        return given
    done = agency.launch(state, ask.id, given, ask.now)
    placed = orders.Placed(agent_id=ask.id, carrier=given.carrier, status=given.status)
    return _done(placed) if done else _no_agent()


def halt(state: State, ask: Ask) -> Reply:
    """Let a campaign stop by itself in the middle of its run: `{"status"}`."""
    given = take(orders.HALTED, orders.Halted, ask.value)
    if isinstance(given, Reply):
        return given
    done = campaigns.halt(state, ask.id, given.status, ask.now)
    return _done(orders.Stopped(campaign_id=ask.id, status=given.status)) if done else _no_run()


def fail_executions(state: State, ask: Ask) -> Reply:
    """Let some of the pending executions of a campaign fail, so that it ends as COMPLETED_PARTIAL: `{"executions"}`."""
    given = take(orders.FAILURES, orders.Failures, ask.value)
    if isinstance(given, Reply):
        return given
    done = campaigns.fail_some(state, ask.id, given.executions, ask.now)
    return _done(orders.Failed(campaign_id=ask.id, failed=given.executions)) if done else _no_run()


def confirm(state: State, ask: Ask) -> Reply:
    """Let a contact confirm the consent with this id, as in a double opt-in."""
    done = consents.confirm(state, ask.id, ask.now)
    return _done(orders.Confirmed(id=ask.id)) if done else _nothing("consent that waits to be confirmed")


def _done(what: object, status: int = 200) -> Reply:
    return say(plain(what), status)


def _noted(entry: Entry | None) -> Reply:
    return _nothing("agent that is launched") if entry is None else _done(orders.Noted(message_id=entry.id), 201)


def _no_agent() -> Reply:
    return _nothing("agent in the state for that")


def _no_run() -> Reply:
    return _nothing("campaign that runs, or too little of it is pending")


def _nothing(what: str) -> Reply:
    return refuse(404, "not_found", f"There is no such {what}.")
