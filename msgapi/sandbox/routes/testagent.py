"""The routes of the test agent (docs: /guides/quickstart-rcs-sandbox).

Rules:
- Everything that it refuses has the same 403 response, so that nothing can be found out about numbers.
- Its messages cost nothing, and do not count for a tier.
"""

from typing import Final, Literal, final

from attrs import evolve, frozen

from ... import messages, testagent
from ...messages.models import Email, Message
from ..http.codecs import read_message
from ..http.requests import RouteRequest, parse_body
from ..http.responses import SimulatedResponse, error_response, invalid_request, json_response
from ..model.agents import MAX_TEST_MESSAGES, TEST_AGENT
from ..model.state import AccountState
from ..rules.acceptance import accept, price_of
from ..rules.billing import FREE

_REGISTRATION, _VERIFICATION = testagent.SCHEMAS
_DEFAULTS: Final = {"message_type": "MESSAGE"}


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


def register(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Send a verification code to a number."""
    given = parse_body(_REGISTRATION, testagent.Registration, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    state.test_agent.awaits_code = given.phone
    return json_response(CodeSentResponse(phone=given.phone, status="code_sent"))


def verify(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Bind a number to the account, with the code that was sent to it."""
    given = parse_body(_VERIFICATION, testagent.Verification, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    return show_status(state, request) if state.test_agent.verify(given.phone, given.code) else _forbidden()


def send(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Send a message to the verified number; the default of `message_type` is MESSAGE."""
    given = request.fields if request.fields.get("message_type") is not None else {**request.fields, **_DEFAULTS}
    message, details = read_message(given)
    if message is not None:
        details = messages.check(message)
    if message is None or details:
        return invalid_request(details)
    if not _is_allowed(state, message):
        return _forbidden()
    charge = price_of(state, message, request.now)
    if isinstance(charge, SimulatedResponse):
        return charge
    state.test_agent.sent += 1
    return accept(state, request, message, evolve(charge, price=FREE, counts=False), channel_id=TEST_AGENT.channel_id)


def show_status(state: AccountState, _: RouteRequest) -> SimulatedResponse:
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


def _is_allowed(state: AccountState, message: Message) -> bool:
    if isinstance(message, Email) or message.message_type == "NEWSLETTER":
        return False
    test_agent = state.test_agent
    to_verified = (message.agent_id, message.to) == (TEST_AGENT.agent_id, test_agent.phone)
    return to_verified and test_agent.sent < MAX_TEST_MESSAGES


def _forbidden() -> SimulatedResponse:
    return error_response(403, "forbidden", "The test agent does not do this.")
