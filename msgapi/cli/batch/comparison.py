"""Whether a file may be sent with the journal that is there, decided before anything leaves.

Rules:
- The same file with the same options continues at once. Otherwise the whole file is compared with the journal first.
- By default a changed row ends the program with nothing sent: whether to leave changed rows out or to send them once
  more is the decision of the user (--changed).
- The journal keeps the digest of the last file that passed, so that what was refused once is not passed by later.
"""

import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Final, final

from attrs import evolve, frozen

from ...clock import SYSTEM_CLOCK, Clock
from ...journal import Unusable
from ...journal.comparison import Choice, Comparison, Difference, FileRow, compare
from ...recipients.national import metadata_version
from ..files.tables import InputFile
from ..output import CliError, Exit, counted, note
from .builder import own_key
from .calls import RowCalls
from .journal import (
    FILE_DIGEST,
    METADATA,
    BatchJournal,
    SentBefore,
    check_complete,
    option_name,
    read_journal,
    reading_of,
    store_command,
    store_path,
)
from .progress import reported

_CHUNK: Final = 500  # rows that are compared together
_INTERVAL: Final = 5.0  # seconds between two lines of progress
FIXED: Final = ("rule", "id_column", "region", "region_column", METADATA)
"""What in a recipe no option can override: with another value, rows cannot be recognised."""


@final
@frozen(kw_only=True)
class FileSource:
    """The file that is to be sent, the *calls* of its rows, and the options of its *command*."""

    table: InputFile
    calls: RowCalls
    command: Mapping[str, object]


@final
@frozen(kw_only=True)
class ChangedRowsPolicy:
    """What the user has decided: *changed* about changed rows, *resend_unknown* about unknown outcomes."""

    changed: Choice | None = None
    resend_unknown: bool = False


def check_file(
    found: BatchJournal, source: FileSource, decision: ChangedRowsPolicy, *, clock: Clock = SYSTEM_CLOCK
) -> BatchJournal:
    """Return *found*, the journal of an earlier run, as it is for a run with the file of *source*.

    Raise CliError if the file may not be sent with it.

    If the file or the options differ from those of the last run, the file is compared, and the journal says so from
    then on.
    """
    about = store_command(source.command, source.table.count, source.table.digest())
    if METADATA in found.about:
        about[METADATA] = metadata_version()
    differing = found.differing(about)
    if differing is not None:
        _check_recipe(found, differing, decision)
    again = decision.changed == "send" and found.has_changed
    same_file = found.about.get(FILE_DIGEST) == about[FILE_DIGEST] and reading_of(found.about) == reading_of(about)
    check_complete(found, same_file=same_file, same_recipe=differing is None)
    if differing is None and not again and same_file:
        if found.command["path"] != source.command["path"]:
            store_path(found, source.command["path"], clock.time())
        return found
    try:
        return _compare(found, source, decision, about, clock)
    except Unusable as error:
        raise CliError(f"{error}", Exit.STOPPED if error.reason in {"unwritable", "full"} else Exit.USAGE) from None


def _check_recipe(found: BatchJournal, differing: str, decision: ChangedRowsPolicy) -> None:
    if not found.has_sent:
        return
    if differing == METADATA:
        raise CliError(
            f"the journal {found.path} has numbers that phonenumberslite {found.about[METADATA]} has completed, and "
            f"{metadata_version()} is installed: rows that were sent may not be recognised; install the version of the "
            "journal to finish the batch, or name another journal with --journal"
        )
    if differing in FIXED:
        what = "rule of msgapi-sdk for the ids of rows" if differing == "rule" else option_name(differing)
        raise CliError(
            f"the journal {found.path} was made with a different {what}: rows that were sent would not be recognised; "
            "finish that batch by its own command or with --resume, or name another journal with --journal"
        )
    if decision.changed is None:
        raise CliError(
            f"the journal {found.path} was made with a different {option_name(differing)}: nothing was sent; finish "
            "that batch by its own command or with --resume, or decide by --changed skip or --changed send about rows "
            "that were sent before, or name another journal with --journal"
        )


def _compare(
    found: BatchJournal, source: FileSource, decision: ChangedRowsPolicy, about: Mapping[str, str], clock: Clock
) -> BatchJournal:
    with compare(found.path, batch=found.batch, again=decision.changed == "send", clock=clock) as comparison:
        _add_rows(comparison, source, clock)
        difference = comparison.difference()
        if difference.changed:
            _check_changed(source, difference, decision)
        comparison.commit(decision.changed, about)
    before = None
    if difference.accepted:
        before = SentBefore(
            rows=difference.accepted, of=source.table.count, first=_date(difference.first), last=_date(difference.last)
        )
    return evolve(read_journal(found.path), sent_before=before)


def _add_rows(comparison: Comparison, source: FileSource, clock: Clock) -> None:
    last, done = clock.now(), 0
    what = f"comparing {source.table.name} with the journal"
    rows = _rows(source, what, clock)
    while chunk := list(islice(rows, _CHUNK)):
        comparison.add(chunk)
        done += len(chunk)
        if clock.now() - last >= _INTERVAL and not sys.stderr.isatty():
            last = clock.now()
            note(f"{what}: {done:,}/{counted(source.table.count)}")


def _rows(source: FileSource, what: str, clock: Clock) -> Iterator[FileRow]:
    rows = reported(source.table.rows(), source.table.count, what, clock)
    for made in source.calls.make_each(rows, source.table.count):
        if made.message is not None:
            yield FileRow(made.id, made.row.line, made.call, own_key(made.row))


def _check_changed(source: FileSource, difference: Difference, decision: ChangedRowsPolicy) -> None:
    name = source.table.name
    verb = "differs" if difference.changed == 1 else "differ"
    rows = f"{counted(difference.changed)} of {name} {verb} from rows that were sent before"
    where = (
        f"(line {', '.join(map(str, difference.lines))}{', ...' if difference.changed > len(difference.lines) else ''})"
    )
    if decision.changed is None:
        raise CliError(
            f"{rows} {where}: nothing was sent; --changed skip leaves them out, --changed send sends them as well, "
            "--new-batch or another --journal begins a batch of its own"
        )
    if decision.changed == "skip":
        return
    if difference.reused:
        raise CliError(
            f"{counted(difference.reused)} of {name} with another message under an idempotency_key that was used "
            f"before {where}: nothing was sent; give each of them a new key, or leave them out by --changed skip"
        )
    if difference.unknown and not decision.resend_unknown:
        raise CliError(
            f"{difference.unknown:,} of the {rows} {where}, and it is not known whether those were received: nothing "
            "was sent; look for them in the message log, then use --resend-unknown as well, or --changed skip"
        )


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
