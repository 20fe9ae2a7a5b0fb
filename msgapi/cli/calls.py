"""Calls: what the rows of a file come to, by name; an id or a message that came before is refused.

Rules:
- An id is that of the first row which has it. A later one is a row of its own all the same, and is never sent.
- A message came before only if the row that has it may be sent: what is refused here counts for nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias, final

from attrs import frozen

from ..calls import Call
from ..journal.verdicts import REPEATED_ROW
from ..messages import Accepted, send
from ..messages.calls import ROUTE
from ..results import Invalid
from .draft import Plan, own_key, same
from .exits import Halt
from .rows import Row, Table
from .seen import Seen
from .tally import DUPLICATE

Keys: TypeAlias = Callable[[str], str]
"""Tells the idempotency key of a row by its name."""

_DUPLICATE: Final = Invalid(
    code=DUPLICATE, message="the same message to the same recipient as an earlier row: not sent a second time"
)


@final
@frozen(eq=False, repr=False, kw_only=True)
class Naming:
    """How a row is called: by what stands in *column*, or else by its number."""

    column: str | None = None

    def over(self, rows: Iterable[Row], count: int) -> Iterator[tuple[Row, str, bool]]:
        """Give each of up to *count* *rows* with a name of its own, and whether its id came before."""
        seen = None if self.column is None else Seen(count)
        for row in rows:
            name = self._name(row)
            again = seen is not None and seen.again(name)
            yield row, f"{name} (row {row.number})" if again else name, again

    def check(self, table: Table) -> None:
        """Refuse a column that *table* does not have."""
        if self.column is not None and self.column not in table.columns:
            raise Halt(f"there is no column {self.column}; the columns are: {', '.join(table.columns)}")

    def _name(self, row: Row) -> str:
        given = "" if self.column is None else row.values.get(self.column)
        text = given if isinstance(given, str) else "" if given is None else f"{given}"
        return text.strip() or f"row {row.number}"


@final
@frozen(eq=False, repr=False)
class Calls:
    """Makes a call of each row by *plan*; with *duplicates*, the same message may go out twice."""

    plan: Plan
    naming: Naming
    duplicates: bool = False

    def over(self, rows: Iterable[Row], count: int, keys: Keys | None) -> Iterator[tuple[Row, str, Call[Accepted]]]:
        """Give each of up to *count* *rows* with its name and its call, under its own key or that of *keys*."""
        seen = Seen(count)
        for row, name, again in self.naming.over(rows, count):
            key = None if keys is None else keys(name)
            yield row, name, refused(REPEATED_ROW) if again else self._call(row, key, seen)

    def _call(self, row: Row, key: str | None, seen: Seen) -> Call[Accepted]:
        message = self.plan.message(row)
        if isinstance(message, Invalid):
            return refused(message)
        call = send(message, idempotency_key=own_key(row) or key)
        if call.invalid is None and not self.duplicates and seen.again(same(message)):
            return refused(_DUPLICATE)
        return call


def refused(why: Invalid) -> Call[Accepted]:
    """Make a call that is never sent, and comes to *why*."""
    return Call("POST", ROUTE, Accepted, invalid=why)
