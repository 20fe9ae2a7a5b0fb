"""The calls of a batch: one for each row, with the id of the row. Repeated ids and messages are refused.

Rules:
- A row is identified by its own id, else by its content, never by its position: the file may be sorted, and rows may be
  inserted and deleted, between two runs.
- A value that cannot be an id costs its row, and no other.
- If several rows have the same id, or the same idempotency key, none of them is sent: it is not known whose it is.
- In memory there is one table of hashes of 7 bytes: that of the ids is gone before that of the messages grows. The
  recipients have another one, of 5 bytes a row.
- A message counts as a duplicate only of a row that may be sent, not of a row that was refused here.
- A row with a fallback is a duplicate if its first message is that of an earlier row. Where duplicates are allowed,
  only a row with the same fallback is one, so that the order of the rows does not change their ids.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Final, TypeAlias, final

from attrs import field, frozen

from ...calls import Call, new_key
from ...codegen import constructor
from ...fallback import AnyCall, chain
from ...journal.resumption import REPEATED, content_id, request_digest, row_number_id
from ...messages import Accepted, Message, send
from ...messages.calls import ROUTE, send_unkeyed
from ...results import Detail, Invalid
from ..files.rows import KEY, MOST_COLUMNS, FirstPass, InputRow, require_column
from .builder import MessageBuilder, key_text, own_key
from .counts import DUPLICATE
from .values import RecipientReport

_MANY: Final = 1_000_000  # rows: how many a file has is not known in the first pass
_STORED: Final = 7  # bytes of a hash
_USED: Final = 9  # the other two choose the bucket


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
        return self.add_hash(_hash(text))

    def add_hash(self, digest: bytes) -> bool:
        """Add a text by its *digest*, of at least 9 bytes, and return whether that was added before."""
        number, stored = int.from_bytes(digest[_STORED:_USED]) % len(self._buckets), digest[:_STORED]
        bucket = self._buckets[number]
        if stored in bucket and _is_in(bucket, stored):
            return True
        self._buckets[number] = bucket + stored
        return False

    def __contains__(self, text: str) -> bool:
        """Return whether *text* was added."""
        digest = _hash(text)
        return _is_in(self._buckets[int.from_bytes(digest[_STORED:]) % len(self._buckets)], digest[:_STORED])


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_USED).digest()


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
_REPEATED_ID: Final = Invalid(
    code=REPEATED, message="another row has the same id: give each row its own id", own_words=True
)
_REPEATED_KEY: Final = Invalid(
    code=REPEATED,
    message="another row has the same idempotency_key: give each row its own, or leave it empty",
    own_words=True,
)
_KEY_MARK: Final = "\x00"  # no id begins with it: ids have no control characters


@final
@frozen(eq=False, repr=False, kw_only=True)
class RowIds:
    """The ids that rows have of their own: the value in *column*, else the idempotency key of the row."""

    column: str | None = None

    @classmethod
    def find(cls, column: str | None, columns: Sequence[str]) -> "RowIds":
        """Return the ids in *column*, as it is named in *columns*. Raise CliError if there is no such column."""
        return cls(column=None if column is None else require_column(columns, column, "--id-column"))

    def own_id(self, row: InputRow, key: str | None) -> str | None:
        """Return the own id of *row*, whose own key is *key*; None if it is identified by its content."""
        if self.column is None:
            return key
        return None if self.problem(row) else self._given(row) or key

    def problem(self, row: InputRow) -> Invalid | None:
        """Return why the value in the column of ids cannot be an id; None if it can, or if it is empty."""
        if self.column is None:
            return None
        why = _id_problem(self._given(row))
        if why is None:
            return None
        detail = Detail(f"{self.column}", why)
        return Invalid(message=f"{detail.field} {detail.message}", details=(detail,), own_words=True)

    def columns(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Return those of *columns* that hold ids and keys: at most two, the ids first."""
        has_keys = KEY in columns or len(columns) >= MOST_COLUMNS  # of so many columns not all are known
        found = (*(() if self.column is None else (self.column,)), *((KEY,) if has_keys else ()))
        return tuple(dict.fromkeys(found))

    def unique(self, row: InputRow) -> tuple[str, ...]:
        """Return what no other row may have: the id of *row*, and its key."""
        values = row.values
        return self.unique_of((*(() if self.column is None else (values.get(self.column),)), values.get(KEY)))

    def unique_of(self, values: Sequence[object]) -> tuple[str, ...]:
        """Return what no other row may have, from the *values* of `columns` in one row."""
        name = "" if self.column is None else _id_text(values[0])
        if name and _id_problem(name) is not None:
            return ()  # the row is refused
        key = key_text(values[-1]) if self.column is None or len(values) > 1 else None
        if not name:
            return () if key is None else (key,) if self.column is None else (key, _KEY_MARK + key)
        return (name,) if key is None or self.column == KEY else (name, _KEY_MARK + key)

    def _given(self, row: InputRow) -> str:
        return "" if self.column is None else _id_text(row.values.get(self.column))


def _id_text(value: object) -> str:
    return (value if isinstance(value, str) else "" if value is None else f"{value}").strip(" ")


def _id_problem(text: str) -> str | None:
    if len(text) > _LONGEST_ID:
        return f"is longer than {_LONGEST_ID} characters: it cannot be the id of a row"
    if not text.isprintable() and _CONTROL.search(text):
        return "has a control character: it cannot be the id of a row"
    return None


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


_new_row_call: Final = constructor(RowCall)


@final
class RepeatedIds:
    """The *ids* and keys that several rows of a file have.

    They are found by `visit` in the first pass. After `close`, only the repeated ones need memory.
    """

    def __init__(self, ids: RowIds | None = None) -> None:
        """Create an empty set."""
        self._rows = [0, 0]  # with the id of another row, and with its key
        self._ids = ids or RowIds()
        self._seen: SeenHashes | None = None
        self._repeated: SeenHashes | None = None

    @property
    def rows(self) -> int:
        """The number of rows that have the id of another row, or its key if these are more."""
        return max(self._rows)

    def visit(self, values: Sequence[object]) -> None:
        """Add the *values* of the columns of ids in one row."""
        seen = self._seen = self._seen or SeenHashes(_MANY)
        for at, one in enumerate(self._ids.unique_of(values)):
            if seen.add(one):
                repeated = self._repeated = self._repeated or SeenHashes(0)
                self._rows[at] += 1 if repeated.add(one) else 2  # the first row that has it is one of them

    def close(self) -> None:
        """Forget the ids that occur once."""
        self._seen = None

    def __contains__(self, row: InputRow) -> bool:
        """Return whether another row has the id or the key of *row*."""
        repeated = self._repeated
        return repeated is not None and any(one in repeated for one in self._ids.unique(row))


@final
@frozen(eq=False, repr=False)
class RowCalls:
    """Makes a call of each row with *builder*. Duplicates are refused unless *allow_duplicates* is true.

    *repeated* are the ids that several rows have.
    """

    builder: MessageBuilder
    ids: RowIds
    allow_duplicates: bool = False
    repeated: RepeatedIds = field(factory=RepeatedIds)

    def first_pass(self, columns: Sequence[str]) -> FirstPass:
        """Return what the first pass over a file with these *columns* has to do."""
        return FirstPass(used=self.builder.used_columns, ids=self.ids.columns(columns), visit=self.repeated.visit)

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
            if made.message is not None and call.idempotency_key is None:
                call = call.under(new_key() if key_of is None else key_of(made.id))
            yield made.row, made.id, call

    def make_each(self, rows: Iterable[InputRow], count: int) -> Iterator[RowCall]:
        """Yield what is made of each of up to *count* *rows*; a call has the idempotency key of its row, or none."""
        contents = SeenHashes(count)
        self.builder.recipients.begin(count)
        self.builder.warnings.clear()
        for row in rows:
            if row in self.repeated:
                yield RowCall(row, row_number_id(row.number), invalid_call(self._repeated()))
            else:
                yield self._make(row, contents)

    def _make(self, row: InputRow, contents: SeenHashes) -> RowCall:
        key = own_key(row)
        own = self.ids.own_id(row, key)
        message = self.ids.problem(row) or self.builder.build(row)
        if isinstance(message, Invalid):
            return RowCall(row, _unsent_id(row, own, key), invalid_call(self.builder.name_columns(message)))
        second = self.builder.build_fallback(row)
        call: AnyCall[Accepted] = send_unkeyed(message) if key is None else send(message, idempotency_key=key)
        if second is not None:
            call = chain(*call.legs, invalid_call(second) if isinstance(second, Invalid) else send_unkeyed(second))
        if call.invalid is not None or isinstance(second, Invalid):
            invalid = call.invalid
            call = call if invalid is None else invalid_call(self.builder.name_columns(invalid))
            return RowCall(row, _unsent_id(row, own, key), call)
        digest = request_digest(*call.legs)
        first = digest if second is None or self.allow_duplicates else request_digest(call.legs[0])
        count = number_equal(contents, first)
        if count > 1 and not self.allow_duplicates:
            return RowCall(row, _unsent_id(row, own, key), invalid_call(_DUPLICATE), repeats=True)
        if count == 1:
            to = message.to
            self.builder.recipients.add(to if to[0] == "+" else to.casefold(), row.line)
        return _new_row_call(row, own or content_id(digest, count), call, message, count > 1, second)

    def _repeated(self) -> Invalid:
        return _REPEATED_KEY if self.ids.column is None else _REPEATED_ID


def _unsent_id(row: InputRow, own: str | None, key: str | None) -> str:
    # A key may be no valid id.
    return row_number_id(row.number) if own is None or own == key else own


def number_equal(contents: SeenHashes, digest: bytes) -> int:
    """Add a row with this *digest* to *contents*; return the number of rows with it, this one included."""
    if not contents.add_hash(digest):
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
