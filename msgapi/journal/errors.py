"""Errors: why a journal cannot be used, and the checks of the values that are read from one.

Rules:
- What SQLite or the operating system raises leaves as `Unusable`.
- A stored value is checked like any input: one that a journal does not write is `Unusable`, as damaged.
"""

import errno
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, TypeAlias, final, get_args

from ..results import ApiError
from .rows import Entry, State

Reason: TypeAlias = Literal[
    "missing", "foreign", "newer", "damaged", "incomplete", "other batch", "in use", "unwritable", "full"
]
API_ERRORS: Final[Mapping[str, type[Any]]] = {one.__name__: one for one in get_args(ApiError)}
"""The errors, by the names under which they are stored."""

_FULL: Final = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows has no quota error
_KINDS: Final = {"Accepted", *API_ERRORS}
_STATES: Final = {int(state): state for state in State}


@final
class Unusable(Exception):
    """The journal cannot be used or written. *reason* classifies the problem; the text says what to do."""

    def __init__(self, reason: Reason, text: str) -> None:
        """Set *reason* and the text."""
        super().__init__(reason, text)  # both, so that it can be pickled and copied
        self.reason: Final = reason

    def __str__(self) -> str:
        """Return the text."""
        return f"{self.args[1]}"


def damaged(path: str) -> Unusable:
    """Return the error for a journal whose content is not what was written."""
    return Unusable(
        "damaged", f"the journal {path} is damaged and cannot be relied on; look in the message log for what was sent"
    )


def in_use(path: str) -> Unusable:
    """Return the error for a journal that is open elsewhere."""
    return Unusable("in use", f"the journal {path} is in use by another program: let that one finish")


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Raise the errors of SQLite as `Unusable`."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(path, error) from error


@contextmanager
def as_unwritable(path: str) -> Iterator[None]:
    """Raise an OSError as `Unusable`."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: str, error: OSError, verb: str = "write") -> Unusable:
    """Return the error for a journal that the operating system refuses to open or to write."""
    reason: Reason = "full" if error.errno in _FULL else "unwritable"
    return Unusable(reason, f"cannot {verb} the journal {path}: {error.strerror or error}")


def _translate(path: str, error: sqlite3.Error) -> Unusable:
    match getattr(error, "sqlite_errorcode", None):
        case None if isinstance(error, sqlite3.OperationalError):  # a text that is not UTF-8
            return damaged(path)
        case None:
            return Unusable("unwritable", f"cannot use the journal {path}: {error}")
        case code:
            return _translate_code(path, code & 0xFF, error)


def _translate_code(path: str, code: int, error: sqlite3.Error) -> Unusable:
    match code:
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_ERROR:  # the last: a table is missing
            return damaged(path)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return in_use(path)
        case sqlite3.SQLITE_FULL:
            return Unusable("full", f"cannot write the journal {path}: the disk is full")
        case _:
            return Unusable("unwritable", f"cannot use the journal {path}: {error}")


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


def read_count(path: str, about: Mapping[str, str], name: str) -> int:
    """Return the number that *about* has under *name*; 0 if it has none."""
    text = about.get(name, "0")
    if not text.isdecimal():
        raise damaged(path)
    return int(text)


def read_entry(path: str, row: Sequence[Any]) -> Entry:
    """Return the entry of a *row*: id, digest, state, started, key, run and leg."""
    name, digest, state, started, key, run, leg = row
    if not isinstance(digest, bytes) or not isinstance(run, int):
        raise damaged(path)
    _ = read_text(path, name), read_text(path, key)
    return Entry(digest, read_state(path, state), _time(path, started), key, key, run, read_leg(path, leg))


def read_state(path: str, state: object) -> State:
    """Return the state with the number *state*."""
    found = _STATES.get(state) if isinstance(state, int) else None
    if found is None:
        raise damaged(path)
    return found


def read_leg(path: str, leg: object) -> int:
    """Return the stored number of a *leg*, from 1."""
    if not isinstance(leg, int) or leg < 1:
        raise damaged(path)
    return leg


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
    _ = read_leg(path, row["leg"])
    if row["id"] is None or not isinstance(row["status"], int | None):
        raise damaged(path)


def _time(path: str, found: object) -> float:
    if not isinstance(found, float) or not math.isfinite(found):
        raise damaged(path)
    return found
