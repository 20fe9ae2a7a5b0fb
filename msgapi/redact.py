"""Redaction of personal data and secrets in reprs, log lines and recordings."""

import re
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HIDDEN: Final = "***"
ROUTE_WORDS: Final = _words(
    """
    agents alerts auto-reload balance billing campaigns consent contacts detailed import invoices launch messages pause
    payment-methods rcs register resume status submit test tier topup transactions trigger usage v1 verify webhooks
    """
)

_EMAIL: Final = re.compile(r"[^\s@<>\"',;:()\[\]]{1,64}@[^\s@<>\"',;()\[\]]{1,255}")
_DIGITS: Final = r"\+?\d(?:[\s().-]{0,2}\d){5,}"
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_ADDRESS: Final = rf"(?<![\w.+])(?:{_OCTET}\.){{3}}{_OCTET}:\d{{1,5}}(?!\d)"  # IPv4, with a port
_NUMBER: Final = re.compile(rf"({_ADDRESS})|(?:%2[Bb]|(?<!\w)){_DIGITS}")
_WORD: Final = re.compile(rf"(?!.*{_DIGITS})[A-Za-z$][\w.$\[\]-]{{0,79}}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def mask(text: str) -> str:
    """Replace every e-mail address and every number of six or more digits in *text* by `***`.

    Digits that follow a letter or an underscore belong to an id of the API and are kept, and so is an IPv4 address
    with a port.
    """
    return _NUMBER.sub(_masked, _EMAIL.sub(HIDDEN, text))


def _masked(found: re.Match[str]) -> str:
    return found[1] or HIDDEN


def route(path: str) -> str:
    """Return *path* with `{id}` in place of each part that is not a fixed word of the API's routes."""
    return "/".join([part if not part or part in ROUTE_WORDS else "{id}" for part in path.split("/")])


def word(text: str) -> str:
    """Return the repr of *text* if it looks like a code or a path, else `***`.

    A server can put personal data into any field. Only text that cannot be a recipient or a sentence is shown.
    """
    return repr(text) if not text or _WORD.fullmatch(text) else HIDDEN


def key(text: str | None) -> str:
    """Return the repr of an idempotency key if it is None or a UUID, else `***`: it may contain personal data."""
    return repr(text) if text is None or _UUID.fullmatch(text) else HIDDEN


def hidden(value: object) -> str:
    """Return `***`, or the repr of *value* if it is None or empty."""
    return repr(value) if value is None or value == "" else HIDDEN
