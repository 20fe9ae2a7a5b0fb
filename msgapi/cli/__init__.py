"""The command line: `msgapi`, for sending from a terminal and from scripts."""

from collections.abc import Sequence

from ..client import Misconfigured
from .exits import Exit, Halt
from .streams import fill


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program with *arguments*, the process's own by default, and give its exit status.

    Whatever goes wrong is one line on standard error that says what to do; see `exits.Exit`.
    """
    fill()
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        return _end("the command line needs an extra: pip install 'msgapi-sdk[cli]'", Exit.USAGE)
    try:
        return run(arguments)
    except Halt as error:
        return _end(str(error), error.status)
    except Misconfigured as error:
        return _end(f"{error} (--sandbox needs neither)", Exit.CONFIGURATION)
    except KeyboardInterrupt:
        return _end("interrupted", Exit.INTERRUPTED)


def _end(line: str, status: Exit) -> int:
    from .output import note

    note(line)
    return int(status)
