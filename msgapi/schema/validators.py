"""Validators: functions that return the problem found in one value of a request, or None if it is valid.

Rules:
- No problem quotes the value: it is a recipient or content.
- A validator may raise only if a method of the value raises, such as `__len__` or a time zone's `utcoffset`. Call it
  by `problems_of`, which never raises.
- Where a rule is stricter than the docs, the validator that the docs give stands beside it; see `requests.Schema`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from sys import maxsize
from typing import Any, Final, TypeAlias, get_args
from urllib.parse import urlsplit

from ..results import Detail

Problem: TypeAlias = str | Iterable[Detail] | None
Validator: TypeAlias = Callable[[Any], Problem]
"""Returns the problem found in a value: a sentence about the value, details about its parts, or None if valid."""

UNCHECKABLE: Final = "cannot be checked: one of its methods raises an exception"
PHONE_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
DURATION: Final = re.compile(r"[0-9]+(\.[0-9]{1,9})?s|[0-9]+h")
MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_MAX_AMOUNT: Final = Decimal(10) ** 12
IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{1,255}")
_MAX_ADDRESS: Final = 254
_PLAIN_ADDRESS: Final = re.compile(r"[\w.+-]+@(?:[\w-]+\.)+[\w-]+", re.ASCII)
_NO_OFFSET: Final = timedelta(0)
_MAX_SHOWN: Final = 10**5
_BREAKS: Final = re.compile("[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")

CHECKS: Final[dict[type, Validator]] = {}
"""The validator of each request model, of messages and of their parts, for frameworks that read requests."""


def string(most: int | None = None, *, empty: bool = False) -> Validator:
    """Return a validator for a string of at most *most* code points; if *empty* is true, it may be empty."""

    def validate(value: object) -> str | None:
        if not isinstance(value, str):
            return f"must be a string, not {type_of(value)}"
        if most is not None and len(value) > most:
            return f"must have at most {most} characters, and has {len(value)}"
        if not value and not empty:
            return "must not be empty"
        return None if value.isascii() or is_unicode(value) else "is not valid Unicode"

    return validate


def is_unicode(text: str) -> bool:
    """Return whether *text* can be encoded: it has no half of a surrogate pair."""
    try:
        _ = text.encode()
    except UnicodeEncodeError:
        return False
    return True


def type_of(value: object) -> str:
    """Return the name of the type of *value*, for a problem."""
    return "None" if value is None else type(value).__name__


non_empty: Final = string()
any_string: Final = string(empty=True)


def optional(validator: Validator) -> Validator:
    """Return a validator for None, or a value that is valid by *validator*."""
    return lambda value: None if value is None else validator(value)


def one_of(literal: object) -> Validator:
    """Return a validator for one of the values of a *literal* type."""
    values = get_args(literal)
    message = f"must be one of {', '.join(values)}"
    known = frozenset(values)
    return lambda value: None if isinstance(value, str) and value in known else message


def phone_number(value: object) -> str | None:
    """Validate a phone number in E.164."""
    if isinstance(value, str) and PHONE_NUMBER.fullmatch(value):
        return None
    return "must be a phone number in E.164: + and 7 to 15 digits, the first not 0"


def email_address(value: object) -> str | None:
    """Validate one e-mail address: nothing that could be read as two addresses, or as another header."""
    if not isinstance(value, str):
        return f"must be a string, not {type_of(value)}"
    if len(value) > _MAX_ADDRESS:
        return f"must have at most {_MAX_ADDRESS} characters, and has {len(value)}"
    if _PLAIN_ADDRESS.fullmatch(value):
        return None  # as the rest would return, in a third of the time
    local, _, domain = value.partition("@")
    labels = domain.split(".")
    alone = value.isprintable() and not any(sign in value for sign in " <>,;")
    if alone and local and "@" not in domain and len(labels) > 1 and all(labels):
        return None
    return "must be one e-mail address such as name@example.org"


def problems_of(name: str, validate: Validator, value: object) -> list[Detail]:
    """Return the problems that *validate* finds in *value*, with *name* before their paths. Never raise."""
    try:
        problem = validate(value)
        return [] if problem is None else list(prefix_path(name, problem))
    except Exception:  # noqa: BLE001 - a method of the value raised
        return [Detail(name, UNCHECKABLE)]


def single_line(value: object) -> Problem:
    """Validate a non-empty string without line breaks and control characters, since it becomes a header."""
    if isinstance(value, str) and _BREAKS.search(value):
        return "must be a single line"
    if isinstance(value, str) and _CONTROLS.search(value):
        return "must have no control characters"
    return non_empty(value)


def duration(value: object) -> str | None:
    """Validate a duration in one of the two documented forms, such as `"900s"` or `"24h"` (docs: /api/conventions).

    The docs state no grammar. Beside it stands `single_line`.
    """
    if isinstance(value, str) and DURATION.fullmatch(value) and value.strip("0.sh"):
        return None
    return 'must be a duration longer than 0, such as "900s" or "24h"'


def url(*schemes: str) -> Validator:
    """Return a validator for an absolute URL with one of the *schemes*."""
    message = f"must be a URL with a host that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}"

    def validate(value: object) -> str | None:
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            return message
        try:
            parts = urlsplit(value)
            good = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:
            return message
        return None if good else message

    return validate


def degrees(most: int) -> Validator:
    """Return a validator for an angle from -*most* to *most* degrees."""

    def validate(value: Any) -> str | None:  # noqa: ANN401 - compared only once it is known to be a number
        if type(value) in {int, float} and -most <= value <= most:
            return None
        return f"must be a number from -{most} to {most}"

    return validate


def aware_datetime(value: object) -> str | None:
    """Validate a datetime that has a time zone and can be converted to UTC."""
    try:
        if isinstance(value, datetime) and value.utcoffset() is not None:
            in_utc = value.astimezone(UTC)
            if isinstance(in_utc, datetime) and in_utc.utcoffset() == _NO_OFFSET:
                return None
    except Exception:  # noqa: BLE001, S110 - a time zone may raise anything, as may pandas.NaT
        pass
    return "must be a datetime with a time zone"


def date_or_datetime(value: object) -> str | None:
    """Validate a date, or a datetime with a time zone."""
    return (
        None
        if type(value) is date or aware_datetime(value) is None
        else "must be a date, or a datetime with a time zone"
    )


def date_only(value: object) -> str | None:
    """Validate a date without a time."""
    return None if type(value) is date else "must be a date"


def month(value: object) -> str | None:
    """Validate a month, such as `"2026-05"`."""
    return None if isinstance(value, str) and MONTH.fullmatch(value) else 'must be a month such as "2026-05"'


def boolean(value: object) -> str | None:
    """Validate True or False."""
    return None if isinstance(value, bool) else "must be true or false"


def amount(least: Decimal = Decimal(0), *, whole_cents: bool = True) -> Validator:
    """Return a validator for a Decimal of at least *least*, in whole cents unless *whole_cents* is false."""

    def validate(value: object) -> str | None:
        if not isinstance(value, Decimal) or not value.is_finite():
            return f"must be a finite Decimal, not {type_of(value)}"
        if value < least:
            return f"must be at least {least}"
        if value >= _MAX_AMOUNT:
            return f"must be less than {_MAX_AMOUNT:,}"
        return None if not whole_cents or value == round(value, 2) else "must be in whole cents"

    return validate


def integer(least: int, most: int) -> Validator:
    """Return a validator for a whole number from *least* to *most*."""

    def validate(value: Any) -> str | None:  # noqa: ANN401 - compared only once it is known to be a number
        return None if type(value) is int and least <= value <= most else message

    # A longer number would be masked as a phone number.
    shown = most if most < _MAX_SHOWN else f"2**{most.bit_length()} - 1"
    message = f"must be a whole number, {least} to {shown}"
    return validate


def tuple_of(validator: Validator, least: int = 0, most: int = maxsize) -> Validator:
    """Return a validator for a tuple of *least* to *most* values, each valid by *validator*."""
    message = f"must be {least} to {most}" if least else f"must be at most {most}"
    if most == maxsize:
        message = f"must be at least {least}"

    def validate(value: object) -> Problem:
        if not isinstance(value, tuple):
            return f"must be a tuple, not {type_of(value)}"
        if not least <= len(value) <= most:
            return f"{message}, and are {len(value)}"
        if not value:
            return None
        return [detail for index, one in enumerate(value) for detail in prefix_path(f"[{index}]", validator(one))]

    return validate


def prefix_path(path: str, problem: Problem) -> Iterator[Detail]:
    """Yield the details of *problem*, with *path* before their own paths."""
    if isinstance(problem, str):
        yield Detail(path, problem)
        return
    for detail in problem or ():
        dot = "." if path and detail.field and not detail.field.startswith("[") else ""
        yield Detail(f"{path}{dot}{detail.field}", detail.message)


def idempotency_key(value: object) -> str | None:
    """Validate an idempotency key: one that fits into a header."""
    if isinstance(value, str) and IDEMPOTENCY_KEY.fullmatch(value):
        return None
    return "must be 1 to 255 visible ASCII characters"


def path_segment(value: object) -> Problem:
    """Validate an id that can be one segment of a path."""
    return "must be an id" if isinstance(value, str) and value in {".", ".."} else non_empty(value)
