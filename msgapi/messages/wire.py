"""The wire: the one table of where messages stand in JSON, for writing, reading and naming fields.

The docs name the actions but show the inner fields of `open_url` only. Those of `dial`,
`view_location`, `create_calendar_event` and `open_url_in_webview` are our reading; they stand in
this table and nowhere else. The same goes for `suggestions` under `content`.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from ..codec import Problems
from ..codec import read as read_model
from ..codec.converter import Mismatch
from ..results import Detail
from ..schema.undocumented import allow_undocumented
from ..schema.wire_mapping import FieldCodec, discriminate, map_fields, normalise, value_at
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

Object: TypeAlias = dict[str, Any]


def encode(text: str) -> str:
    """Write *text* as base64 of its UTF-8, as postback data go over the wire."""
    return b64encode(text.encode()).decode()


def _decode(value: object) -> str:
    try:
        if isinstance(value, str):
            return b64decode(value, validate=True).decode()
    except ValueError:
        pass
    raise Mismatch("must be base64 of UTF-8")


def _action(model: type, mark: str, *names: str) -> Mapping[str, str]:
    inner = {name: f"action.{mark}.{name}" for name in names}
    common = {"text": "action.text", "fallback_url": "action.fallback_url"}
    return map_fields(model, {**common, **inner}, mark=f"action.{mark}")


_POSTBACK: Final = FieldCodec(encode, _decode)
_ALONE: Final = "content.rich_card.standalone"
_ROW: Final = "content.rich_card.carousel"
PATHS: Final[Mapping[type, Mapping[str, str]]] = {
    Reply: map_fields(
        Reply,
        {"text": "reply.text", "postback_data": "reply.postback_data"},
        coders={"postback_data": _POSTBACK},
    ),
    OpenUrl: _action(OpenUrl, "open_url", "url"),
    OpenUrlInWebview: _action(OpenUrlInWebview, "open_url_in_webview", "url"),
    Dial: _action(Dial, "dial", "phone_number"),
    ViewLocation: _action(ViewLocation, "view_location", "latitude", "longitude", "label"),
    ShareLocation: _action(ShareLocation, "share_location"),
    CreateCalendarEvent: _action(
        CreateCalendarEvent, "create_calendar_event", "title", "start_time", "end_time", "description"
    ),
    Media: map_fields(Media, {}),
    Card: map_fields(Card, {}),
    Text: map_fields(Text, {"text": "content.text", "suggestions": "content.suggestions"}),
    RichCard: map_fields(RichCard, {"orientation": f"{_ALONE}.orientation", "card": f"{_ALONE}.content"}),
    Carousel: map_fields(Carousel, {"card_width": f"{_ROW}.card_width", "cards": f"{_ROW}.cards"}),
    Email: map_fields(Email, {"html": "content.html", "text": "content.text"}),
}
"""For each model, the path of each field from the object that stands for the model."""

discriminate(
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
    """Read the parsed JSON body of `POST /v1/messages` into its model, or say what is wrong where.

    Strict, as the other end of `send`: an unknown field is refused, since a misspelt one that is
    passed over is worse, and a field that `send` always writes must be there. Limits and enums are
    the matter of `check`. An `idempotency_key` in the body, which the docs allow beside the header,
    is checked to be a string and otherwise left to whoever keeps the keys.
    """
    if not isinstance(value, dict):
        return read_model(value, Text)
    problems: list[Detail] = []
    if "idempotency_key" in value:
        if not isinstance(value["idempotency_key"], str):
            problems.append(Detail("idempotency_key", "must be a string"))
        value = {name: part for name, part in value.items() if name != "idempotency_key"}
    if value.get("agent_id") is not None and value.get("channel_id") is not None:
        problems.append(Detail("channel_id", "must not be given beside agent_id"))
        value = {name: part for name, part in value.items() if name != "channel_id"}
    problems += _ambiguous(value)
    message: Message | Problems = read_model(value, _model_of(value))
    if isinstance(message, Problems):
        return Problems((*problems, *message.details))
    return Problems(tuple(problems)) if problems else message


def _model_of(value: Object) -> type[Message]:
    if value.get("channel_id") is not None:
        return Email
    if _has(value, "content", "rich_card", "carousel"):
        return Carousel
    return RichCard if _has(value, "content", "rich_card") else Text


def _ambiguous(value: Object) -> list[Detail]:
    found = []
    if _has(value, "content", "rich_card") and _has(value, "content", "text"):
        found.append(Detail("content", "must have exactly one of text, rich_card"))
    if _has(value, "content", "rich_card", "standalone") and _has(value, "content", "rich_card", "carousel"):
        found.append(Detail("content.rich_card", "must have exactly one of standalone, carousel"))
    return found


def _has(value: Object, *path: str) -> bool:
    try:
        return value_at(value, path) is not None
    except Mismatch:
        return False


# Answers: the docs show more than one form of them (section and page differ); these are made one.


def _accepted(value: Object) -> Object:
    if "message_id" not in value:
        value = _named(value, "message_id", "id")
    if "in_session" in value or "mau_charged" in value:
        billing = value.get("billing") or {}
        beside = {name: value[name] for name in ("in_session", "mau_charged") if name in value}
        value = {**value, "billing": {**beside, **billing} if isinstance(billing, dict) else billing}
    return value


def _named(value: Object, name: str, other: str) -> Object:
    return {**value, name: value[other]} if name not in value and other in value else value


def _logged(value: Object) -> Object:
    value = _named(value, "id", "message_id")
    status, content = value.get("status"), value.get("content")
    if isinstance(status, str) and not status.isupper():
        value = {**value, "status": status.upper()}
    if isinstance(content, dict) and _has(content, "rich_card", "standalone"):
        value = {**value, "content": {**content, "rich_card": _nested(content["rich_card"])}}
    return value


def _nested(rich_card: Object) -> Object:
    standalone = rich_card["standalone"]
    parts = ("title", "description", "media", "suggestions")
    if not isinstance(standalone, dict) or "content" in standalone or not standalone.keys() & set(parts):
        return rich_card
    card = {name: standalone[name] for name in parts if name in standalone}
    rest = {name: part for name, part in standalone.items() if name not in card}
    return {**rich_card, "standalone": {**rest, "content": card}}


def _revoked(value: Object) -> Object:
    return _named(value, "id", "message_id")


normalise(Accepted, _accepted)
normalise(MessageRecord, _logged)
normalise(Revoked, _revoked)
allow_undocumented(Page)
