"""Routes: the calls that send, list, read and revoke messages.

Rules:
- No function raises for its input: what the limits refuse is in the call's `invalid`.
- `list` is the name of the route, and shadows the built-in here and nowhere else.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime
from typing import Final, TypedDict, TypeVar, Unpack
from urllib.parse import quote

from ..calls import Api, Call, new_key
from ..codec import dump
from ..results import Detail, Invalid, Ok, Result
from .limits import check, check_key
from .models import Accepted, Direction, Logged, Message, MessageType, Page, Revoked, Status
from .rules import Rule, below, day, one_of, optional, segment, whole, written

T = TypeVar("T")
_ROUTE: Final = "/v1/messages"


class Filters(TypedDict, total=False):
    """What `list` and `pages` can be asked for; None is the same as leaving it out."""

    direction: Direction | None
    status: Status | None
    channel_id: str | None
    contact_id: str | None
    campaign_id: str | None
    message_type: MessageType | None
    since: datetime | date | None
    until: datetime | date | None


def send(message: Message, *, idempotency_key: str | None = None) -> Call[Accepted]:
    """Make the call that sends *message* (docs: /api/messages/overview).

    The *idempotency_key*, a fresh UUID if none is given, and the body are fixed here: awaiting the
    call again is the same operation. What `check` finds comes back as `Invalid` when it is awaited.
    """
    wrong = None if idempotency_key is None else check_key(idempotency_key)
    details = (*check(message), wrong) if wrong else check(message)
    name = None if wrong else idempotency_key or new_key()
    if details:
        return Call("POST", _ROUTE, Accepted, idempotency_key=name, invalid=_invalid(details))
    return Call("POST", _ROUTE, Accepted, (), dump(message), name)


def get(message_id: str) -> Call[Logged]:
    """Make the call that reads one message of the log (docs: /api/messages/get-message)."""
    return _one("GET", message_id, Logged)


def revoke(message_id: str) -> Call[Revoked]:
    """Make the call that takes a message back before delivery (docs: /api/messages/revoke-and-status).

    It may be repeated; what the service answers for a message that is revoked already, the docs leave open.
    """
    return _one("DELETE", message_id, Revoked)


def list(  # noqa: A001 - the name of the route; read as `messages.list`
    *,
    limit: int = 50,
    offset: int = 0,
    direction: Direction | None = None,
    status: Status | None = None,
    channel_id: str | None = None,
    contact_id: str | None = None,
    campaign_id: str | None = None,
    message_type: MessageType | None = None,
    since: datetime | date | None = None,
    until: datetime | date | None = None,
) -> Call[Page]:
    """Make the call that reads one page of the log (docs: /api/messages/list-messages).

    *limit* is 1 to 200 messages, from the one at *offset*. *since* and *until* are included: a date,
    or a datetime with a time zone. They are `from` and `to` on the wire, and so in the details.
    """
    given = {
        "limit": limit,
        "offset": offset,
        "direction": direction,
        "status": status,
        "channel_id": channel_id,
        "contact_id": contact_id,
        "campaign_id": campaign_id,
        "message_type": message_type,
        "from": since,
        "to": until,
    }
    details = tuple(detail for name, rule in _QUERY.items() for detail in below(name, rule(given[name])))
    if details:
        return Call("GET", _ROUTE, Page, invalid=_invalid(details))
    query = tuple((name, _text(value)) for name, value in given.items() if value is not None)
    return Call("GET", _ROUTE, Page, query)


async def pages(api: Api, *, limit: int = 200, **filters: Unpack[Filters]) -> AsyncIterator[Result[Page]]:
    """Read the log page by page until a short one; an error is given once, and ends it.

    The service counts from the newest message: while messages arrive, one can be shown twice. Go by
    its id.
    """
    offset = 0
    while True:
        result = await api(list(limit=limit, offset=offset, **filters))
        yield result
        if not isinstance(result, Ok) or len(result.value.messages) < limit:
            return
        offset += len(result.value.messages)


def _one(method: str, message_id: str, model: type[T]) -> Call[T]:
    details = tuple(below("message_id", segment(message_id)))
    if details:
        return Call(method, f"{_ROUTE}/", model, invalid=_invalid(details))
    return Call(method, f"{_ROUTE}/{quote(message_id, safe='')}", model)


def _invalid(details: tuple[Detail, ...]) -> Invalid:
    return Invalid(message="; ".join(f"{one.field} {one.message}".strip() for one in details), details=details)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else f"{value}"


_QUERY: Final[Mapping[str, Rule]] = {
    "limit": whole(1, 200),
    "offset": whole(0, 2**63 - 1),
    "direction": optional(one_of(Direction)),
    "status": optional(one_of(Status)),
    "channel_id": optional(written),
    "contact_id": optional(written),
    "campaign_id": optional(written),
    "message_type": optional(one_of(MessageType)),
    "from": optional(day),
    "to": optional(day),
}
