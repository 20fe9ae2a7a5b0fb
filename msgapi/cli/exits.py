"""Ends: the statuses that the program exits with, and the one-line error that ends it."""

from collections.abc import Mapping
from enum import IntEnum
from typing import final


@final
class Exit(IntEnum):
    """What a status means, for whoever started the program."""

    ACCEPTED = 0
    REFUSED = 1
    USAGE = 2
    STOPPED = 3
    CONFIGURATION = 4
    NO_COMMAND = 127
    INTERRUPTED = 130


@final
class Halt(Exception):
    """Ends the program: *text* is one line that says what is wrong and what to do about it; *told* is more, as JSON."""

    def __init__(self, text: str, status: Exit = Exit.USAGE, *, told: Mapping[str, object] | None = None) -> None:
        """End with *text* and *status*."""
        super().__init__(text)
        self.status = status
        self.told: Mapping[str, object] = told or {}


def unreadable(name: str, error: OSError) -> Halt:
    """Say that the file *name* cannot be read, and why."""
    return Halt(f"cannot read {name}: {error.strerror or error}")


def unwritable(name: str, error: OSError) -> str:
    """Say that the file *name* cannot be written, and why."""
    return f"cannot write {name}: {error.strerror or error}"
