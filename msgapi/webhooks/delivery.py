"""Delivery: one event on the wire. Verify its signature, parse it, write it, sign it; explain a wrong signature.

Rules:
- `read` verifies the raw bytes first and parses them afterwards. It never raises for what was sent, only for a wrong
  argument of the program.
- Signatures are compared in constant time, with every secret.
- An event with a valid signature is never refused because of its data: the service would repeat it and then drop it.
  A field that does not fit the documentation is kept in `extra`. An event without what its class requires becomes an
  `UnknownEvent`. Invalid Unicode and numbers are replaced.
- What `read` returns, `write` writes, and reading that again returns an equal event.
- No repr shows a secret or a body.

Rules of `explain_mismatch`, which is for a person who looks for the cause of a wrong signature:
- `read` does not use it: it computes dozens of signatures, and what it finds must not be sent to a client.
- A cause is named only if the signature proves it: if it matches another form of the body or of the secret. What is
  said about a header that is missing is a suggestion.
- The text quotes no secret, no body and no signature, only names of headers.
"""

import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final, Literal, final

import orjson
from attrs import evolve, fields, frozen

from ..codec import Problems
from ..codec import from_dict as read_model
from ..codec.json import from_fields, is_nested_deeper, parse_leniently, to_plain
from ..codegen import EXTRA
from ..results import Balance
from .events import EVENT_TYPES, Event, KnownEvent, UnknownEvent
from .message_events import ConversationEnded, ConversationStarted, UserMessage

SIGNATURE_HEADER: Final = "X-Arowana-Signature"
"""The HTTP header that carries the signature: `X-Arowana-Signature`."""
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
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SIGNATURE: Final = re.compile(rf"sha256={_DIGEST.pattern}")
_MAX_BODY: Final = 2**20  # bytes; a longer body is not written again
_MAX_COMBINED: Final = 2**16  # bytes; each form of a longer body is not tried with each form of the secret
_LETTERS: Final = re.compile(r"[^a-z0-9]")
_Variant = tuple[str, bytes]


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


def explain_mismatch(
    signature: str | Mapping[str, str] | Mapping[bytes, bytes],
    body: bytes,
    *,
    secret: str | Iterable[str],
    combined: bool = True,
) -> str | None:
    """Return why *signature* does not match *body*; None if no cause is found.

    *signature* is the value of the signature header, or the headers of the request, as for `read`. A cause is found if
    the header is missing or has another form, or if the signature matches another form of the body, such as the same
    JSON with other white space, or another form of a secret. If *combined*, both at once are tried too, for a body of
    up to 64 KiB. Of several secrets, the text says which one it is about, by its position.

    It takes much longer than `read`, so use it to look for a mistake, not for every delivery. Do not send the text to
    the client. Raise what `read` raises for *secret*.
    """
    secrets = parse_secrets(secret)
    if not isinstance(signature, str):
        headers = {_decode(name): _decode(value) for name, value in signature.items()}
        values = [value for name, value in headers.items() if name.lower() == SIGNATURE_HEADER.lower()]
        if not values:
            return _explain_missing_header(headers)
        signature = values[0]
    given = signature.strip().lower()
    if not _SIGNATURE.fullmatch(given):
        return _explain_form(given)
    find = partial(_find, given.encode(), secrets)
    unchanged, forms = [("", body)], list(_forms(body))
    found = find(unchanged, _exact) or find(forms, _exact) or find(unchanged, _keys)
    if found is None and combined and len(body) <= _MAX_COMBINED:
        found = find(forms, _keys)
    if found is None and not body:
        return "the body is empty: something else, such as a middleware, may have read it before"
    return found


def _find(
    signature: bytes, secrets: tuple[str, ...], forms: list[_Variant], keys: Callable[[str], Iterable[_Variant]]
) -> str | None:
    for position, one in enumerate(secrets, 1):
        for key_cause, key in keys(one):
            for body_cause, form in forms:
                if hmac.compare_digest(compute_signature(form, key), signature):
                    of = f" (secret {position} of {len(secrets)})" if len(secrets) > 1 else ""
                    return _describe(body_cause, key_cause, of)
    return None


def _describe(body_cause: str, key_cause: str, of: str) -> str:
    changed = f"the body was changed after it was signed: {body_cause}; verify the raw bytes of the request"
    causes = [changed] if body_cause else []
    causes += [f"it is the secret: {key_cause}"] if key_cause else []
    return ("; and ".join(causes) or "the signature matches the body") + of


def _exact(secret: str) -> Iterator[_Variant]:
    yield "", secret.encode()


def _decode(part: str | bytes) -> str:
    return part.decode("latin-1") if isinstance(part, bytes) else part


def _explain_missing_header(names: Iterable[str]) -> str:
    missing = f"there is no {SIGNATURE_HEADER} header"
    wanted = _LETTERS.sub("", SIGNATURE_HEADER.lower())
    for name in names:
        letters = _LETTERS.sub("", name.lower())
        if letters == f"http{wanted}":
            return f"{missing}, but the WSGI variable of it: pass the headers of the request, not its environment"
        if letters == wanted:
            return f"{missing}, but one with other characters between the words: a server before yours has renamed it"
    other = next((name for name in names if "signature" in name.lower()), None)
    if other is not None:
        return f"{missing}, but {other!r}: is the delivery one of another service?"
    return f"{missing}: a proxy or web server before yours may have removed it, or it is no delivery of the service"


def _explain_form(given: str) -> str:
    form = "`sha256=` and 64 hexadecimal digits"
    if not given:
        return f"the {SIGNATURE_HEADER} header is empty, and not {form}"
    if _DIGEST.fullmatch(given):
        return f"the {SIGNATURE_HEADER} header lacks `sha256=` before its 64 hexadecimal digits"
    if len(_SIGNATURE.findall(given)) > 1:
        return f"the {SIGNATURE_HEADER} header has several signatures: it was sent twice, or a proxy has joined two"
    return f"the {SIGNATURE_HEADER} header is not {form}"


def _forms(body: bytes) -> Iterator[_Variant]:
    # What programs do to a body on its way, turned back.
    stripped = body.strip(b" \t\r\n")
    for ending, name in ((b"", "nothing"), (b"\n", "a line break"), (b"\r\n", "a CRLF line break")):
        yield f"white space at its ends was added or removed (the signed body ends in {name})", stripped + ending
    yield "its line breaks were changed to CRLF", body.replace(b"\r\n", b"\n")
    yield "its line breaks were changed from CRLF", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield "a byte order mark was added", body.removeprefix(b"\xef\xbb\xbf")
    for encoding in ("utf-16", "latin-1", "cp1252"):
        try:
            yield f"it was encoded anew, in {encoding}", body.decode(encoding).encode()
        except ValueError:
            continue
    yield from _written_again(body) if len(body) <= _MAX_BODY else ()


def _written_again(body: bytes) -> Iterator[_Variant]:
    try:
        value = orjson.loads(body)
        again: list[tuple[str, Callable[[Any], str]]] = [
            (f"{compact}{escaped}{ordered}", _writer(separators, ascii_only=ascii_only, ordered=bool(ordered)))
            for compact, separators in (
                ("compact", (",", ":")),
                ("with blanks after commas and colons", (", ", ": ")),
            )
            for escaped, ascii_only in (("", False), (", with escapes for other letters than ASCII", True))
            for ordered in ("", ", with sorted names")
        ]
        again += [(f"indented by {n}", _writer((",", ": "), indent=n)) for n in (2, 4)]
        if isinstance(value, str):
            yield "it was encoded as JSON twice", value.encode()
        for form, write in again:
            for ending in ("", "\n"):
                yield f"the same JSON was written anew (the signed body is {form})", (write(value) + ending).encode()
    except (ValueError, RecursionError):
        return


def _writer(
    separators: tuple[str, str], *, ascii_only: bool = False, ordered: bool = False, indent: int | None = None
) -> Callable[[Any], str]:
    return lambda value: json.dumps(
        value, separators=separators, ensure_ascii=ascii_only, sort_keys=ordered, indent=indent
    )


def _keys(secret: str) -> Iterator[_Variant]:
    plain = secret.strip()
    yield "it has white space at its ends", plain.encode()
    for ending, name in (("\n", "LF"), ("\r\n", "CRLF"), (" ", "a blank"), ("\\n", "a backslash and n")):
        yield f"the sender's has a line break or blank at its end ({name})", (plain + ending).encode()
    unquoted = plain.strip("\"'")
    yield "it has quotation marks around it", unquoted.encode()
    for mark in "\"'":
        yield f"the sender's has quotation marks ({mark}) around it", f"{mark}{unquoted}{mark}".encode()
    yield "the sender's has no whsec_ before it", unquoted.removeprefix("whsec_").encode()
    yield "the sender's has whsec_ before it", f"whsec_{unquoted}".encode()
    yield "upper and lower case differ", unquoted.lower().encode()
    for decode, name in ((b64decode, "base64"), (bytes.fromhex, "hexadecimal")):
        try:
            yield f"the sender decodes it from {name}", decode(unquoted.removeprefix("whsec_"))
        except ValueError:
            continue
