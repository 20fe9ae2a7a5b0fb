"""Phone numbers: from what people and their programs write to E.164.

Rules:
- A number with + or 00 needs no library: its digits are kept, and checked by the table of country codes.
- A number without them needs a region, and then `national` decides.
- A text that has only digits, a + at its beginning, and single spaces, dashes, slashes or pairs of parentheses between
  digits skips the steps that do nothing about it.
- Only `(0)` after a country code, the prefix of the national format and a leading 00 are removed; every other digit
  stays.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from unicodedata import category, decimal

from .cleaning import (
    Cleaning,
    Normalized,
    Recipient,
    RecipientChange,
    RefusedRecipient,
    name_of,
    new_recipient,
    without_invisible,
)
from .country_codes import country_codes, find_country_code, find_region, is_possible
from .national import Completed, complete, complete_lost_plus

# What follows a slash is no short second number, and what is in parentheses is no (0).
_USUAL: Final = re.compile(r"(?:\+?[0-9]+|(?:\+?[0-9]+ ?)?\([0-9]{2,}\)[ -]?[0-9]+)(?:[ -][0-9]+|/[0-9]{4,})*")
_LONGEST_DATE: Final = 10  # characters
_NOISE: Final = dict.fromkeys(map(ord, " -/()"))
_NOISE_CHANGES: Final[Mapping[tuple[bool, bool], tuple[RecipientChange, ...]]] = {
    (False, False): (),
    (True, False): ("spaces",),
    (False, True): ("punctuation",),
    (True, True): ("spaces", "punctuation"),
}  # whether there are spaces, and other noise
_SCHEME: Final = re.compile(r"(?:tel|callto|sms|whatsapp|p):\s*", re.IGNORECASE)
_OTHER_SCHEME: Final = re.compile(r"[a-z][a-z0-9.-]*:", re.IGNORECASE)
_SIGNS: Final = {
    **dict.fromkeys("\u2212\u2043\u30fc\uff70", "-"),
    **dict.fromkeys("\u00b7\u2022\u2219\u30fb\uff0e\u2024", "."),
    **dict.fromkeys("\uff0f\u2044\u2215", "/"),
    **dict.fromkeys("\uff08[\uff3b", "("),
    **dict.fromkeys("\uff09]\uff3d", ")"),
    **dict.fromkeys("\uff0c\u060c\u3001", ","),
    **dict.fromkeys("\uff1b\u061b", ";"),
}
_PLUS_SIGNS: Final = "\uff0b\ufe62"
_SCIENTIFIC: Final = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?e[+-]?[0-9]+", re.IGNORECASE)
_NEGATIVE: Final = re.compile(r"-[0-9].*|[0-9]+-")
_YEAR: Final = r"(?:19|20)[0-9][0-9]"
_MONTH_OR_DAY: Final = r"(?:0?[1-9]|[12][0-9]|3[01])"
_DATE: Final = re.compile(
    rf"(?:{_YEAR}([-./]){_MONTH_OR_DAY}\1{_MONTH_OR_DAY}|{_MONTH_OR_DAY}([-./]){_MONTH_OR_DAY}\2{_YEAR})"
    r"(?:[T ,]+[0-9]{1,2}:[0-9]{2}.*)?"
)
_SEPARATOR: Final = re.compile(r"[,;|&\n\r]|:::|\s/\s|\b(?:or|and|oder|und|ou|et|o|y|e)\b", re.IGNORECASE)
_EXTENSION: Final = re.compile(
    r"[0-9)]\s*[,;]?\s*(?:#|x|ext(?:n|ension)?|extension|int|anexo|ramal|poste|durchwahl|dw|nst|kl)[.:=\s]*[0-9]+",
    re.IGNORECASE,
)
_DECIMAL: Final = re.compile(r"(\+?[0-9]{7,})[.,]0+")
_PLUS: Final = re.compile(r"\+[^0-9+]*[0-9]")
_BRACKETED: Final = re.compile(r"\(\s*0\s*\)")
_LEADING: Final = re.compile(r"[^0-9]*")
_TRAILING: Final = ".,;"
_SPACE: Final = re.compile(r"\s+")
_PUNCTUATION: Final = re.compile(r"[-./()]+")
_ALLOWED: Final = frozenset("0123456789+-./() ")
_PART: Final = 6  # digits from which a part of a cell is a number of its own
_PART_WITH_CODE: Final = 9  # the same, if it begins with a country code
_SHORT_PART: Final = 3  # digits after a slash that may replace the last digits, as in 12345/6
_LONGEST_TEXT: Final = 200
_LONGEST: Final = 15
_SHORTEST: Final = 7
_LONGEST_PREFIX: Final = 5  # digits to dial another country, such as 0011


def normalize_phone(text: str, region: str | None = None) -> Normalized:
    """Return the phone number *text* in E.164, or why it is refused; see `normalize`."""
    if is_possible(text):
        return Recipient(text, "phone")
    if _is_usual(text):
        return _read_usual(text, region)
    work = Cleaning(text)
    work.replace(without_invisible(work.text), "invisible")
    work.unwrap()
    if not work.text:
        return RefusedRecipient("empty", "is empty")
    if len(work.text) > _LONGEST_TEXT:
        return RefusedRecipient("length", "is too long for a phone number")
    found = _SCHEME.match(work.text)
    if found is not None:
        work.replace(work.text[found.end() :].removeprefix("//"), "prefix")
    if "@" in work.text:
        return RefusedRecipient("email", "is an e-mail address, and must be a phone number")
    work.replace(_replace_each(work.text, _punctuation), "punctuation")
    work.replace(_replace_each(work.text, _digit), "digits")
    work.unwrap()
    return next(_problems(work.text), None) or _convert(work, region)


def _is_usual(text: str) -> bool:
    # Whether the text is one number, and only spaces and punctuation are removed. A date has the same signs, but no +.
    return _LONGEST_DATE < len(text) <= _LONGEST_TEXT and _USUAL.fullmatch(text) is not None


def _read_usual(text: str, region: str | None) -> Normalized:
    number, spaces = text.translate(_NOISE), text.count(" ")
    changes = _NOISE_CHANGES[spaces > 0, len(number) + spaces < len(text)]
    if is_possible(number):
        return new_recipient(number, "phone", changes)
    return _read_digits(Cleaning(number, changes), number.removeprefix("+"), region)


def _replace_each(text: str, replace: Callable[[str], str]) -> str:
    return text if text.isascii() else "".join([sign if sign.isascii() else replace(sign) for sign in text])


def _punctuation(sign: str) -> str:
    return "-" if category(sign) == "Pd" else _SIGNS.get(sign, sign)


def _digit(sign: str) -> str:
    return "+" if sign in _PLUS_SIGNS else str(decimal(sign, sign))


def _problems(text: str) -> Iterator[RefusedRecipient]:
    # What the text is, if it is not one number.
    if _SCIENTIFIC.fullmatch(text):
        yield RefusedRecipient(
            "scientific",
            "is a number that a spreadsheet has rounded (such as 4.9E+12): its digits are lost; format the column as "
            "text and export it again",
        )
    if _DATE.fullmatch(text):
        yield RefusedRecipient("date", "is a date: format the column as text and export it again")
    if _NEGATIVE.fullmatch(text):
        yield RefusedRecipient(
            "negative",
            "is a negative number, perhaps one that a spreadsheet has calculated: format the column as text, and enter "
            "the number again",
        )
    parts = [one for one in _SEPARATOR.split(text) if _is_number(one)]
    if len(parts) > 1 or len(_PLUS.findall(text)) > 1:
        yield RefusedRecipient("several", "has more than one number: keep one of them")
    if text.startswith("#") or text.casefold() in {"n/a", "na", "null", "none", "nan", "-"}:
        yield RefusedRecipient("words", "is not a phone number, but says that there is none")
    if _EXTENSION.search(text):
        yield RefusedRecipient("extension", "has an extension: messages cannot be sent to one")
    if _OTHER_SCHEME.match(text):
        yield RefusedRecipient("scheme", "begins with a word and a colon, which are no part of a phone number")
    if any(map(str.isalpha, text)):
        yield RefusedRecipient("words", "has letters: it must be a phone number")


def _is_number(part: str) -> bool:
    # A country code and an area code are not yet a number: +49 (0) 3941 / 123456.
    least = _PART_WITH_CODE if part.lstrip().startswith(("+", "00")) else _PART
    return sum(map(str.isdigit, part)) >= least


def _convert(work: Cleaning, region: str | None) -> Normalized:
    work.replace(work.text.rstrip(_TRAILING), "punctuation")
    if (found := _DECIMAL.fullmatch(work.text)) is not None:
        work.replace(found[1], "decimal")
    work.replace(_SPACE.sub(" ", work.text), "spaces")
    for sign in work.text:
        if sign not in _ALLOWED:
            return RefusedRecipient("character", f"has the character {name_of(sign)}, which no phone number has")
    before, slash, after = work.text.rpartition("/")
    if slash and before and sum(map(str.isdigit, after)) <= _SHORT_PART:
        return RefusedRecipient("several", "has a second number, written short after a slash: keep one of them")
    if "+" in _LEADING.sub("", work.text, count=1) or work.text.count("+") > 1:
        return RefusedRecipient("plus", "has a + that is not at its beginning")
    return _join(work, region)


def _join(work: Cleaning, region: str | None) -> Normalized:
    has_plus = "+" in work.text
    bracketed = _BRACKETED.search(work.text)
    head = "" if bracketed is None else _digits(work.text[: bracketed.start()])
    if not has_plus and head.startswith("00"):
        head = head[2:]
    if bracketed is not None and _is_country_code(head):
        code = country_codes()[head]
        if code.trunk == "0":
            work.replace(work.text[: bracketed.start()] + " " + work.text[bracketed.end() :], "bracketed_zero")
        elif "0" in code.never:
            return RefusedRecipient("bracketed_zero", "has a (0), which numbers with its country code do not have")
    work.replace(work.text.replace(" ", ""), "spaces")
    work.replace(_PUNCTUATION.sub("", work.text), "punctuation")
    return _read_digits(work, _digits(work.text), region)


def _read_digits(work: Cleaning, digits: str, region: str | None) -> Normalized:
    # The text is *digits*, and may have a +.
    if "+" in work.text:
        return _international(work, digits)
    if digits.startswith("00") and (region is None or is_possible(f"+{digits[2:]}")):
        work.replace(f"+{digits[2:]}", "double_zero")
        return _international(work, digits[2:])
    if not digits:
        return RefusedRecipient("words", "is not a phone number")
    return _national(work, digits, region)


def _is_country_code(digits: str) -> bool:
    return digits in country_codes()


def _digits(text: str) -> str:
    return "".join([sign for sign in text if sign.isdigit()])


def _international(work: Cleaning, digits: str) -> Normalized:
    number = f"+{digits}"
    if is_possible(number):
        work.replace(number, "punctuation")
        return new_recipient(number, "phone", work.changes)
    return explain(digits)


def _national(work: Cleaning, digits: str, region: str | None) -> Normalized:
    if len(digits) > _LONGEST + _LONGEST_PREFIX:
        return _length("more", "is it more than one number?")
    found = complete_lost_plus(digits) or _NO_COUNTRY if region is None else _complete(digits, region)
    if isinstance(found, RefusedRecipient):
        return found
    work.replace(found.text, found.change)
    return new_recipient(found.text, "phone", work.changes, found.metadata)


_NO_COUNTRY: Final = RefusedRecipient(
    "no_country", "has no country code: write it with + and the country code, or give the region of its country"
)


def _complete(digits: str, region: str) -> Completed | RefusedRecipient:
    code = find_region(region)
    if code is None:
        return RefusedRecipient("unknown_region", "has no country code, and its region is not one that is known")
    found = complete(digits, code)
    return explain(digits[2:]) if isinstance(found, RefusedRecipient) and digits.startswith("00") else found


def explain(digits: str) -> RefusedRecipient:
    """Return why + and *digits* are no possible number in E.164."""
    code = find_country_code(digits)
    if code is None:
        where = "has a 0 where the country code begins" if digits.startswith("0") else "has no country code that exists"
        return RefusedRecipient("leading_zero" if digits.startswith("0") else "country_code", where)
    rest = digits[len(code.code) :]
    if rest.startswith(code.never):
        if rest.startswith("0"):
            return RefusedRecipient("leading_zero", "has a 0 after the country code: leave it out")
        return RefusedRecipient("country_code", "has a digit after the country code with which no number begins")
    if len(rest) < min(code.lengths) or len(digits) < _SHORTEST:
        return _length("fewer")
    if len(rest) > max(code.lengths) or len(digits) > _LONGEST:
        return _length("more", "is it more than one number?")
    return RefusedRecipient("length", "has a number of digits that is not possible with its country code")


def _length(which: str, hint: str = "are digits missing?") -> RefusedRecipient:
    return RefusedRecipient("length", f"has {which} digits than a phone number of its country can have: {hint}")
