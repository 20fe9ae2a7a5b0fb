"""The calls of a batch: one for each row, with the id of the row. Repeated ids and messages are refused.

Rules:
- A row is identified by its own id, else by its content, never by its position: the file may be sorted, and rows may be
  inserted and deleted, between two runs.
- An id belongs to the first row that has it. A later row with the same id is still a row, and is never sent.
- A message counts as a duplicate only of a row that may be sent, not of a row that was refused here.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Final, TypeAlias, final

from attrs import frozen

from ...calls import Call
from ...journal.identity import content_id, request_digest, row_number_id
from ...journal.verdicts import REPEATED, REPEATED_ROW
from ...messages import Accepted, Message, send
from ...messages.calls import ROUTE
from ...results import Invalid
from ..exits import CliError
from .counts import DUPLICATE
from .input import InputFile, InputRow
from .template import MessageBuilder, own_key

KeyFunction: TypeAlias = Callable[[str], str]
"""Returns the idempotency key of a row by its id."""

_DUPLICATE: Final = Invalid(
    code=DUPLICATE, message="the same message to the same recipient as an earlier row: not sent a second time"
)
_REPEATED_KEY: Final = Invalid(
    code=REPEATED, message="an earlier row has the same idempotency_key: give each row its own, or leave it empty"
)


@final
class SeenHashes:
    """A set of up to *rows* texts, each stored as an 8-byte hash: 16 to 32 bytes a row.

    Two different texts are taken for the same with a probability of rows² / 2⁶⁵: 1 in 37 million for a million rows.
    """

    def __init__(self, rows: int) -> None:
        """Reserve space for *rows* texts."""
        size = 1 << (2 * rows).bit_length()
        self._mask = size - 1
        self._slots = array("Q", bytes(8)) * size

    def add(self, text: str) -> bool:
        """Add *text* and return whether it was added before."""
        at, digest = self._find(text)
        if self._slots[at]:
            return True
        self._slots[at] = digest
        return False

    def __contains__(self, text: str) -> bool:
        """Return whether *text* was added."""
        at, _ = self._find(text)
        return bool(self._slots[at])

    def _find(self, text: str) -> tuple[int, int]:
        digest = int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) or 1
        at = digest & self._mask
        while (stored := self._slots[at]) and stored != digest:
            at = (at + 1) & self._mask
        return at, digest


@final
@frozen(eq=False, repr=False, kw_only=True)
class RowIds:
    """The ids that rows have of their own: the value in *column*, else the idempotency key of the row."""

    column: str | None = None

    def own_id(self, row: InputRow) -> str | None:
        """Return the own id of *row*; None if it has none, and is identified by its content."""
        given = None if self.column is None else row.values.get(self.column)
        text = given if isinstance(given, str) else "" if given is None else f"{given}"
        return text.strip() or own_key(row)

    def check(self, table: InputFile) -> None:
        """Raise CliError if *table* does not have the column."""
        if self.column is not None and self.column not in table.columns:
            raise CliError(f"there is no column {self.column}; the columns are: {', '.join(table.columns)}")


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
        ids, contents = SeenHashes(count), SeenHashes(count)
        for row in rows:
            own = self.ids.own_id(row)
            if own is not None and ids.add(own):
                yield RowCall(row, row_number_id(row.number), invalid_call(self._repeated(row)))
            else:
                yield self._make(row, own, contents)

    def _make(self, row: InputRow, own: str | None, contents: SeenHashes) -> RowCall:
        unsent = own or row_number_id(row.number)
        message = self.builder.build(row)
        if isinstance(message, Invalid):
            return RowCall(row, unsent, invalid_call(message))
        call = send(message, idempotency_key=own_key(row))
        if call.invalid is not None:
            return RowCall(row, unsent, call)
        digest = request_digest(call)
        count = number_equal(contents, digest)
        if count > 1 and not self.allow_duplicates:
            return RowCall(row, unsent, invalid_call(_DUPLICATE), repeats=True)
        return RowCall(row, own or content_id(digest, count), call, message, repeats=count > 1)

    def _repeated(self, row: InputRow) -> Invalid:
        return REPEATED_ROW if own_key(row) is None else _REPEATED_KEY


def number_equal(contents: SeenHashes, digest: bytes) -> int:
    """Add a row with this *digest* to *contents*; return the number of rows with it, this one included."""
    if not contents.add(content_id(digest)):
        return 1
    high = 2
    while content_id(digest, high) in contents:
        high *= 2
    numbers = range(high // 2 + 1, high)  # the last number in use is below `high`, and not below its half
    count = numbers[0] if numbers else high
    if numbers:
        count += bisect_left(numbers, True, key=lambda number: content_id(digest, number) not in contents)  # noqa: FBT003
    _ = contents.add(content_id(digest, count))
    return count


def invalid_call(error: Invalid) -> Call[Accepted]:
    """Return a call that is never sent and whose result is *error*."""
    return Call("POST", ROUTE, Accepted, invalid=error)
