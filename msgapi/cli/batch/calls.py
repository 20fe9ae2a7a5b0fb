"""The calls of a batch: one for each row, with the id of the row. Repeated ids and messages are refused.

Rules:
- A value that cannot be an id costs its row, and no other.
- An id belongs to the first row that has it. A later row with the same id is still a row, and is never sent.
- A message counts as a duplicate only of a row that may be sent, not of a row that was refused here.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias, final

from attrs import frozen

from ...calls import Call
from ...journal.verdicts import REPEATED_ROW
from ...messages import Accepted, Message, send
from ...messages.calls import ROUTE
from ...results import Detail, Invalid
from ..exits import CliError
from .counts import DUPLICATE
from .input import InputFile, InputRow
from .seen_hashes import SeenHashes
from .template import MessageBuilder, fingerprint, own_key

KeyFunction: TypeAlias = Callable[[str], str]
"""Returns the idempotency key of a row by its id."""

_LONGEST_ID: Final = 255
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
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

    def problem(self, row: InputRow) -> Invalid | None:
        """Return why the value in the column of ids cannot be an id; None if it can, or if it is empty."""
        text = self._given(row)
        if len(text) > _LONGEST_ID:
            why = f"is longer than {_LONGEST_ID} characters: it cannot be the id of a row"
        elif not text.isprintable() and _CONTROL.search(text):
            why = "has a control character: it cannot be the id of a row"
        else:
            return None
        detail = Detail(f"{self.column}", why)
        return Invalid(message=f"{detail.field} {detail.message}", details=(detail,))

    def check(self, table: InputFile) -> None:
        """Raise CliError if *table* does not have the column."""
        if self.column is not None and self.column not in table.columns:
            raise CliError(f"there is no column {self.column}; the columns are: {', '.join(table.columns)}")

    def _id(self, row: InputRow) -> str:
        text = "" if self.problem(row) else self._given(row)
        return text or f"row {row.number}"

    def _given(self, row: InputRow) -> str:
        given = "" if self.column is None else row.values.get(self.column)
        text = given if isinstance(given, str) else "" if given is None else f"{given}"
        return text.strip(" ")


@final
@frozen(eq=False, repr=False)
class RowCall:
    """The call of one row, under the *id* of the row.

    *message* is None if the row is not sent. *repeats* says that an earlier row has the same message and recipient.
    """

    row: InputRow
    id: str
    call: Call[Accepted]
    message: Message | None = None
    repeats: bool = False


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
        for made in self.make_each(rows, count):
            call = made.call
            if key_of is not None and made.message is not None and own_key(made.row) is None:
                call = call.under(key_of(made.id))
            yield made.row, made.id, call

    def make_each(self, rows: Iterable[InputRow], count: int) -> Iterator[RowCall]:
        """Yield what is made of each of up to *count* *rows*."""
        seen = SeenHashes(count)
        for row, name, repeated in self.ids.assign(rows, count):
            yield RowCall(row, name, invalid_call(REPEATED_ROW)) if repeated else self._make(row, name, seen)

    def _make(self, row: InputRow, name: str, seen: SeenHashes) -> RowCall:
        message = self.ids.problem(row) or self.builder.build(row)
        if isinstance(message, Invalid):
            return RowCall(row, name, invalid_call(message))
        call = send(message, idempotency_key=own_key(row))
        if call.invalid is not None:
            return RowCall(row, name, call)
        repeats = seen.add(fingerprint(message))
        if repeats and not self.allow_duplicates:
            return RowCall(row, name, invalid_call(_DUPLICATE), repeats=True)
        return RowCall(row, name, call, message, repeats)


def invalid_call(error: Invalid) -> Call[Accepted]:
    """Return a call that is never sent and whose result is *error*."""
    return Call("POST", ROUTE, Accepted, invalid=error)
