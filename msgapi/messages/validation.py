"""Limits: what the contract allows in a message, checked before the wire and by the sandbox alike.

Rules:
- Checking never raises, whatever an untyped caller put into a field.
- A detail names the field by its path on the wire, says the limit and what was found in numbers,
  and quotes neither recipient nor content.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, final, get_args

from attrs import NOTHING, fields_dict, frozen

from ..results import Detail
from ..schema.validators import (
    Problem,
    Rule,
    address,
    any_text,
    aware_time,
    degrees,
    duration,
    items,
    json,
    nonempty_text,
    number,
    one_of,
    optional,
    prefix_path,
    single_line,
    string,
    url,
)
from .models import (
    Card,
    CardWidth,
    Carousel,
    CreateCalendarEvent,
    Dial,
    Email,
    Media,
    MediaHeight,
    Message,
    MessageType,
    OpenUrl,
    OpenUrlInWebview,
    Orientation,
    Reply,
    RichCard,
    ShareLocation,
    Suggestion,
    Text,
    TrafficType,
    ViewLocation,
)
from .wire import PATHS, encode

_POSTBACK_MOST: Final = 2048


@final
@frozen(kw_only=True)
class UseCase:
    """What an agent with this use case may send (docs: /learn/rcs-agents)."""

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
"""Which message and traffic types go together, by the use case of the agent.

Only the service knows the use case of an agent, and `MULTI_USE` allows every pair. So `check`
refuses no pair, only values that no use case has; the rest is for the service to refuse.
"""


def check(message: Message) -> tuple[Detail, ...]:
    """Tell what is wrong with *message* by the documented limits; nothing if it can be sent.

    Anything that is not a message, and any value of a wrong type in one, is a detail as well.
    """
    if type(message) not in _MESSAGES:
        return (Detail("", f"must be one of {_names(_MESSAGES)}"),)
    return tuple(_parts(message) or ())


def _postback(value: object) -> Problem:
    # Text that is short enough in base64, as it goes over the wire.
    said = any_text(value)
    if said is not None or not isinstance(value, str):
        return said
    size = len(encode(value))
    return f"must have at most {_POSTBACK_MOST} characters in base64, and has {size}" if size > _POSTBACK_MOST else None


def _names(kinds: tuple[type, ...]) -> str:
    return ", ".join(kind.__name__ for kind in kinds)


def _a(*kinds: type) -> Rule:
    def rule(value: object) -> Problem:
        return _parts(value) if type(value) in kinds else f"must be one of {_names(kinds)}"

    return rule


def _parts(value: object) -> list[Detail] | None:
    details: list[Detail] | None = None  # made only where something is wrong: every message that is sent comes by
    kind = type(value)
    for name, path, rule, good in _PLANS[kind]:
        part = getattr(value, name)
        if part is good:
            continue
        found = rule(part)
        if found is not None:
            details = [*(details or ()), *prefix_path(path, found)]
    if kind in _WHOLES:
        details = [*(details or ()), *_WHOLES[kind](value)]
    return details


def _good(kind: type, name: str, rule: Rule) -> object:
    # The default of a field, which needs no look if it keeps to the rule.
    default: object = fields_dict(kind)[name].default
    return default if rule(default) is None else NOTHING


# What concerns more than one field.


def _card(card: Card) -> Iterator[Detail]:
    if all(_is_empty(part) for part in (card.title, card.description, card.media, card.suggestions)):
        yield Detail("", "must have a title, a description, media or suggestions")


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str | tuple) and not value)


def _event(event: CreateCalendarEvent) -> Iterator[Detail]:
    start, end = event.start_time, event.end_time
    if aware_time(start) is None and aware_time(end) is None and end <= start:
        yield Detail(PATHS[CreateCalendarEvent]["end_time"], "must be after start_time")


def _email(email: Email) -> Iterator[Detail]:
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
_WHOLES: Final[Mapping[type, Callable[[Any], Iterator[Detail]]]] = {
    Card: _card,
    CreateCalendarEvent: _event,
    Email: _email,
}

# The table of limits; lengths are counted in Unicode code points.

_link: Final = url("http", "https")
_file: Final = url("https")
_action: Final[Mapping[str, Rule]] = {"text": string(25), "fallback_url": optional(_link)}
_chip: Final = _a(*get_args(Suggestion))
_rcs: Final[Mapping[str, Rule]] = {
    "agent_id": nonempty_text,
    "to": number,
    "message_type": one_of(MessageType),
    "traffic_type": one_of(TrafficType),
    "ttl": optional(duration),
}
_RULES: Final[Mapping[type, Mapping[str, Rule]]] = {
    Reply: {"text": string(25), "postback_data": optional(_postback)},
    OpenUrl: {**_action, "url": _link},
    OpenUrlInWebview: {**_action, "url": _link},
    Dial: {**_action, "phone_number": number},
    ViewLocation: {**_action, "latitude": degrees(90), "longitude": degrees(180), "label": optional(any_text)},
    ShareLocation: _action,
    CreateCalendarEvent: {
        **_action,
        "title": nonempty_text,
        "start_time": aware_time,
        "end_time": aware_time,
        "description": optional(any_text),
    },
    Media: {"url": _file, "thumbnail_url": optional(_file), "height": optional(one_of(MediaHeight))},
    Card: {
        "title": optional(string(200, empty=True)),
        "description": optional(string(2000, empty=True)),
        "media": optional(_a(Media)),
        "suggestions": items(_chip, 0, 4),
    },
    Text: {**_rcs, "text": string(3072), "suggestions": items(_chip, 0, 11)},
    RichCard: {**_rcs, "orientation": one_of(Orientation), "card": _a(Card)},
    Carousel: {**_rcs, "card_width": one_of(CardWidth), "cards": items(_a(Card), 2, 10)},
    Email: {
        "channel_id": nonempty_text,
        "to": address,
        "message_type": one_of(Literal["MESSAGE", "NEWSLETTER"]),
        "subject": optional(single_line),
        "html": optional(any_text),
        "text": optional(any_text),
        "template_id": optional(nonempty_text),
        "template_version": optional(nonempty_text),
        "template_data": optional(json),
    },
}
_PLANS: Final = {
    kind: tuple((name, PATHS[kind][name], rule, _good(kind, name, rule)) for name, rule in rules.items())
    for kind, rules in _RULES.items()
}
