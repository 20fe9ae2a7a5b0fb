"""The calls of a batch: one for each row, with the id of the row. Repeated ids and messages are refused.

Rules:
- An id belongs to the first row that has it. A later row with the same id is still a row, and is never sent.
- A message counts as a duplicate only of a row that may be sent, not of a row that was refused here.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias, final

from attrs import frozen

from ...calls import Call
from ...journal.verdicts import REPEATED_ROW
from ...messages import Accepted, send
from ...messages.calls import ROUTE
from ...results import Invalid
from ..exits import CliError
from .counts import DUPLICATE
from .input import InputFile, InputRow
from .seen_hashes import SeenHashes
from .template import MessageBuilder, fingerprint, own_key

KeyFunction: TypeAlias = Callable[[str], str]
"""Returns the idempotency key of a row by its id."""

_DUPLICATE: Final = Invalid(
    code=DUPLICATE, message="the same message to the same recipient as an earlier row: not sent a second time"
)


@final
@frozen(eq=False, repr=False, kw_only=True)
class RowIds:
    """The ids of rows: the value in *column* or, if there is none, the row number."""

    column: str | None = None

    def assign(self, rows: Iterable[InputRow], count: int) -> Iterator[tuple[InputRow, str, bool]]:
        """Yield each of up to *count* *rows* with a unique id, and whether its own id is a repetition."""
        seen = None if self.column is None else SeenHashes(count)
        for row in rows:
            name = self._id(row)
            repeated = seen is not None and seen.add(name)
            yield row, f"{name} (row {row.number})" if repeated else name, repeated

    def check(self, table: InputFile) -> None:
        """Raise CliError if *table* does not have the column."""
        if self.column is not None and self.column not in table.columns:
            raise CliError(f"there is no column {self.column}; the columns are: {', '.join(table.columns)}")

    def _id(self, row: InputRow) -> str:
        given = "" if self.column is None else row.values.get(self.column)
        text = given if isinstance(given, str) else "" if given is None else f"{given}"
        return text.strip() or f"row {row.number}"


@final
@frozen(eq=False, repr=False)
class RowCalls:
    """Makes a call of each row with *builder*. Duplicates are refused unless *allow_duplicates* is true."""

    builder: MessageBuilder
    ids: RowIds
    allow_duplicates: bool = False

    def make(
        self, rows: Iterable[InputRow], count: int, key_of: KeyFunction | None
    ) -> Iterator[tuple[InputRow, str, Call[Accepted]]]:
        """Yield each of up to *count* *rows* with its id and its call.

        The idempotency key is that of the row, else that of *key_of*, else random.
        """
        seen = SeenHashes(count)
        for row, name, repeated in self.ids.assign(rows, count):
            key = None if key_of is None else key_of(name)
            yield row, name, invalid_call(REPEATED_ROW) if repeated else self._call(row, key, seen)

    def _call(self, row: InputRow, key: str | None, seen: SeenHashes) -> Call[Accepted]:
        message = self.builder.build(row)
        if isinstance(message, Invalid):
            return invalid_call(message)
        call = send(message, idempotency_key=own_key(row) or key)
        if call.invalid is None and not self.allow_duplicates and seen.add(fingerprint(message)):
            return invalid_call(_DUPLICATE)
        return call


def invalid_call(error: Invalid) -> Call[Accepted]:
    """Return a call that is never sent and whose result is *error*."""
    return Call("POST", ROUTE, Accepted, invalid=error)
