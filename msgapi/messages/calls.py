"""Calls: send, list, read and revoke messages; and the documented limits of a message, which `send` checks.

The sandbox checks a message by the same limits.

Rules:
- No function raises for its input: problems are in the `invalid` of the call, which is then not sent.
- `list` is the name of the route, and shadows the built-in in this module only.
- Checking never raises, whatever type the fields have. A detail names the field by its path on the wire and states the
  limit and the size found. It quotes neither recipient nor content.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
from contextlib import aclosing
from datetime import date, datetime
from typing import Any, Final, Literal, TypedDict, Unpack, final, get_args

from attrs import NOTHING, field, fields_dict, frozen

from ..calls import Call, Caller, new_key
from ..codec import to_json
from ..codegen import checker, constructor
from ..results import ApiError, Detail, Ok, Result
from ..schema.cursor_pages import Progress, incomplete, iterate_rows, missing_cursor, odd_rows
from ..schema.free_json import json_object
from ..schema.requests import build_call, check_key, make_invalid
from ..schema.validators import (
    CHECKS,
    UNCHECKABLE,
    Problem,
    Validator,
    any_string,
    aware_datetime,
    date_or_datetime,
    degrees,
    duration,
    email_address,
    integer,
    non_empty,
    one_of,
    optional,
    phone_number,
    prefix_path,
    problems_of,
    single_line,
    string,
    tuple_of,
    url,
)
from .models import (
    Accepted,
    Card,
    CardWidth,
    Carousel,
    CreateCalendarEvent,
    Dial,
    Direction,
    Email,
    Media,
    MediaHeight,
    Message,
    MessageRecord,
    MessageType,
    OpenUrl,
    OpenUrlInWebview,
    Orientation,
    Page,
    Reply,
    Revoked,
    RichCard,
    ShareLocation,
    Status,
    Suggestion,
    Text,
    TrafficType,
    ViewLocation,
)
from .wire import PATHS, encode_postback

ROUTE: Final = "/v1/messages"
_ONE: Final = f"{ROUTE}/{{message_id}}"
_call: Final = constructor(Call[Accepted])
_DIRECTION: Final = one_of(Direction)
_STATUS: Final = one_of(Status)
_MESSAGE_TYPE: Final = one_of(MessageType)
_MAX_POSTBACK: Final = 2048


@final
@frozen(kw_only=True)
class UseCase:
    """The message and traffic types that an agent with one use case may send (docs: /learn/rcs-agents)."""

    message_types: tuple[MessageType, ...]
    traffic_types: tuple[TrafficType, ...]


USE_CASES: Final[Mapping[str, UseCase]] = {
    "OTP": UseCase(message_types=("MESSAGE",), traffic_types=("AUTHENTICATION",)),
    "TRANSACTIONAL": UseCase(
        message_types=("MESSAGE", "CONVERSATION"), traffic_types=("TRANSACTION", "SERVICEREQUEST", "ACKNOWLEDGEMENT")
    ),
    "PROMOTIONAL": UseCase(message_types=("MESSAGE", "NEWSLETTER"), traffic_types=("PROMOTION",)),
    "MULTI_USE": UseCase(message_types=get_args(MessageType), traffic_types=get_args(TrafficType)),
}
"""The message and traffic types that an agent may send, by its use case.

Only the service knows the use case of an agent, and `MULTI_USE` allows every pair. So `check` accepts every pair of
known values; the service refuses the others.
"""


def check(message: Message, *, strict: bool = True) -> tuple[Detail, ...]:
    """Return the problems found in *message*, by the documented limits; empty if valid. Never raise.

    A value that is not a message, or a field of a wrong type, is a problem too. Some rules are stricter than the docs;
    if *strict* is false, they do not apply: a `ttl` is then any line of text, and a calendar event may end when it
    starts, or before.
    """
    kind: object = type(message)  # by identity: a metaclass may raise when it is compared
    if kind is not Text and kind is not Email and kind is not RichCard and kind is not Carousel:
        return (Detail("", f"must be one of {_names(_MESSAGES)}"),)
    return tuple(_STRICT.check(message) or ()) if strict else tuple(_DOCUMENTED.check(message) or ())


def _postback(value: object) -> Problem:
    # The limit applies to the base64 form.
    problem = any_string(value)
    if problem is not None or not isinstance(value, str):
        return problem
    size = len(encode_postback(value))
    return f"must have at most {_MAX_POSTBACK} characters in base64, and has {size}" if size > _MAX_POSTBACK else None


def _names(kinds: tuple[type, ...]) -> str:
    return ", ".join(kind.__name__ for kind in kinds)


_Entry = tuple[str, str, Validator, object]  # name and path of a field, its validator, and its default if valid


@final
@frozen(eq=False)
class _Limits:
    """The validators of the fields of each model, and the rules over several fields."""

    fields: dict[type, tuple[_Entry, ...]] = field(factory=dict, init=False)
    are_valid: dict[type, Callable[[object], bool]] = field(factory=dict, init=False)  # all fields at once, faster
    whole: Mapping[type, Callable[[Any], Iterable[Detail]]]

    def model(self, *kinds: type) -> Validator:
        """Return a validator for a value of one of the classes *kinds*."""

        def validate(value: object) -> Problem:
            if type(value) in kinds:
                return self.check(value)
            return f"must be one of {_names(kinds)}"

        return validate

    def check(self, value: object) -> Sequence[Detail] | None:
        """Return the problems found in *value*, one of the models; None if there are none. Never raise."""
        kind, details = type(value), None
        if not self.are_valid[kind](value):
            details = self._find_problems(value)
        if kind in self.whole:
            details = [*(details or ()), *problems_of("", self.whole[kind], value)]
        return details

    def _find_problems(self, value: object) -> Sequence[Detail]:
        details: MutableSequence[Detail] = []
        kind = type(value)
        for name, path, validate, valid in self.fields[kind]:
            part = getattr(value, name)
            if part is valid:
                continue
            try:
                problem = validate(part)
                if problem is not None:
                    details += prefix_path(path, problem)
            except Exception:  # noqa: BLE001 - a method of the value raised
                details.append(Detail(path, UNCHECKABLE))
        return details


def _valid_default(kind: type, name: str, validate: Validator) -> object:
    # A field that has its default is not checked again, if the default is valid.
    default: object = fields_dict(kind)[name].default
    return default if validate(default) is None else NOTHING


# Rules over more than one field.


def _check_card(card: Card) -> Iterator[Detail]:
    if all(_is_empty(part) for part in (card.title, card.description, card.media, card.suggestions)):
        yield Detail("", "must have a title, a description, media or suggestions")


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str | tuple) and not value)


def _check_event(event: CreateCalendarEvent) -> Iterator[Detail]:
    start, end = event.start_time, event.end_time
    if aware_datetime(start) is None and aware_datetime(end) is None and end <= start:
        yield Detail(PATHS[CreateCalendarEvent]["end_time"], "must be after start_time")


def _check_email(email: Email) -> Iterator[Detail]:
    if email.template_id is None:
        if _is_empty(email.html) and _is_empty(email.text):
            yield Detail("content", "is required without a template_id")
        if email.subject is None:
            yield Detail("subject", "is required without a template_id")
        for name in ("template_version", "template_data"):
            if getattr(email, name) is not None:
                yield Detail(name, "must not be given without a template_id")
    elif email.html is not None or email.text is not None:
        yield Detail("template_id", "must not be given beside content")


_MESSAGES: Final = get_args(Message)

# The table of limits; lengths are counted in Unicode code points.

_link: Final = url("http", "https")
_file: Final = url("https")
_action: Final[Mapping[str, Validator]] = {"text": string(25), "fallback_url": optional(_link)}


def _make_limits(*, strict: bool) -> _Limits:
    whole: dict[type, Callable[[Any], Iterable[Detail]]] = {Card: _check_card, Email: _check_email}
    if strict:
        whole[CreateCalendarEvent] = _check_event
    limits = _Limits(whole)
    chip, card = limits.model(*get_args(Suggestion)), limits.model(Card)
    rcs: Mapping[str, Validator] = {
        "agent_id": non_empty,
        "to": phone_number,
        "message_type": one_of(MessageType),
        "traffic_type": one_of(TrafficType),
        "ttl": optional(duration if strict else single_line),
    }
    validators: Mapping[type, Mapping[str, Validator]] = {
        Reply: {"text": string(25), "postback_data": optional(_postback)},
        OpenUrl: {**_action, "url": _link},
        OpenUrlInWebview: {**_action, "url": _link},
        Dial: {**_action, "phone_number": phone_number},
        ViewLocation: {**_action, "latitude": degrees(90), "longitude": degrees(180), "label": optional(any_string)},
        ShareLocation: _action,
        CreateCalendarEvent: {
            **_action,
            "title": non_empty,
            "start_time": aware_datetime,
            "end_time": aware_datetime,
            "description": optional(any_string),
        },
        Media: {"url": _file, "thumbnail_url": optional(_file), "height": optional(one_of(MediaHeight))},
        Card: {
            "title": optional(string(200, empty=True)),
            "description": optional(string(2000, empty=True)),
            "media": optional(limits.model(Media)),
            "suggestions": tuple_of(chip, 0, 4),
        },
        Text: {**rcs, "text": string(3072), "suggestions": tuple_of(chip, 0, 11)},
        RichCard: {**rcs, "orientation": one_of(Orientation), "card": card},
        Carousel: {**rcs, "card_width": one_of(CardWidth), "cards": tuple_of(card, 2, 10)},
        Email: {
            "channel_id": non_empty,
            "to": email_address,
            "message_type": one_of(Literal["MESSAGE", "NEWSLETTER"]),
            "subject": optional(single_line),
            "html": optional(any_string),
            "text": optional(any_string),
            "template_id": optional(non_empty),
            "template_version": optional(non_empty),
            "template_data": optional(json_object),
        },
    }
    for kind, named in validators.items():
        limits.fields[kind] = tuple(
            (name, PATHS[kind][name], validate, _valid_default(kind, name, validate))
            for name, validate in named.items()
        )
        limits.are_valid[kind] = checker([(name, validate, valid) for name, _, validate, valid in limits.fields[kind]])
    return limits


_STRICT: Final = _make_limits(strict=True)
_DOCUMENTED: Final = _make_limits(strict=False)
CHECKS.update(dict.fromkeys(PATHS, _STRICT.check))


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
    the call returns `Invalid` with details and is not sent. If *strict* is False, it checks the documented rules only:
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
    return _build(message, details, key)


def send_unkeyed(message: Message) -> Call[Accepted]:
    """Return the call of `send` without an idempotency key, to be given one by `Call.under` before it is sent."""
    return _build(message, check(message), None)


def _build(message: Message, details: tuple[Detail, ...], key: str | None) -> Call[Accepted]:
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

    *limit* is 1 to 200 messages, 50 by default, starting at *offset*. *direction*, *status*, *channel_id*,
    *contact_id*, *campaign_id* and *message_type* select messages; None selects all. *since* and *until* are
    inclusive: a date, or a datetime with a time zone. On the wire, and so in details, they are `from` and `to`. If a
    parameter is not valid, the call returns `Invalid` with details and is not sent.
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
