"""Routes: the calls that send, list, read and revoke messages.

Rules:
- No function raises for its input: what the limits refuse is in the call's `invalid`.
- `list` is the name of the route, and shadows the built-in here and nowhere else.
"""

from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Final, TypedDict, Unpack

from ..calls import Call, Caller, new_key
from ..codec import dump
from ..codegen import constructor
from ..results import Ok, Result
from ..schema.requests import build_call, check_key, invalid
from ..schema.validators import day, nonempty_text, one_of, whole
from .models import Accepted, Direction, Message, MessageRecord, MessageType, Page, Revoked, Status
from .validation import check

ROUTE: Final = "/v1/messages"
_ONE: Final = f"{ROUTE}/{{message_id}}"
_call: Final = constructor(Call[Accepted])
_DIRECTION: Final = one_of(Direction)
_STATUS: Final = one_of(Status)
_MESSAGE_TYPE: Final = one_of(MessageType)


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
        return Call("POST", ROUTE, Accepted, idempotency_key=name, invalid=invalid(details))
    return _call("POST", ROUTE, Accepted, (), dump(message), name)


def get(message_id: str) -> Call[MessageRecord]:
    """Make the call that reads one message of the log (docs: /api/messages/get-message)."""
    return build_call("GET", _ONE, MessageRecord, ids={"message_id": message_id})


def revoke(message_id: str) -> Call[Revoked]:
    """Make the call that takes a message back before delivery (docs: /api/messages/revoke-and-status).

    It may be repeated; what the service answers for a message that is revoked already, the docs leave open.
    """
    return build_call("DELETE", _ONE, Revoked, ids={"message_id": message_id})


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
    query = {
        "limit": (whole(1, 200), limit),
        "offset": (whole(0, 2**63 - 1), offset),
        "direction": (_DIRECTION, direction),
        "status": (_STATUS, status),
        "channel_id": (nonempty_text, channel_id),
        "contact_id": (nonempty_text, contact_id),
        "campaign_id": (nonempty_text, campaign_id),
        "message_type": (_MESSAGE_TYPE, message_type),
        "from": (day, since),
        "to": (day, until),
    }
    return build_call("GET", ROUTE, Page, query=query)


async def pages(api: Caller, *, limit: int = 200, **filters: Unpack[Filters]) -> AsyncIterator[Result[Page]]:
    """Read the log page by page until an empty one, which is not given; an error is given once, and ends it.

    Nothing in a page says whether it is the last, and a service may give fewer messages than asked for. A
    page that shows nothing but what the one before has shown ends it too, for a service that passes over
    the offset. The service counts from the newest message: while messages arrive, one can be shown twice. Go by
    its id.
    """
    offset, before = 0, set[str]()
    while True:
        result = await api(list(limit=limit, offset=offset, **filters))
        ids = {one.id for one in result.value.messages} if isinstance(result, Ok) else set[str]()
        if isinstance(result, Ok) and ids <= before:
            return
        yield result
        if not isinstance(result, Ok):
            return
        offset, before = offset + len(result.value.messages), ids
