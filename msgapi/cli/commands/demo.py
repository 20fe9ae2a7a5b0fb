"""The command `msgapi demo`: a file is sent to a sandbox with faults, and each row is checked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, final

import click
from attrs import frozen

from ...client import Client
from ...ratelimit import Pace
from ...sandbox import Sandbox
from ..batch.command import open_rows, run_batch
from ..batch.config import BatchConfig
from ..batch.runner import BatchRun
from ..batch.summary import cost_line, outcome_table
from ..connection import PATIENT, run_async
from ..exits import CliError, Exit, cannot_write
from ..output import emit, note, table_of
from . import demo_data
from .demo_data import AuditCheck

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
    "--rows", type=click.IntRange(50, 1_000_000), default=10_000, show_default=True, help="The number of rows."
)
@click.option("--keep", metavar="DIRECTORY", help="Keep the files in this directory.")
@click.option("--seed", type=int, default=1, show_default=True, help="Random seed.")
def demo(*, rows: int, keep: str | None, seed: int) -> int:
    """Send a file to a faulty sandbox and check each row.

    Needs no key. The sandbox has a rate limit; some requests fail, and some rows are faulty.
    """
    with _directory(keep) as directory:
        written = demo_data.write_rows(directory / "people.csv", rows, seed)
        balance = demo_data.balance_for(rows)
        box = Sandbox(balance=balance, rate_limit=_RATE, faults=_FAULTS, seed=seed)
        setup = DemoSetup(directory=directory, box=box)
        note(f"{rows:,} rows to a sandbox that allows {_RATE} requests per second and fails {_FAULTS:.0%} of them")
        audit = partial(demo_data.audit, written, setup.box, balance, setup.directory)
        return _report(run_async(partial(_send, setup)), audit, keep)


def _report(run: BatchRun, audit: Callable[[], tuple[AuditCheck, ...]], keep: str | None) -> int:
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


async def _send(setup: DemoSetup) -> BatchRun:
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
        with open_rows(config) as (table, builder):
            return await run_batch(config, table, builder, api=api, pace=pace)


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
  msgapi sandbox -- python your_program.py # your own program; nothing is really sent"""
