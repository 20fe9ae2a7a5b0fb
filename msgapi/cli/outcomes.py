"""How rows and the program end: the words for the outcomes of rows, the exit statuses, and the entry point.

The words are those of progress lines, tables, files and JSON. The entry point runs a command, and turns an error into
one line and an exit status.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import Enum, IntEnum
from itertools import takewhile
from typing import Final, final

from ..config import Misconfigured

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


@final
class RowOutcome(Enum):
    """The outcomes of a row. The value is the JSON key.

    - ACCEPTED: the service has queued the message for delivery.
    - REFUSED: the service has refused the row.
    - INVALID: the row was refused before anything was sent.
    - DUPLICATE: the row repeats an earlier one and was not sent.
    - UNKNOWN: the row may have been sent, but there is no verdict of the service.
    - NOT_SENT_YET: the row was not sent, or was not carried out; the next run sends it.
    - CHANGED: the row differs from one that was sent, and was not sent.
    - BY_EMAIL: the row was accepted as an email, since the service has refused the RCS message.
    - SENT_EARLIER: the row was accepted in an earlier run.
    - NOT_IN_THE_FILE: the row is one of an earlier run, and the file does not have it any more.
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    INVALID = "invalid"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    NOT_SENT_YET = "not_sent_yet"
    CHANGED = "changed"
    BY_EMAIL = "sent_by_email"
    SENT_EARLIER = "sent_earlier"
    NOT_IN_THE_FILE = "not_in_the_file"

    @property
    def words(self) -> str:
        """The outcome in lower case, for a sentence: `not sent yet`."""
        return self.value.replace("_", " ")

    @property
    def title(self) -> str:
        """The outcome as the first cell of a table: `Not sent yet`."""
        return self.words.capitalize()

    @property
    def kind(self) -> str:
        """The outcome as the `kind` in a file of results, where errors stand under their class: `NotSentYet`."""
        return self.words.title().replace(" ", "")

    @property
    def choice(self) -> str:
        """The outcome as the value of an option: `not-sent-yet`."""
        return self.value.replace("_", "-")


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with *arguments* and return the exit status; see `Exit`.

    If *arguments* is None, those of the process are used. An error is one line on standard error that says how to
    fix it; with --json it is a JSON document on standard output too.
    """
    open_missing_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    json = "--json" in takewhile(lambda one: one != "--", given)
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        return _report(CliError("the command line needs an extra: pip install 'msgapi-sdk[cli]'"), json=json)
    try:
        return run(given)
    except CliError as error:
        return _report(error, json=json)
    except Misconfigured as error:
        return _report(CliError(f"{error} (not needed with --sandbox)", Exit.CONFIGURATION), json=json)
    except KeyboardInterrupt:
        return _report(CliError("interrupted", Exit.INTERRUPTED), json=False)


def _report(error: CliError, *, json: bool) -> int:
    from .output import emit_json, note

    note(str(error))
    if json:
        kind = error.status.name
        with suppress(CliError):  # if standard output cannot be written, the line above has said so
            emit_json(
                {"kind": kind.title(), "code": kind.lower(), "message": str(error), **error.facts, "exit": error.status}
            )
    return int(error.status)


def open_missing_streams() -> None:
    """Open the null device in place of each standard stream that is closed.

    The next file or socket would otherwise get its descriptor, and printed text would be written there.
    """
    for number, (name, mode) in enumerate(_STREAMS):
        try:
            _ = os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, which is this one
            setattr(sys, name, os.fdopen(null, mode))
