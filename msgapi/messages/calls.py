"""Calls: send, list, read and revoke messages.

Rules:
- No function raises for its input: problems are in the `invalid` of the call, which is then not sent.
- `list` is the name of the route, and shadows the built-in in this module only.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import date, datetime
from typing import Final, TypedDict, Unpack

from ..calls import Call, Caller, new_key
from ..codec import to_json
from ..codegen import constructor
from ..results import ApiError, Detail, Ok, Result
from ..schema.cursor_pages import Progress, incomplete, iterate_rows, missing_cursor, odd_rows
from ..schema.requests import build_call, check_key, make_invalid
from ..schema.validators import UNCHECKABLE, date_or_datetime, integer, non_empty, one_of
from .models import Accepted, Direction, Message, MessageRecord, MessageType, Page, Revoked, Status
from .validation import check

ROUTE: Final = "/v1/messages"
_ONE: Final = f"{ROUTE}/{{message_id}}"
_call: Final = constructor(Call[Accepted])
_DIRECTION: Final = one_of(Direction)
_STATUS: Final = one_of(Status)
_MESSAGE_TYPE: Final = one_of(MessageType)


class Filters(TypedDict, total=False):
    """The filters of `list` and `pages`; None is the same as omitting a filter."""

    direction: Direction | None
    status: Status | None
    channel_id: str | None
    contact_id: str | None
    campaign_id: str | None
    message_type: MessageType | None
    since: datetime | date | None
    until: datetime | date | None


def send(message: Message, *, idempotency_key: str | None = None, strict: bool = True) -> Call[Accepted]:
    """Return the call that sends *message* (docs: /api/messages/overview). It may be repeated.

    *idempotency_key* is 1 to 255 visible ASCII characters and defaults to a new UUID. The key and the body are
    fixed here, so awaiting the call again is the same operation. If `check` finds problems, or the key is not valid,
    the call returns `Invalid` with details and is not sent. With `strict=False` it checks the documented rules only:
    a `ttl` may have any form, and a calendar event may end when it starts. `Ok` means that the message is queued, not
    delivered.

    Errors to expect: `InsufficientBalance`; `Forbidden` for an agent or sender that is not approved; `NotFound` for
    an unknown id or a recipient without RCS; `Unprocessable` for a conversation without an open session
    (`no_active_session`), and for a recipient without consent or on the suppression list; `Throttled` for the rate
    limit and for a second newsletter on one day.
    """
    key_problem = None if idempotency_key is None else check_key(idempotency_key)
    details = (*check(message, strict=strict), key_problem) if key_problem else check(message, strict=strict)
    key = None if key_problem else new_key() if idempotency_key is None else str.__str__(idempotency_key)
    if not details:
        try:
            return _call("POST", ROUTE, Accepted, (), to_json(message), key)
        except Exception:  # noqa: BLE001 - a method of a value raised, or its second answer was not the first
            details = (Detail("", UNCHECKABLE),)
    return Call("POST", ROUTE, Accepted, idempotency_key=key, invalid=make_invalid(details))


def get(message_id: str) -> Call[MessageRecord]:
    """Return the call that reads one message of the log (docs: /api/messages/get-message). It may be repeated.

    An unknown id is `NotFound`.
    """
    return build_call("GET", _ONE, MessageRecord, path_params={"message_id": message_id})


def revoke(message_id: str) -> Call[Revoked]:
    """Return the call that revokes a message before delivery (docs: /api/messages/revoke-and-status).

    It has no idempotency key, so it is not repeated automatically once a byte may have been sent. A message that is
    delivered already or unknown is `NotFound`. The docs do not say what the service answers for a message that is
    revoked already.
    """
    return build_call("DELETE", _ONE, Revoked, path_params={"message_id": message_id})


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
    """Return the call that reads one page of the log (docs: /api/messages/list-messages). It may be repeated.

    *limit* is 1 to 200 messages, starting at *offset*. *since* and *until* are inclusive: a date, or a datetime with
    a time zone. On the wire, and so in details, they are `from` and `to`. If a parameter is not valid, the call
    returns `Invalid` with details and is not sent.
    """
    query = {
        "limit": (integer(1, 200), limit),
        "offset": (integer(0, 2**63 - 1), offset),
        "direction": (_DIRECTION, direction),
        "status": (_STATUS, status),
        "channel_id": (non_empty, channel_id),
        "contact_id": (non_empty, contact_id),
        "campaign_id": (non_empty, campaign_id),
        "message_type": (_MESSAGE_TYPE, message_type),
        "from": (date_or_datetime, since),
        "to": (date_or_datetime, until),
    }
    return build_call("GET", ROUTE, Page, query=query)


async def pages(api: Caller, *, limit: int = 200, **filters: Unpack[Filters]) -> AsyncGenerator[Result[Page], None]:
    """Yield the pages of the log, up to the last (docs: /api/messages/list-messages).

    *limit* is 1 to 200 messages a page, *filters* are those of `list`. An error is yielded once and ends the
    iteration. So does an empty page, which is not yielded: a page may have fewer messages than *limit*. A page whose
    messages were all in the pages before it is not yielded either. A row that cannot be read is in the `extra` of its
    page, in a list under `messages`.

    The last result is an `Unreadable` with the code `incomplete_list` if the log may not be whole: three pages in a
    row have nothing new, as if the service ignored the offset, or an empty page says that there are more.

    The service counts from the newest message, so a message can be yielded twice while others arrive; compare the
    ids.
    """
    offset, progress = 0, Progress()
    while True:
        result = await api(list(limit=limit, offset=offset, **filters))
        if not isinstance(result, Ok):
            yield result
            return
        page = result.value
        odd = odd_rows(page.extra, "messages")
        offset += len(page.messages) + len(odd)
        if progress.add([*(one.id for one in page.messages), *map(repr, odd)]):
            yield result
            continue
        has_rows = page.messages or odd
        problem = progress.problem if has_rows else missing_cursor(page.extra)
        if problem is not None:
            yield incomplete(problem, result.meta)
        if problem is not None or not has_rows:
            return


async def iterate(
    api: Caller, *, limit: int = 200, **filters: Unpack[Filters]
) -> AsyncGenerator[MessageRecord | ApiError, None]:
    """Yield the messages of the log one by one, the newest first: `async for item in messages.iterate(client)`.

    The item is one of these:

    - A `MessageRecord`.
    - An `Unreadable` with the code `unreadable_row`: one row could not be read, and its fields are in *extra*. The
      iteration continues.
    - Any other error. It is the last item: the list was not read to its end, or may not be whole (`incomplete_list`).

    *limit* and *filters* are those of `pages`. A message that is found again, because others arrived meanwhile, is not
    yielded again.
    """
    rows = iterate_rows(pages(api, limit=limit, **filters), _messages_of, "messages", _id_of)
    async with aclosing(rows):
        async for row in rows:
            yield row


def _messages_of(page: Page) -> tuple[MessageRecord, ...]:
    return page.messages


def _id_of(message: MessageRecord) -> str:
    return message.id
