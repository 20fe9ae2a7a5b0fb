"""A file of messages: the command `batch`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final, cast, final

from attrs import evolve, field, frozen

from ..billing import Estimate
from ..calls import Caller
from ..ratelimit import Pace
from . import diary, ledger, preview, progress, rows
from .calls import Calls, Naming
from .connection import launch, private, reach
from .costs import check, prices
from .diary import Diary, spent
from .draft import Draft, Plan
from .exits import Halt
from .funds import Till, limit
from .report import report
from .rows import Shape
from .run import Run


@final
@frozen(kw_only=True)
class Mailing:
    """What the command was given."""

    path: str
    given: Mapping[str, str] = field(repr=False)
    to_column: str = "to"
    data: tuple[str, ...] = ()
    empty: bool = False
    duplicates: bool = False
    shape: str | None = None
    delimiter: str | None = None
    concurrency: int = 64
    per_second: float | None = None
    outage_timeout: float = 900.0
    prices: tuple[str, ...] = ()
    max_spend: Decimal | None = None
    wait: bool = False
    id_column: str | None = None
    journal: str | None = None
    journalled: bool = False
    resend: bool = False
    results: str | None = None
    failed: str | None = None
    overwrite: bool = False
    with_recipients: bool = False
    json: bool = False
    sandbox: bool = False

    @property
    def draft(self) -> Draft:
        """Tell what the options say about every message."""
        return Draft(given=self.given, to_column=self.to_column, data_columns=self.data, empty=self.empty)

    @property
    def naming(self) -> Naming:
        """Tell how its rows are called."""
        return Naming(column=self.id_column)

    @property
    def command(self) -> dict[str, object]:
        """Tell what a journal keeps of it, so that it can be gone on with."""
        return {name: _absolute(getattr(self, name)) if name in _FILES else getattr(self, name) for name in _KEPT}


_FILES: Final = ("path", "results", "failed")
_KEPT: Final = (
    *_FILES,
    "given",
    "to_column",
    "data",
    "empty",
    "duplicates",
    "shape",
    "delimiter",
    "id_column",
    "with_recipients",
    "prices",
    "max_spend",
)

_TAKEN: Final = ("path", "given", "to_column", "empty", "duplicates", "shape", "delimiter", "id_column")


def _absolute(path: str | None) -> str | None:
    return path if path is None or path == "-" else str(Path(path).absolute())


def resumed(mailing: Mailing) -> Mailing:
    """Take from the journal of *mailing* what its command was; what is given now goes first, where it may differ."""
    if mailing.path or mailing.given:
        raise Halt("--resume takes FILE and what to send from the journal: leave them out")
    command = diary.found(mailing.journal or "").command
    if command["path"] == "-":
        raise Halt("the rows came from standard input: give the same command the same input again")
    most = command["max_spend"]
    return evolve(
        mailing,
        **{name: command[name] for name in _KEPT if name in _TAKEN},
        data=tuple(command["data"]),
        results=mailing.results or command["results"],
        failed=mailing.failed or command["failed"],
        with_recipients=mailing.with_recipients or command["with_recipients"],
        prices=mailing.prices or tuple(command["prices"]),
        max_spend=mailing.max_spend if mailing.max_spend is not None or most is None else Decimal(most),
    )


@contextmanager
def read(mailing: Mailing) -> Iterator[tuple[rows.Table, Plan]]:
    """Open the file, and tell how each of its rows becomes a message; what is wrong with that ends the program."""
    delimiter = mailing.delimiter
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise Halt("--delimiter is one character, and no quote or line break")
    with rows.opened(mailing.path, shape=cast("Shape | None", mailing.shape), delimiter=delimiter) as table:
        plan = mailing.draft.over(table.columns)
        mailing.naming.check(table)
        yield table, plan


def start(mailing: Mailing, *, dry_run: bool) -> int:
    """Send the file, or show what would be sent in a *dry_run*; gives the exit status."""
    with read(mailing) as (table, plan):
        known = prices(mailing.prices)
        if dry_run:
            return preview.show(table, plan, duplicates=mailing.duplicates, json=mailing.json, prices=known)
        estimate = (
            None
            if known is None
            else preview.examine(table, plan, duplicates=mailing.duplicates, prices=known).estimate
        )
        return launch(partial(_mailed, mailing, table, plan, estimate, _diary(mailing, table)))


def _diary(mailing: Mailing, table: rows.Table) -> Diary | None:
    if not mailing.journalled or mailing.sandbox or (mailing.path == "-" and mailing.journal is None):
        return None
    path = mailing.journal or f"{mailing.path}{diary.SUFFIX}"
    return diary.begun(path, mailing.command, table.count)


async def _mailed(
    mailing: Mailing, table: rows.Table, plan: Plan, estimate: Estimate | None, diary: Diary | None
) -> int:
    pace = Pace(mailing.per_second)
    async with reach(private(mailing.given) if mailing.sandbox else None, pace=pace) as api:
        fresh = diary is None or diary.before is None
        if estimate is not None and fresh and not mailing.wait:
            await check(api, estimate)
        run = await mail(mailing, table, plan, api=api, pace=pace, diary=diary, estimate=estimate)
    return report(run, json=mailing.json, results=mailing.results, failed=mailing.failed)


async def mail(
    mailing: Mailing,
    table: rows.Table,
    plan: Plan,
    *,
    api: Caller,
    pace: Pace,
    diary: Diary | None = None,
    estimate: Estimate | None = None,
) -> Run:
    """Send every row of *table* through *api*, showing how far it is, and write down what becomes of each."""
    known = prices(mailing.prices)
    gone = Decimal(0) if diary is None else spent(diary, max((known or {}).values(), default=Decimal(0)))
    with ledger.opened(
        table,
        mailing.to_column,
        results=mailing.results,
        failed=mailing.failed,
        overwrite=mailing.overwrite or _ours(mailing, diary),
        with_recipients=mailing.with_recipients,
    ) as written:
        run = Run(
            table,
            Calls(plan, mailing.naming, mailing.duplicates),
            written,
            concurrency=mailing.concurrency,
            outage_timeout=mailing.outage_timeout,
            diary=diary,
            resend=mailing.resend,
            max_spend=limit(mailing.max_spend, known, gone),
            estimate=None if estimate is None else evolve(estimate, amount=max(Decimal(0), estimate.amount - gone)),
            till=Till(mailing.wait),
        )
        with progress.shown(pace) as shown:
            await run.go(api, shown)
        return run


def _ours(mailing: Mailing, diary: Diary | None) -> bool:
    # The files of an earlier run of the same batch are written anew, from the journal.
    if diary is None or diary.before is None:
        return False
    return all(mailing.command[name] in {None, diary.command[name]} for name in ("results", "failed"))
