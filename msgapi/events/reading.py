"""Reading what arrives at a webhook endpoint: verified first, as raw bytes, and parsed only then.

Rules:
- `read` never raises for what was sent, whatever it is; only for how the program calls it.
- Signatures are compared in constant time, with every secret.
- No repr shows a secret, a body or what is in it.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final, Literal, final

import orjson
from attrs import frozen

from ..codec import Problems, deeper, parse, plain
from ..codec import read as read_model
from ..guesses import keep
from ..layout import mend
from .conversing import ConversationEnded, ConversationStarted, UserMessage
from .lenient import leniently
from .models import NAMES, Event, Known, Unknown

HEADER: Final = "X-Arowana-Signature"
"""The header that carries the signature."""
_SCHEME: Final = "sha256="
_OTHER: Final[Mapping[type, str]] = {ConversationStarted: "from", ConversationEnded: "with"}  # for `user`
_OURS: Final = ("id", "timestamp", "extra")  # fields of every event that are none of its data
_LEVELS: Final = 200  # that data may be nested; orjson reads far more than it writes
_NAME_OF: Final = {model: name for name, model in NAMES.items()}


@final
@frozen
class Refused:
    """What arrived is no event: answer it with *status*, 401 if the signature is wrong, 400 otherwise.

    *reason* says what is wrong, and may be shown to the sender.
    """

    status: Literal[400, 401]
    reason: str


def read(
    headers: Mapping[str, str] | Mapping[bytes, bytes], body: bytes, *, secret: str | Iterable[str]
) -> Event | Refused:
    """Verify the raw *body* of a delivery and read its event (docs: /api/webhooks/verify-requests).

    *secret* is that of the endpoint, or several while one is being rotated out. *body* must be the
    bytes as they came: JSON that was parsed and written again has another signature. The service
    signs no time, so an old delivery can be sent again by whoever has it: drop what has a known `id`.
    """
    if not isinstance(body, bytes):
        raise TypeError(f"body must be the raw bytes of the request, not {type(body).__name__}")
    expected = [_signature(body, one) for one in secrets(secret)]
    given = next((value for name, value in headers.items() if _text(name).lower() == HEADER.lower()), None)
    if given is None:
        return Refused(401, f"there is no {HEADER} header")
    said = _text(given).strip().lower().encode(errors="replace")
    if not any([hmac.compare_digest(one, said) for one in expected]):  # noqa: C419 - each is compared, come what may
        return Refused(401, "the signature does not match the body")
    value = parse(body)
    return _event(leniently(body) if isinstance(value, Problems) else value)


def sign(body: bytes, *, secret: str) -> str:
    """Write the value of the signature header for *body*, as the service does."""
    return _signature(body, *secrets(secret)).decode()


def write(event: Event) -> bytes:
    """Write *event* as the body of a delivery; `read` gives it back."""
    if isinstance(event, Unknown):
        name, data, at = event.event, dict(event.data), event.timestamp
    else:
        name, data, at = _NAME_OF[type(event)], _data(event), event.timestamp
    moment = {} if at is None else {"timestamp": plain(at)}
    return orjson.dumps({"id": event.id, "event": name, **moment, "data": data})


def _data(event: Known) -> dict[str, object]:
    written: dict[str, Any] = plain(event)
    own = {name: part for name, part in written.items() if name not in _OURS}
    other = _OTHER.get(type(event))
    if other is not None and "user" in own:
        own[other] = own.pop("user")
    if isinstance(event, ConversationStarted) and event.user_message:
        own["user_message"] = _said(event.user_message, own["user_message"])
    return {**written["extra"], **own}


def _said(message: UserMessage, written: dict[str, Any]) -> dict[str, Any]:
    own = {**written.pop("extra"), **written}
    if message.postback_data is None:
        return own
    return {**own, "postback_data": b64encode(message.postback_data.encode()).decode()}


def secrets(secret: str | Iterable[str]) -> tuple[str, ...]:
    """Return one secret or several as a tuple.

    Raise ValueError for none, for an empty one, and for one that is no Unicode; TypeError for what is no string.
    """
    if not isinstance(secret, str | Iterable) or isinstance(secret, bytes | bytearray | memoryview):
        raise TypeError(f"secret must be a string, or several in a list, not {type(secret).__name__}")
    several = (secret,) if isinstance(secret, str) else tuple(secret)
    if not several or not all(several):
        raise ValueError("a secret must not be empty: anyone could sign with it")
    if any("\ud800" <= letter <= "\udfff" for one in several for letter in one):
        raise ValueError("a secret must be Unicode text: this one has bytes that are none")
    return several


def _text(part: object) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else str(part)


def _signature(body: bytes, secret: str) -> bytes:
    return f"{_SCHEME}{hmac.new(secret.encode(), body, sha256).hexdigest()}".encode()


def _event(value: object) -> Event | Refused:
    if not isinstance(value, dict):
        return Refused(400, "the body is not a JSON object")
    event_id, name, data = value.get("id"), value.get("event"), value.get("data")
    if not isinstance(event_id, str) or not event_id or not isinstance(name, str) or not name:
        return Refused(400, "the body has no id, or no event")
    odd = () if isinstance(data, dict) or data is None else ("data: must be an object, and was left out",)
    if deeper(data, _LEVELS):
        odd, data = ("data: is nested too deeply, and was left out",), None
    fields = data if isinstance(data, dict) else {}
    model = NAMES.get(name)
    if model is None:
        return Unknown(id=event_id, event=name, timestamp=_moment(value), data=fields, problems=odd)
    # What is in the data under a name of the envelope, or of ours, is kept beside the rest.
    hidden = {"extra": {own: fields[own] for own in _OURS if own in fields}}
    found: Known | Problems = read_model(
        {**fields, "id": event_id, "timestamp": value.get("timestamp"), **hidden}, model
    )
    if isinstance(found, Problems):
        return Unknown(id=event_id, event=name, timestamp=_moment(value), data=fields, problems=odd or found.lines())
    return found


def _moment(value: Mapping[str, object]) -> datetime | None:
    found = read_model(value.get("timestamp"), datetime)
    return None if isinstance(found, Problems) else found


# Where the wire has a field under another name, or in another form.


def _renamed(value: dict[str, Any], other: str) -> dict[str, Any]:
    rest = {name: part for name, part in value.items() if name not in {other, "user"}}
    foreign = {"user": value["user"]} if "user" in value else {}
    return {**rest, "user": value.get(other), "extra": {**value["extra"], **foreign}}


def _plain_text(value: dict[str, Any]) -> dict[str, Any]:
    data = value.get("postback_data")
    try:
        return {**value, "postback_data": b64decode(data, validate=True).decode()} if isinstance(data, str) else value
    except ValueError:
        return value


keep(UserMessage, documented=True)  # before the events, which take it as it is then
mend(UserMessage, _plain_text)
for _model in NAMES.values():
    keep(_model, documented=True)
for _model, _other in _OTHER.items():
    mend(_model, partial(_renamed, other=_other))
