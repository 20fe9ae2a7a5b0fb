"""Rules: what may be wrong with one value of a request, whatever an untyped caller put there.

No rule raises, and none quotes the value: it is a recipient or content.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isfinite
from sys import maxsize
from typing import Any, Final, TypeAlias, get_args
from urllib.parse import urlsplit

from ..results import Detail

Problem: TypeAlias = str | Iterable[Detail] | None
Rule: TypeAlias = Callable[[Any], Problem]
"""Finds what is wrong with a value: a sentence about it, details below it, or nothing."""

NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
DURATION: Final = re.compile(r"[0-9]+(\.[0-9]{1,9})?s|[0-9]+h")
MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_AMOUNT_MOST: Final = Decimal(10) ** 12
KEY: Final = re.compile(r"[!-~]{1,255}")
_ADDRESS_MOST: Final = 254
_LONG: Final = 10**5
_LEVELS: Final = 64


def string(most: int | None = None, *, empty: bool = False) -> Rule:
    """Ask for a string of at most *most* characters (code points); *empty* lets it be empty."""

    def rule(value: object) -> str | None:
        if not isinstance(value, str):
            return f"must be a string, not {_type_of(value)}"
        if most is not None and len(value) > most:
            return f"must have at most {most} characters, and has {len(value)}"
        if not value and not empty:
            return "must not be empty"
        return None if value.isascii() or _is_unicode(value) else "is not valid Unicode"

    return rule


def _is_unicode(text: str) -> bool:
    try:
        _ = text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _type_of(value: object) -> str:
    return "None" if value is None else type(value).__name__


nonempty_text: Final = string()
any_text: Final = string(empty=True)


def optional(rule: Rule) -> Rule:
    """Let a value be None, and otherwise ask for what *rule* asks for."""
    return lambda value: None if value is None else rule(value)


def one_of(literal: object) -> Rule:
    """Ask for one of the values of a *literal* type."""
    values = get_args(literal)
    said = f"must be one of {', '.join(values)}"
    known = frozenset(values)
    return lambda value: None if isinstance(value, str) and value in known else said


def number(value: object) -> str | None:
    """Ask for a phone number in E.164."""
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return None
    return "must be a phone number in E.164: + and 7 to 15 digits, the first not 0"


def address(value: object) -> str | None:
    """Ask for one e-mail address: nothing that could be read as two, or as a further header."""
    if not isinstance(value, str):
        return f"must be a string, not {_type_of(value)}"
    if len(value) > _ADDRESS_MOST:
        return f"must have at most {_ADDRESS_MOST} characters, and has {len(value)}"
    local, _, domain = value.partition("@")
    labels = domain.split(".")
    alone = value.isprintable() and not any(sign in value for sign in " <>,;")
    if alone and local and "@" not in domain and len(labels) > 1 and all(labels):
        return None
    return "must be one e-mail address such as name@example.org"


def single_line(value: object) -> Problem:
    """Ask for a text without a line break, as it goes into a header."""
    if isinstance(value, str) and ("\r" in value or "\n" in value):
        return "must be a single line"
    return nonempty_text(value)


def duration(value: object) -> str | None:
    """Ask for a duration in one of the two documented forms."""
    if isinstance(value, str) and DURATION.fullmatch(value) and value.strip("0.sh"):
        return None
    return 'must be a duration longer than 0, such as "900s" or "24h"'


def url(*schemes: str) -> Rule:
    """Ask for an absolute URL of one of the *schemes*."""
    said = f"must be a URL with a host that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}"

    def rule(value: object) -> str | None:
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            return said
        try:
            parts = urlsplit(value)
            good = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:
            return said
        return None if good else said

    return rule


def degrees(most: int) -> Rule:
    """Ask for an angle of at most *most* degrees either way."""

    def rule(value: Any) -> str | None:  # noqa: ANN401 - compared only once it is known to be a number
        if type(value) in {int, float} and -most <= value <= most:
            return None
        return f"must be a number from -{most} to {most}"

    return rule


def aware_time(value: object) -> str | None:
    """Ask for a time that says its zone and can be told in UTC."""
    try:
        if isinstance(value, datetime) and value.utcoffset() is not None and value.astimezone(UTC):
            return None
    except OverflowError:
        pass
    return "must be a datetime with a time zone"


def day(value: object) -> str | None:
    """Ask for a date, or a time that says its zone."""
    return (
        None if type(value) is date or aware_time(value) is None else "must be a date, or a datetime with a time zone"
    )


def date_alone(value: object) -> str | None:
    """Ask for a date without a time."""
    return None if type(value) is date else "must be a date"


def month(value: object) -> str | None:
    """Ask for a month."""
    return None if isinstance(value, str) and MONTH.fullmatch(value) else 'must be a month such as "2026-05"'


def flag(value: object) -> str | None:
    """Ask for true or false."""
    return None if isinstance(value, bool) else "must be true or false"


def amount(least: Decimal = Decimal(0)) -> Rule:
    """Ask for a Decimal of at least *least*, in whole cents."""

    def rule(value: object) -> str | None:
        if not isinstance(value, Decimal) or not value.is_finite():
            return f"must be a finite Decimal, not {_type_of(value)}"
        if value < least:
            return f"must be at least {least}"
        return None if value < _AMOUNT_MOST and value == round(value, 2) else "must be in whole cents"

    return rule


def whole(least: int, most: int) -> Rule:
    """Ask for a whole number from *least* to *most*."""

    def rule(value: Any) -> str | None:  # noqa: ANN401 - compared only once it is known to be a number
        return None if type(value) is int and least <= value <= most else said

    shown = (
        most if most < _LONG else f"2**{most.bit_length()} - 1"
    )  # many digits would be hidden, as a number of a phone
    said = f"must be a whole number, {least} to {shown}"
    return rule


def json(value: object) -> str | None:
    """Ask for a mapping that JSON holds as it is, with decimals and times in their JSON form."""
    if not isinstance(value, Mapping):
        return f"must be a mapping, not {_type_of(value)}"
    return None if _is_json(value, _LEVELS) else f"must hold only what JSON can, at most {_LEVELS} levels deep"


def _is_json(value: object, levels: int) -> bool:
    if isinstance(value, str):
        return _is_unicode(value)
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, Decimal):
        return value.is_finite()
    if isinstance(value, Mapping | list | tuple):
        names = value if isinstance(value, Mapping) else ()
        parts = value.values() if isinstance(value, Mapping) else value
        named = all(isinstance(name, str) and _is_unicode(name) for name in names)
        return levels > 0 and named and all(_is_json(part, levels - 1) for part in parts)
    return value is None or (isinstance(value, int) and -(2**63) <= value < 2**64) or aware_time(value) is None


def items(rule: Rule, least: int = 0, most: int = maxsize) -> Rule:
    """Ask for a tuple of *least* to *most* values, each as *rule* asks."""
    said = f"must be {least} to {most}" if least else f"must be at most {most}"
    if most == maxsize:
        said = f"must be at least {least}"

    def wrong(value: object) -> Problem:
        if not isinstance(value, tuple):
            return f"must be a tuple, not {_type_of(value)}"
        if not least <= len(value) <= most:
            return f"{said}, and are {len(value)}"
        if not value:
            return None
        return [detail for index, one in enumerate(value) for detail in prefix_path(f"[{index}]", rule(one))]

    return wrong


def prefix_path(path: str, found: Problem) -> Iterator[Detail]:
    """Put what was *found* under *path*."""
    if isinstance(found, str):
        yield Detail(path, found)
        return
    for detail in found or ():
        dot = "." if detail.field and not detail.field.startswith("[") else ""
        yield Detail(f"{path}{dot}{detail.field}", detail.message)


def key(value: object) -> str | None:
    """Ask for an idempotency key that can stand in a header."""
    if isinstance(value, str) and KEY.fullmatch(value):
        return None
    return "must be 1 to 255 visible ASCII characters"


def path_id(value: object) -> Problem:
    """Ask for an id that can stand in a path."""
    return "must be an id" if isinstance(value, str) and value in {".", ".."} else nonempty_text(value)
