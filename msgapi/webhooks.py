"""Webhooks: the endpoints to which the service sends its events (docs: /api/webhooks/overview).

What arrives there is read by `events`. The docs don't show the bodies of the answers.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Final, final
from urllib.parse import urlsplit

from attrs import field, frozen

from .calls import Call, Caller
from .forms import Form, ask
from .guesses import keep
from .layout import lay_flat
from .paging import MANY, follow
from .privacy import hidden
from .results import Detail, Result
from .rules import Found, many, optional, url, written

__all__ = [
    "FORMS",
    "Changes",
    "Done",
    "Endpoint",
    "Endpoints",
    "NewEndpoint",
    "create",
    "delete",
    "list",
    "pages",
    "test",
    "update",
]

_ROUTE: Final = "/v1/webhooks"
_ONE: Final = f"{_ROUTE}/{{webhook_id}}"


@final
@frozen(kw_only=True)
class NewEndpoint:
    """An endpoint to be made: an https *url*, the names of its *events*, and a *secret* of the caller's choice.

    A *url* of this machine itself may be http: the service can't reach it, but a sandbox can. The
    examples in the docs begin secrets with `whsec_`; nothing is said of their length.
    """

    url: str = field(repr=hidden)
    events: tuple[str, ...]
    secret: str = field(repr=hidden)


@final
@frozen(kw_only=True)
class Changes:
    """What `update` is to change; None leaves a field as it is. A new *secret* signs from then on."""

    url: str | None = field(default=None, repr=hidden)
    events: tuple[str, ...] | None = None
    secret: str | None = field(default=None, repr=hidden)


@final
@frozen(kw_only=True)
class Endpoint:
    """An endpoint; its *id* is a UUID."""

    id: str
    url: str | None = field(default=None, repr=hidden)
    events: tuple[str, ...] = ()
    created_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Endpoints:
    """One page of endpoints; *next_cursor* leads to the next one. How they are paged, if at all, the docs don't say."""

    webhooks: tuple[Endpoint, ...]
    next_cursor: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Done:
    """It was done; what the service said of it is in *extra*."""

    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


def create(endpoint: NewEndpoint) -> Call[Endpoint]:
    """Make the call that makes an endpoint.

    No idempotency key is documented here, so it is never repeated by itself once a byte may have left.
    """
    return ask("POST", _ROUTE, Endpoint, body=endpoint, form=_NEW)


def list(  # noqa: A001 - the name of the route; read as `webhooks.list`
    *, cursor: str | None = None, limit: int | None = None
) -> Call[Endpoints]:
    """Make the call that reads one page of endpoints.

    That they come by *cursor* and *limit* is how we read the docs, which name this a list and say no more.
    """
    return ask("GET", _ROUTE, Endpoints, query={"cursor": (written, cursor), "limit": (MANY, limit)})


async def pages(api: Caller, *, limit: int | None = None) -> AsyncIterator[Result[Endpoints]]:
    """Read the endpoints page by page to the last; an error is given once, and ends it.

    So does a cursor that leads back to where it came from.
    """
    async for page in follow(api, lambda at: list(cursor=at, limit=limit)):
        yield page


def update(webhook_id: str, changes: Changes) -> Call[Done]:
    """Make the call that changes an endpoint, or its secret. It may be repeated."""
    return ask("PATCH", _ONE, Done, ids={"webhook_id": webhook_id}, body=changes, form=_CHANGES)


def delete(webhook_id: str) -> Call[Done]:
    """Make the call that deletes an endpoint. It may be repeated; the second time it is `NotFound`."""
    return ask("DELETE", _ONE, Done, ids={"webhook_id": webhook_id})


def test(webhook_id: str) -> Call[Done]:
    """Make the call that has a made-up event sent to an endpoint; never repeated by itself."""
    return ask("POST", f"{_ONE}/test", Done, ids={"webhook_id": webhook_id})


def _something(changes: Changes) -> tuple[Detail, ...]:
    return (Detail("", "must change something"),) if changes == Changes() else ()


def _target(value: object) -> Found:
    said = _https(value)
    local = said is not None and isinstance(value, str) and _http(value) is None and _is_loopback(value)
    return None if local else said


def _is_loopback(address: str) -> bool:
    from ipaddress import ip_address

    host = urlsplit(address).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


_https: Final = url("https")
_http: Final = url("http")
_NEW: Final = Form(NewEndpoint, {"url": _target, "events": many(written, 1), "secret": written})
_CHANGES: Final = Form(
    Changes,
    {"url": optional(_target), "events": optional(many(written, 1)), "secret": optional(written)},
    _something,
)
FORMS: Final = (_NEW, _CHANGES)
"""What may be sent, for whoever reads it."""

lay_flat(NewEndpoint, Changes)
keep(Endpoint, same={"webhook_id": "id"})
keep(Endpoints, array="webhooks", same={"endpoints": "webhooks"})
keep(Done)
