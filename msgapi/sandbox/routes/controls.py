"""The routes below `/_sandbox`: the controls of `rules.controls` over HTTP.

A control that is not possible is answered with 404 not_found.
"""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, final

from attrs import field, frozen

from ...redact import hidden
from ...schema.requests import Schema
from ...schema.validators import any_string, non_empty, one_of, phone_number
from ..http.requests import RouteRequest, parse_body
from ..http.responses import SimulatedResponse, error_response, json_response
from ..model.agents import CARRIERS, CarrierDecision, CarrierStatus
from ..model.state import AccountState
from ..rules import controls
from ..rules.controls import ControlError, HaltStatus

_MAX_COUNT: Final = 2**31 - 1


@final
@frozen(kw_only=True)
class UserReply:
    """A text that a user writes to an agent."""

    agent_id: str
    user: str = field(repr=hidden)
    text: str = field(repr=hidden)


@final
@frozen(kw_only=True)
class SuggestionTap:
    """A tap on the suggestion with this text, by the recipient of a message."""

    message_id: str
    text: str = field(repr=hidden)


@final
@frozen(kw_only=True)
class AgentRejection:
    """The reason why the review rejects an agent."""

    reason: str


@final
@frozen(kw_only=True)
class CampaignHalt:
    """The status that a campaign gets when the service pauses it."""

    status: HaltStatus = "PAUSED_ERROR"


@final
@frozen(kw_only=True)
class ExecutionFailures:
    """How many of the pending executions of a campaign fail."""

    executions: int = 1


@final
@frozen(kw_only=True)
class ReceivedResponse:
    """The id of the received message in the log."""

    message_id: str


@final
@frozen(kw_only=True)
class ReviewedResponse:
    """The new id and status of an agent."""

    agent_id: str
    status: Literal["APPROVED", "REJECTED"]


@final
@frozen(kw_only=True)
class CarrierResponse:
    """The new launch status of an agent on a carrier."""

    agent_id: str
    carrier: str
    status: CarrierStatus


@final
@frozen(kw_only=True)
class HaltedResponse:
    """The new status of a campaign."""

    campaign_id: str
    status: HaltStatus


@final
@frozen(kw_only=True)
class FailedResponse:
    """How many more executions of a campaign have failed."""

    campaign_id: str
    failed: int


@final
@frozen(kw_only=True)
class ConfirmedResponse:
    """The consent that is granted now."""

    id: str
    status: Literal["GRANTED"]


def _check_carrier(value: object) -> str | None:
    return None if value in CARRIERS else f"must be one of {', '.join(CARRIERS)}"


def _check_count(value: object) -> str | None:
    return None if type(value) is int and 1 <= value <= _MAX_COUNT else f"must be a whole number from 1 to {_MAX_COUNT}"


Handler: TypeAlias = Callable[[AccountState, RouteRequest, Any], object]


@final
@frozen
class Control:
    """One control: its path, the form of its body (None if it has none), what it *returns*, and the success status."""

    path: str
    handler: Handler
    form: Schema | None
    returns: type
    status: int = 200

    def respond(self, state: AccountState, request: RouteRequest) -> SimulatedResponse:
        """Parse the body, carry out the control, and return the response."""
        given = None if self.form is None else parse_body(self.form, self.form.model, request.fields)
        if isinstance(given, SimulatedResponse):
            return given
        try:
            return json_response(self.handler(state, request, given), self.status)
        except ControlError as error:
            return error_response(404, "not_found", str(error))


def reply(state: AccountState, request: RouteRequest, given: UserReply) -> ReceivedResponse:
    """Let a user write to an agent: `{"agent_id", "user", "text"}`."""
    entry = controls.reply(state, given.user, given.agent_id, given.text, request.now)
    return ReceivedResponse(message_id=entry.id)


def tap(state: AccountState, request: RouteRequest, given: SuggestionTap) -> ReceivedResponse:
    """Let the recipient of a message tap one of its suggestions: `{"message_id", "text"}`."""
    return ReceivedResponse(message_id=controls.tap(state, given.message_id, given.text, request.now).id)


def approve(state: AccountState, request: RouteRequest, _: None) -> ReviewedResponse:
    """Approve an agent that is under review; the response has its new id."""
    return ReviewedResponse(agent_id=controls.approve(state, request.id, request.now), status="APPROVED")


def reject(state: AccountState, request: RouteRequest, given: AgentRejection) -> ReviewedResponse:
    """Reject an agent that is under review: `{"reason"}`."""
    controls.reject(state, request.id, given.reason, request.now)
    return ReviewedResponse(agent_id=request.id, status="REJECTED")


def launch(state: AccountState, request: RouteRequest, given: CarrierDecision) -> CarrierResponse:
    """Set the launch status of an approved agent on a carrier: `{"carrier", "status", "reason"}`."""
    controls.launch(state, request.id, given, request.now)
    return CarrierResponse(agent_id=request.id, carrier=given.carrier, status=given.status)


def halt(state: AccountState, request: RouteRequest, given: CampaignHalt) -> HaltedResponse:
    """Pause a running campaign, as the service does: `{"status"}`."""
    controls.halt(state, request.id, given.status, request.now)
    return HaltedResponse(campaign_id=request.id, status=given.status)


def fail_executions(state: AccountState, request: RouteRequest, given: ExecutionFailures) -> FailedResponse:
    """Let pending executions of a campaign fail, so that it ends as COMPLETED_PARTIAL: `{"executions"}`."""
    controls.fail_executions(state, request.id, given.executions, request.now)
    return FailedResponse(campaign_id=request.id, failed=given.executions)


def confirm(state: AccountState, request: RouteRequest, _: None) -> ConfirmedResponse:
    """Confirm a pending consent, as the contact does in a double opt-in."""
    controls.confirm(state, request.id, request.now)
    return ConfirmedResponse(id=request.id, status="GRANTED")


_REPLY: Final = Schema(UserReply, {"agent_id": non_empty, "user": phone_number, "text": any_string})
_TAP: Final = Schema(SuggestionTap, {"message_id": non_empty, "text": non_empty})
_REJECTION: Final = Schema(AgentRejection, {"reason": non_empty})
_DECISION: Final = Schema(
    CarrierDecision, {"carrier": _check_carrier, "status": one_of(CarrierStatus), "reason": non_empty}
)
_HALT: Final = Schema(CampaignHalt, {"status": one_of(HaltStatus)})
_FAILURES: Final = Schema(ExecutionFailures, {"executions": _check_count})

CONTROLS: Final = (
    Control("/_sandbox/replies", reply, _REPLY, ReceivedResponse, 201),
    Control("/_sandbox/taps", tap, _TAP, ReceivedResponse, 201),
    Control("/_sandbox/agents/{id}/approve", approve, None, ReviewedResponse),
    Control("/_sandbox/agents/{id}/reject", reject, _REJECTION, ReviewedResponse),
    Control("/_sandbox/agents/{id}/launch", launch, _DECISION, CarrierResponse),
    Control("/_sandbox/campaigns/{id}/halt", halt, _HALT, HaltedResponse),
    Control("/_sandbox/campaigns/{id}/fail", fail_executions, _FAILURES, FailedResponse),
    Control("/_sandbox/consents/{id}/confirm", confirm, None, ConfirmedResponse),
)
"""All controls. The table of routes and the OpenAPI document are made from them."""
