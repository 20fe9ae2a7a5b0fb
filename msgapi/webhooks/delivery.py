"""Delivery: one event on the wire. Verify its signature, parse it, write it, sign it.

Rules:
- `read` verifies the raw bytes first and parses them afterwards. It never raises for what was sent, only for a wrong
  argument of the program.
- Signatures are compared in constant time, with every secret.
- An event with a valid signature is never refused because of its data: the service would repeat it and then drop it.
  What does not fit the documentation becomes an `UnknownEvent`, and invalid Unicode or numbers are replaced.
- No repr shows a secret or a body.
"""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal, cast, final

import orjson
from attrs import fields, frozen

from ..codec import Problems, is_nested_deeper, parse, to_plain
from ..codec import from_plain as read_model
from .events import EVENT_TYPES, ConversationEnded, ConversationStarted, Event, KnownEvent, UnknownEvent, UserMessage

SIGNATURE_HEADER: Final = "X-Arowana-Signature"
"""The HTTP header that carries the signature."""
_SCHEME: Final = "sha256="
_MAX_DEPTH: Final = 200  # levels of nesting in the data; orjson can read deeper JSON than it can write
_MAX_DIGITS: Final = 300  # a whole number of fewer digits fits a float
_EVENT_NAMES: Final = {model: name for name, model in EVENT_TYPES.items()}
_WIRE_NAMES: Final[Mapping[tuple[type, str], str]] = {
    (ConversationStarted, "user"): "from",
    (ConversationEnded, "user"): "with",
}
"""The fields that have another name on the wire."""
_DATA_FIELDS: Final[Mapping[type, tuple[str, ...]]] = {
    model: tuple(one.name for one in fields(model) if one.name not in {"id", "timestamp", "extra"})
    for model in (UserMessage, *EVENT_TYPES.values())
}


@final
@frozen
class InvalidDelivery:
    """A request that is not a delivery of the service. Answer it with the HTTP status *status*.

    *status* is 401 if the signature is missing or wrong, and 400 if a signed body is not an event. *reason*
    says what is wrong, quotes nothing of the request, and may be sent to the client.
    """

    status: Literal[400, 401]
    reason: str


def read(
    headers: Mapping[str, str] | Mapping[bytes, bytes], body: bytes, *, secret: str | Iterable[str]
) -> Event | InvalidDelivery:
    """Verify the signature of a delivery and return its event (docs: /api/webhooks/verify-requests).

    *headers* are those of the request; names are compared without regard to case. *body* must be the raw
    bytes of the request: JSON that was parsed and written again has another signature. *secret* is the secret
    of the endpoint, or several while one is being replaced.

    Return an `InvalidDelivery` if the signature or the body is wrong, and an `UnknownEvent` for an event that
    this version does not know or whose data are not as documented. Data that are not an object, or nested in
    more than 200 levels, are left out. Invalid Unicode becomes U+FFFD, and NaN becomes None.

    Raise TypeError if *body* is not bytes, and ValueError if a secret is empty or not valid Unicode.

    The service does not sign the time, so a copied delivery stays valid: ignore one whose `id` was handled
    before. A `Receiver` does that.
    """
    if not isinstance(body, bytes):
        raise TypeError(f"body must be the raw bytes of the request, not {type(body).__name__}")
    expected = [_signature(body, one) for one in parse_secrets(secret)]
    header = next((value for name, value in headers.items() if _text(name).lower() == SIGNATURE_HEADER.lower()), None)
    if header is None:
        return InvalidDelivery(401, f"there is no {SIGNATURE_HEADER} header")
    given = _text(header).strip().lower().encode(errors="replace")
    if not any([hmac.compare_digest(one, given) for one in expected]):  # noqa: C419 - every secret is compared
        return InvalidDelivery(401, "the signature does not match the body")
    value = parse(body)
    return _read_event(_parse_leniently(body) if isinstance(value, Problems) else value)


def write(event: Event) -> bytes:
    """Return *event* as the JSON body of a delivery; `read` returns an equal event for it.

    Fields that are None are left out. Raise TypeError for a value that JSON cannot hold, such as a whole
    number of more than 64 bits in `extra` or `data`.
    """
    if isinstance(event, UnknownEvent):
        name, data = event.event, dict(event.data)
    else:
        name, data = _EVENT_NAMES[type(event)], _write_fields(event)
    timestamp = {} if event.timestamp is None else {"timestamp": to_plain(event.timestamp)}
    return orjson.dumps({"id": event.id, "event": name, **timestamp, "data": data})


def sign(body: bytes, *, secret: str) -> str:
    """Return the value of the signature header for *body*: `sha256=` and the HMAC-SHA256 in hexadecimal.

    Raise ValueError if *secret* is empty or not valid Unicode.
    """
    return _signature(body, *parse_secrets(secret)).decode()


def parse_secrets(secret: str | Iterable[str]) -> tuple[str, ...]:
    """Return one secret or several as a tuple.

    Raise ValueError if there is none, or if one is empty or not valid Unicode, and TypeError for another type.
    """
    if not isinstance(secret, str | Iterable) or isinstance(secret, bytes | bytearray | memoryview):
        raise TypeError(f"secret must be a string, or several in a list, not {type(secret).__name__}")
    several = (secret,) if isinstance(secret, str) else tuple(secret)
    if not several or not all(several):
        raise ValueError("a secret must not be empty: anyone could sign with it")
    if any("\ud800" <= letter <= "\udfff" for one in several for letter in one):
        raise ValueError("a secret must be valid Unicode: this one was decoded from bytes that are not UTF-8")
    return several


def _signature(body: bytes, secret: str) -> bytes:
    return f"{_SCHEME}{hmac.new(secret.encode(), body, sha256).hexdigest()}".encode()


def _text(part: object) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else str(part)


def _read_event(value: object) -> Event | InvalidDelivery:
    if not isinstance(value, dict):
        return InvalidDelivery(400, "the body is not a JSON object")
    event_id, name, data = value.get("id"), value.get("event"), value.get("data")
    if not isinstance(event_id, str) or not event_id or not isinstance(name, str) or not name:
        return InvalidDelivery(400, "the body has no id, or no event")
    problems: tuple[str, ...] = (
        () if isinstance(data, dict) or data is None else ("data: must be an object, and was left out",)
    )
    if is_nested_deeper(data, _MAX_DEPTH):
        problems, data = ("data: is nested too deeply, and was left out",), None
    found = data if isinstance(data, dict) else {}
    model = EVENT_TYPES.get(name)
    if model is not None:
        envelope = {"id": event_id, "timestamp": value.get("timestamp")}
        event: KnownEvent | Problems = read_model({**_read_fields(found, model), **envelope}, model)
        if not isinstance(event, Problems):
            return event
        problems = problems or event.lines()
    timestamp = read_model(value.get("timestamp"), datetime)
    at = None if isinstance(timestamp, Problems) else timestamp
    return UnknownEvent(id=event_id, event=name, timestamp=at, data=found, problems=problems)


def _read_fields(data: Mapping[str, Any], model: type) -> dict[str, Any]:
    """Return the fields of *model* under their Python names, and everything else in `extra`."""
    known: dict[str, Any] = {}
    extra = dict(data)
    for name in _DATA_FIELDS[model]:
        wire_name = _wire_name(model, name)
        if wire_name in extra:
            known[name] = extra.pop(wire_name)
    if type(known.get("user_message")) is dict:
        known["user_message"] = _read_fields(known["user_message"], UserMessage)
    if type(known.get("postback_data")) is str:
        known["postback_data"] = _decode_postback(known["postback_data"])
    return {**known, "extra": extra}


def _wire_name(model: type, name: str) -> str:
    return _WIRE_NAMES.get((model, name), name)


def _decode_postback(data: str) -> str:
    try:
        return b64decode(data, validate=True).decode()
    except ValueError:
        return data


def _write_fields(value: KnownEvent | UserMessage) -> dict[str, Any]:
    """Return the data of an event, or its user message, as they stand on the wire."""
    written: dict[str, Any] = dict(value.extra)
    for name in _DATA_FIELDS[type(value)]:
        part = getattr(value, name)
        if isinstance(part, UserMessage):
            written[name] = _write_fields(part)
        elif part is not None:
            written[_wire_name(type(value), name)] = to_plain(part)
    if isinstance(value, UserMessage) and value.postback_data is not None:
        written["postback_data"] = b64encode(value.postback_data.encode()).decode()
    return written


# JSON that strict parsers refuse: the client of a user may cut a surrogate pair in half, for example.


def _parse_leniently(body: bytes) -> object:
    """Return the JSON value of *body*, or None if it is not JSON. Surrogates become U+FFFD, and NaN None."""
    try:
        return _without_surrogates(json.loads(body.decode(), parse_constant=_none, parse_int=_number))
    except (ValueError, RecursionError):
        return None


def _none(_: str) -> None:
    return None


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) < _MAX_DIGITS else float(digits)


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {
            _without_surrogates(name): _without_surrogates(part)
            for name, part in cast("dict[str, object]", value).items()
        }
    return [_without_surrogates(part) for part in cast("list[object]", value)] if isinstance(value, list) else value
