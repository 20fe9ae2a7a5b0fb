"""The values that are read from a journal, checked like any input: a damaged one is `Unusable`."""

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, get_args

from ..results import ApiError
from .errors import damaged
from .verdicts import Entry, State

ERRORS: Final[Mapping[str, type[Any]]] = {one.__name__: one for one in get_args(ApiError)}
"""The errors, by the names under which they are stored."""

_KINDS: Final = {"Accepted", *ERRORS}
_STATES: Final = {int(state): state for state in State}


def read_about(path: str, rows: Iterable[Sequence[object]]) -> dict[str, str]:
    """Return the names and values about the journal at *path*."""
    found: dict[str, str] = {}
    for name, value in rows:
        if not isinstance(name, str) or not isinstance(value, str):
            raise damaged(path)
        found[name] = value
    return found


def read_time(path: str, about: Mapping[str, str], name: str) -> float | None:
    """Return the Unix time that *about* has under *name*; None if it has none."""
    if name not in about:
        return None
    try:
        found = float(about[name])
    except ValueError:
        raise damaged(path) from None
    return _time(path, found)


def read_entry(path: str, row: Sequence[Any]) -> Entry:
    """Return the entry of a *row*: id, digest, state, started and key."""
    name, digest, state, started, key = row
    if not isinstance(digest, bytes):
        raise damaged(path)
    _ = read_text(path, name), read_text(path, key)
    return Entry(digest, read_state(path, state), _time(path, started), key)


def read_state(path: str, state: object) -> State:
    """Return the state with the number *state*."""
    found = _STATES.get(state) if isinstance(state, int) else None
    if found is None:
        raise damaged(path)
    return found


def read_kind(path: str, kind: object) -> str | None:
    """Return the stored *kind* of a result."""
    if kind is not None and (not isinstance(kind, str) or kind not in _KINDS):
        raise damaged(path)
    return kind


def read_amount(path: str, amount: object) -> Decimal | None:
    """Return the *amount* in EUR; None if none is stored."""
    if amount is None:
        return None
    try:
        found = Decimal(amount) if isinstance(amount, str) else None
    except InvalidOperation:
        found = None
    if found is None or not found.is_finite():
        raise damaged(path)
    return found


def read_text(path: str, text: object) -> str | None:
    """Return a stored *text*; None if none is stored."""
    if not isinstance(text, str | None):
        raise damaged(path)
    return text


def check_row(path: str, row: Mapping[str, Any]) -> None:
    """Raise `Unusable` unless the columns of *row* have values that a journal stores."""
    _ = read_state(path, row["state"]), _time(path, row["started"]), read_kind(path, row["kind"])
    _ = [read_amount(path, row[name]) for name in ("price", "hold")]
    _ = [read_text(path, row[name]) for name in ("id", "key", "code", "message", "message_id", "unit")]
    if row["id"] is None or not isinstance(row["status"], int | None):
        raise damaged(path)


def _time(path: str, found: object) -> float:
    if not isinstance(found, float) or not math.isfinite(found):
        raise damaged(path)
    return found
