"""The exit statuses of the program, and the error that ends it."""

from collections.abc import Mapping
from enum import IntEnum
from typing import final


@final
class Exit(IntEnum):
    """The exit statuses of the program."""

    ACCEPTED = 0
    REFUSED = 1
    USAGE = 2
    STOPPED = 3
    CONFIGURATION = 4
    NO_COMMAND = 127
    INTERRUPTED = 130


@final
class CliError(Exception):
    """Ends the program with one line on standard error.

    *text* says what is wrong and how to fix it. *facts* are added to the document that --json prints.
    """

    def __init__(self, text: str, status: Exit = Exit.USAGE, *, facts: Mapping[str, object] | None = None) -> None:
        """Create an error with *text*, an exit *status* and *facts*."""
        super().__init__(text)
        self.status = status
        self.facts: Mapping[str, object] = facts or {}


def cannot_read(name: str, error: OSError) -> CliError:
    """Return the error for a file *name* that cannot be read."""
    return CliError(f"cannot read {name}: {error.strerror or error}")


def cannot_write(name: str, error: OSError) -> str:
    """Return the message for a file *name* that cannot be written."""
    return f"cannot write {name}: {error.strerror or error}"
