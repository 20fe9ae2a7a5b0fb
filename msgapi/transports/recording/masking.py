"""Mask what must not be written of an exchange: only routes, ids, enums, amounts and dates are kept.

Rules:
- The lists name what is kept, never what is hidden: a field that is in no list is hidden.
- A value whose name is in a list must also have the form of such a value.
- A value that was hidden in the request is hidden wherever the response repeats it.
- Types are kept: a hidden string is a string, a hidden number is a number, so that the response can be decoded.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Final, TypeAlias, final
from urllib.parse import parse_qsl, unquote, urlencode

from attrs import define, field, frozen

from ...redact import HIDDEN, ROUTE_WORDS, mask, word

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORDS: Final = _names(
    """
    action agent_status billing_category bounce_type card_width carrier channel channel_type content_type currency
    current direction doi_channel doi_status error error_code event failure_reason field group_by height message_type
    orientation region status traffic_type type use_case
    """
)
_IDS: Final = _names(
    """
    agent_id campaign_id channel_id consent_record_id contact_id id message_id record_id run_id template_id webhook_id
    """
)
_TIMES: Final = frozenset({"from", "month", "timestamp", "to", "ttl"})  # and all whose name ends in _at
_NUMBERS: Final = _names(
    """
    amount amount_added cost free hold_amount imported limit message_price offset required_amount reserved retry_after
    template_version threshold total volume_used
    """
)
_FREE_FORM: Final = frozenset({"custom_fields", "template_data"})  # even their keys are chosen by the sender
_HEADERS: Final = _names(
    "content-type date location retry-after x-ratelimit-limit x-ratelimit-remaining x-ratelimit-reset"
)
_SECRET: Final = _names("authorization cookie proxy-authorization set-cookie")

_KEY: Final = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
_ID: Final = re.compile(r"[a-z]{1,12}(_[a-z]{1,12})?_[0-9A-Za-z]{1,64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME: Final = re.compile(
    r"\d{4}-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?)?|\d{1,6}[smh]", re.ASCII
)
_NUMBER: Final = re.compile(r"-?\d{1,7}(\.\d{1,6})?", re.ASCII)
_HEADER: Final = re.compile(
    r"\d{1,10}(\.\d{1,6})?|[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"
    r"|[a-z]+/[a-z.+-]+(; ?charset=[\w-]{1,20})?",
    re.ASCII,
)
_PATTERNS: Final = {
    name: pattern for names, pattern in ((_IDS, _ID), (_TIMES, _TIME), (_NUMBERS, _NUMBER)) for name in names
}
_MAX_NUMBER: Final = 10**7  # more digits may be a phone number
_MIN_ECHO: Final = 6  # characters; a shorter text is part of too many values, so only a whole value is compared


@final
@define(eq=False)
class Mask:
    """Masks one exchange: the request, then the response, in which the *hidden* texts of the request are hidden too."""

    hidden: set[str] = field(factory=set, repr=False)
    learning: bool = True

    def for_response(self) -> "Mask":
        """Return the mask for the response, which also hides what this one has hidden."""
        return Mask(self.hidden, learning=False)

    def target(self, target: str) -> str:
        """Return a path and its query with only the routes, ids, enums and dates."""
        path, _, query = target.partition("?")
        parts = [self._part(unquote(part)) for part in path.split("/")]
        pairs = [(_name(name), self._text(value, name)) for name, value in parse_qsl(query, keep_blank_values=True)]
        return "/".join(parts) + (f"?{urlencode(pairs, safe='*:')}" if query else "")

    def body(self, body: bytes) -> Json:
        """Return the masked body; of a body that is not JSON only the size is kept."""
        if not body:
            return None
        try:
            return {"json": self._value(parse_json(body.decode()))}
        except (ValueError, RecursionError):
            return {"bytes": len(body)}

    def _value(self, value: Json, name: str = "") -> Json:
        match value:
            case dict():
                masked = {_name(key): self._value(item, key) for key, item in value.items()}
                return {} if name in _FREE_FORM else masked
            case list():
                return [self._value(item, name) for item in value]
            case str():
                return self._text(value, name)
            case bool() | None:
                return value
            case _:
                return value if name in _NUMBERS and abs(value) < _MAX_NUMBER else type(value)()

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that describe the body or the rate limit, and the location."""
        kept = {name: value for name, value in headers.items() if name in _HEADERS and _HEADER.fullmatch(value)}
        return kept | ({"location": self.target(headers["location"])} if "location" in headers else {})

    def reason(self, reason: str) -> str:
        """Return the *reason* of an outcome without addresses, numbers and texts of the request."""
        text = mask(reason)
        for secret in self.hidden:
            text = text.replace(secret, HIDDEN) if len(secret) >= _MIN_ECHO else text
        return text

    def _part(self, part: str) -> str:
        return part if not part or part in ROUTE_WORDS or _ID.fullmatch(part) else self._hide(part)

    def _text(self, text: str, name: str) -> str:
        return text if _fits(text, name) and not self._is_echo(text) else self._hide(text)

    def _hide(self, text: str) -> str:
        if self.learning and text:
            self.hidden.add(text)
        return HIDDEN if text else text

    def _is_echo(self, text: str) -> bool:
        return text in self.hidden or any(len(secret) >= _MIN_ECHO and secret in text for secret in self.hidden)


@final
@frozen
class KeyMask:
    """Masks the API *key* and cookies, and nothing else."""

    key: str = field(repr=False)

    def for_response(self) -> "KeyMask":
        """Return the mask for the response, which is the same."""
        return self

    def target(self, target: str) -> str:
        """Return a path and its query, without the key."""
        return self.reason(target)

    def body(self, body: bytes) -> Json:
        """Return the body in the most readable form that restores every byte: JSON, text, or base64."""
        plain = body.replace(self.key.encode(), HIDDEN.encode()) if self.key else body
        if not plain:
            return None
        try:
            text = plain.decode()
        except UnicodeDecodeError:
            return {"base64": b64encode(plain).decode()}
        try:
            value = parse_json(text)
            return {"json": value} if dump_compact(value) == text else {"text": text}
        except (ValueError, RecursionError):
            return {"text": text}

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers except those with credentials."""
        return {name: self.reason(value) for name, value in headers.items() if name not in _SECRET}

    def reason(self, reason: str) -> str:
        """Return *reason* without the key."""
        return reason.replace(self.key, HIDDEN) if self.key else reason


def parse_json(text: str) -> Json:
    """Return the value of JSON *text*; raise ValueError if it is not JSON, or has a NaN, which `json` accepts."""
    value: Json = json.loads(text, parse_constant=_refuse_constant)
    return value


def dump_compact(value: Json) -> str:
    """Return *value* as JSON without spaces, which is how the client and most servers write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _name(key: str) -> str:
    return key if _KEY.fullmatch(key) else HIDDEN


def _fits(text: str, name: str) -> bool:
    if name in _WORDS:
        return word(text) != HIDDEN
    pattern = _PATTERNS.get(name) or (_TIME if name.endswith("_at") else None)
    return pattern is not None and pattern.fullmatch(text) is not None
