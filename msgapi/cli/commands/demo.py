"""The command `msgapi demo`: a file with some faulty rows is sent to a sandbox with faults, and each row is checked.

With --open it ends in the page of the sandbox, which is up until Ctrl-C.
"""

import csv
import webbrowser
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias, final

import anyio
import anyio.to_thread
import click
import orjson
from attrs import frozen

from ...client import Client
from ...ratelimit import Pace
from ...sandbox import MAGIC_RECIPIENTS, PriceList, Sandbox
from ..batch.command import BatchConfig, open_rows, run_batch
from ..batch.counts import cost_line, outcome_table
from ..batch.runner import BatchRun
from ..connection import PATIENT, open_signals, run_async, stop_signals
from ..output import CliError, Exit, cannot_write, counted, emit, note, table_of

Cells: TypeAlias = tuple[str, ...]
HEADER: Final[Cells] = ("id", "to", "name", "parcel")
_NAMES: Final = ("Ada", "Björn", "Chloé", "Dmitri", "Eun-ji", "Fatima", "O'Neil, Gus", 'Hal "Ace" Ito', "İpek", "Jörg")
_BAD_NUMBERS: Final = ("0151 23456", "+49", "+0123456789", "none", "")
_REFUSED: Final = {"403": "Forbidden", "404": "NotFound", "422": "Unprocessable"}
_PHONES: Final[Mapping[str, str]] = {magic.fault: magic.phone for magic in MAGIC_RECIPIENTS}
_FAULTY: Final = 50  # every 50th row is faulty


@final
@frozen
class DemoRow:
    """One row: its *number* from 1, and the kind of outcome that is expected."""

    number: int
    id: str
    to: str
    kind: str


def write_rows(path: Path, rows: int, seed: int) -> tuple[DemoRow, ...]:
    """Write this many *rows* to *path*, and return the expected outcomes."""
    random = Random(seed)  # noqa: S311 - the same seed must give the same file
    written: list[DemoRow] = []
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            _ = out.writerow(HEADER)
            for row, cells in _rows(rows, random):
                written.append(row)
                _ = out.writerow(cells)
    except OSError as error:
        raise CliError(cannot_write(str(path), error)) from None
    return tuple(written)


def balance_for(rows: int) -> Decimal:
    """Return a balance in EUR that covers this many messages."""
    return PriceList().single_message * rows


def _rows(rows: int, random: Random) -> Iterator[tuple[DemoRow, Cells]]:
    last: tuple[DemoRow, Cells] | None = None
    for number in range(1, rows + 1):
        good = (f"c{number}", f"+1555{2_000_000 + number}", random.choice(_NAMES), f"P{random.randrange(10**6):06}")
        # The area code 555 is not assigned, so no one has this number.
        if number % _FAULTY != 0 or last is None:
            last = DemoRow(number, good[0], good[1], "Accepted"), good
            yield last
        else:
            kind, cells = _faulty_row(number // _FAULTY, good, last[1])
            yield DemoRow(number, cells[0], cells[1], kind), cells


def _faulty_row(which: int, good: Cells, last: Cells) -> tuple[str, Cells]:
    name, to, called, parcel = good
    ways: Mapping[int, tuple[str, Cells]] = {
        0: ("Invalid", (name, _BAD_NUMBERS[which // 7 % len(_BAD_NUMBERS)], called, parcel)),
        1: ("Invalid", (name, to, "", parcel)),
        2: ("Invalid", (name, to, called, parcel, "a cell too many")),
        3: ("Duplicate", (name, *last[1:])),
        **{4 + at: (kind, (name, _PHONES[fate], called, parcel)) for at, (fate, kind) in enumerate(_REFUSED.items())},
    }
    return ways[which % len(ways)]


@final
@frozen
class AuditCheck:
    """One check: the expected and the found number, and whether they are about the same rows."""

    what: str
    expected: str
    found: str
    holds: bool


def audit(rows: Sequence[DemoRow], box: Sandbox, balance: Decimal, directory: Path) -> tuple[AuditCheck, ...]:
    """Check the outcome of each of *rows* in the files in *directory* and in the log and the balance of *box*."""
    results = [orjson.loads(line) for line in (directory / "results.jsonl").read_bytes().splitlines()]
    with (directory / "failed.csv").open(newline="", encoding="utf-8") as file:
        failed = [cells[0] for cells in csv.reader(file)][1:]
    good = [row for row in rows if row.kind == "Accepted"]
    # A row that was refused after an attempt without an answer may have been sent: it stays with the batch.
    unknown = {one["row"] for one in results if one.get("may_have_happened")}
    bad = [row for row in rows if row.kind not in {"Accepted", "Duplicate"} and row.number not in unknown]
    log = Counter(entry.to for entry in box.messages)
    spent = balance - (box.balance.free or 0)
    reported = sum((Decimal(str(one["price"])) for one in results if one["kind"] == "Accepted"), Decimal(0))
    once = {row.to for row in good}
    return (
        _same("good rows accepted, each exactly once", once, {to for to, times in log.items() if times == 1}),
        AuditCheck("messages in the log altogether", f"{len(good):,}", f"{log.total():,}", log.total() == len(good)),
        _same("rows reported, each exactly once", _numbers(rows), Counter(one["row"] for one in results)),
        *_kinds(rows, results),
        _same("bad rows written to be sent again", Counter(row.id for row in bad), Counter(failed)),
        _same("message ids of the results", _ids(results), Counter(entry.id for entry in box.messages)),
        AuditCheck("EUR, by the answers and by the account", f"{spent:.2f}", f"{reported:.2f}", spent == reported),
    )


def _numbers(rows: Sequence[DemoRow]) -> Counter[int]:
    return Counter(row.number for row in rows)


def _ids(results: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(one["message_id"] for one in results if one["kind"] == "Accepted")


def _kinds(rows: Sequence[DemoRow], results: Sequence[dict[str, Any]]) -> list[AuditCheck]:
    kinds = sorted({row.kind for row in rows} - {"Accepted"})
    return [
        _same(
            f"bad rows reported as {kind}",
            {row.number for row in rows if row.kind == kind},
            {one["row"] for one in results if one["kind"] == kind and one["message"]},
        )
        for kind in kinds
    ]


def _same(what: str, expected: "Counter[Any] | set[Any]", found: "Counter[Any] | set[Any]") -> AuditCheck:
    return AuditCheck(what, f"{_size(expected):,}", f"{_size(found):,}", expected == found)


def _size(rows: "Counter[Any] | set[Any]") -> int:
    return rows.total() if isinstance(rows, Counter) else len(rows)


_RATE: Final = 800  # requests per second that the sandbox allows
_FAULTS: Final = 0.03
_TEXT: Final = "Hi {name}, your parcel {parcel} is here."
_MESSAGE: Final = {"agent_id": "ag_live_demo", "traffic_type": "TRANSACTION", "text": _TEXT}


@final
@frozen(kw_only=True)
class DemoSetup:
    """The directory of the files, and the sandbox."""

    directory: Path
    box: Sandbox

    def file(self, name: str) -> str:
        """Return the path of a file in the directory."""
        return str(self.directory / name)


@click.command
@click.option(
    "--rows", type=click.IntRange(50, 1_000_000), default=10_000, show_default=True, metavar="N", help="Send N rows."
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, readable=False),
    metavar="DIRECTORY",
    help="Keep the files in this directory.",
)
@click.option("--random-seed", type=int, default=1, show_default=True, metavar="N", help="Set the random seed.")
@click.option(
    "--open", "open_page", is_flag=True, help="Then show the messages in the browser, until Ctrl-C stops the sandbox."
)
def demo(*, rows: int, keep: str | None, random_seed: int, open_page: bool) -> int:
    """Send a file to a faulty sandbox and check each row.

    This needs no key. The sandbox has a rate limit, some requests fail, and some rows are faulty.

    With --open the page of the sandbox is opened in the browser. Without a browser, its URL is printed. The sandbox
    runs until Ctrl-C, so that its messages can be looked at, delivered and answered.
    """
    with _directory(keep) as directory:
        written = write_rows(directory / "people.csv", rows, random_seed)
        balance = balance_for(rows)
        box = Sandbox(balance=balance, rate_limit=_RATE, faults=_FAULTS, random_seed=random_seed)
        setup = DemoSetup(directory=directory, box=box)
        note(f"{counted(rows)} to a sandbox that allows {_RATE} requests per second and fails {_FAULTS:.0%} of them")
        check = partial(audit, written, setup.box, balance, setup.directory)
        return run_async(partial(_send, setup, partial(_report, audit=check, keep=keep), open_page=open_page))


def _report(run: BatchRun, *, audit: Callable[[], tuple[AuditCheck, ...]], keep: str | None) -> int:
    emit(outcome_table(run.counts))
    emit(cost_line(run.counts))
    if run.interrupted:
        note("interrupted: nothing was checked")
        return Exit.INTERRUPTED
    checks = audit()
    table = table_of("checked against the log of the sandbox", "#expected", "#found", "")
    for one in checks:
        table.add_row(one.what, one.expected, one.found, "ok" if one.holds else "WRONG")
    emit("")
    emit(table)
    emit(_next(keep))
    return Exit.ACCEPTED if all(one.holds for one in checks) else Exit.REFUSED


async def _send(setup: DemoSetup, report: Callable[[BatchRun], int], *, open_page: bool) -> int:
    from ...sandbox import serve

    pace = Pace()
    config = BatchConfig(
        path=setup.file("people.csv"),
        message_values=_MESSAGE,
        results=setup.file("results.jsonl"),
        failed=setup.file("failed.csv"),
        overwrite=True,
    )
    async with (
        serve(setup.box) as url,
        Client(api_key=setup.box.api_key, base_url=url, retry=PATIENT, pace=pace) as api,
    ):
        with open_rows(config) as (table, calls):
            run = await run_batch(config, table, calls, api=api, pace=pace)
        status, shows_page = report(run), open_page and not run.interrupted
        if shows_page:
            await _show_page(url)
    if shows_page:
        note("the sandbox has stopped, and its data is gone")
    return status


async def _show_page(url: str) -> None:
    # Returns after Ctrl-C.
    with open_signals(*stop_signals()) as signals:
        opened = await anyio.to_thread.run_sync(_open_browser, f"{url}/", abandon_on_cancel=True)
        note(f"the messages are {'shown' if opened else 'to be seen'} at {url}/; Ctrl-C stops the sandbox")
        _ = await anext(signals)


def _open_browser(url: str) -> bool:
    # A browser that runs in the terminal would take it over, so it is not opened.
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    in_terminal = isinstance(browser, webbrowser.GenericBrowser) and not isinstance(
        browser, webbrowser.BackgroundBrowser
    )
    return not in_terminal and browser.open(url)


@contextmanager
def _directory(keep: str | None) -> Iterator[Path]:
    if keep is None:
        with TemporaryDirectory(prefix="msgapi-demo-") as temporary:
            yield Path(temporary)
        return
    try:
        Path(keep).mkdir(parents=True, exist_ok=True)
        (Path(keep) / "people.csv").touch()
    except OSError as error:
        raise CliError(cannot_write(keep, error)) from None
    yield Path(keep)


def _next(keep: str | None) -> str:
    directory = keep or "demo"
    files = f"less {directory}/results.jsonl" if keep else f"msgapi demo --keep {directory}"
    return f"""
try next:
  {files:<40} # look at its files
  msgapi batch {directory}/people.csv --dry-run \\
    --agent ag_live_demo --traffic TRANSACTION --text 'Hi {{name}}'
  msgapi demo --open                       # look at the messages in the browser
  msgapi sandbox -- python your_program.py # your own program; nothing is really sent"""
