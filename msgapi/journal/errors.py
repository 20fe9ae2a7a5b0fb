"""Errors: why a journal cannot be used, also when SQLite or the operating system says so."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias, final

Reason: TypeAlias = Literal[
    "missing", "foreign", "newer", "damaged", "incomplete", "other batch", "in use", "unwritable"
]


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
    return Unusable("unwritable", f"cannot {verb} the journal {path}: {error.strerror or error}")


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
            return Unusable("unwritable", f"cannot write the journal {path}: the disk is full")
        case _:
            return Unusable("unwritable", f"cannot use the journal {path}: {error}")
