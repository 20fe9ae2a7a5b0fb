"""A file of messages: the command `batch`."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import cast, final

from attrs import field, frozen

from ..billing import Estimate
from ..calls import Api
from ..pace import Pace
from . import ledger, preview, progress, rows
from .connection import launch, private, reach
from .costs import check, prices
from .draft import Draft, Plan
from .exits import Halt
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
    at_once: int = 64
    per_second: float | None = None
    patience: float = 900.0
    prices: tuple[str, ...] = ()
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


def start(mailing: Mailing, *, dry_run: bool) -> int:
    """Send the file, or show what would be sent in a *dry_run*; gives the exit status."""
    delimiter = mailing.delimiter
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise Halt("--delimiter is one character, and no quote or line break")
    with ExitStack() as stack:
        shape = cast("Shape | None", mailing.shape)
        table = stack.enter_context(rows.opened(mailing.path, shape=shape, delimiter=delimiter))
        plan = mailing.draft.over(table.columns)
        known = prices(mailing.prices)
        if dry_run:
            return preview.show(table, plan, duplicates=mailing.duplicates, json=mailing.json, prices=known)
        estimate = (
            None
            if known is None
            else preview.examine(table, plan, duplicates=mailing.duplicates, prices=known).estimate
        )
        return launch(partial(_mailed, mailing, table, plan, estimate))


async def _mailed(mailing: Mailing, table: rows.Table, plan: Plan, estimate: Estimate | None) -> int:
    pace = Pace(mailing.per_second)
    async with reach(private(mailing.given) if mailing.sandbox else None, pace=pace) as api:
        short = None if estimate is None else await check(api, estimate)
        if short is not None:
            return short
        run = await mail(mailing, table, plan, api=api, pace=pace)
    return report(run, json=mailing.json, results=mailing.results, failed=mailing.failed)


async def mail(mailing: Mailing, table: rows.Table, plan: Plan, *, api: Api, pace: Pace) -> Run:
    """Send every row of *table* through *api*, showing how far it is, and write down what becomes of each."""
    with ledger.opened(
        table,
        mailing.to_column,
        results=mailing.results,
        failed=mailing.failed,
        overwrite=mailing.overwrite,
        with_recipients=mailing.with_recipients,
    ) as written:
        run = Run(
            table,
            plan,
            written,
            at_once=mailing.at_once,
            patience=mailing.patience,
            allow_duplicates=mailing.duplicates,
        )
        with progress.shown(pace) as shown:
            await run.go(api, shown)
        return run
