"""The options of `msgapi batch`, and its steps: read the file, check the balance, open the journal, send, report."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from os.path import realpath
from pathlib import Path
from shlex import quote
from typing import Any, Final, Literal, cast, final

from attrs import Factory, evolve, field, frozen

from ...billing import Estimate
from ...calls import Caller
from ...ratelimit import Pace
from ..connection import open_client, private_sandbox, run_async
from ..files.blocks import CONTINUE, is_stream
from ..files.rows import FileFormat, ReadingOptions, find_column
from ..files.tables import InputFile, open_input
from ..output import CliError, counted, note
from . import dry_run, journal
from .calls import RepeatedIds, RowCalls, RowIds
from .comparison import ChangedRowsPolicy, FileSource, check_file
from .journal import DIGESTS, MESSAGE_FIELDS, READING_FIELDS, BatchJournal, estimate_left, option_name, spent
from .progress import open_progress
from .result_files import ResultFiles, is_newer, mark_written, open_files
from .runner import BatchRun
from .spending import TopUpWaiter, UnitPrices, check_balance, limit, parse_prices
from .summary import report
from .template import MESSAGE, OPTIONS, LoadedOptions, MessageTemplate, absolute, file_of, load
from .values import RegionOptions

_FILES: Final = ("path", "results", "failed")
_STORED: Final = (*_FILES, *MESSAGE_FIELDS, *READING_FIELDS, "with_recipients", "prices", "max_spend")


@final
@frozen(kw_only=True)
class BatchConfig:
    """The options of a batch.

    - *path*: the input file, `-` for standard input.
    - *message_values*: the text of each message option, by the name of the field; `@FILE` and the file of --message
      are read when the object is made, into *loaded*.
    - *region*: the country of numbers without a country code, such as `DE`; *region_column*: the column with that of
      each row.
    - *journal*: where to record the rows; None: next to the input file.
    - *file_format*, *delimiter*, *encoding*, *sheet*, *where*: how the file is read, see `ReadingOptions`.
    - *concurrency*: requests in flight; *rate*: requests per second, None: no limit but that of the service.
    - *outage_timeout*: seconds to wait while the service is down.
    - *fallback_email*: the column of the addresses for an email to whom the service cannot send by RCS; None: no email.
    - *changed*: what to do with rows that differ from rows that were sent; None: send nothing.
    """

    path: str
    message_values: Mapping[str, str] = field(repr=False)
    to_column: str = "to"
    data: tuple[str, ...] = ()
    region: str | None = None
    region_column: str | None = None
    allow_empty: bool = False
    allow_duplicates: bool = False
    file_format: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    where: tuple[str, ...] = ()
    concurrency: int = 64
    rate: float | None = None
    outage_timeout: float = 900.0
    prices: tuple[str, ...] = ()
    max_spend: Decimal | None = None
    wait_for_balance: bool = False
    id_column: str | None = None
    fallback_email: str | None = None
    journal: str | None = None
    use_journal: bool = False
    resend_unknown: bool = False
    changed: Literal["skip", "send"] | None = None
    new_batch: bool = False
    results: str | None = None
    failed: str | None = None
    overwrite: bool = False
    with_recipients: bool = False
    json: bool = False
    sandbox: bool = False
    loaded: LoadedOptions = field(
        init=False, repr=False, default=Factory(lambda self: load(self.message_values), takes_self=True)
    )

    @property
    def template(self) -> MessageTemplate:
        """What the options say about every message."""
        return MessageTemplate(
            given=self.loaded.values,
            file=self.loaded.file,
            to_column=self.to_column,
            data_columns=self.data,
            allow_empty=self.allow_empty,
            fallback_column=self.fallback_email,
            regions=RegionOptions(region=self.region, column=self.region_column),
        )

    @property
    def reading(self) -> ReadingOptions:
        """How the file is read."""
        return ReadingOptions(
            file_format=cast("FileFormat | None", self.file_format),
            delimiter=self.delimiter,
            encoding=self.encoding,
            sheet=self.sheet,
            where=self.where,
            expected=self.to_column,
        )

    @property
    def stored(self) -> dict[str, object]:
        """The options that a journal stores, so that the batch can be resumed. Paths are absolute."""
        paths: dict[str, object] = {name: _absolute(getattr(self, name)) for name in _FILES}
        if is_stream(self.path):
            paths["path"] = "-"  # it cannot be read again
        texts = {"message_values": absolute(self.message_values), DIGESTS: dict(self.loaded.digests)}
        return {name: getattr(self, name) for name in _STORED} | paths | texts

    @property
    def unit_prices(self) -> UnitPrices | None:
        """The prices of --price; None if there are none."""
        return parse_prices(self.prices) if self.prices else None

    @property
    def highest_price(self) -> Decimal:
        """The highest of these prices in EUR; 0 if there are none."""
        return max((self.unit_prices or {}).values(), default=Decimal(0))

    def resume(self, stored: Mapping[str, Any]) -> "BatchConfig":
        """Return this configuration with the *stored* options of a journal.

        Results, prices and the spending limit are replaced only if they are not given now.
        """
        most = stored["max_spend"]
        return evolve(
            self,
            **{name: stored[name] for name in ("path", *MESSAGE_FIELDS, *READING_FIELDS)}
            | {name: tuple(stored[name]) for name in ("data", "where")},
            results=self.results or stored["results"],
            failed=self.failed or stored["failed"],
            with_recipients=self.with_recipients or stored["with_recipients"],
            prices=self.prices or tuple(stored["prices"]),
            max_spend=self.max_spend if self.max_spend is not None or most is None else Decimal(most),
        )


def _absolute(path: str | None) -> str | None:
    return path if path is None or path == "-" else str(Path(path).absolute())


_DEFAULTS: Final = BatchConfig(path="", message_values={})


def _as_given(stored: object) -> object:
    return tuple(stored) if isinstance(stored, list) else stored


def resumed(config: BatchConfig) -> BatchConfig:
    """Return *config* with the options of the command that began its journal."""
    if config.path or config.message_values:
        raise CliError("--resume reads FILE and the message options from the journal: leave them out")
    path = config.journal or ""
    stored = journal.read_journal(path).command
    for name in (*MESSAGE_FIELDS, *READING_FIELDS):
        given = getattr(config, name)
        if name != "message_values" and given not in (getattr(_DEFAULTS, name), _as_given(stored[name])):
            raise CliError(
                f"--resume reads {option_name(name)} from the journal, which has another value: leave the option out, "
                "or run the command of the first run with it"
            )
    if stored["path"] == "-":
        raise CliError(
            "the rows came from standard input, or from a pipe: run the same command with the same input again"
        )
    if not Path(stored["path"]).exists():
        raise CliError(
            f"{stored['path']} is missing, and the journal {path} does not have the messages: nothing was sent; put "
            f"the file back, or name it by its new path: `msgapi batch FILE --journal {quote(path)}`, with the options "
            "of the first run"
        )
    for name, value in stored["message_values"].items():
        file = file_of(name, value)
        if file is not None and not Path(file).exists():
            option = f"--message {file}" if name == MESSAGE else f"{OPTIONS[name]} @{file}"
            raise CliError(
                f"{file} is missing, and the journal {path} does not have its content: nothing was sent; put the file "
                f"back, or run the command of the first run with {option} by its new path"
            )
    return config.resume(stored)


@contextmanager
def open_rows(config: BatchConfig, *, remedy: str = CONTINUE) -> Iterator[tuple[InputFile, RowCalls]]:
    """Open the input file, and make what makes the calls of its rows. Raise CliError if the options do not fit it.

    *remedy* is what the user can do if the file changes while it is read.
    """
    with open_input(config.path, config.reading, remedy=remedy) as source:
        ids = RowIds.find(config.id_column, source.columns)
        builder = config.template.bind(source.columns, typed=source.file_format == "jsonl")
        for text in builder.notes:
            note(text)
        calls = RowCalls(builder, ids, config.allow_duplicates, RepeatedIds(ids))
        table = source.scan(calls.first_pass(source.columns))
        calls.repeated.close()
        if calls.repeated.rows == table.count:
            what = f"idempotency_key{'' if config.id_column is None else f' or {config.id_column}'}"
            raise CliError(f"{table.name}: each row has the {what} of another row: give each row its own")
        yield table, calls


def start(config: BatchConfig, *, show_only: bool) -> int:
    """Send the file, or print what would be sent if *show_only* is true. Return the exit status."""
    if not show_only:
        _check_journal_path(config)
    with open_rows(config) as (table, calls):
        known = config.unit_prices
        if show_only:
            return dry_run.show(table, calls, json=config.json, prices=known)
        for line in table.line_breaks.describe():
            note(line)
        estimate = None if known is None else dry_run.examine(table, calls, prices=known).estimate
        return run_async(partial(_send, config, table, calls, estimate, _journal(config, table, calls)))


def _check_journal_path(config: BatchConfig) -> None:
    beside = config.use_journal and config.journal is None and not config.sandbox and config.path != "-"
    if beside and is_stream(config.path):
        raise CliError(
            f"{config.path} is not a regular file, so there is no place for a journal next to it: name one with "
            "--journal FILE, or give --no-journal; - reads standard input, without a journal"
        )


def _journal(config: BatchConfig, table: InputFile, calls: RowCalls) -> BatchJournal | None:
    if not config.use_journal or config.sandbox or (config.path == "-" and config.journal is None):
        return None
    path = config.journal or f"{config.path}{journal.SUFFIX}"
    if config.failed and not config.overwrite and is_newer(config.failed, path):
        raise CliError(
            f"{config.failed} was changed after the last run of this batch: if it has corrected rows, send that file; "
            "to continue this batch, move it away, or use --overwrite"
        )
    find = journal.begin_new_batch if config.new_batch else journal.find_or_begin
    found = find(path, journal.store_command(config.stored, table.count, table.digest()))
    source = FileSource(table=table, calls=calls, command=config.stored)
    if found.before is None:
        return found
    checked = check_file(found, source, ChangedRowsPolicy(changed=config.changed, resend_unknown=config.resend_unknown))
    if (sent := checked.sent_before) is not None:
        note(f"{sent.rows:,} of {counted(sent.of, verb='were')} sent on {sent.dates}, and are not sent again")
    return checked


async def _send(
    config: BatchConfig,
    table: InputFile,
    calls: RowCalls,
    estimate: Estimate | None,
    journal: BatchJournal | None,
) -> int:
    pace = Pace(config.rate)
    async with open_client(private_sandbox(config.loaded.senders) if config.sandbox else None, pace=pace) as api:
        if estimate is not None and not config.wait_for_balance:
            left = estimate_left(estimate, journal, config.highest_price)
            if left.messages:
                await check_balance(api, left)
        run = await run_batch(config, table, calls, api=api, pace=pace, journal=journal, estimate=estimate)
    return report(run, json=config.json, results=config.results, failed=config.failed)


async def run_batch(
    config: BatchConfig,
    table: InputFile,
    calls: RowCalls,
    *,
    api: Caller,
    pace: Pace,
    journal: BatchJournal | None = None,
    estimate: Estimate | None = None,
) -> BatchRun:
    """Send each row of *table* through *api*, show the progress and record the outcomes."""
    gone = Decimal(0) if journal is None else spent(journal, config.highest_price)
    with _open_files(config, table, journal) as files:
        run = BatchRun(
            table,
            calls,
            files,
            concurrency=config.concurrency,
            outage_timeout=config.outage_timeout,
            journal=journal,
            resend_unknown=config.resend_unknown,
            max_spend=None if config.max_spend is None else limit(config.max_spend, config.highest_price, gone),
            estimate=None if estimate is None else estimate_left(estimate, journal, config.highest_price),
            top_up=TopUpWaiter() if config.wait_for_balance else None,
            pace=pace,
        )
        if journal is not None and journal.finished:
            run.report_rows()
            return run
        with open_progress(pace) as reporter:
            await run.send_rows(api, reporter)
        return run


@contextmanager
def _open_files(config: BatchConfig, table: InputFile, journal: BatchJournal | None) -> Iterator[ResultFiles | None]:
    # Yields None if there is nothing to write.
    if not config.results and not config.failed:
        yield None
        return
    _check_outputs(config, journal)
    with open_files(
        table,
        find_column(table.columns, config.to_column) or config.to_column,
        results=config.results,
        failed=config.failed,
        overwrite=config.overwrite or _same_files(config, journal),
        with_recipients=config.with_recipients,
    ) as files:
        files.shows_channels = config.fallback_email is not None
        yield files
    if journal is not None:
        mark_written(journal.path)


def _check_outputs(config: BatchConfig, journal: BatchJournal | None) -> None:
    # --overwrite is for the files of an earlier run: without its journal, a batch would be sent once more.
    kept = {} if journal is None else {realpath(journal.path): "the journal"}
    for name, value in config.message_values.items():
        file = file_of(name, value)
        if file is not None:
            kept[realpath(file)] = f"the file of {OPTIONS.get(name, '--message')}"
    for option, path in (("--results", config.results), ("--failed", config.failed)):
        if path == "-":
            raise CliError(f"{option} - is not the name of a file: name one, such as /dev/stdout")
        if path and realpath(path) in kept:
            raise CliError(f"{option} {path} is {kept[realpath(path)]}, which would be overwritten: name another file")


def _same_files(config: BatchConfig, journal: BatchJournal | None) -> bool:
    # A resumed batch writes the files of the earlier run anew, from the journal.
    if journal is None or journal.before is None:
        return False
    return all(config.stored[name] in {None, journal.command[name]} for name in ("results", "failed"))
