"""Validation: the documented limits of a message, checked before it is sent, and by the sandbox.

Rules:
- Checking never raises, whatever type the fields have.
- A detail names the field by its path on the wire and states the limit and the size found. It quotes neither
  recipient nor content.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, final, get_args

from attrs import NOTHING, field, fields_dict, frozen

from ..codegen import checker
from ..results import Detail
from ..schema.free_json import json_object
from ..schema.validators import (
    CHECKS,
    UNCHECKABLE,
    Problem,
    Validator,
    any_string,
    aware_datetime,
    degrees,
    duration,
    email_address,
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
from .wire import PATHS, encode_postback

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

    def check(self, value: object) -> list[Detail] | None:
        """Return the problems found in *value*, one of the models; None if there are none. Never raise."""
        kind, details = type(value), None
        if not self.are_valid[kind](value):
            details = self._find_problems(value)
        if kind in self.whole:
            details = [*(details or ()), *problems_of("", self.whole[kind], value)]
        return details

    def _find_problems(self, value: object) -> list[Detail]:
        details: list[Detail] = []
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
