"""Diary: the journal of one batch, and what it says of the command that began it.

Rules:
- It stands beside the file, unless another place is named, so that the same command goes on with it.
- It is of one command: where what is to be sent was told otherwise, the program ends before anything is sent.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from time import time
from typing import Any, Final, Literal, final

import orjson
from attrs import frozen

from .. import journal
from ..calls import new_key
from ..journal import REMEMBERED, Journal, JournalReader, JournalRow, State, Summary, Unusable
from ..journal.verdicts import MAYBE_SENT
from .exits import Halt

SUFFIX: Final = ".journal"
_COMMAND: Final = "command"
_ROWS: Final = "rows"
_SAME: Final = ("given", "to_column", "data", "empty", "duplicates", "shape", "delimiter", "id_column")


@final
@frozen
class Diary:
    """A journal at *path*: of which batch, what it says of its command, and what stood in it *before*, if it goes on.

    *forgotten* is how many rows are in doubt whose keys the service may not know any more.
    """

    path: str
    batch: str
    about: Mapping[str, str]
    before: Summary | None = None
    forgotten: int = 0

    @property
    def command(self) -> dict[str, Any]:
        """The options of the command that began it."""
        return command_of(self.about, f"the journal {self.path}")

    @asynccontextmanager
    async def opened(self, *, resend: bool) -> AsyncIterator[Journal]:
        """Open the journal to write; with *resend*, rows whose keys may be forgotten go out again too."""
        name, about = self.batch, self.about
        unknown: Literal["report", "resend"] = "resend" if resend else "report"
        try:
            async with journal.open(self.path, batch=name, about=about, keys="own", unknown=unknown) as opened:
                yield opened
        except Unusable as error:
            raise Halt(f"{error}") from None

    def key(self, line: JournalRow) -> str:
        """Tell the idempotency key under which a row of the journal goes out."""
        return line.key or journal.key_of(self.batch, line.id)

    @contextmanager
    def read(self) -> Iterator[JournalReader]:
        """Open the journal to read."""
        with reading(self.path) as record:
            yield record


def begun(path: str, command: Mapping[str, object], rows: int) -> Diary:
    """Find the journal of *command* at *path*, or tell what a new one, of so many *rows*, will say."""
    try:
        with journal.open_readonly(path) as record:
            diary = _read(record, path)
    except Unusable as error:
        if error.reason != "missing":
            raise Halt(f"{error}") from None
        return Diary(path, new_key(), told(command, rows))
    if (other := differing(diary.command, command)) is not None:
        raise Halt(
            f"the journal {path} is of a batch with other options ({other}): "
            "finish it by its own command or by --resume, or name another journal by --journal"
        )
    return diary


def told(command: Mapping[str, object], rows: int) -> dict[str, str]:
    """Put into text what a journal says of the *command* that began it, and of how many *rows* there are."""
    return {_COMMAND: orjson.dumps(command, default=str).decode(), _ROWS: f"{rows}"}


def differing(before: Mapping[str, object], command: Mapping[str, object]) -> str | None:
    """Name an option by which *command* makes other messages than the one *before*, as it was put into text."""
    now = orjson.loads(orjson.dumps({name: command[name] for name in _SAME}))
    return next((_OPTIONS.get(name, name) for name in _SAME if before.get(name) != now[name]), None)


def found(path: str) -> Diary:
    """Read what the journal at *path* says; one that a program has written itself ends this one."""
    with reading(path) as record:
        return _read(record, path)


@contextmanager
def reading(path: str) -> Iterator[JournalReader]:
    """Open the journal at *path* to read; one that cannot be ends the program."""
    try:
        with journal.open_readonly(path) as record:
            yield record
    except Unusable as error:
        raise Halt(f"{error}") from None


def rows_of(about: Mapping[str, str]) -> int | None:
    """Tell how many rows the file had, from what a journal says; None if it says nothing of it."""
    said = about.get(_ROWS, "")
    return int(said) if said.isdecimal() else None


def spent(diary: Diary, each: Decimal) -> Decimal:
    """Tell what earlier runs may have cost at most, when one message costs *each* at most.

    Rows in doubt count with this run, in which they go out again; those that do not, count here.
    """
    if diary.before is None:
        return Decimal(0)
    return max(diary.before.price, diary.before.hold) + diary.forgotten * each


def _read(record: JournalReader, path: str) -> Diary:
    about = record.about
    _ = command_of(about, f"the journal {path}")
    old, summary = time() - REMEMBERED, record.summary()
    collected = journal.merged_at(about)
    if collected is not None and collected < old:  # workers may have sent what is not there at all, or begun it first
        unsettled = (rows_of(about) or 0) - summary.rows(State.ACCEPTED, State.REFUSED)
        forgotten = max(summary.rows(*MAYBE_SENT), unsettled)
    else:
        forgotten = sum(line.started < old for state in MAYBE_SENT for line in record.rows(state))
    return Diary(path, about["batch"], about, summary, forgotten)


def command_of(about: Mapping[str, str], what: str) -> dict[str, Any]:
    """Read the options of the command that began *what*."""
    if _COMMAND not in about:
        raise Halt(f"{what} is not one of `msgapi batch`: go on with the program that has written it")
    command: dict[str, Any] = orjson.loads(about[_COMMAND])
    return command


_OPTIONS: Final = {
    "given": "what is said of the messages",
    "to_column": "--to-column",
    "data": "--data",
    "empty": "--allow-empty",
    "duplicates": "--allow-duplicates",
    "shape": "--format",
    "delimiter": "--delimiter",
    "id_column": "--id-column",
}
