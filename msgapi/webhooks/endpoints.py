"""Webhook endpoints: the URLs to which the service sends its events (docs: /api/webhooks/overview).

Rules:
- Each function returns a call and does no I/O. It never raises for its input: what is wrong with it is in the call's
  `invalid`, and is the result of the call (`Invalid`, as the service returns it).
- The documentation does not show the bodies of the responses. They are read by likely names, and what is not
  recognised is kept in `extra`.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Final, final
from urllib.parse import urlsplit

from attrs import field

from ..calls import Call, Caller
from ..config import may_use_http
from ..models import frozen
from ..redact import hidden
from ..results import ApiError, Detail, Result
from ..schema.cursor_pages import PAGE_SIZE, follow_pages, iterate_rows
from ..schema.mapping import map_answer, map_fields_by_name
from ..schema.requests import Schema, build_call
from ..schema.validators import Problem, non_empty, optional, single_line, tuple_of, url

_ROUTE: Final = "/v1/webhooks"
_ONE: Final = f"{_ROUTE}/{{webhook_id}}"


@final
@frozen(kw_only=True)
class NewEndpoint:
    """An endpoint to create: its *url*, the names of its *events*, and the *secret* that signs the deliveries.

    *url* is https; a loopback address, and a host that the environment variable `MSGAPI_ALLOW_HTTP` lists, may be
    http, so that a sandbox can deliver to it. *events* has at least
    one name; all names are in `EVENT_TYPES`. *secret* is chosen by the caller, not empty, and a single line. The
    examples in the documentation begin with `whsec_`; a minimum length is not documented.
    """

    url: str = field(repr=hidden)
    events: tuple[str, ...]
    secret: str = field(repr=hidden)


@final
@frozen(kw_only=True)
class EndpointChanges:
    """The changes of `update`. A field that is None stays as it is; at least one must be set.

    The service signs with a new *secret* from then on. Verify with the old and the new one meanwhile.
    """

    url: str | None = field(default=None, repr=hidden)
    events: tuple[str, ...] | None = None
    secret: str | None = field(default=None, repr=hidden)


@final
@frozen(kw_only=True)
class WebhookEndpoint:
    """An endpoint of the account; *id* is a UUID. The secret is not returned."""

    id: str
    url: str | None = field(default=None, repr=hidden)
    events: tuple[str, ...] = ()
    created_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class EndpointPage:
    """One page of endpoints. *next_cursor* is the cursor of the next page, or None on the last one.

    The documentation does not say whether endpoints are paged.
    """

    webhooks: tuple[WebhookEndpoint, ...]
    next_cursor: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Confirmation:
    """A success without documented content; *extra* is the body of the response."""

    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


def create(endpoint: NewEndpoint) -> Call[WebhookEndpoint]:
    """Return a call that creates an endpoint (docs: /api/webhooks/overview).

    No idempotency key is documented for it, so the client does not repeat it once a byte may have been sent.
    """
    return build_call("POST", _ROUTE, WebhookEndpoint, body=endpoint, schema=_NEW)


def list(  # noqa: A001 - the name of the route; read as `webhooks.list`
    *, cursor: str | None = None, limit: int | None = None
) -> Call[EndpointPage]:
    """Return a call that lists one page of endpoints (docs: /api/webhooks/overview). It may be repeated.

    *cursor* is the `next_cursor` of the page before; None is the first page. *limit* is the largest number of
    endpoints in a page, at least 1; None leaves it to the service. Neither parameter is documented for this
    route: they are those of the other lists.
    """
    return build_call("GET", _ROUTE, EndpointPage, query={"cursor": (non_empty, cursor), "limit": (PAGE_SIZE, limit)})


async def pages(api: Caller, *, limit: int | None = None) -> AsyncGenerator[Result[EndpointPage], None]:
    """Yield the pages of endpoints, from the first to the last. *limit* is that of `list`.

    An error is yielded as the last result. If the list may not be whole, it is an `Unreadable` with the code
    `incomplete_list`.
    """
    results = follow_pages(api, lambda at: list(cursor=at, limit=limit), "webhooks")
    async with aclosing(results):
        async for page in results:
            yield page


async def iterate(api: Caller, *, limit: int | None = None) -> AsyncGenerator[WebhookEndpoint | ApiError, None]:
    """Yield the endpoints one by one: `async for item in webhooks.iterate(client)`.

    *limit* is that of `list`.

    The item is one of these:

    - A `WebhookEndpoint`.
    - An `Unreadable` with the code `unreadable_row`: one row could not be read, and its fields are in *extra*. The
      iteration continues.
    - Any other error. It is the last item: the list was not read to its end, or may not be whole (`incomplete_list`).
    """
    rows = iterate_rows(pages(api, limit=limit), lambda page: page.webhooks, "webhooks")
    async with aclosing(rows):
        async for row in rows:
            yield row


def update(webhook_id: str, changes: EndpointChanges, *, strict: bool = True) -> Call[Confirmation]:
    """Return a call that changes an endpoint or its secret (docs: /api/webhooks/overview).

    It has no idempotency key, so it is not repeated automatically once a byte may have been sent.

    Empty *changes* are invalid if *strict*.
    """
    params = {"webhook_id": webhook_id}
    return build_call("PATCH", _ONE, Confirmation, path_params=params, body=changes, schema=_CHANGES, strict=strict)


def delete(webhook_id: str) -> Call[Confirmation]:
    """Return a call that deletes an endpoint (docs: /api/webhooks/overview).

    It has no idempotency key, so it is not repeated automatically once a byte may have been sent. If its answer was
    lost and it is called again, `NotFound` can mean that the first call succeeded.
    """
    return build_call("DELETE", _ONE, Confirmation, path_params={"webhook_id": webhook_id})


def test(webhook_id: str) -> Call[Confirmation]:
    """Return a call that makes the service send a made-up event to an endpoint (docs: /api/webhooks/overview).

    It has no idempotency key, so the client does not repeat it once a byte may have been sent.
    """
    return build_call("POST", f"{_ONE}/test", Confirmation, path_params={"webhook_id": webhook_id})


def _check_not_empty(changes: EndpointChanges) -> tuple[Detail, ...]:
    return (Detail("", "must change something"),) if changes == EndpointChanges() else ()


def _check_url(value: object) -> Problem:
    problem = _https(value)
    if problem is not None and isinstance(value, str) and _http(value) is None:
        allowed = may_use_http(urlsplit(value).hostname or "")
        return None if allowed else f"{problem}, unless MSGAPI_ALLOW_HTTP lists its host"
    return problem


_https: Final = url("https")
_http: Final = url("http")
_NEW: Final = Schema(NewEndpoint, {"url": _check_url, "events": tuple_of(non_empty, 1), "secret": single_line})
_CHANGES: Final = Schema(
    EndpointChanges,
    {"url": optional(_check_url), "events": optional(tuple_of(non_empty, 1)), "secret": optional(single_line)},
    check_own=_check_not_empty,
)
SCHEMAS: Final = (_NEW, _CHANGES)
"""The rules for the request bodies, for the sandbox."""

map_fields_by_name(NewEndpoint, EndpointChanges)
map_answer(WebhookEndpoint, aliases={"webhook_id": "id"})
map_answer(EndpointPage, array="webhooks", aliases={"endpoints": "webhooks"})
map_answer(Confirmation)
