"""The calls of a batch: one for each row, with the id of the row. Repeated ids and messages are refused.

Rules:
- A row is identified by its own id, else by its content, never by its position: the file may be sorted, and rows may be
  inserted and deleted, between two runs.
- A value that cannot be an id costs its row, and no other.
- An id belongs to the first row that has it. A later row with the same id is still a row, and is never sent.
- In memory there is one table of hashes of 7 bytes: that of the ids is gone before that of the messages grows. The
  recipients have another one, of 6 bytes a row.
- A message counts as a duplicate only of a row that may be sent, not of a row that was refused here.
- A row with a fallback is a duplicate if its first message is that of an earlier row. Where duplicates are allowed,
  only a row with the same fallback is one, so that the order of the rows does not change their ids.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from typing import Final, TypeAlias, final

from attrs import field, frozen

from ...calls import Call
from ...fallback import AnyCall, chain
from ...journal.rows import REPEATED, REPEATED_ROW, content_id, request_digest, row_number_id
from ...messages import Accepted, Message, send
from ...messages.calls import ROUTE
from ...results import Detail, Invalid
from ..output import CliError
from .builder import KEY, MessageBuilder, own_key
from .counts import DUPLICATE
from .input import MOST_COLUMNS, InputFile, InputRow
from .recipients import RecipientReport

_STORED: Final = 7  # bytes of a hash; two more choose the bucket


@final
class SeenHashes:
    """A set of texts, each stored as 7 bytes of its hash. It grows with the texts, and is never full.

    Two different texts are taken for the same with a probability of rows² / 2⁶⁷: 1 in 147 million for a million rows.
    """

    def __init__(self, rows: int) -> None:
        """Create an empty set for about *rows* texts. Many more of them make it slower."""
        # The hashes of a bucket are one bytes object: searched and extended by C code, with little overhead a hash.
        self._buckets = [b""] * (1 << min(16, max(10, (rows >> 8).bit_length())))

    def add(self, text: str) -> bool:
        """Add *text* and return whether it was added before."""
        number, stored = _hash(text, len(self._buckets))
        if _is_in(self._buckets[number], stored):
            return True
        self._buckets[number] += stored
        return False

    def __contains__(self, text: str) -> bool:
        """Return whether *text* was added."""
        number, stored = _hash(text, len(self._buckets))
        return _is_in(self._buckets[number], stored)


def _hash(text: str, buckets: int) -> tuple[int, bytes]:
    digest = blake2b(text.encode(), digest_size=_STORED + 2).digest()
    return int.from_bytes(digest[_STORED:]) % buckets, digest[:_STORED]


def _is_in(bucket: bytes, stored: bytes) -> bool:
    at = bucket.find(stored)
    while at % _STORED and at != -1:  # it spans two hashes
        at = bucket.find(stored, at + 1)
    return at != -1


KeyFunction: TypeAlias = Callable[[str], str]
"""Returns the idempotency key of a row by its id."""

_LONGEST_ID: Final = 255
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DUPLICATE: Final = Invalid(
    code=DUPLICATE,
    message="the same message to the same recipient as an earlier row: not sent a second time",
    own_words=True,
)
_REPEATED_KEY: Final = Invalid(
    code=REPEATED,
    message="an earlier row has the same idempotency_key: give each row its own, or leave it empty",
    own_words=True,
)


@final
@frozen(eq=False, repr=False, kw_only=True)
class RowIds:
    """The ids that rows have of their own: the value in *column*, else the idempotency key of the row."""

    column: str | None = None

    def own_id(self, row: InputRow) -> str | None:
        """Return the own id of *row*; None if it has none, and is identified by its content."""
        if self.column is None:
            return own_key(row)
        return None if self.problem(row) else self._given(row) or own_key(row)

    def problem(self, row: InputRow) -> Invalid | None:
        """Return why the value in the column of ids cannot be an id; None if it can, or if it is empty."""
        if self.column is None:
            return None
        text = self._given(row)
        if len(text) > _LONGEST_ID:
            why = f"is longer than {_LONGEST_ID} characters: it cannot be the id of a row"
        elif not text.isprintable() and _CONTROL.search(text):
            why = "has a control character: it cannot be the id of a row"
        else:
            return None
        detail = Detail(f"{self.column}", why)
        return Invalid(message=f"{detail.field} {detail.message}", details=(detail,), own_words=True)

    def check(self, table: InputFile) -> None:
        """Raise CliError if *table* does not have the column."""
        if self.column is not None and self.column not in table.columns:
            raise CliError(f"there is no column {self.column}; the columns are: {', '.join(table.columns)}")

    def may_exist(self, table: InputFile) -> bool:
        """Return whether a row of *table* can have an own id."""
        return self.column is not None or KEY in table.columns or len(table.columns) >= MOST_COLUMNS

    def _given(self, row: InputRow) -> str:
        given = row.values.get(self.column or "")
        text = given if isinstance(given, str) else "" if given is None else f"{given}"
        return text.strip(" ")


@final
@frozen(eq=False, repr=False)
class RowCall:
    """The call of one row, under the *id* of the row.

    *message* is None if the row is not sent. *repeats* says that an earlier row has the same message and recipient.
    *second* is the message that is sent if the service refuses the first, if there is one.
    """

    row: InputRow
    id: str
    call: AnyCall[Accepted]
    message: Message | None = None
    repeats: bool = False
    second: Message | None = None


@final
class RepeatedRows:
    """The rows of a file whose own id an earlier row has: one bit a row.

    They are found in a pass of their own, so that the hashes of the ids need no memory while the rows are sent.
    """

    def __init__(self) -> None:
        """Create an empty set."""
        self._bits = bytearray()

    @classmethod
    def find(cls, table: InputFile, ids: RowIds) -> "RepeatedRows":
        """Return those of *table*. The file is not read if no row of it can have an own id."""
        found = cls()
        if ids.may_exist(table):
            seen = SeenHashes(table.count)
            for row in table.rows():
                own = ids.own_id(row)
                if own is not None and seen.add(own):
                    found._add(row.number)
        return found

    def __contains__(self, number: int) -> bool:
        """Return whether the row with this number, counted from 1, is repeated."""
        at, bit = divmod(number, 8)
        return at < len(self._bits) and bool(self._bits[at] >> bit & 1)

    def _add(self, number: int) -> None:
        at, bit = divmod(number, 8)
        self._bits.extend(bytes(max(0, at + 1 - len(self._bits))))
        self._bits[at] |= 1 << bit


@final
@frozen(eq=False, repr=False)
class RowCalls:
    """Makes a call of each row with *builder*. Duplicates are refused unless *allow_duplicates* is true.

    *repeated* are the rows whose own id an earlier row has.
    """

    builder: MessageBuilder
    ids: RowIds
    allow_duplicates: bool = False
    repeated: RepeatedRows = field(factory=RepeatedRows)

    @property
    def recipients(self) -> RecipientReport:
        """What the last pass over the rows has found about their recipients."""
        return self.builder.recipients.report

    def make(
        self, rows: Iterable[InputRow], count: int, key_of: KeyFunction | None
    ) -> Iterator[tuple[InputRow, str, AnyCall[Accepted]]]:
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
        contents = SeenHashes(count)
        self.builder.recipients.begin(count)
        self.builder.warnings.clear()
        for row in rows:
            own = self.ids.own_id(row)
            if row.number in self.repeated:
                yield RowCall(row, row_number_id(row.number), invalid_call(self._repeated(row)))
            else:
                yield self._make(row, own, contents)

    def _make(self, row: InputRow, own: str | None, contents: SeenHashes) -> RowCall:
        key = own_key(row)
        unsent = row_number_id(row.number) if own is None or own == key else own  # a key may be no valid id
        message = self.ids.problem(row) or self.builder.build(row)
        if isinstance(message, Invalid):
            return RowCall(row, unsent, invalid_call(message))
        second = self.builder.build_fallback(row)
        call: AnyCall[Accepted] = send(message, idempotency_key=key)
        if second is not None:
            call = chain(*call.legs, invalid_call(second) if isinstance(second, Invalid) else send(second))
        if call.invalid is not None or isinstance(second, Invalid):
            return RowCall(row, unsent, call)
        digest = request_digest(*call.legs)
        first = digest if second is None or self.allow_duplicates else request_digest(call.legs[0])
        count = number_equal(contents, first)
        if count > 1 and not self.allow_duplicates:
            return RowCall(row, unsent, invalid_call(_DUPLICATE), repeats=True)
        if count == 1:
            to = message.to
            self.builder.recipients.add(to if to[0] == "+" else to.casefold(), row.line)
        return RowCall(row, own or content_id(digest, count), call, message, repeats=count > 1, second=second)

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
