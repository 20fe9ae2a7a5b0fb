"""Names of columns: found as people write them, proposed where one is missing, and never shown if they are data.

Rules:
- A name is matched as it is written in the file, else regardless of case, spaces, hyphens, underscores and invisible
  characters. If several columns match, the name is refused: none of them is guessed.
- A usual name of a column of recipients is proposed, and never assumed.
- The first line of a file without a header is data: it is neither used nor printed.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from shlex import quote
from typing import Final

from ..outcomes import CliError

_MOST_SHOWN: Final = 40  # columns that an error lists
_IGNORED: Final = {"Zs", "Zl", "Zp", "Cc", "Cf", "Pd", "Pc"}  # spaces, controls, invisible characters, hyphens, _
_USUAL_WORDS: Final = re.compile(
    r"phone|mobil|telefon|handy|msisdn|rufnummer|cellular|celular|téléphone|telefono|teléfono|movil|móvil|e?mailadd?ress"
    r"|mailadresse|whatsapp|e164"
)
_USUAL_NAMES: Final = re.compile(
    r"to|recipients?|number|numero|número|nummer|cell(no|number)?|tel(no|nr)?|e?mail(id)?|sms(number)?|an|empfänger"
    r"|destinataires?|destinatarios?|portable|gsm"
)
_NOISE: Final = re.compile(r"[\s()./\u2010-\u2015-]|[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_PHONE: Final = re.compile(r"(?:tel:)?['\"=]*(?:\+|00)[0-9]{7,15}['\"]*|0[0-9]{6,13}|[0-9]{10,15}")
_EMAIL: Final = re.compile(r"(?:mailto:|[^<>]*<)?[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+>?")
_DATE: Final = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}\D*")
_DATA: Final = re.compile(r"\+?[\d\s().,/:'-]+")
_FEWEST_DIGITS: Final = 4  # a shorter number may be the name of a column
HIDDEN: Final = "***"
EMAIL_OPTION: Final = "--fallback-email"


def fold(name: str) -> str:
    """Return *name* as it is compared: without case, spaces, hyphens, underscores and invisible characters."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(one for one in folded if unicodedata.category(one) not in _IGNORED)


def is_recipient(text: str) -> bool:
    """Return whether *text* looks like one phone number or e-mail address, however it is written."""
    text = text.strip()
    if "@" in text:
        return _EMAIL.fullmatch(text) is not None
    return _PHONE.fullmatch(_NOISE.sub("", text)) is not None and _DATE.fullmatch(text) is None


def is_data(name: str) -> bool:
    """Return whether *name* looks like a value rather than the name of a column."""
    if is_recipient(name) or ("@" in name and "." in name):
        return True
    return _DATA.fullmatch(name) is not None and sum(map(str.isdigit, name)) >= _FEWEST_DIGITS


def list_columns(columns: Iterable[str]) -> str:
    """Return the names of *columns* for a message. A name that looks like a value is hidden."""
    names = [HIDDEN if is_data(name) else name for name in columns if name]
    more = len(names) - _MOST_SHOWN
    return ", ".join([*names[:_MOST_SHOWN], *([f"and {more:,} more"] if more > 0 else [])])


def find_column(columns: Sequence[str], name: str) -> str | None:
    """Return the one of *columns* that *name* means; None if there is none. Raise CliError if there are several."""
    exact = columns.count(name)
    if exact == 1:
        return name
    if exact:
        raise CliError(f"the column {name} is there twice: give each column that is used a name of its own")
    wanted = fold(name)
    found = list(dict.fromkeys(one for one in columns if wanted and fold(one) == wanted))
    if len(found) > 1:
        raise CliError(f"{name} may be the column {' or '.join(map(repr, found))}: write it exactly as in the file")
    return find_column(columns, found[0]) if found else None


def require_column(columns: Sequence[str], name: str, option: str, purpose: str = "") -> str:
    """Return the one of *columns* that *name* means, *option* being where it was named.

    Raise CliError if there is none. If *purpose* is given, columns for recipients are proposed.
    """
    found = find_column(columns, name)
    if found is not None:
        return found
    check_header(columns)
    likely = recipient_columns(columns, emails=option == EMAIL_OPTION) if purpose else []
    if likely:
        hint = f"{purpose}: is it {' or '.join(f'`{option} {quote(one)}`' for one in likely)}?"
    else:
        hint = f"{purpose}: name it with {option}" if purpose else f" ({option})"
    raise CliError(f"there is no column {name}{hint}; the columns are: {list_columns(columns)}")


def recipient_columns(columns: Iterable[str], *, emails: bool = False, most: int = 3) -> list[str]:
    """Return up to *most* of *columns* whose names are usual for recipients, or only those for *emails*."""
    folded = ((name, fold(name).replace(".", "")) for name in columns if not is_data(name))
    likely = ((name, text) for name, text in folded if _USUAL_NAMES.fullmatch(text) or _USUAL_WORDS.search(text))
    return [name for name, text in likely if not emails or "mail" in text][:most]


def check_header(columns: Iterable[str]) -> None:
    """Raise CliError if *columns*, one of which was not found, look like a row: the file has no header."""
    if any(is_data(name) for name in columns):
        raise CliError(
            "the first line must be a header with the names of the columns, such as to,name, but it looks like a row: "
            "add the header as the first line"
        )
