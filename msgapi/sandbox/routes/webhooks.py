"""The routes of webhook endpoints: create, list, update, delete and test them (docs: /api/webhooks/overview)."""

from typing import final

from attrs import evolve, frozen

from ... import webhooks
from ...results import Detail
from ...webhooks import EVENT_TYPES
from ..http.requests import RouteRequest, parse_body
from ..http.responses import SimulatedResponse, created, invalid_request, json_response, not_found
from ..model.event_samples import sample_data
from ..model.state import AccountState
from ..model.webhooks import EmittedEvent, Endpoint

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
