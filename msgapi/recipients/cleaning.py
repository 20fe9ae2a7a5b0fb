"""The results of `normalize`, and what it removes from phone numbers and e-mail addresses alike.

Rules:
- Nothing is guessed. A text that can be read in two ways is refused, as is one whose digits would change.
- No message and no repr quotes the text: it is a recipient.
- Nothing raises for a text, whatever it is.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, Literal, TypeAlias, final
from unicodedata import category

from attrs import field, frozen

from ..codegen import constructor
from ..redact import hidden

RecipientKind: TypeAlias = Literal["phone", "email"]
RecipientChange: TypeAlias = Literal[
    "spaces",
    "punctuation",
    "invisible",
    "digits",
    "prefix",
    "spreadsheet",
    "decimal",
    "double_zero",
    "bracketed_zero",
    "national",
    "lost_zero",
    "lost_plus",
]
"""What was changed in a recipient; `CHANGES` describes each."""

CHANGES: Final[Mapping[RecipientChange, str]] = {
    "spaces": "spaces removed",
    "punctuation": "dashes, dots, slashes or parentheses removed",
    "invisible": "invisible characters removed",
    "digits": "digits or signs of another script replaced",
    "prefix": "a prefix such as tel: removed",
    "spreadsheet": 'an apostrophe, quotes or ="..." of a spreadsheet removed',
    "decimal": ".0 removed",
    "double_zero": "00 replaced by +",
    "bracketed_zero": "(0) removed",
    "national": "a national number completed with the country code",
    "lost_zero": "a national number without its leading 0 (or other prefix) completed with the country code",
    "lost_plus": "a missing + added",
}
"""A description of each change, for reports."""

RefusalReason: TypeAlias = Literal[
    "not_text",
    "empty",
    "email",
    "phone",
    "scheme",
    "display_name",
    "several",
    "extension",
    "scientific",
    "date",
    "negative",
    "words",
    "character",
    "invisible",
    "plus",
    "no_country",
    "ambiguous",
    "unknown_region",
    "country_code",
    "leading_zero",
    "bracketed_zero",
    "length",
    "digits_differ",
    "space",
    "local_part",
    "domain",
    "address",
]
"""Why a recipient was refused."""


@final
@frozen
class Recipient:
    """A recipient in the form in which it can be sent: *text* is a phone number in E.164, or one e-mail address.

    *changes* says what was changed, in the order of `CHANGES`; it is empty if the text was sent as given. *metadata* is
    the version of phonenumberslite that completed a national number; None if that library did not decide.
    """

    text: str = field(repr=hidden)
    kind: RecipientKind
    changes: tuple[RecipientChange, ...] = ()
    metadata: str | None = None


new_recipient: Final = constructor(Recipient)
"""Return a `Recipient` with these values: a faster constructor."""


@final
@frozen
class RefusedRecipient:
    """A text that is no recipient, or may be more than one: *message* completes the sentence "the column ..."."""

    reason: RefusalReason
    message: str


Normalized: TypeAlias = Recipient | RefusedRecipient
"""A recipient as the API takes it, or why the text is none; what `normalize` returns."""
_FORMULA: Final = re.compile(r'=\s*"+([^"]*)"+|=\s*(?=\+?[0-9])')
_QUOTES: Final = "'\u2018\u2019\u201b`\u00b4\u201c\u201d\u201e"
_LONGEST_WRAPPED: Final = 10_000  # characters; each layer of quotes costs a copy, and no recipient is as long
_QUOTED: Final = re.compile(r'"(.*)"', re.DOTALL)
_FILLERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufe00\ufe01\ufe0e\ufe0f\u200b\ufeff")


@cache
def _in_order(changes: frozenset[RecipientChange]) -> tuple[RecipientChange, ...]:
    return tuple(one for one in CHANGES if one in changes)


class Cleaning:
    """A text that is cleaned step by step, and the changes that were made."""

    def __init__(self, text: str, changes: Iterable[RecipientChange] = ()) -> None:
        """Begin with *text* as given, or after *changes*."""
        self.text: str = text
        self._changes = set(changes)

    @property
    def changes(self) -> tuple[RecipientChange, ...]:
        """The changes, in the order of `CHANGES`."""
        return _in_order(frozenset(self._changes))

    def replace(self, text: str, change: RecipientChange) -> None:
        """Continue with *text*. It is recorded as a *change* if it differs."""
        if text != self.text:
            self._changes.add(change)
            self.text = text

    def unwrap(self) -> None:
        """Remove spaces around the text, and what spreadsheets put around numbers and addresses."""
        before = None
        while before != self.text and len(self.text) <= _LONGEST_WRAPPED:
            before = self.text
            self.replace(self.text.strip(), "spaces")
            if (found := _FORMULA.fullmatch(self.text)) is not None:
                self.replace(found[1] or "", "spreadsheet")
            elif (found := _FORMULA.match(self.text)) is not None and found[1] is None:
                self.replace(self.text[found.end() :], "spreadsheet")
            elif (found := _QUOTED.fullmatch(self.text)) is not None:
                self.replace(found[1].replace('""', '"'), "spreadsheet")
            elif self.text[:1] and self.text[0] in _QUOTES:
                inner = self.text[1:]
                self.replace(inner[:-1] if inner[-1:] and inner[-1] in _QUOTES else inner, "spreadsheet")


def is_invisible(sign: str) -> bool:
    """Return whether *sign* has no width: a mark of the byte order or of a direction, a joiner, a soft hyphen."""
    return not sign.isascii() and (sign in _FILLERS or category(sign) == "Cf")


def without_invisible(text: str) -> str:
    """Return *text* without its invisible characters."""
    return text if text.isascii() else "".join(sign for sign in text if not is_invisible(sign))


def name_of(sign: str) -> str:
    """Return the code point of *sign*, for a message."""
    return f"U+{ord(sign):04X}"
