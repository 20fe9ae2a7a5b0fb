"""The journal of one batch, and the options of the command that began it.

Rules:
- The journal is next to the input file unless --journal names another place, so that the same command resumes it.
- A journal belongs to one batch: if the file or the options that decide what is sent differ, `comparison` decides.
- The options are stored as the recipe of the messages. Paths are no part of it.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from decimal import Decimal, InvalidOperation
from itertools import chain
from pathlib import Path
from time import time
from types import NoneType
from typing import Any, Final, Literal, final

from attrs import field, frozen

from ... import journal
from ...billing import Estimate
from ...calls import new_key
from ...fallback import leg_key
from ...journal import REMEMBERED, Journal, JournalReader, JournalRow, State, Summary, Unusable, opening
from ...journal.resumption import MAYBE_SENT, RULE_VERSION, SENT
from ...journal.sqlite import FINISHED
from ...recipients.national import metadata_version
from ..output import CliError, Exit, note
from .template import MESSAGE, OPTIONS

SUFFIX: Final = ".journal"
COMMAND: Final = "command"
"""The name of the options of the command that began the batch."""

_ROWS: Final = "rows"
FILE_DIGEST: Final = "file"
_RULE: Final = "rule"
METADATA: Final = "phonenumberslite"
"""The name of the version of the library that has completed numbers of rows, if one has."""
DIGESTS: Final = "file_digests"
"""The digests of the files that options name, by the name of the option."""

MESSAGE_FIELDS: Final = (
    "message_values",
    "id_column",
    "region",
    "region_column",
    "to_column",
    "data",
    "allow_empty",
    "allow_duplicates",
    "fallback_email",
    "where",
)
"""The fields that decide which messages the rows become: a journal belongs to one value of each.

Those that no option can override come first, since the first that differs decides.
"""

READING_FIELDS: Final = ("file_format", "delimiter", "encoding", "sheet")
"""The fields that decide how the file is read. With another value of one, the file is compared as another file is."""


@final
@frozen(kw_only=True)
class SentBefore:
    """How many rows *of* a file were accepted in earlier runs: dates from the *first* to the *last*."""

    rows: int
    of: int
    first: str
    last: str

    @property
    def dates(self) -> str:
        """The dates, for a sentence."""
        return self.first if self.first == self.last else f"{self.first} to {self.last}"


@final
@frozen
class BatchJournal:
    """The journal at *path*: its batch, what it stores *about* the command, and its summary *before* this run.

    *before* is None if the journal is new. *forgotten* is the number of rows with an unknown outcome whose
    idempotency keys the service may have forgotten. *sent_before* is known if another file than that of the last run
    was compared with it. Since the Unix time *lost_since* rows may have been sent that the journal lacks. The journal
    of the finished batch before this one, if there is one at *path*, is renamed to *archive* when this one is opened.
    """

    path: str
    batch: str
    about: Mapping[str, str]
    before: Summary | None = None
    forgotten: int = 0
    sent_before: SentBefore | None = None
    lost_since: float | None = field(default=None, kw_only=True)
    archive: str | None = field(default=None, kw_only=True)

    @property
    def finished(self) -> bool:
        """Whether a run has settled all rows of the file, and no rows were merged in that are not settled."""
        if self.before is None or FINISHED not in self.about:
            return False
        return not self.before.in_file.rows(State.STARTED, State.NOT_SENT, State.UNKNOWN)

    @property
    def has_sent(self) -> bool:
        """Whether rows were accepted, or may have been."""
        return self.before is not None and self.before.rows(*SENT) > 0

    @property
    def has_changed(self) -> bool:
        """Whether changed rows were left out."""
        return self.before is not None and self.before.rows(State.CHANGED) > 0

    def differing(self, about: Mapping[str, str]) -> str | None:
        """Return the name of the first part of the recipe that is another in *about*; None if there is none."""
        before, now = _recipe(self.about), _recipe(about)
        return self._differing_metadata() or next((name for name in now if before.get(name) != now[name]), None)

    def _differing_metadata(self) -> str | None:
        stored = self.about.get(METADATA)
        return None if stored is None or stored == metadata_version() else METADATA

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
            journal_to_open = journal.open(self.path, batch=name, about=about, keys="own", unknown=unknown)
            try:
                if self.archive is not None:
                    opening.rename(self.path, self.archive)
                    note(f"a new batch begins; the journal of the finished one is {self.archive} now")
                opened = await stack.enter_async_context(journal_to_open)
            except Unusable as error:
                raise CliError(f"{error}", Exit.STOPPED if error.reason == "full" else Exit.USAGE) from None
            yield opened

    def key(self, line: JournalRow) -> str:
        """Return the idempotency key of a row of the journal."""
        return leg_key(line.key or journal.key_of(self.batch, line.id), line.leg)

    @contextmanager
    def read(self) -> Iterator[JournalReader]:
        """Open the journal for reading."""
        with reading(self.path) as record:
            yield record


def find_or_begin(path: str, about: Mapping[str, str]) -> BatchJournal:
    """Return the journal at *path*, or a new one with *about* if there is none."""
    try:
        with journal.open_readonly(path) as record:
            found = _read(record, path)
    except Unusable as error:
        if error.reason != "missing":
            raise CliError(f"{error}") from None
        return BatchJournal(path, new_key(), about)
    return found


def begin_new_batch(path: str, about: Mapping[str, str]) -> BatchJournal:
    """Return a new journal with *about*; opening it renames the journal at *path*, if there is one.

    Raise CliError if the batch of that one is unfinished and has rows that were sent.
    """
    found = find_or_begin(path, about)
    if found.before is None:
        return found
    if not found.finished and found.has_sent:
        raise CliError(
            f"the batch of the journal {path} is not finished: run the command without --new-batch to finish it, "
            "or name another --journal"
        )
    check_complete(found, new_batch=True)
    number = 1
    while Path(f"{path}.{number}").exists():
        number += 1
    return BatchJournal(path, new_key(), about, archive=f"{path}.{number}")


def store_path(found: BatchJournal, path: object, now: float) -> None:
    """Store *path* as that of the input file, so that --resume finds it. Raise CliError if that fails."""
    command = found.command | {"path": path}
    try:
        with closing(opening.open_existing(found.path)) as file:
            opening.check_batch(file, found.batch)
            file.begin_opening(now)
            file.update_about({COMMAND: json.dumps(command, default=_as_plain)})
    except Unusable as error:
        raise CliError(f"{error}") from None


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


def store_command(command: Mapping[str, object], rows: int, digest: str = "") -> dict[str, str]:
    """Return what a journal stores about *command*, the number of *rows* and the *digest* of the file, as text."""
    stored = json.dumps(command, default=_as_plain)  # a path may have bytes that are not UTF-8
    return {COMMAND: stored, _RULE: f"{RULE_VERSION}", _ROWS: f"{rows}", FILE_DIGEST: digest}


def _as_plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _recipe(about: Mapping[str, str]) -> dict[str, Any]:
    # The options of messages are parts of their own, so that the one that differs can be named.
    command = stored_command(about, "the journal")
    options = {name: command[name] for name in MESSAGE_FIELDS if name != "message_values"}
    texts = command["message_values"] | command.get(DIGESTS, {})  # of a file, the digest counts, and not the path
    return {"rule": about.get(_RULE)} | options | {name: texts.get(name) for name in (*OPTIONS, MESSAGE)}


def reading_of(about: Mapping[str, str]) -> dict[str, Any]:
    """Return how the file was read, as stored in a journal."""
    command = stored_command(about, "the journal")
    return {name: command[name] for name in READING_FIELDS}


def option_name(part: str) -> str:
    """Return the option that decides about a *part* of a recipe."""
    return OPTIONS.get(part) or _OPTION_NAMES.get(part) or f"--{part.replace('_', '-')}"


def differing(before: Mapping[str, Any], command: Mapping[str, object]) -> str | None:
    """Return the first option by which *command* makes other messages than the stored one *before*; None if none."""
    stored, now = (_recipe(about := store_command(one, 0)) | reading_of(about) for one in (before, command))
    name = next((name for name in now if stored.get(name) != now[name]), None)
    return None if name is None else option_name(name)


def read_journal(path: str) -> BatchJournal:
    """Return the journal at *path*. Raise CliError if `msgapi batch` did not write it."""
    with reading(path) as record:
        return _read(record, path)


@contextmanager
def reading(path: str, *, in_use: Literal["refuse", "copy"] = "refuse") -> Iterator[JournalReader]:
    """Open the journal at *path* for reading, or a copy of one in use. Raise CliError if that fails."""
    try:
        with journal.open_readonly(path, in_use=in_use) as record:
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
    here = found.before.in_file
    messages = max(0, estimate.messages - here.rows(State.ACCEPTED, State.REFUSED))
    paid = max(here.price, here.hold) + found.forgotten * per_message
    left = max(Decimal(0), estimate.amount - paid)
    return Estimate(messages=messages, amount=min(left, messages * per_message))


def _read(record: JournalReader, path: str) -> BatchJournal:
    about = record.about
    _ = stored_command(about, f"the journal {path}")
    old, summary = time() - REMEMBERED, record.summary()
    unsure = [since for since in (record.merged_at, record.lost_since) if since is not None]
    if unsure and min(unsure) < old:  # since then rows may have been sent that it lacks or has as unsent
        unsettled = (row_count(about) or 0) - summary.in_file.rows(State.ACCEPTED, State.REFUSED)
        forgotten = max(summary.rows(*MAYBE_SENT), unsettled)
    else:
        forgotten = sum(line.started < old for state in MAYBE_SENT for line in record.rows(state))
    return BatchJournal(path, about["batch"], about, summary, forgotten, lost_since=record.lost_since)


def stored_command(about: Mapping[str, str], what: str) -> dict[str, Any]:
    """Return the options of the command that began *what*. Raise CliError if they are not stored."""
    if COMMAND not in about:
        raise CliError(f"{what} was not written by `msgapi batch`: resume it with the program that wrote it")
    command = parse_command(about[COMMAND])
    if command is None:
        raise CliError(f"{what} is damaged and cannot be relied on; look in the message log for what was sent")
    return command


def parse_command(text: str) -> dict[str, Any] | None:
    """Return the options of a command that were stored as *text*; None if they are damaged."""
    try:
        command = json.loads(text)
    except ValueError:
        return None
    if not isinstance(command, dict) or not all(
        name in command and isinstance(command[name], kinds) for name, kinds in _KINDS.items()
    ):
        return None
    digests = command.get(DIGESTS, {})
    if not isinstance(digests, dict):
        return None
    lists = (command[name] for name in ("data", "prices", "where"))
    texts = [*command["message_values"].values(), *command["message_values"], *chain.from_iterable(lists)]
    texts += digests.values()
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
    "region": _TEXT,
    "region_column": _TEXT,
    "allow_empty": bool,
    "allow_duplicates": bool,
    "file_format": _TEXT,
    "delimiter": _TEXT,
    "encoding": _TEXT,
    "sheet": _TEXT,
    "where": list,
    "id_column": _TEXT,
    "fallback_email": _TEXT,
    "with_recipients": bool,
    "prices": list,
    "max_spend": _TEXT,
}
_OPTION_NAMES: Final = {"file_format": "--format", MESSAGE: "--message"}
