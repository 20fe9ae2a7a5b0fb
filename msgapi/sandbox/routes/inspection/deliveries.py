"""The webhook endpoints, and each delivery of an event to one of them, with its attempts."""

from datetime import datetime
from typing import Literal, final

from attrs import frozen

from .... import webhooks
from ...http.requests import RouteRequest
from ...http.responses import to_datetime
from ...model.state import AccountState
from ...model.webhooks import DeliveryRecord
from .listing import Query, after_cursor, counted_page, page


@final
@frozen(kw_only=True)
class EndpointView:
    """A webhook endpoint; its secret is never shown."""

    id: str
    url: str
    events: tuple[str, ...]
    created_at: datetime


@final
@frozen(kw_only=True)
class EndpointViews:
    """One page of webhook endpoints."""

    data: tuple[EndpointView, ...]
    next_cursor: str | None


@final
@frozen(kw_only=True)
class AttemptView:
    """One attempt to deliver an event; *status* is null if there was no response, for the *reason*."""

    number: int
    at: datetime
    status: int | None
    reason: str


@final
@frozen(kw_only=True)
class DeliveryView:
    """The delivery of an event to an endpoint. *url* and *signature* are null if the endpoint was deleted.

    *body* is the exact text that is sent, and *signature* the value of its signature header.
    """

    id: str
    event_id: str
    event: str
    webhook_id: str
    url: str | None
    at: datetime
    body: str
    signature: str | None
    state: Literal["pending", "delivered", "failed"]
    next_attempt_at: datetime | None
    attempts: tuple[AttemptView, ...]


@final
@frozen(kw_only=True)
class DeliveryViews:
    """One page of deliveries."""

    data: tuple[DeliveryView, ...]
    next_cursor: str | None


def endpoints(state: AccountState, _: RouteRequest, query: Query) -> EndpointViews:
    """List the webhook endpoints, oldest first."""
    data, following = counted_page(
        state.endpoints,
        query,
        lambda one: EndpointView(id=one.id, url=one.url, events=one.events, created_at=to_datetime(one.created_at)),
    )
    return EndpointViews(data=data, next_cursor=following)


def deliveries(state: AccountState, _: RouteRequest, query: Query) -> DeliveryViews:
    """List the deliveries, newest first."""
    webhook_id, event = query.get("webhook_id"), query.get("event")
    found = (
        one
        for one in after_cursor(state.webhook_queue.deliveries(), query)
        if webhook_id in {None, one.webhook_id} and event in {None, one.event.event}
    )
    records, following = page(found, query, lambda one: one)
    due = state.webhook_queue.due_times({one.id for one in records})
    return DeliveryViews(data=tuple(_view(state, one, due.get(one.id)) for one in records), next_cursor=following)


def _view(state: AccountState, record: DeliveryRecord, due: float | None) -> DeliveryView:
    event, endpoint, body = record.event, state.endpoints.find(record.webhook_id), record.event.body()
    delivered = any(one.succeeded for one in record.attempts)
    return DeliveryView(
        id=record.id,
        event_id=event.id,
        event=event.event,
        webhook_id=record.webhook_id,
        url=None if endpoint is None else endpoint.url,
        at=to_datetime(event.at),
        body=body.decode(),
        signature=None if endpoint is None else webhooks.sign(body, secret=endpoint.secret),
        state="pending" if due is not None else "delivered" if delivered else "failed",
        next_attempt_at=None if due is None else to_datetime(due),
        attempts=tuple(
            AttemptView(number=one.attempt, at=to_datetime(one.at), status=one.status, reason=one.reason)
            for one in record.attempts
        ),
    )
