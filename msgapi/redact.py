"""Hiding: what of a value may be shown in a repr, a log line or a recording."""

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
_NUMBER: Final = re.compile(r"(?:%2[Bb]|(?<!\w))" + _DIGITS)
_WORD: Final = re.compile(rf"(?!.*{_DIGITS})[A-Za-z$][\w.$\[\]-]{{0,79}}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def mask(text: str) -> str:
    """Replace every e-mail address and every number of six or more digits in *text* by `***`.

    Digits that go on from a letter or an underscore are an id of the API's, and stay.
    """
    return _NUMBER.sub(HIDDEN, _EMAIL.sub(HIDDEN, text))


def route(path: str) -> str:
    """Give *path* with `{id}` for each part that is no word of the API's routes: it may be anything."""
    return "/".join([part if not part or part in ROUTE_WORDS else "{id}" for part in path.split("/")])


def word(text: str) -> str:
    """Show *text* if it is one machine-made word, such as a code or a path, and `***` if not.

    A server may put anything anywhere; only what cannot be a recipient or a sentence is shown.
    """
    return repr(text) if not text or _WORD.fullmatch(text) else HIDDEN


def key(text: str | None) -> str:
    """Show an idempotency key that is a UUID; hide one that may have been made from something else."""
    return repr(text) if text is None or _UUID.fullmatch(text) else HIDDEN


def hidden(value: object) -> str:
    """Show that there is a value, and nothing of it."""
    return repr(value) if value is None or value == "" else HIDDEN
