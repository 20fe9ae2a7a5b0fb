"""The entry point of the program: run a command, and turn errors into one line and an exit status."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile
from typing import Final

from ..config import Misconfigured
from .exits import CliError, Exit

_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with *arguments* and return the exit status; see `exits.Exit`.

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
