"""Delivery: one event on the wire. Verify its signature, parse it, write it, sign it.

Rules:
- `read` verifies the raw bytes first and parses them afterwards. It never raises for what was sent, only for a wrong
  argument of the program.
- Signatures are compared in constant time, with every secret.
- An event with a valid signature is never refused because of its data: the service would repeat it and then drop it.
  A field that does not fit the documentation is kept in `extra`. An event without what its class requires becomes an
  `UnknownEvent`. Invalid Unicode and numbers are replaced.
- What `read` returns, `write` writes, and reading that again returns an equal event.
- No repr shows a secret or a body.
"""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal, final

import orjson
from attrs import evolve, fields, frozen

from ..codec import Problems
from ..codec import from_dict as read_model
from ..codec.json import from_fields, is_nested_deeper, parse_leniently, to_plain
from ..codegen import EXTRA
from ..results import Balance
from .events import EVENT_TYPES, ConversationEnded, ConversationStarted, Event, KnownEvent, UnknownEvent, UserMessage

SIGNATURE_HEADER: Final = "X-Arowana-Signature"
"""The HTTP header that carries the signature."""
_SCHEME: Final = "sha256="
_MAX_DEPTH: Final = 200  # levels of nesting in the data; orjson can read deeper JSON than it can write
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # all but tab and line breaks
_EVENT_NAMES: Final = {model: name for name, model in EVENT_TYPES.items()}
_USER: Final[Mapping[type, str]] = {ConversationStarted: "from", ConversationEnded: "with"}
"""The events that name a user: under this name on the wire, and as `user` here."""
_ENVELOPE: Final = frozenset({"id", "event", "timestamp", EXTRA})  # names of fields that are not those of the data
_RENAMED: Final = frozenset({"user", "raw_postback_data"})  # fields that have another name on the wire
_DATA_FIELDS: Final[Mapping[type, tuple[str, ...]]] = {
    model: tuple(one.name for one in fields(model) if one.name not in _ENVELOPE | _RENAMED)
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
    this version does not know or that lacks what its class requires. Data that are nested in more than 200 levels
    are left out. Invalid Unicode becomes U+FFFD; NaN becomes None, and a whole number of more than 64 bits a float. A
    byte order mark is skipped.

    Raise TypeError if *body* is not bytes, and ValueError if a secret is empty, has a line break or is not valid
    Unicode.

    The service does not sign the time, so a copied delivery stays valid: ignore one whose `id` was handled
    before. A `Receiver` does that.
    """
    if not isinstance(body, bytes):
        raise TypeError(f"body must be the raw bytes of the request, not {type(body).__name__}")
    expected = [compute_signature(body, one.encode()) for one in parse_secrets(secret)]
    header = next((value for name, value in headers.items() if _text(name).lower() == SIGNATURE_HEADER.lower()), None)
    if header is None:
        return InvalidDelivery(401, f"there is no {SIGNATURE_HEADER} header")
    given = _text(header).strip().lower().encode(errors="replace")
    if not any([hmac.compare_digest(one, given) for one in expected]):  # noqa: C419 - every secret is compared
        return InvalidDelivery(401, "the signature does not match the body")
    return _read_event(parse_leniently(body))


def write(event: Event) -> bytes:
    """Return *event* as the JSON body of a delivery; `read` returns an equal event for it.

    Fields that are None are left out. Whatever `read` has returned can be written. Raise TypeError for another value
    that JSON cannot hold, such as an object of a class in `extra` or `data`.
    """
    if isinstance(event, UnknownEvent):
        name, data, envelope = event.event, dict(event.data), event.extra
    else:
        name, data, envelope = _EVENT_NAMES[type(event)], _write_fields(event), {}
    timestamp = {} if event.timestamp is None else {"timestamp": to_plain(event.timestamp)}
    return orjson.dumps({"id": event.id, "event": name, **timestamp, "data": data, **envelope})


def sign(body: bytes, *, secret: str) -> str:
    """Return the value of the signature header for *body*: `sha256=` and the HMAC-SHA256 in hexadecimal.

    Raise ValueError if *secret* is empty, has a line break or is not valid Unicode.
    """
    return compute_signature(body, parse_secrets(secret)[0].encode()).decode()


def parse_secrets(secret: str | Iterable[str]) -> tuple[str, ...]:
    """Return one secret or several as a tuple.

    Raise ValueError if there is none, or if one is empty, has a line break or is not valid Unicode, and TypeError for
    another type.
    """
    if not isinstance(secret, str | Iterable) or isinstance(secret, bytes | bytearray | memoryview):
        raise TypeError(f"secret must be a string, or several in a list, not {type(secret).__name__}")
    several = (secret,) if isinstance(secret, str) else tuple(secret)
    if not all(isinstance(one, str) for one in several):
        raise TypeError("each secret must be a string")
    if not several or not all(several):
        raise ValueError("a secret must not be empty: anyone could sign with it")
    if any(letter in one for one in several for letter in "\r\n\0"):
        raise ValueError("a secret must have no line break: strip the one at the end of a file")
    if any("\ud800" <= letter <= "\udfff" for one in several for letter in one):
        raise ValueError("a secret must be valid Unicode: this one was decoded from bytes that are not UTF-8")
    return several


def compute_signature(body: bytes, secret: bytes) -> bytes:
    """Return the signature of *body*, as `sign` does."""
    return f"{_SCHEME}{hmac.new(secret, body, sha256).hexdigest()}".encode()


def _text(part: object) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else str(part)


def _read_event(value: object) -> Event | InvalidDelivery:
    if not isinstance(value, dict):
        return InvalidDelivery(400, "the body is not a JSON object")
    event_id, name, data = value.get("id"), value.get("event"), value.get("data")
    if not isinstance(event_id, str) or not event_id or not isinstance(name, str) or not name:
        return InvalidDelivery(400, "the body has no id, or no event")
    problems: tuple[str, ...] = () if isinstance(data, dict) or data is None else ("data: must be an object",)
    if is_nested_deeper(data, _MAX_DEPTH):
        problems, data = ("data: is nested too deeply, and was left out",), None
    found = data if isinstance(data, dict) else {}
    model = EVENT_TYPES.get(name)
    if model is not None:
        given = {**_read_fields(found, model), "id": event_id, "timestamp": value.get("timestamp")}
        event: KnownEvent | Problems = from_fields(given, model)
        if not isinstance(event, Problems):
            return event
        problems = problems or event.lines()
    timestamp = read_model(value.get("timestamp"), datetime)
    at = None if isinstance(timestamp, Problems) else timestamp
    odd = {"data": data} if not isinstance(data, dict) and data is not None else {}
    odd |= {"timestamp": value["timestamp"]} if at is None and value.get("timestamp") is not None else {}
    return UnknownEvent(id=event_id, event=name, timestamp=at, data=found, problems=problems, extra=odd)


def _read_fields(data: dict[str, Any], model: type) -> dict[str, Any]:
    """Return the fields of *model* under their Python names, and everything else in `extra`."""
    user, message = _USER.get(model), data.get("user_message")
    if user is None and model is not UserMessage and _ENVELOPE.isdisjoint(data):
        return data
    extra = dict(data)
    known = {name: extra.pop(name) for name in _DATA_FIELDS[model] if name in extra}
    if user is not None and type(extra.get(user)) is str:
        known["user"] = extra.pop(user)
    if "user_message" in known and type(message) is dict:
        known["user_message"] = _read_fields(message, UserMessage)
    if type(raw := known.get("postback_data")) is str:
        known |= {"postback_data": _decode_postback(raw), "raw_postback_data": raw}
    return {**known, EXTRA: extra}


def _decode_postback(data: str) -> str:
    try:
        text = b64decode(data, validate=True).decode()
    except ValueError:
        return data
    return data if _CONTROL.search(text) else text


def _write_fields(value: KnownEvent | UserMessage) -> dict[str, Any]:
    """Return the data of an event, or its user message, as they stand on the wire."""
    written: dict[str, Any] = dict(value.extra)
    for name in _DATA_FIELDS[type(value)]:
        part = getattr(value, name)
        if isinstance(part, UserMessage):
            written[name] = _write_fields(part)
        elif isinstance(part, Balance):
            written[name] = {**part.extra, **to_plain(evolve(part, extra={}))}
        elif isinstance(part, tuple):  # elements that could not be read are in a list under the same name
            odd = written.get(name, [])
            written[name] = [*part, *odd] if isinstance(odd, list) else odd
        elif part is not None:
            written[name] = to_plain(part)
    if isinstance(value, ConversationStarted | ConversationEnded) and value.user is not None:
        written[_USER[type(value)]] = value.user
    if isinstance(value, UserMessage) and value.postback_data is not None:
        raw = value.raw_postback_data
        is_same = raw is not None and _decode_postback(raw) == value.postback_data
        written["postback_data"] = raw if is_same else b64encode(value.postback_data.encode()).decode()
    return written
