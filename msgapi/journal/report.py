"""Reports: the rows of a journal, counted and one by one."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final, final

from attrs import evolve, frozen

from .resumption import COLUMNS, State
from .sqlite import JournalFile, check_row, read_amount, read_kind, read_leg, read_state, read_text

ZERO: Final = Decimal(0)
_GROUPS: Final = (
    "SELECT state, kind, code, price, hold, leg, in_file, run < ? AS earlier, count(*) FROM rows"
    " GROUP BY state, kind, code, price, hold, leg, in_file, earlier"
)
_NAMES: Final = ("id", "state", "started", "key", *COLUMNS, "in_file", "leg")
_MANY: Final = 500  # ids in one query
_ROWS: Final = f"SELECT {', '.join(_NAMES)} FROM rows WHERE ? IS NULL OR state = ? ORDER BY id"  # noqa: S608 - our own names

_SAMPLES: Final = (
    f"SELECT {', '.join(_NAMES)} FROM rows WHERE in_file AND state = ? AND kind IS ? AND code IS ? ORDER BY id LIMIT ?"  # noqa: S608 - our own names
)


@final
@frozen(kw_only=True)
class Count:
    """The number of rows with one result, and their cost in EUR: *price* is charged, *hold* was reserved.

    *leg* is the number of the leg of a fallback that the result is about. *in_file* is False for rows that are not in
    the file of the batch any more; *earlier* is True for rows that were begun before the last run.
    """

    state: State
    kind: str | None = None
    code: str | None = None
    rows: int = 0
    price: Decimal = ZERO
    hold: Decimal = ZERO
    in_file: bool = True
    earlier: bool = False
    leg: int = 1


@final
@frozen
class Summary:
    """The rows of a journal, counted by result."""

    counts: tuple[Count, ...]

    def rows(self, *states: State) -> int:
        """Return the number of rows in *states*; of all rows, if none is given."""
        return sum(count.rows for count in self.counts if not states or count.state in states)

    def replace_started(self, results: Sequence[Count]) -> "Summary":
        """Return the summary with *results* in place of as many rows that were begun and have no result."""
        number = sum(count.rows for count in results)
        counts: list[Count] = list(results)
        for count in self.counts:
            fewer = min(number, count.rows) if count.state is State.STARTED else 0
            number -= fewer
            counts.append(evolve(count, rows=count.rows - fewer))
        return Summary(tuple(count for count in counts if count.rows))

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

    *in_file* is False if the row is not in the file of the batch any more. *leg* is the number of the leg of a fallback
    that the result is about: the service has refused the legs before it.
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
    leg: int = 1


def count_result(leg: int, state: State, kind: str, code: str | None, *rest: object) -> Count:
    """Return the count of one row with a stored result of a *leg*."""
    price, hold = rest[4:6]
    charged = Decimal(f"{hold or 0}") if price is None else Decimal(f"{price}")
    return Count(state=state, kind=kind, code=code, leg=leg, rows=1, price=charged, hold=Decimal(f"{hold or 0}"))


def summarise(file: JournalFile) -> Summary:
    """Count the rows of *file* by result."""
    found: dict[tuple[Any, ...], Count] = {}
    for row in file.select(_GROUPS, file.run):
        *result, leg, in_file, earlier, rows = row
        state, kind, code, price, hold = _checked_group(file.path, *result)
        leg = read_leg(file.path, leg)
        new = Count(state=state, kind=kind, code=code, leg=leg, in_file=bool(in_file), earlier=bool(earlier))
        group = (state, kind, code, leg, new.in_file, new.earlier)
        before = found.get(group, new)
        charged = price if price is not None else hold or ZERO
        found[group] = evolve(
            before,
            rows=before.rows + rows,
            price=before.price + charged * rows,
            hold=before.hold + (hold or ZERO) * rows,
        )
    return Summary(tuple(found.values()))


def read_rows_by_id(file: JournalFile, ids: Sequence[str]) -> dict[str, JournalRow]:
    """Return the rows of *file* with these *ids*, by id."""
    found: dict[str, JournalRow] = {}
    for at in range(0, len(ids), _MANY):
        some = ids[at : at + _MANY]
        query = f"SELECT {', '.join(_NAMES)} FROM rows WHERE id IN ({', '.join('?' * len(some))})"  # noqa: S608 - our own names
        found |= {row.id: row for row in map(partial(_row, file.path), file.select(query, *some))}
    return found


def read_samples(file: JournalFile, state: State, kind: str | None, code: str | None, most: int) -> list[JournalRow]:
    """Return at most *most* rows of the file of the batch with this result, in the order of their ids."""
    return [_row(file.path, row) for row in list(file.select(_SAMPLES, state, kind, code, most))]


def read_rows(file: JournalFile, state: State | None = None) -> Iterator[JournalRow]:
    """Yield the rows of *file* in the order of their ids; only those in *state*, if one is given."""
    yield from map(partial(_row, file.path), file.select(_ROWS, state, state))


def _row(path: str, row: tuple[Any, ...]) -> JournalRow:
    facts: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    check_row(path, facts)
    return JournalRow(**{**facts, "state": State(facts["state"]), "in_file": bool(facts["in_file"])})


def _checked_group(
    path: str, state: object, kind: object, code: object, *amounts: object
) -> tuple[State, str | None, str | None, Decimal | None, Decimal | None]:
    price, hold = (read_amount(path, amount) for amount in amounts)
    return read_state(path, state), read_kind(path, kind), read_text(path, code), price, hold
