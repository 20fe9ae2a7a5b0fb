"""Webhooks: the routes that make, list, change, delete and test endpoints (docs: /api/webhooks/overview)."""

from attrs import evolve

from ... import webhooks
from ...results import Detail
from ...webhooks import EVENT_TYPES
from ..http.intake import take
from ..http.responses import Reply, invalid, made, refuse, say
from ..model.endpoints import Endpoint
from ..model.event_samples import sample
from ..model.outbox import Happening
from ..model.state import Ask, State

_NEW, _CHANGES = webhooks.FORMS


def create(state: State, ask: Ask) -> Reply:
    """Make an endpoint."""
    given = take(_NEW, webhooks.NewEndpoint, ask.value)
    if isinstance(given, Reply):
        return given
    details = _strangers(given.events)
    if details:
        return invalid(details)
    endpoint = Endpoint(
        id=state.new_uuid(), url=given.url, events=_once(given.events), secret=given.secret, created_at=ask.now
    )
    state.endpoints.put(endpoint)
    return made(endpoint.figures(), f"/v1/webhooks/{endpoint.id}")


def list_endpoints(state: State, _: Ask) -> Reply:
    """List the endpoints, the oldest first."""
    return say({"webhooks": [one.figures() for one in state.endpoints]})


def update(state: State, ask: Ask) -> Reply:
    """Change where an endpoint is, what it asks for, or its secret."""
    found = state.endpoints.find(ask.id)
    if found is None:
        return _unknown()
    given = take(_CHANGES, webhooks.EndpointChanges, ask.value)
    if isinstance(given, Reply):
        return given
    details = _strangers(given.events or ())
    if details:
        return invalid(details)
    events = found.events if given.events is None else _once(given.events)
    changed = evolve(found, url=given.url or found.url, events=events, secret=given.secret or found.secret)
    state.endpoints.put(changed)
    return say(changed.figures())


def delete(state: State, ask: Ask) -> Reply:
    """Delete an endpoint; nothing more goes there."""
    if not state.endpoints.drop(ask.id):
        return _unknown()
    state.couriers.drop(ask.id)
    return say({"success": True})


def test(state: State, ask: Ask) -> Reply:
    """Have a made-up event sent to one endpoint: the first of those that it asks for."""
    found = state.endpoints.find(ask.id)
    if found is None:
        return _unknown()
    event = found.events[0]
    made_up = Happening(id=state.new_id("evt_"), event=event, at=ask.now, data=sample(event, ask.now))
    state.couriers.bring(made_up, [found.id], ask.now)
    return say({"success": True, "event_id": made_up.id, "event": event})


def _strangers(events: tuple[str, ...]) -> list[Detail]:
    return [
        Detail(f"events[{at}]", "is not a known event") for at, event in enumerate(events) if event not in EVENT_TYPES
    ]


def _once(events: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(events))


def _unknown() -> Reply:
    return refuse(404, "not_found", "There is no such webhook endpoint.")
