"""The routes of RCS agents: create, show, update and submit one, and show its launch (docs: /api/rcs)."""

from attrs import evolve, fields

from ... import agents
from ..http.requests import RouteRequest, parse_body
from ..http.responses import (
    SimulatedResponse,
    created,
    details_to_json,
    error_response,
    format_time,
    json_response,
    not_found,
)
from ..model.agents import AgentRecord, SandboxAgent
from ..model.state import AccountState

_NEW, _CHANGES = agents.SCHEMAS


def create(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Create an agent as a draft (docs: /api/rcs/agents-create)."""
    given = parse_body(_NEW, agents.NewAgent, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    agent = SandboxAgent(
        agent_id=state.new_id("ag_draft_"),
        channel_id=state.new_id("ch_"),
        use_case=given.use_case,
        status="DRAFT",
        launched=False,
        newsletter_enabled=given.newsletter_enabled,
    )
    record = AgentRecord(
        agent=agent,
        display_name=given.display_name,
        region=given.region,
        billing_category=given.billing_category,
        created_at=request.now,
    )
    state.agents.put(record)
    return created(record.all_fields(), f"/v1/rcs/agents/{agent.agent_id}")


def show(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Return an agent; the id of its draft is accepted too (docs: /api/rcs/agents-get)."""
    found = state.agents.find(request.id)
    return not_found("agent") if found is None else json_response(found.to_json())


def update(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Update a draft or a rejected agent (docs: /api/rcs/agents-update)."""
    found = state.agents.find(request.id)
    if found is None:
        return not_found("agent")
    if not found.is_editable:
        return _wrong_state(found, "Only a draft or a rejected agent can be changed.")
    given = parse_body(_CHANGES, agents.AgentChanges, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    name = given.display_name or found.display_name
    parts = {one.name: getattr(given, one.name) for one in fields(agents.AgentChanges)}
    profile = evolve(found.profile, **{one: part for one, part in parts.items() if part is not None})
    updated = evolve(found, display_name=name, profile=profile)
    state.agents.put(updated)
    return json_response(updated.all_fields())


def submit(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Submit an agent for review (docs: /api/rcs/agents-submit)."""
    found = state.agents.find(request.id)
    if found is None:
        return not_found("agent")
    if not found.is_editable:
        return _wrong_state(found, "Only a draft or a rejected agent can be submitted.")
    missing = found.missing()
    if missing:
        details = details_to_json(missing)
        return error_response(422, "agent_incomplete", "The agent is not complete.", details=details)
    agent = evolve(found.agent, status="PENDING_REVIEW")
    state.agents.put(evolve(found, agent=agent, submitted_at=request.now, rejected_at=None, rejection_reason=None))
    body = {"agent_id": agent.agent_id, "status": agent.status, "submitted_at": format_time(request.now)}
    return json_response({**body, "estimated_review_days": "5–10"}, 202)  # noqa: RUF001 - the docs have this dash


def launch_status(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Return the launch status of an approved agent on each carrier (docs: /api/rcs/agents-launch)."""
    found = state.agents.find(request.id)
    if found is None:
        return not_found("agent")
    agent = found.agent
    if agent.status != "APPROVED":
        return _wrong_state(found, "Only an approved agent is launched.")
    body = {"agent_id": agent.agent_id, "agent_status": agent.status, "carriers": found.launches_to_json()}
    return json_response(body)


def _wrong_state(record: AgentRecord, message: str) -> SimulatedResponse:
    return error_response(409, "wrong_state", message, agent_status=record.agent.status)
