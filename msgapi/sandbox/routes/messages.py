"""The routes of messages: send one, read the log, and revoke one (docs: /api/messages)."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any, Final, TypeAlias

from attrs import evolve

from ... import messages
from ...messages.models import Email, Message
from ..http.codecs import read_message
from ..http.requests import (
    MAX_PAGE_SIZE,
    PAGE_SIZE,
    Parser,
    RouteRequest,
    parse_choice,
    parse_date_or_time,
    parse_integer,
    parse_query,
)
from ..http.responses import (
    SimulatedResponse,
    error_response,
    format_time,
    invalid_request,
    json_response,
    not_found,
    to_datetime,
)
from ..model.agents import SandboxAgent
from ..model.faults import Fault, fault_response, find_fault
from ..model.inspection import DIRECTIONS
from ..model.messages import NOT_DELIVERED, QUERY_STATUSES, LogEntry
from ..model.state import AccountState
from ..rules.acceptance import (
    accept,
    charge_for,
    check_recipient,
    find_sender,
    insufficient_balance,
    list_price,
    newsletter_cap_reached,
)
from ..rules.lifecycle import change_status

Filter: TypeAlias = Callable[[LogEntry], bool]
_FIELDS: Final = ("direction", "status", "channel_id", "contact_id", "campaign_id", "message_type")
_PARSERS: Final[Mapping[str, Parser]] = {
    **dict.fromkeys(_FIELDS, str),
    "direction": parse_choice(*DIRECTIONS),
    "status": parse_choice(*QUERY_STATUSES),
    "message_type": parse_choice("MESSAGE", "CONVERSATION", "NEWSLETTER"),
    "from": parse_date_or_time,
    "to": parse_date_or_time,
    "limit": parse_integer(1, MAX_PAGE_SIZE),
    "offset": parse_integer(0, 2**63 - 1),
}


def send(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Validate a message, hold its price, and queue it (docs: /api/messages/overview)."""
    message, details = read_message(request.fields)
    if message is not None:
        details = messages.check(message)
    if message is None or details:
        return invalid_request(details)
    sender = find_sender(state, message)
    if isinstance(sender, SimulatedResponse):
        return sender
    if not isinstance(message, Email) and isinstance(sender, SandboxAgent) and sender.agent_id != message.agent_id:
        message = evolve(message, agent_id=sender.agent_id)
    fault = find_fault(message.to)
    refused = (_fault_response(state, message, request, fault) if fault else None) or check_recipient(state, message)
    charge = refused or charge_for(state, message, request.now)
    if isinstance(charge, SimulatedResponse):
        return charge
    response = accept(state, request, message, charge, channel_id=sender.channel_id)
    if fault is None:
        return response
    return evolve(response, lost=fault == "lost", delay=state.slow if fault == "slow" else 0.0)


def _fault_response(
    state: AccountState, message: Message, request: RouteRequest, fault: Fault
) -> SimulatedResponse | None:
    if fault.endswith("-once") and not state.faults.is_first(f"{fault} {message.to} {request.key}".encode()):
        return None
    match fault:
        case "402":
            reserved = float(state.wallet.reserved)
            balance = {"free": 0.0, "reserved": reserved, "total": reserved}
            return insufficient_balance(balance, list_price(state, message).price)
        case "404" if not isinstance(message, Email):
            return error_response(404, "not_rcs_capable", "The recipient's device cannot receive RCS.")
        case "430":
            return newsletter_cap_reached(request.now)
        case _:
            return fault_response(fault)


def list_messages(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """List messages, newest first (docs: /api/messages/list-messages)."""
    query = parse_query(request.query, _PARSERS)
    if isinstance(query, SimulatedResponse):
        return query
    limit, offset = query.pop("limit", PAGE_SIZE), query.pop("offset", 0)
    filters = [_filter_by(name, value) for name, value in query.items()]
    found = (entry for entry in state.log.newest_first() if all(matches(entry) for matches in filters))
    start = min(offset, len(state.log))
    return json_response({"messages": [entry.summary() for entry in islice(found, start, start + limit)]})


def _filter_by(name: str, value: Any) -> Filter:  # noqa: ANN401 - what the parser of this name returns
    match name, value:
        case "from", (start, _):
            return lambda entry: to_datetime(entry.created_at) >= start
        case "to", (_, end):
            return lambda entry: to_datetime(entry.created_at) < end
        case _:
            return partial(_has_value, name, value)


def _has_value(name: str, value: object, entry: LogEntry) -> bool:
    found: object = getattr(entry, name)
    return found == value


def show(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Return one message with its content and events (docs: /api/messages/get-message)."""
    entry = state.log.find(request.id)
    return not_found("message") if entry is None else json_response(entry.to_json())


def revoke(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Revoke a message that is not delivered yet (docs: /api/messages/revoke-and-status)."""
    entry = state.log.find(request.id)
    if entry is None:
        return not_found("message")
    if entry.status == "REVOKED":
        return error_response(409, "already_revoked", "The message was revoked before.")
    if entry.status in NOT_DELIVERED:
        message = "The message was not delivered and will not be: there is nothing to revoke."
        return error_response(409, "wrong_state", message, message_status=entry.status)
    revoked = change_status(state, request.id, "REVOKED", request.now)
    if revoked is None:
        return error_response(404, "already_delivered", "The message cannot be revoked any more.")
    return json_response({"id": revoked.id, "status": revoked.status, "revoked_at": format_time(request.now)})
