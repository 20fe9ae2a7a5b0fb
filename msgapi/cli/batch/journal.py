"""The journal of one batch, and the options of the command that began it.

Rules:
- The journal is next to the input file unless --journal names another place, so that the same command resumes it.
- A journal belongs to one command: if options that decide what is sent differ, the program ends before sending.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from decimal import Decimal, InvalidOperation
from time import time
from types import NoneType
from typing import Any, Final, Literal, final

import orjson
from attrs import field, frozen

from ... import journal
from ...billing import Estimate
from ...calls import new_key
from ...journal import REMEMBERED, Journal, JournalReader, JournalRow, State, Summary, Unusable, opening
from ...journal.verdicts import MAYBE_SENT
from ..exits import CliError
from .config import MESSAGE_FIELDS
from .template import OPTIONS

SUFFIX: Final = ".journal"
_COMMAND: Final = "command"
_ROWS: Final = "rows"


@final
@frozen
class BatchJournal:
    """The journal at *path*: its batch, what it stores *about* the command, and its summary *before* this run.

    *before* is None if the journal is new. *forgotten* is the number of rows with an unknown outcome whose
    idempotency keys the service may have forgotten. Since the Unix time *lost_since* rows may have been sent that the
    journal lacks.
    """

    path: str
    batch: str
    about: Mapping[str, str]
    before: Summary | None = None
    forgotten: int = 0
    lost_since: float | None = field(default=None, kw_only=True)

    @property
    def command(self) -> dict[str, Any]:
        """The options of the command that began the batch."""
        return stored_command(self.about, f"the journal {self.path}")

    @asynccontextmanager
    async def open(self, *, resend: bool) -> AsyncIterator[Journal]:
        """Open the journal for writing. With *resend*, rows whose keys may be forgotten are sent again.

        Raise CliError if that fails, and `Unusable` if it cannot be written later: then rows may have been sent.
        """
        name, about = self.batch, self.about
        unknown: Literal["report", "resend"] = "resend" if resend else "report"
        async with AsyncExitStack() as stack:
            opening = journal.open(self.path, batch=name, about=about, keys="own", unknown=unknown)
            try:
                opened = await stack.enter_async_context(opening)
            except Unusable as error:
                raise CliError(f"{error}") from None
            yield opened

    def key(self, line: JournalRow) -> str:
        """Return the idempotency key of a row of the journal."""
        return line.key or journal.key_of(self.batch, line.id)

    @contextmanager
    def read(self) -> Iterator[JournalReader]:
        """Open the journal for reading."""
        with reading(self.path) as record:
            yield record


def find_or_begin(path: str, command: Mapping[str, object], rows: int) -> BatchJournal:
    """Return the journal of *command* at *path*, or a new one for so many *rows* if there is none.

    Raise CliError if it belongs to another command.
    """
    try:
        with journal.open_readonly(path) as record:
            found = _read(record, path)
    except Unusable as error:
        if error.reason != "missing":
            raise CliError(f"{error}") from None
        return BatchJournal(path, new_key(), store_command(command, rows))
    if (other := differing(found.command, command)) is not None:
        raise CliError(
            f"the journal {path} was made with a different {other}: "
            "finish that batch by its own command or with --resume, or name another journal with --journal"
        )
    check_complete(found)
    return found


def check_complete(
    found: BatchJournal, *, same_file: bool = True, same_recipe: bool = True, new_batch: bool = False
) -> None:
    """Raise CliError if rows may have been sent that the journal lacks, unless the same rows are sent as before."""
    try:
        opening.check_complete(
            found.path, found.lost_since, same_file=same_file, same_recipe=same_recipe, new_batch=new_batch
        )
    except Unusable as error:
        raise CliError(f"{error}") from None


def store_command(command: Mapping[str, object], rows: int) -> dict[str, str]:
    """Return what a journal stores about *command* and the number of *rows*, as text."""
    return {_COMMAND: orjson.dumps(command, default=str).decode(), _ROWS: f"{rows}"}


def differing(before: Mapping[str, Any], command: Mapping[str, object]) -> str | None:
    """Return the first option by which *command* makes other messages than the stored one *before*; None if none."""
    now = orjson.loads(orjson.dumps({name: command[name] for name in MESSAGE_FIELDS}))
    name = next((name for name in MESSAGE_FIELDS if before.get(name) != now[name]), None)
    if name != "message_values":
        return None if name is None else _OPTION_NAMES.get(name, f"--{name.replace('_', '-')}")
    stored = before.get(name) or {}
    return next(option for name_, option in OPTIONS.items() if stored.get(name_) != now[name].get(name_))


def read_journal(path: str) -> BatchJournal:
    """Return the journal at *path*. Raise CliError if `msgapi batch` did not write it."""
    with reading(path) as record:
        return _read(record, path)


@contextmanager
def reading(path: str) -> Iterator[JournalReader]:
    """Open the journal at *path* for reading. Raise CliError if that fails."""
    try:
        with journal.open_readonly(path) as record:
            yield record
    except Unusable as error:
        raise CliError(f"{error}") from None


def row_count(about: Mapping[str, str]) -> int | None:
    """Return the number of rows of the file, as stored in a journal; None if it is not stored."""
    stored = about.get(_ROWS, "")
    return int(stored) if stored.isdecimal() else None


def spent(found: BatchJournal, per_message: Decimal) -> Decimal:
    """Return what earlier runs may have cost at most, if a message costs at most *per_message* EUR.

    A row with an unknown outcome that is sent again in this run is not included: it counts with this run.
    """
    if found.before is None:
        return Decimal(0)
    return max(found.before.price, found.before.hold) + found.forgotten * per_message


def estimate_left(estimate: Estimate, found: BatchJournal | None, per_message: Decimal) -> Estimate:
    """Return the highest cost of the rows that earlier runs have not settled, of an *estimate* for all rows.

    A message costs at most *per_message* EUR.
    """
    if found is None or found.before is None:
        return estimate
    messages = max(0, estimate.messages - found.before.rows(State.ACCEPTED, State.REFUSED))
    left = max(Decimal(0), estimate.amount - spent(found, per_message))
    return Estimate(messages=messages, amount=min(left, messages * per_message))


def _read(record: JournalReader, path: str) -> BatchJournal:
    about = record.about
    _ = stored_command(about, f"the journal {path}")
    old, summary = time() - REMEMBERED, record.summary()
    unsure = [since for since in (record.merged_at, record.lost_since) if since is not None]
    if unsure and min(unsure) < old:  # since then rows may have been sent that it lacks or has as unsent
        unsettled = (row_count(about) or 0) - summary.rows(State.ACCEPTED, State.REFUSED)
        forgotten = max(summary.rows(*MAYBE_SENT), unsettled)
    else:
        forgotten = sum(line.started < old for state in MAYBE_SENT for line in record.rows(state))
    return BatchJournal(path, about["batch"], about, summary, forgotten, lost_since=record.lost_since)


def stored_command(about: Mapping[str, str], what: str) -> dict[str, Any]:
    """Return the options of the command that began *what*. Raise CliError if they are not stored."""
    if _COMMAND not in about:
        raise CliError(f"{what} was not written by `msgapi batch`: resume it with the program that wrote it")
    command = parse_command(about[_COMMAND])
    if command is None:
        raise CliError(f"{what} is damaged and cannot be relied on; look in the message log for what was sent")
    return command


def parse_command(text: str) -> dict[str, Any] | None:
    """Return the options of a command that were stored as *text*; None if they are damaged."""
    try:
        command = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(command, dict) or not all(
        name in command and isinstance(command[name], kinds) for name, kinds in _KINDS.items()
    ):
        return None
    texts = [*command["message_values"].values(), *command["message_values"], *command["data"], *command["prices"]]
    return command if all(isinstance(one, str) for one in texts) and _is_amount(command["max_spend"]) else None


def _is_amount(text: str | None) -> bool:
    try:
        return text is None or Decimal(text).is_finite()
    except InvalidOperation:
        return False


_TEXT: Final = (str, NoneType)
_KINDS: Final[Mapping[str, type[Any] | tuple[type[Any], ...]]] = {
    "path": str,
    "results": _TEXT,
    "failed": _TEXT,
    "message_values": dict,
    "to_column": str,
    "data": list,
    "allow_empty": bool,
    "allow_duplicates": bool,
    "file_format": _TEXT,
    "delimiter": _TEXT,
    "id_column": _TEXT,
    "with_recipients": bool,
    "prices": list,
    "max_spend": _TEXT,
}
_OPTION_NAMES: Final = {"file_format": "--format"}
