"""The routes below `/_sandbox`: the controls of `rules.controls` over HTTP.

A control that is not possible is answered with 404 not_found, and one with an invalid value with 400 validation_error.
Those of the sandbox as a whole are in `routes.state`.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, final

from attrs import field, frozen

from ...redact import hidden
from ...results import Balance
from ...schema.requests import Schema
from ...schema.validators import any_string, non_empty, one_of, phone_number
from ..http.requests import RouteRequest, parse_body
from ..http.responses import SimulatedResponse, error_response, invalid_request, json_response
from ..model.agents import Carrier, CarrierDecision, CarrierStatus
from ..model.billing import amount_problem
from ..model.faults import BOUNCE_REASONS, FAIL_REASONS
from ..model.messages import LogEntry, MessageStatus
from ..model.state import AccountState
from ..rules import controls
from ..rules.controls import ControlError, HaltStatus

_MAX_COUNT: Final = 2**31 - 1
_REASONS: Final = (*FAIL_REASONS, *BOUNCE_REASONS)


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
class DeliveryFailure:
    """Why the delivery of a message fails. By default an RCS message fails with the first reason, an email bounces."""

    reason: str | None = None


@final
@frozen(kw_only=True)
class DashboardTopUp:
    """The amount in EUR that is added to the free balance."""

    amount: Decimal


@final
@frozen(kw_only=True)
class FreeBalance:
    """The free balance in EUR."""

    free: Decimal


@final
@frozen(kw_only=True)
class StatusResponse:
    """The new status of a message."""

    message_id: str
    status: MessageStatus


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


def _check_count(value: object) -> str | None:
    return None if type(value) is int and 1 <= value <= _MAX_COUNT else f"must be a whole number from 1 to {_MAX_COUNT}"


def _check_reason(value: object) -> str | None:
    return None if value is None or value in _REASONS else f"must be one of {', '.join(_REASONS)}"


Handler: TypeAlias = Callable[[AccountState, RouteRequest, Any], object]


@final
@frozen
class Control:
    """One control: its path, the form of its body (None if it has none), what it *returns*, and the success status.

    One that *is_large* has the whole JSON object as its body, which the handler reads itself. *codes* are its own error
    codes.
    """

    path: str
    handler: Handler
    form: Schema | None
    returns: type
    status: int = 200
    method: str = field(default="POST", kw_only=True)
    is_large: bool = field(default=False, kw_only=True)
    codes: tuple[str, ...] = field(default=("not_found",), kw_only=True)

    def respond(self, state: AccountState, request: RouteRequest) -> SimulatedResponse:
        """Parse the body, carry out the control, and return the response."""
        given: object = request.fields
        if not self.is_large:
            given = None if self.form is None else parse_body(self.form, self.form.model, request.fields)
        if isinstance(given, SimulatedResponse):
            return given
        try:
            return json_response(self.handler(state, request, given), self.status)
        except ControlError as error:
            return invalid_request(error.details) if error.details else error_response(404, "not_found", str(error))


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


def deliver(state: AccountState, request: RouteRequest, _: None) -> StatusResponse:
    """Deliver a queued or sent message."""
    return _status(controls.set_status(state, request.id, "DELIVERED", request.now))


def read(state: AccountState, request: RouteRequest, _: None) -> StatusResponse:
    """Let a delivered message be read, or an email be opened."""
    return _status(controls.set_status(state, request.id, "READ", request.now))


def fail(state: AccountState, request: RouteRequest, given: DeliveryFailure) -> StatusResponse:
    """Let the delivery of a queued or sent message fail: `{"reason"}`."""
    return _status(controls.fail(state, request.id, given.reason, request.now))


def expire(state: AccountState, request: RouteRequest, _: None) -> StatusResponse:
    """Let a queued or sent message expire."""
    return _status(controls.set_status(state, request.id, "EXPIRED", request.now))


def top_up(state: AccountState, request: RouteRequest, given: DashboardTopUp) -> Balance:
    """Add to the free balance, as the dashboard does: `{"amount"}`."""
    controls.top_up(state, given.amount, request.now)
    return state.wallet.balance


def set_balance(state: AccountState, request: RouteRequest, given: FreeBalance) -> Balance:
    """Set the free balance, without a transaction: `{"free"}`."""
    controls.set_balance(state, given.free, request.now)
    return state.wallet.balance


def _status(entry: LogEntry) -> StatusResponse:
    return StatusResponse(message_id=entry.id, status=entry.status)


_FAILURE: Final = Schema(DeliveryFailure, {"reason": _check_reason})
_TOP_UP: Final = Schema(DashboardTopUp, {"amount": amount_problem})
_BALANCE: Final = Schema(FreeBalance, {"free": amount_problem})
_REPLY: Final = Schema(UserReply, {"agent_id": non_empty, "user": phone_number, "text": any_string})
_TAP: Final = Schema(SuggestionTap, {"message_id": non_empty, "text": non_empty})
_REJECTION: Final = Schema(AgentRejection, {"reason": non_empty})
_DECISION: Final = Schema(
    CarrierDecision, {"carrier": one_of(Carrier), "status": one_of(CarrierStatus), "reason": non_empty}
)
_HALT: Final = Schema(CampaignHalt, {"status": one_of(HaltStatus)})
_FAILURES: Final = Schema(ExecutionFailures, {"executions": _check_count})

CONTROLS: Final = (
    Control("/_sandbox/replies", reply, _REPLY, ReceivedResponse, 201),
    Control("/_sandbox/taps", tap, _TAP, ReceivedResponse, 201),
    Control("/_sandbox/messages/{id}/deliver", deliver, None, StatusResponse),
    Control("/_sandbox/messages/{id}/read", read, None, StatusResponse),
    Control("/_sandbox/messages/{id}/fail", fail, _FAILURE, StatusResponse),
    Control("/_sandbox/messages/{id}/expire", expire, None, StatusResponse),
    Control("/_sandbox/topup", top_up, _TOP_UP, Balance, codes=()),
    Control("/_sandbox/balance", set_balance, _BALANCE, Balance, codes=()),
    Control("/_sandbox/agents/{id}/approve", approve, None, ReviewedResponse),
    Control("/_sandbox/agents/{id}/reject", reject, _REJECTION, ReviewedResponse),
    Control("/_sandbox/agents/{id}/launch", launch, _DECISION, CarrierResponse),
    Control("/_sandbox/campaigns/{id}/halt", halt, _HALT, HaltedResponse),
    Control("/_sandbox/campaigns/{id}/fail", fail_executions, _FAILURES, FailedResponse),
    Control("/_sandbox/consents/{id}/confirm", confirm, None, ConfirmedResponse),
)
"""The controls of what the account has. The table of routes and the OpenAPI document are made from them."""
