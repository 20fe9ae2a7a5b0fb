"""Wire: the one table that maps messages to JSON, used for writing, reading and naming fields.

The docs name the actions, but show only the inner fields of `open_url`. The inner fields of `dial`, `view_location`,
`create_calendar_event` and `open_url_in_webview` are assumptions, made in this table and nowhere else. So is
`suggestions` under `content`.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from ..codec import Problems, from_dict
from ..codec.converter import Mismatch, json_type_name
from ..results import Detail
from ..schema.mapping import FieldCodec, map_answer, map_answer_by, map_fields, map_union, value_at
from .models import (
    Accepted,
    Card,
    Carousel,
    CreateCalendarEvent,
    Dial,
    Email,
    Media,
    Message,
    MessageRecord,
    OpenUrl,
    OpenUrlInWebview,
    Page,
    Reply,
    Revoked,
    RichCard,
    ShareLocation,
    Suggestion,
    Text,
    ViewLocation,
)

JsonObject: TypeAlias = dict[str, Any]


def encode_postback(text: str) -> str:
    """Return *text* as base64 of its UTF-8, the form of postback data on the wire (docs: /api/rcs/send-message)."""
    return b64encode(text.encode()).decode()


def _decode_postback(value: object) -> str:
    try:
        if isinstance(value, str):
            return b64decode(value, validate=True).decode()
    except ValueError:
        pass
    raise Mismatch("must be base64 of UTF-8")


def _map_action(model: type, action: str, *names: str) -> Mapping[str, str]:
    inner = {name: f"action.{action}.{name}" for name in names}
    common = {"text": "action.text", "fallback_url": "action.fallback_url"}
    return map_fields(model, {**common, **inner}, marker=f"action.{action}")


_POSTBACK: Final = FieldCodec(encode_postback, _decode_postback)
_STANDALONE: Final = "content.rich_card.standalone"
_CAROUSEL: Final = "content.rich_card.carousel"
PATHS: Final[Mapping[type, Mapping[str, str]]] = {
    Reply: map_fields(
        Reply,
        {"text": "reply.text", "postback_data": "reply.postback_data"},
        codecs={"postback_data": _POSTBACK},
    ),
    OpenUrl: _map_action(OpenUrl, "open_url", "url"),
    OpenUrlInWebview: _map_action(OpenUrlInWebview, "open_url_in_webview", "url"),
    Dial: _map_action(Dial, "dial", "phone_number"),
    ViewLocation: _map_action(ViewLocation, "view_location", "latitude", "longitude", "label"),
    ShareLocation: _map_action(ShareLocation, "share_location"),
    CreateCalendarEvent: _map_action(
        CreateCalendarEvent, "create_calendar_event", "title", "start_time", "end_time", "description"
    ),
    Media: map_fields(Media, {}),
    Card: map_fields(Card, {}),
    Text: map_fields(Text, {"text": "content.text", "suggestions": "content.suggestions"}),
    RichCard: map_fields(RichCard, {"orientation": f"{_STANDALONE}.orientation", "card": f"{_STANDALONE}.content"}),
    Carousel: map_fields(Carousel, {"card_width": f"{_CAROUSEL}.card_width", "cards": f"{_CAROUSEL}.cards"}),
    Email: map_fields(Email, {"html": "content.html", "text": "content.text"}),
}
"""For each model, the path of each field in the JSON object of the model."""

map_union(
    Suggestion,
    {
        "reply": Reply,
        "action.open_url": OpenUrl,
        "action.open_url_in_webview": OpenUrlInWebview,
        "action.dial": Dial,
        "action.view_location": ViewLocation,
        "action.share_location": ShareLocation,
        "action.create_calendar_event": CreateCalendarEvent,
    },
)


def read(value: object) -> Message | Problems:
    """Return the message read from *value*, the parsed JSON body of `POST /v1/messages`, or the problems found.

    It is for bodies that another program or a person has written, such as those of template files. Reading is strict:
    an unknown field is a problem, because ignoring a misspelt one is worse, and a field that `send` always writes is
    required, such as `message_type`. Limits and enums are validated by `check`. An `idempotency_key` in the body, which
    the docs allow beside the header, must be a string and is otherwise ignored: pass it to `send`.
    """
    if not isinstance(value, dict):
        return from_dict(value, Text)
    problems: list[Detail] = []
    if "idempotency_key" in value:
        if not isinstance(value["idempotency_key"], str):
            problems.append(Detail("idempotency_key", "must be a string"))
        value = {name: part for name, part in value.items() if name != "idempotency_key"}
    if value.get("agent_id") is not None and value.get("channel_id") is not None:
        problems.append(Detail("channel_id", "must not be given beside agent_id"))
        value = {name: part for name, part in value.items() if name != "channel_id"}
    problems += _find_ambiguous(value)
    message: Message | Problems = from_dict(value, _choose_model(value))
    if isinstance(message, Problems):
        return Problems((*problems, *message.details))
    return Problems(tuple(problems)) if problems else message


def _choose_model(value: JsonObject) -> type[Message]:
    if value.get("channel_id") is not None:
        return Email
    if _has(value, "content", "rich_card", "carousel"):
        return Carousel
    return RichCard if _has(value, "content", "rich_card") else Text


def _find_ambiguous(value: JsonObject) -> list[Detail]:
    found = []
    if _has(value, "content", "rich_card") and _has(value, "content", "text"):
        found.append(Detail("content", "must have exactly one of text, rich_card"))
    if _has(value, "content", "rich_card", "standalone") and _has(value, "content", "rich_card", "carousel"):
        found.append(Detail("content.rich_card", "must have exactly one of standalone, carousel"))
    return found


def _has(value: JsonObject, *path: str) -> bool:
    try:
        return value_at(value, path) is not None
    except Mismatch:
        return False


# Answers: the docs show several forms of the same answer. They are normalised to one.

_BESIDE_BILLING: Final = ("in_session", "mau_charged")


def _normalise_accepted(value: JsonObject) -> JsonObject:
    value, billing = _rename_field(value, "message_id", "id"), value.get("billing")
    beside = {name: value[name] for name in _BESIDE_BILLING if name in value}
    if not beside or not isinstance(billing, dict | None):
        return value
    rest = {name: part for name, part in value.items() if name not in beside}
    return {**rest, "billing": {**beside, **(billing or {})}}


def _rename_field(value: JsonObject, name: str, other: str) -> JsonObject:
    if name in value or other not in value:
        return value
    return {name if given == other else given: part for given, part in value.items()}


def _normalise_record(value: JsonObject) -> JsonObject:
    return _rename_field(value, "id", "message_id")


def _read_status(value: object, _: object) -> str:
    if type(value) is str:
        return value if value.isupper() else value.upper()
    raise Mismatch(f"must be a string, not {json_type_name(value)}")


def _read_content(value: object, _: object) -> JsonObject:
    if not isinstance(value, dict):
        raise Mismatch(f"must be an object, not {json_type_name(value)}")
    if not _has(value, "rich_card", "standalone"):
        return value
    return {**value, "rich_card": _nest_card(value["rich_card"])}


def _nest_card(rich_card: JsonObject) -> JsonObject:
    standalone = rich_card["standalone"]
    parts = ("title", "description", "media", "suggestions")
    if not isinstance(standalone, dict) or "content" in standalone or not standalone.keys() & set(parts):
        return rich_card
    card = {name: standalone[name] for name in parts if name in standalone}
    rest = {name: part for name, part in standalone.items() if name not in card}
    return {**rich_card, "standalone": {**rest, "content": card}}


def _normalise_revoked(value: JsonObject) -> JsonObject:
    return _rename_field(value, "id", "message_id")


# An answer that calls its id otherwise lacks a required field, and is read in the other way for that.
map_answer_by(_normalise_accepted, Accepted, names=frozenset(_BESIDE_BILLING))
map_answer_by(
    _normalise_record,
    MessageRecord,
    names=frozenset(),
    hooks={"status": _read_status, "content": _read_content},
)
map_answer_by(_normalise_revoked, Revoked, names=frozenset())
map_answer(Page)
