"""The routes of RCS agents and of the test agent.

Those of RCS agents create, show, update and submit one, and show its launch (docs: /api/rcs). Those of the test agent
verify a number and send messages to it (docs: /guides/quickstart-rcs-sandbox).

Rules:
- Everything that the test agent refuses has the same 403 response, so that nothing can be found out about numbers.
- Its messages cost nothing, and do not count for a tier.
"""

from typing import Final, Literal, final

from attrs import evolve, fields, frozen

from ... import agents, messages, testagent
from ...messages.models import Email, Message
from ..http.codecs import read_message
from ..http.requests import RouteRequest, parse_body
from ..http.responses import (
    SimulatedResponse,
    created,
    details_to_json,
    error_response,
    format_time,
    invalid_request,
    json_response,
    not_found,
)
from ..model.agents import MAX_TEST_MESSAGES, TEST_AGENT, AgentRecord, SandboxAgent
from ..model.state import AccountState
from ..rules.acceptance import FREE, accept, price_of

_NEW, _CHANGES = agents.SCHEMAS
_REGISTRATION, _VERIFICATION = testagent.SCHEMAS
_DEFAULTS: Final = {"message_type": "MESSAGE"}


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


# The test agent.


@final
@frozen(kw_only=True)
class CodeSentResponse:
    """A code was sent to this number."""

    phone: str
    status: Literal["code_sent"]


@final
@frozen(kw_only=True)
class TestAgentResponse:
    """The verified number, if there is one, and the remaining quota."""

    agent_id: str
    phone: str | None
    verified: bool
    sends_used: int
    sends_remaining: int


def register_test_number(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Send a verification code to a number."""
    given = parse_body(_REGISTRATION, testagent.Registration, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    state.test_agent.awaits_code = given.phone
    return json_response(CodeSentResponse(phone=given.phone, status="code_sent"))


def verify_test_number(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Bind a number to the account, with the code that was sent to it."""
    given = parse_body(_VERIFICATION, testagent.Verification, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    return show_test_agent(state, request) if state.test_agent.verify(given.phone, given.code) else _test_forbidden()


def send_test_message(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Send a message to the verified number; the default of `message_type` is MESSAGE."""
    given = request.fields if request.fields.get("message_type") is not None else {**request.fields, **_DEFAULTS}
    message, details = read_message(given)
    if message is not None:
        details = messages.check(message)
    if message is None or details:
        return invalid_request(details)
    if not _may_send_test(state, message):
        return _test_forbidden()
    charge = price_of(state, message, request.now)
    if isinstance(charge, SimulatedResponse):
        return charge
    state.test_agent.sent += 1
    return accept(state, request, message, evolve(charge, price=FREE, counts=False), channel_id=TEST_AGENT.channel_id)


def show_test_agent(state: AccountState, _: RouteRequest) -> SimulatedResponse:
    """Return the verified number and the remaining quota."""
    test_agent = state.test_agent
    body = TestAgentResponse(
        agent_id=TEST_AGENT.agent_id,
        phone=test_agent.phone,
        verified=test_agent.phone is not None,
        sends_used=test_agent.sent,
        sends_remaining=MAX_TEST_MESSAGES - test_agent.sent,
    )
    return json_response(body)


def _may_send_test(state: AccountState, message: Message) -> bool:
    if isinstance(message, Email) or message.message_type == "NEWSLETTER":
        return False
    test_agent = state.test_agent
    to_verified = (message.agent_id, message.to) == (TEST_AGENT.agent_id, test_agent.phone)
    return to_verified and test_agent.sent < MAX_TEST_MESSAGES


def _test_forbidden() -> SimulatedResponse:
    return error_response(403, "forbidden", "The test agent does not do this.")
