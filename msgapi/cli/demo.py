"""The demo: a file is sent to a sandbox with faults, and the account is checked row by row."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, final

from attrs import frozen

from ..client import Client
from ..ratelimit import Pace
from ..sandbox import Sandbox
from . import audit, people, rows
from .connection import PATIENT, launch
from .draft import Plan
from .exits import Exit, Halt, unwritable
from .mailing import Mailing, mail
from .output import emit, note, table_of
from .report import money, outcomes
from .run import Run

_RATE: Final = 800  # sends a second that the sandbox allows
_FAULTS: Final = 0.03
_TEXT: Final = "Hi {name}, your parcel {parcel} is here."
_MESSAGE: Final = {"agent_id": "ag_live_demo", "traffic_type": "TRANSACTION", "text": _TEXT}


@final
@frozen(kw_only=True)
class Stage:
    """Where the demo plays: its files, and the sandbox."""

    directory: Path
    box: Sandbox

    def file(self, name: str) -> str:
        """Tell the path of one of its files."""
        return str(self.directory / name)


def start(*, rows: int, keep: str | None, seed: int) -> int:
    """Run the demo with so many *rows*; gives the exit status, which is 0 only if every row is accounted for."""
    with _directory(keep) as directory:
        cast = people.write(directory / "people.csv", rows, seed)
        balance = people.money_for(rows)
        stage = Stage(directory=directory, box=Sandbox(balance=balance, rate_limit=_RATE, faults=_FAULTS, seed=seed))
        note(f"{rows:,} rows to a sandbox that allows {_RATE} a second and fails {_FAULTS:.0%} of the requests")
        audited = partial(audit.audit, cast, stage.box, balance, stage.directory)
        return _told(launch(partial(_played, stage)), audited, keep)


def _told(run: Run, audited: Callable[[], tuple[audit.Check, ...]], keep: str | None) -> int:
    emit(outcomes(run.tally))
    emit(money(run.tally))
    if run.interrupted:
        note("interrupted: nothing to check")
        return Exit.INTERRUPTED
    held = audited()
    checks = table_of("checked against the sandbox's own log", "#expected", "#found", "")
    for one in held:
        checks.add_row(one.what, one.expected, one.found, "ok" if one.holds else "WRONG")
    emit("")
    emit(checks)
    emit(_next(keep))
    return Exit.ACCEPTED if all(one.holds for one in held) else Exit.REFUSED


async def _played(stage: Stage) -> Run:
    from ..sandbox import serve

    pace = Pace()
    mailing = Mailing(
        path=stage.file("people.csv"),
        given=_MESSAGE,
        results=stage.file("results.jsonl"),
        failed=stage.file("failed.csv"),
        overwrite=True,
    )
    async with (
        serve(stage.box) as url,
        Client(api_key=stage.box.api_key, base_url=url, retry=PATIENT, pace=pace) as api,
    ):
        with rows.opened(mailing.path) as table:
            plan: Plan = mailing.draft.over(table.columns)
            return await mail(mailing, table, plan, api=api, pace=pace)


@contextmanager
def _directory(keep: str | None) -> Iterator[Path]:
    if keep is None:
        with TemporaryDirectory(prefix="msgapi-demo-") as made:
            yield Path(made)
        return
    try:
        Path(keep).mkdir(parents=True, exist_ok=True)
        (Path(keep) / "people.csv").touch()
    except OSError as error:
        raise Halt(unwritable(keep, error)) from None
    yield Path(keep)


def _next(keep: str | None) -> str:
    place = keep or "demo"
    look = f"less {place}/results.jsonl" if keep else f"msgapi demo --keep {place}"
    return f"""
try next:
  {look:<40} # its files, to look into
  msgapi batch {place}/people.csv --dry-run \\
    --agent ag_live_demo --traffic TRANSACTION --text 'Hi {{name}}'
  msgapi sandbox -- python your_program.py # your own code, nothing really sent"""
