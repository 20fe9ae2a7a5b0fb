"""The routes of webhook endpoints: create, list, update, delete and test them (docs: /api/webhooks/overview)."""

from collections.abc import Mapping
from typing import Final, final

from attrs import evolve, frozen

from ... import webhooks
from ...results import Detail
from ...webhooks import EVENT_TYPES
from ..http.requests import RouteRequest, parse_body
from ..http.responses import SimulatedResponse, created, format_time, invalid_request, json_response, not_found
from ..model.state import AccountState
from ..model.webhooks import EmittedEvent, Endpoint

_CONSENT: Final = "contact_id consent_record_id channel_type message_type status source doi_status"
EVENT_FIELDS: Final[Mapping[str, str]] = {
    "message.queued": "message_id agent_id to status queued_at",
    "message.delivered": "message_id agent_id to status delivered_at",
    "message.read": "message_id agent_id to status read_at",
    "message.failed": "message_id agent_id to status failed_at failure_reason",
    "message.expired": "message_id agent_id to status expired_at",
    "message.revoked": "message_id agent_id revoked_at",
    "conversation.started": "agent_id from session_expires_at user_message",
    "conversation.ended": "agent_id with ended_at reason",
    "email.delivered": "message_id channel_id to subject delivered_at",
    "email.bounced": "message_id channel_id to bounce_type bounce_code bounce_message bounced_at",
    "email.opened": "message_id channel_id to opened_at",
    "email.clicked": "message_id channel_id to url clicked_at",
    "email.complained": "message_id channel_id to complained_at",
    "email.unsubscribed": "message_id channel_id to unsubscribed_at",
    "agent.approved": "agent_id display_name approved_at",
    "agent.rejected": "agent_id display_name rejected_at reason",
    "contact.created": "contact_id source created_at",
    "contact.updated": "contact_id updated_fields updated_at",
    "consent.created": f"{_CONSENT} enforced_doi created_at",
    "consent.updated": f"{_CONSENT} previous_status updated_at",
    "billing.balance_low": "balance threshold currency",
    "billing.auto_reload_success": "amount_added currency balance payment_method reloaded_at",
    "billing.auto_reload_failed": "attempted_amount currency failure_reason balance failed_at",
}
"""The fields that the docs show for the data of each event."""

_VALUES: Final[Mapping[str, object]] = {
    "message_id": "msg_test",
    "agent_id": "ag_live_test",
    "channel_id": "ch_test",
    "contact_id": "c_test",
    "consent_record_id": "cr_test",
    "to": "+447700900000",
    "from": "+447700900000",
    "with": "+447700900000",
    "failure_reason": "UNKNOWN_RCS_USER",
    "user_message": {"type": "text", "text": "A test"},
    "reason": "ttl_expired",
    "subject": "A test",
    "bounce_type": "hard",
    "bounce_code": "550",
    "bounce_message": "No such mailbox.",
    "url": "https://link.example/",
    "display_name": "A test",
    "source": "API",
    "updated_fields": ["status"],
    "channel_type": "EMAIL",
    "message_type": "NEWSLETTER",
    "status": "GRANTED",
    "previous_status": "PENDING",
    "enforced_doi": False,
    "doi_status": None,
    "balance": {"free": 9.5, "reserved": 0.5, "total": 10.0},
    "threshold": 10.0,
    "currency": "EUR",
    "amount_added": 50.0,
    "attempted_amount": 50.0,
    "payment_method": "credit_card",
}
_OTHER: Final[Mapping[str, Mapping[str, object]]] = {
    "email": {"to": "ada@shop.example"},
    "billing": {"failure_reason": "card_declined"},
    "agent": {"reason": "A test"},
}


def sample_data(event: str, now: float) -> dict[str, object]:
    """Return made-up data of an *event* at *now*."""
    noun, _, verb = event.partition(".")
    values = {**_VALUES, **_OTHER.get(noun, {}), **({"status": verb} if noun == "message" else {})}
    return {name: format_time(now) if name.endswith("_at") else values[name] for name in EVENT_FIELDS[event].split()}


_NEW, _CHANGES = webhooks.SCHEMAS


@final
@frozen(kw_only=True)
class DeletedResponse:
    """The endpoint is deleted."""

    success: bool


@final
@frozen(kw_only=True)
class WebhookTestResponse:
    """A made-up event is scheduled."""

    success: bool
    event_id: str
    event: str


def create(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Create an endpoint."""
    given = parse_body(_NEW, webhooks.NewEndpoint, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    details = _unknown_events(given.events)
    if details:
        return invalid_request(details)
    endpoint = Endpoint(
        id=state.new_uuid(),
        url=given.url,
        events=_without_duplicates(given.events),
        secret=given.secret,
        created_at=request.now,
    )
    state.endpoints.put(endpoint)
    return created(endpoint.to_json(), f"/v1/webhooks/{endpoint.id}")


def list_endpoints(state: AccountState, _: RouteRequest) -> SimulatedResponse:
    """List the endpoints, oldest first."""
    return json_response({"webhooks": [one.to_json() for one in state.endpoints]})


def update(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Update the URL, the events or the secret of an endpoint."""
    found = state.endpoints.find(request.id)
    if found is None:
        return not_found("webhook endpoint")
    given = parse_body(_CHANGES, webhooks.EndpointChanges, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    details = _unknown_events(given.events or ())
    if details:
        return invalid_request(details)
    events = found.events if given.events is None else _without_duplicates(given.events)
    updated = evolve(found, url=given.url or found.url, events=events, secret=given.secret or found.secret)
    state.endpoints.put(updated)
    return json_response(updated.to_json())


def delete(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Delete an endpoint with its pending deliveries."""
    if not state.endpoints.remove(request.id):
        return not_found("webhook endpoint")
    state.webhook_queue.remove_endpoint(request.id)
    return json_response(DeletedResponse(success=True))


def test(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Schedule a made-up event for one endpoint: the first of those that it subscribes to."""
    found = state.endpoints.find(request.id)
    if found is None:
        return not_found("webhook endpoint")
    name = found.events[0]
    event = EmittedEvent(id=state.new_id("evt_"), event=name, at=request.now, data=sample_data(name, request.now))
    state.webhook_queue.schedule(event, [found.id], request.now)
    return json_response(WebhookTestResponse(success=True, event_id=event.id, event=name))


def _unknown_events(events: tuple[str, ...]) -> list[Detail]:
    return [
        Detail(f"events[{at}]", "is not a known event") for at, event in enumerate(events) if event not in EVENT_TYPES
    ]


def _without_duplicates(events: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(events))
