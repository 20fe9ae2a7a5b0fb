"""Reports: the rows of a journal, counted and one by one."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, final

from attrs import evolve, frozen

from .sqlite import RUN, JournalFile
from .verdicts import COLUMNS, State

ZERO: Final = Decimal(0)
_GROUPS: Final = (
    "SELECT state, kind, code, in_file, run < ? AS earlier, price, hold, count(*) FROM rows"
    " GROUP BY state, kind, code, in_file, earlier, price, hold"
)
_NAMES: Final = ("id", "state", "started", "key", *COLUMNS, "in_file")
_MANY: Final = 500  # ids in one query
_ROWS: Final = f"SELECT {', '.join(_NAMES)} FROM rows WHERE ? IS NULL OR state = ? ORDER BY id"  # noqa: S608 - our own names


@final
@frozen(kw_only=True)
class Count:
    """The number of rows with one result, and their cost in EUR: *price* is charged, *hold* was reserved.

    *in_file* is False for rows that are not in the file of the batch any more; *earlier* is True for rows that were
    begun before the last run.
    """

    state: State
    kind: str | None = None
    code: str | None = None
    rows: int = 0
    price: Decimal = ZERO
    hold: Decimal = ZERO
    in_file: bool = True
    earlier: bool = False


@final
@frozen
class Summary:
    """The rows of a journal, counted by result."""

    counts: tuple[Count, ...]

    def rows(self, *states: State) -> int:
        """Return the number of rows in *states*; of all rows, if none is given."""
        return sum(count.rows for count in self.counts if not states or count.state in states)

    @property
    def in_file(self) -> "Summary":
        """The rows that are in the file of the batch."""
        return Summary(tuple(count for count in self.counts if count.in_file))

    @property
    def not_in_file(self) -> "Summary":
        """The rows that are not in the file of the batch any more."""
        return Summary(tuple(count for count in self.counts if not count.in_file))

    @property
    def earlier(self) -> "Summary":
        """The rows that were begun before the last run."""
        return Summary(tuple(count for count in self.counts if count.earlier))

    @property
    def price(self) -> Decimal:
        """The price of the accepted rows, in EUR."""
        return sum((count.price for count in self.counts), ZERO)

    @property
    def hold(self) -> Decimal:
        """The amount that was reserved for the accepted rows, in EUR."""
        return sum((count.hold for count in self.counts), ZERO)


@final
@frozen(kw_only=True)
class JournalRow:
    """One row of a journal. *started* is Unix time; *key* is None if it is the derived one.

    *in_file* is False if the row is not in the file of the batch any more.
    """

    id: str
    state: State
    started: float
    key: str | None
    kind: str | None
    code: str | None
    status: int | None
    message: str | None
    message_id: str | None
    unit: str | None
    price: str | None
    hold: str | None
    in_file: bool = True


def summarise(file: JournalFile) -> Summary:
    """Count the rows of *file* by result."""
    found: dict[tuple[Any, ...], Count] = {}
    run = file.about().get(RUN, "0")
    for row in file.select(_GROUPS, int(run)):
        *group, price, hold, rows = row
        state, kind, code, in_file, earlier = group
        new = Count(state=State(state), kind=kind, code=code, in_file=bool(in_file), earlier=bool(earlier))
        before = found.get(tuple(group), new)
        charged = Decimal(price) if price is not None else Decimal(hold or 0)
        found[tuple(group)] = evolve(
            before,
            rows=before.rows + rows,
            price=before.price + charged * rows,
            hold=before.hold + Decimal(hold or 0) * rows,
        )
    return Summary(tuple(found.values()))


def read_rows_by_id(file: JournalFile, ids: Sequence[str]) -> dict[str, JournalRow]:
    """Return the rows of *file* with these *ids*, by id."""
    found: dict[str, JournalRow] = {}
    for at in range(0, len(ids), _MANY):
        some = ids[at : at + _MANY]
        query = f"SELECT {', '.join(_NAMES)} FROM rows WHERE id IN ({', '.join('?' * len(some))})"  # noqa: S608 - our own names
        found |= {row.id: row for row in map(_row, file.select(query, *some))}
    return found


def read_rows(file: JournalFile, state: State | None = None) -> Iterator[JournalRow]:
    """Yield the rows of *file* in the order of their ids; only those in *state*, if one is given."""
    yield from map(_row, file.select(_ROWS, state, state))


def _row(row: tuple[Any, ...]) -> JournalRow:
    facts: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    return JournalRow(**{**facts, "state": State(facts["state"]), "in_file": bool(facts["in_file"])})
