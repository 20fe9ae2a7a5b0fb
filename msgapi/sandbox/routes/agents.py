"""Agency: an RCS agent's life over the API, and what the review and the carriers make of it."""

from attrs import evolve, fields

from ... import agents
from ..http.intake import take
from ..http.responses import Reply, iso, made, refuse, say, written
from ..model.agents import Dossier, Launched
from ..model.email_channels import Agent, AgentStatus
from ..model.state import Ask, State

_NEW, _CHANGES = agents.FORMS


def create(state: State, ask: Ask) -> Reply:
    """Create an agent as a draft (docs: /api/rcs/agents-create)."""
    given = take(_NEW, agents.NewAgent, ask.value)
    if isinstance(given, Reply):
        return given
    agent = Agent(
        agent_id=state.new_id("ag_draft_"),
        channel_id=state.new_id("ch_"),
        use_case=given.use_case,
        status="DRAFT",
        launched=False,
        newsletter_enabled=given.newsletter_enabled,
    )
    dossier = Dossier(
        agent=agent,
        display_name=given.display_name,
        region=given.region,
        billing_category=given.billing_category,
        created_at=ask.now,
    )
    state.agents.put(dossier)
    return made(dossier.whole(), f"/v1/rcs/agents/{agent.agent_id}")


def show(state: State, ask: Ask) -> Reply:
    """Show an agent, by its draft's id too (docs: /api/rcs/agents-get)."""
    found = state.agents.find(ask.id)
    return _unknown() if found is None else say(found.figures())


def update(state: State, ask: Ask) -> Reply:
    """Change a draft or a rejected agent (docs: /api/rcs/agents-update)."""
    found = state.agents.find(ask.id)
    if found is None:
        return _unknown()
    if not found.editable:
        return _wrong_state(found, "Only a draft or a rejected agent can be changed.")
    given = take(_CHANGES, agents.Changes, ask.value)
    if isinstance(given, Reply):
        return given
    name = given.display_name or found.display_name
    parts = {one.name: getattr(given, one.name) for one in fields(agents.Changes)}
    profile = evolve(found.profile, **{one: part for one, part in parts.items() if part is not None})
    changed = evolve(found, display_name=name, profile=profile)
    state.agents.put(changed)
    return say(changed.whole())


def submit(state: State, ask: Ask) -> Reply:
    """Hand an agent in for review (docs: /api/rcs/agents-submit)."""
    found = state.agents.find(ask.id)
    if found is None:
        return _unknown()
    if not found.editable:
        return _wrong_state(found, "Only a draft or a rejected agent can be submitted.")
    missing = found.missing()
    if missing:
        return refuse(422, "agent_incomplete", "The agent is not complete.", details=written(missing))
    handed_in = evolve(found, submitted_at=ask.now, rejected_at=None, rejection_reason=None)
    _ = _move(state, handed_in, "PENDING_REVIEW")
    said = {"agent_id": found.agent.agent_id, "status": "PENDING_REVIEW", "submitted_at": iso(ask.now)}
    return say({**said, "estimated_review_days": "5–10"}, 202)  # noqa: RUF001 - the docs have this dash


def launch_status(state: State, ask: Ask) -> Reply:
    """Show how far the launch of an approved agent is (docs: /api/rcs/agents-launch)."""
    found = state.agents.find(ask.id)
    if found is None:
        return _unknown()
    agent = found.agent
    if agent.status != "APPROVED":
        return _wrong_state(found, "Only an approved agent is launched.")
    return say({"agent_id": agent.agent_id, "agent_status": agent.status, "carriers": found.carriers()})


def approve(state: State, agent_id: str, now: float) -> str | None:
    """Let the review approve an agent, and give its id from then on; None unless it is under review."""
    found = state.agents.find(agent_id)
    if found is None or found.agent.status != "PENDING_REVIEW":
        return None
    approved = _move(state, evolve(found, approved_at=now), "APPROVED")
    live = state.agents.rename(approved, state.new_id("ag_live_")).agent.agent_id
    data = {"agent_id": live, "display_name": found.display_name, "approved_at": iso(now)}
    state.emit("agent.approved", now, data)
    return live


def reject(state: State, agent_id: str, reason: str, now: float) -> bool:
    """Let the review reject an agent for a *reason*; False unless it is under review."""
    found = state.agents.find(agent_id)
    if found is None or found.agent.status != "PENDING_REVIEW":
        return False
    _ = _move(state, evolve(found, rejected_at=now, rejection_reason=reason), "REJECTED")
    data = {"agent_id": found.agent.agent_id, "display_name": found.display_name}
    state.emit("agent.rejected", now, {**data, "rejected_at": iso(now), "reason": reason})
    return True


def launch(state: State, agent_id: str, given: Launched, now: float) -> bool:
    """Let a carrier launch an agent, or do what else is *given*; False if it is not approved, or cannot come there."""
    found = state.agents.find(agent_id)
    settled = None if found is None else found.settle(given, now)
    if settled is None:
        return False
    state.agents.put(settled)
    return True


def _move(state: State, dossier: Dossier, status: AgentStatus) -> Dossier:
    moved = evolve(dossier, agent=evolve(dossier.agent, status=status))
    state.agents.put(moved)
    return moved


def _unknown() -> Reply:
    return refuse(404, "not_found", "There is no such agent.")


def _wrong_state(dossier: Dossier, message: str) -> Reply:
    return refuse(409, "wrong_state", message, agent_status=dossier.agent.status)
