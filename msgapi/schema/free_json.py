"""Free-form JSON: what template data and custom fields may hold, and how it is written.

Rules:
- A Decimal is written as text in plain notation that keeps its zeros: `Decimal("10.50")` is `"10.50"`, and
  `Decimal("1E+2")` is `"100"`. A float is a number.
- A datetime has a time zone, and is written in UTC with a `Z`.
- A problem names the key, and quotes no value.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from ..codec.converter import format_time
from ..results import Detail
from .validators import UNCHECKABLE, Problem, aware_datetime, is_unicode, type_of

_MAX_LEVELS: Final = 64
_MAX_VALUES: Final = 100_000  # an object that refers to another one many times may hold more than memory can
_MAX_DIGITS: Final = 100  # of a decimal number, on either side of its point
_MAX_SHOWN: Final = 60  # characters of a key
_MAX_PATH: Final = 120  # characters; of a longer path only the first key is named
_Found = tuple[str, str]  # the path of a problem, and what is wrong there


class _TooMany(Exception):
    """There are more values than `_MAX_VALUES`."""


def json_object(value: object) -> Problem:
    """Validate a mapping that can be written as JSON; decimals and datetimes in it are allowed."""
    if not isinstance(value, Mapping):
        return f"must be a mapping, not {type_of(value)}"
    return [Detail(*one) for one in _problems(value)]


def _problems(value: Mapping[object, object]) -> Iterator[_Found]:
    # Returns the first problem of each key.
    counter = iter(range(_MAX_VALUES))
    for name, part in value.items():
        found = _name_problem(name)
        if found is not None:
            yield found
            continue
        try:
            found = _find_problem(part, _MAX_LEVELS - 1, counter)
        except _TooMany:
            yield "", f"must hold at most {_MAX_VALUES:,} values"
            return
        except Exception:  # noqa: BLE001 - a method of the value raised
            found = "", UNCHECKABLE
        if found is not None:
            path, problem = _below(name, found)
            yield path if len(path) <= _MAX_PATH else _below(name, ("", ""))[0], problem


def _find_problem(value: object, levels: int, counter: Iterator[int]) -> _Found | None:
    if next(counter, None) is None:
        raise _TooMany
    if isinstance(value, str):
        return None if value.isascii() or is_unicode(value) else ("", "is not valid Unicode")
    if isinstance(value, Mapping | list | tuple):
        return _find_below(value, levels, counter)
    problem = _scalar_problem(value)
    return None if problem is None else ("", problem)


def _find_below(value: Any, levels: int, counter: Iterator[int]) -> _Found | None:  # noqa: ANN401 - an array or object
    if levels <= 0:
        return "", f"must be nested in at most {_MAX_LEVELS} levels"
    is_object = isinstance(value, Mapping)
    parts: Iterable[tuple[object, object]] = value.items() if is_object else enumerate(value)
    for name, part in parts:
        found = _name_problem(name) if is_object else None
        if found is not None:
            return found
        found = _find_problem(part, levels - 1, counter)
        if found is not None:
            return _below(name, found)
    return None


def _scalar_problem(value: object) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**64 else "must be a whole number of at most 64 bits"
    if isinstance(value, float):
        return None if isfinite(value) else "must be a finite number"
    if isinstance(value, Decimal):
        return None if _is_short(value) else f"must be a finite number of at most {_MAX_DIGITS} digits"
    if isinstance(value, datetime):
        return aware_datetime(value)
    return f"must be a value that JSON can hold, not {type_of(value)}"


def _is_short(value: Decimal) -> bool:
    if not value.is_finite():
        return False
    _, digits, exponent = value.as_tuple()
    return isinstance(exponent, int) and len(digits) <= _MAX_DIGITS and abs(exponent) <= _MAX_DIGITS


def _name_problem(name: object) -> _Found | None:
    if not isinstance(name, str):
        return "", f"must have names that are strings, not {type_of(name)}"
    return None if is_unicode(name) else ("", "must have names that are valid Unicode")


def _below(name: object, found: _Found) -> _Found:
    path, problem = found
    step = f"[{name}]" if isinstance(name, int) else f"{name}"[:_MAX_SHOWN]
    return f"{step}{'.' if path and not path.startswith('[') else ''}{path}", problem


def plain_json(value: Any) -> Any:  # noqa: ANN401 - JSON has no better type
    """Return *value*, which is valid by `json_object`, as the exact types of JSON."""
    if type(value) in _EXACT:
        return value
    if isinstance(value, Mapping):
        return {str.__str__(name): plain_json(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(part) for part in value]
    if isinstance(value, Decimal):
        return Decimal.__format__(value, "f")
    if isinstance(value, datetime):
        return format_time(value)
    return _exact(value)


def _exact(value: Any) -> str | int | float:  # noqa: ANN401 - a value of a class of its own, as numpy.float64 or a StrEnum
    if isinstance(value, str):
        return str.__str__(value)
    return int.__int__(value) if isinstance(value, int) else float.__float__(value)


_EXACT: Final = frozenset({str, int, float, bool, type(None)})
