"""Summaries: what a journal comes to, counted and row by row."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, final

from attrs import frozen

from .entries import COLUMNS, State
from .store import Store

ZERO: Final = Decimal(0)
_GROUPS: Final = "SELECT state, kind, code, price, hold, count(*) FROM rows GROUP BY state, kind, code, price, hold"
_NAMES: Final = ("id", "state", "started", "key", *COLUMNS)
_MANY: Final = 500  # ids in one query
_ROWS: Final = f"SELECT {', '.join(_NAMES)} FROM rows WHERE ? IS NULL OR state = ? ORDER BY id"  # noqa: S608 - ours


@final
@frozen(kw_only=True)
class Count:
    """How many rows ended alike, and what they cost in EUR: *price* is charged, *hold* was reserved."""

    state: State
    kind: str | None = None
    code: str | None = None
    rows: int = 0
    price: Decimal = ZERO
    hold: Decimal = ZERO


@final
@frozen
class Summary:
    """What a journal comes to."""

    counts: tuple[Count, ...]

    def rows(self, *states: State) -> int:
        """Tell how many rows there are in these states; in all, if none is named."""
        return sum(count.rows for count in self.counts if not states or count.state in states)

    @property
    def price(self) -> Decimal:
        """What the accepted rows are charged for, in EUR."""
        return sum((count.price for count in self.counts), ZERO)

    @property
    def hold(self) -> Decimal:
        """What was reserved for the accepted rows, in EUR."""
        return sum((count.hold for count in self.counts), ZERO)


@final
@frozen(kw_only=True)
class Line:
    """One row of a journal: *started* is Unix time, *key* None for the derived one."""

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


def summarise(store: Store) -> Summary:
    """Count the rows of *store* by how they ended."""
    found: dict[tuple[Any, ...], Count] = {}
    for row in store.select(_GROUPS):
        state, kind, code, price, hold, rows = row
        before = found.get((state, kind, code), Count(state=State(state), kind=kind, code=code))
        charged = Decimal(price) if price is not None else Decimal(hold or 0)
        found[state, kind, code] = Count(
            state=before.state,
            kind=kind,
            code=code,
            rows=before.rows + rows,
            price=before.price + charged * rows,
            hold=before.hold + Decimal(hold or 0) * rows,
        )
    return Summary(tuple(found.values()))


def lines_of(store: Store, ids: Sequence[str]) -> dict[str, Line]:
    """Read the rows of *store* that have these *ids*."""
    found: dict[str, Line] = {}
    for at in range(0, len(ids), _MANY):
        some = ids[at : at + _MANY]
        query = f"SELECT {', '.join(_NAMES)} FROM rows WHERE id IN ({', '.join('?' * len(some))})"  # noqa: S608 - names of ours
        found |= {line.id: line for line in map(_line, store.select(query, *some))}
    return found


def lines(store: Store, state: State | None = None) -> Iterator[Line]:
    """Read the rows of *store*, in the order of their ids; those in one *state*, if one is named."""
    yield from map(_line, store.select(_ROWS, state, state))


def _line(row: tuple[Any, ...]) -> Line:
    facts: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    return Line(**{**facts, "state": State(facts["state"])})
