"""The command line: `msgapi`, for sending from a terminal and from scripts."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile

from ..config import Misconfigured
from .exits import Exit, Halt
from .streams import fill


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with *arguments*, the process's own by default, and give its exit status.

    Whatever goes wrong is one line on standard error that says what to do, and with --json a document on
    standard output too; see `exits.Exit`.
    """
    fill()
    given = list(sys.argv[1:] if arguments is None else arguments)
    json = "--json" in takewhile(lambda one: one != "--", given)
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        return _end(Halt("the command line needs an extra: pip install 'msgapi-sdk[cli]'"), json=json)
    try:
        return run(given)
    except Halt as error:
        return _end(error, json=json)
    except Misconfigured as error:
        return _end(Halt(f"{error} (--sandbox needs neither)", Exit.CONFIGURATION), json=json)
    except KeyboardInterrupt:
        return _end(Halt("interrupted", Exit.INTERRUPTED), json=False)


def _end(halt: Halt, *, json: bool) -> int:
    from .output import emit_json, note

    note(str(halt))
    if json:
        kind = halt.status.name
        with suppress(Halt):  # where nothing can be written, that has just been said
            emit_json(
                {"kind": kind.title(), "code": kind.lower(), "message": str(halt), **halt.told, "exit": halt.status}
            )
    return int(halt.status)
