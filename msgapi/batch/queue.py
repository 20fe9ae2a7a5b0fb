"""Queue: the rows of a batch, one source that many workers pull from.

With a journal (`JournalledQueue`):
- Rows are pulled slightly ahead and recorded together, so that sending does not wait for the disk. The next lot is
  pulled when half of the rows are taken, and the lot after it gathers while one is being written.
- Rows that were recorded as started and not sent when the batch is left are released.
- A row that an earlier run has settled is skipped and counted.
- The next leg of a fallback is recorded before it is sent.
"""

from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from enum import Enum
from typing import Any, Final, Generic, Literal, Protocol, TypeAlias, TypeVar, final

import anyio
from anyio.abc import TaskGroup
from attrs import define, evolve, field, frozen

from ..calls import Call
from ..codegen import constructor
from ..concurrency import unrequested_cancellation
from ..fallback import AnyCall, Fallback
from ..journal.resumption import SETTLED, Send, Verdict, leaves_unknown
from ..results import ApiError, Invalid, Ok, Result

T = TypeVar("T")


class _End(Enum):
    END = "end"


End: TypeAlias = Literal[_End.END]
END: Final = _End.END
_BAD_ID: Final = Invalid(
    code="bad_id", message="the id of the row is not valid Unicode: it was not sent", own_words=True
)


@final
@define(eq=False, repr=False)
class PendingRow(Generic[T]):
    """A row that is to be sent.

    *maybe_sent* says whether an earlier run may have sent it. *verdict* is its result if it is not to be sent. If it
    has failed and is to be sent again, *last* is the error, and *recoveries* counts how often the service had responded
    by then.

    With a *fallback*, *call* is its current leg, and *refused* are the errors of the legs before it in this run.
    """

    index: int
    call: Call[T]
    id: str = ""
    verdict: ApiError | None = None
    maybe_sent: bool = False
    last: ApiError | None = None
    recoveries: int = 0
    fallback: Fallback[T] | None = None
    refused: tuple[ApiError, ...] = ()

    @property
    def invalid(self) -> Invalid | None:
        """The problems of the input of all legs. If there are any, nothing is sent."""
        return self.call.invalid if self.fallback is None else self.fallback.invalid

    def after(self, error: ApiError) -> Fallback[T] | None:
        """Return the fallback from its next leg, if *error* leads to it; otherwise None."""
        return None if self.fallback is None else self.fallback.after(error)

    def advance(self, fallback: Fallback[T], error: ApiError) -> None:
        """Continue with the current leg of *fallback*, since the leg before it was refused with *error*."""
        self.fallback, self.call, self.refused = fallback, fallback.call, (*self.refused, error)
        self.last, self.recoveries = None, 0


def pending_row(index: int, item: AnyCall[T], id: str = "", **facts: Any) -> PendingRow[T]:  # noqa: A002, ANN401 - as the class
    """Return the row that sends *item*."""
    if isinstance(item, Call):
        return PendingRow(index, item, id, **facts)
    return PendingRow(index, item.call, id, fallback=item, **facts)


@final
@frozen
class Outcome(Generic[T]):
    """The result of one call. *index* is its position in the source; *id* is that of its row, with a journal.

    If the source had a *fallback* at this position, *call* is the leg that the result is about.
    """

    index: int
    call: Call[T]
    result: Result[T]
    id: str = ""
    fallback: Fallback[T] | None = None

    @property
    def item(self) -> AnyCall[T]:
        """The call or the fallback that continues here."""
        return self.call if self.fallback is None else self.fallback


new_outcome: Final = constructor(Outcome[Any])
"""Return an `Outcome` with these values: a faster constructor."""


def not_a_call(value: object, index: int) -> TypeError:
    """Return the error for a *value* at position *index* of the source that is no call."""
    return TypeError(f"row {index} of the batch must be a Call, not {type(value).__name__}: see messages.send")


def _is_unicode(text: str) -> bool:
    try:
        _ = text.encode()
    except UnicodeEncodeError:
        return False
    return True


class RowQueue(Protocol[T]):
    """Where workers get rows from, and report their results to."""

    @property
    def exhausted(self) -> bool:
        """Whether no more rows will come."""
        ...  # pragma: no cover

    async def pull(self, wanted: Callable[[], bool]) -> PendingRow[T] | End:
        """Return the next row; END if there is none, or if *wanted* returns False when it is this caller's turn."""
        ...  # pragma: no cover

    def settle(self, row: PendingRow[T], result: Result[T]) -> Result[T]:
        """Record the result of *row*; return the result to report."""
        ...  # pragma: no cover

    async def advance(self, row: PendingRow[T], leg: int) -> bool:
        """Record that the legs of *row* before *leg* were refused; return False if this one must not be sent."""
        ...  # pragma: no cover

    def release(self, row: PendingRow[T]) -> None:
        """Record that *row* was pulled but not sent."""
        ...  # pragma: no cover

    def repeat(self, outcome: Outcome[T]) -> None:
        """Put the call of *outcome* at the front of the queue."""
        ...  # pragma: no cover

    async def close(self) -> None:
        """Close the source."""
        ...  # pragma: no cover


@final
class Source(Generic[T]):
    """The remaining items of an iterable or async iterable. Any number of tasks may pull from it.

    No pulled item is lost: an item that arrives when it is no longer wanted is kept for the next pull.
    """

    def __init__(self, items: Iterable[T] | AsyncIterable[T]) -> None:
        """Start at the first of *items*."""
        self.exhausted: bool = False
        self._async_items: AsyncIterator[T] | None = None
        self._items: Iterator[T] = iter(())
        if isinstance(items, AsyncIterable):
            self._async_items = aiter(items)
        else:
            self._items = iter(items)
        self._lock = anyio.Lock(fast_acquire=True)
        self._kept: list[T] = []

    async def pull(self, wanted: Callable[[], bool]) -> T | End:
        """Return the next item; END if there is none, or if *wanted* returns False when it is this caller's turn."""
        if self._async_items is not None:
            return await self._pull_async(self._async_items, wanted)
        item = next(self._items, END)
        self.exhausted = item is END
        return item

    async def _pull_async(self, items: AsyncIterator[T], wanted: Callable[[], bool]) -> T | End:
        async with self._lock:  # an async generator cannot be entered twice
            if not wanted():
                return END
            if self._kept:
                return self._kept.pop()
            item = await anext(items, END)
            self.exhausted = item is END
        if item is END or wanted():
            return item
        self._kept.append(item)
        return END

    async def close(self) -> None:
        """Close an async generator, which must not be left to the garbage collector."""
        if isinstance(self._async_items, AsyncGenerator):
            await self._async_items.aclose()


@final
class PlainQueue(Generic[T]):
    """The rows of a batch without a journal."""

    def __init__(self, calls: Iterable[AnyCall[T]] | AsyncIterable[AnyCall[T]]) -> None:
        """Start at the first of *calls*."""
        self._source = Source(calls)
        self._pulled = 0
        self._repeated: deque[PendingRow[T]] = deque()

    @property
    def exhausted(self) -> bool:
        """Whether no more rows will come."""
        return self._source.exhausted and not self._repeated

    async def pull(self, wanted: Callable[[], bool]) -> PendingRow[T] | End:
        """Return the next row."""
        if self._repeated:
            return self._repeated.popleft()
        call = await self._source.pull(wanted)
        if call is END:
            return END
        if not isinstance(call, Call | Fallback):
            raise not_a_call(call, self._pulled)
        self._pulled += 1
        return pending_row(self._pulled - 1, call)

    def settle(self, row: PendingRow[T], result: Result[T]) -> Result[T]:  # noqa: ARG002 - of the protocol
        """Return *result*; nothing is recorded."""
        return result

    async def advance(self, row: PendingRow[T], leg: int) -> bool:  # noqa: ARG002 - of the protocol
        """Return True; nothing is recorded."""
        return True

    def release(self, row: PendingRow[T]) -> None:
        """Do nothing; nothing is recorded."""

    def repeat(self, outcome: Outcome[T]) -> None:
        """Put the call of *outcome* at the front of the queue."""
        self._repeated.append(pending_row(outcome.index, outcome.item, refused=outcome.result.meta.refused))

    async def close(self) -> None:
        """Close the source."""
        await self._source.close()


class JournalProtocol(Protocol):
    """What a batch needs of a journal: `journal.Journal`, or an object that takes its place."""

    @property
    def has_accepted(self) -> bool:
        """Whether a row was accepted in an earlier run."""
        ...  # pragma: no cover

    @property
    def is_complete(self) -> bool:
        """Whether a leg that the journal lacks was certainly not sent."""
        ...  # pragma: no cover

    @property
    def earlier_refusals(self) -> Mapping[tuple[str, str], int]:
        """The refusals of earlier runs that count with those of this one, by type and code."""
        ...  # pragma: no cover

    def row_id(self, call: AnyCall[T]) -> str:
        """Return the id of a *call* that was given none."""
        ...  # pragma: no cover

    async def begin(self, rows: Sequence[tuple[str, AnyCall[T]]]) -> list[Verdict]:
        """Record that *rows*, pairs of id and call, are about to be sent; return a verdict for each."""
        ...  # pragma: no cover

    async def advance(self, row: str, leg: int) -> bool:
        """Record durably that the service has refused the legs before *leg*, and that this one is about to be sent.

        Return False if others have taken the row over: then it must not be sent, and the batch stops.
        """
        ...  # pragma: no cover

    def settle(self, row: str, result: Result[object]) -> None:
        """Record the result of a row that was begun."""
        ...  # pragma: no cover

    def note(self, row: str, call: AnyCall[object], result: Result[object]) -> None:
        """Record that a row is invalid and was not sent."""
        ...  # pragma: no cover

    def release(self, row: str) -> None:
        """Record that a row that was begun has not been sent."""
        ...  # pragma: no cover

    async def keep(self) -> None:
        """Write what was recorded, shortly after it was; run until cancelled."""
        ...  # pragma: no cover


@final
@define(eq=False, repr=False)
class JournalledQueue(Generic[T]):
    """Rows with a journal; at most *ahead* rows are recorded and not yet taken."""

    _source: Source[tuple[str, AnyCall[T]] | AnyCall[T]]
    _journal: JournalProtocol
    _tasks: TaskGroup
    _ahead: int
    _on_skip: Callable[[int, str], None] | None = None
    skipped: int = field(default=0, init=False)
    _pulled: int = field(default=0, init=False)
    _gathered: list[tuple[int, str, AnyCall[T]]] = field(factory=list, init=False)
    _refused: dict[int, tuple[ApiError, ...]] = field(factory=dict, init=False)
    _ready: deque[PendingRow[T]] = field(factory=deque, init=False)
    _reading: bool = field(default=False, init=False)
    _writing: int = field(default=0, init=False)
    _read_error: Exception | None = field(default=None, init=False)
    _write_error: Exception | None = field(default=None, init=False)
    _changed: anyio.Event = field(factory=anyio.Event, init=False)

    @property
    def exhausted(self) -> bool:
        """Whether no more rows will come."""
        return self._source.exhausted and not (self._ready or self._gathered or self._writing)

    async def pull(self, wanted: Callable[[], bool]) -> PendingRow[T] | End:
        """Return the next row that is recorded, or that has a result without being sent."""
        while True:
            self._continue()
            if self._ready:
                return self._ready.popleft()
            if self._write_error is not None:
                failure, self._write_error = self._write_error, None
                raise failure
            if self._read_error is not None and not (self._gathered or self._writing):
                failure, self._read_error = self._read_error, None
                raise failure
            if self.exhausted or not wanted():
                return END
            await self._changed.wait()

    def settle(self, row: PendingRow[T], result: Result[T]) -> Result[T]:
        """Record the result of *row*; what an earlier run may have sent stays an unknown outcome."""
        if row.verdict is not None:
            return result
        if row.invalid is not None:
            self._journal.note(row.id, row.fallback or row.call, result)
        else:
            if row.maybe_sent and not isinstance(result, Ok) and leaves_unknown(result):
                result = evolve(result, may_have_happened=True)
            self._journal.settle(row.id, result)
        return result

    async def advance(self, row: PendingRow[T], leg: int) -> bool:
        """Record durably that the legs before *leg* were refused; return False if this one must not be sent."""
        may_be_sent = await self._journal.advance(row.id, leg)
        if may_be_sent:
            row.maybe_sent = not self._journal.is_complete
        return may_be_sent

    def release(self, row: PendingRow[T]) -> None:
        """Record that *row* was pulled but not sent."""
        if row.invalid is None and row.verdict is None:
            self._journal.release(row.id)

    def repeat(self, outcome: Outcome[T]) -> None:
        """Put the call of *outcome* at the front of the queue."""
        self._refused[outcome.index] = outcome.result.meta.refused
        self._gathered.insert(0, (outcome.index, outcome.id, outcome.item))

    async def close(self) -> None:
        """Release what was recorded and not sent, and close the source."""
        for row in self._ready:
            self.release(row)
        self._ready.clear()
        await self._source.close()

    def _waiting(self) -> int:
        return len(self._ready) + len(self._gathered) + self._writing

    def _has_room(self) -> bool:
        return self._waiting() < self._ahead

    def _continue(self) -> None:
        if self._write_error is not None:
            return
        may_read = not self._reading and not self._source.exhausted and self._read_error is None
        if may_read and 2 * self._waiting() <= self._ahead:  # many rows in one transaction cost hardly more than a few
            self._reading = True
            _ = self._tasks.start_soon(self._read)
        if self._gathered and not self._writing:
            self._writing = len(self._gathered)
            _ = self._tasks.start_soon(self._write)

    async def _read(self) -> None:
        try:
            while self._has_room() and (row := await self._source.pull(self._has_room)) is not END:
                name, call = self._check(row)
                self._add(name, call)
        except Exception as error:  # noqa: BLE001 - raised by `pull`
            self._read_error = error
        except anyio.get_cancelled_exc_class() as error:
            self._read_error = unrequested_cancellation(error, "the source")
        finally:
            self._reading = False
            if not self._waiting():  # else `pull` is notified when the rows are written: it would wait again until then
                self._notify()

    def _check(self, row: object) -> tuple[str, AnyCall[T]]:
        match row:
            case (str(name), Call() | Fallback() as call):
                return name, call
            case Call() | Fallback() as call:
                return self._journal.row_id(call), call
            case (str(), other):
                raise not_a_call(other, self._pulled)
            case (name, _):
                raise TypeError(f"the id of row {self._pulled} of the batch must be str, not {type(name).__name__}")
            case _:
                kind = type(row).__name__
                raise TypeError(f"row {self._pulled} of the batch must be a pair of an id and a Call, not {kind}")

    def _add(self, row: str, call: AnyCall[T]) -> None:
        index = self._pulled
        self._pulled += 1
        verdict = None if _is_unicode(row) else _BAD_ID
        if call.invalid is not None or verdict is not None:
            self._ready.append(pending_row(index, call, row, verdict=verdict))
            self._notify()
            return
        self._gathered.append((index, row, call))
        if not self._writing:
            self._continue()

    async def _write(self) -> None:
        try:
            while self._gathered:
                lot, self._gathered = self._gathered, []
                self._writing = len(lot)
                try:
                    await self._begin(lot)
                except BaseException:  # none of them is recorded
                    self._gathered[:0] = lot
                    raise
                self._notify()
        except Exception as error:  # noqa: BLE001 - raised by `pull`
            self._write_error = error
            self._notify()
        finally:
            self._writing = 0

    async def _begin(self, lot: list[tuple[int, str, AnyCall[T]]]) -> None:
        verdicts = await self._journal.begin([(row, call) for _, row, call in lot])
        for (index, row, call), verdict in zip(lot, verdicts, strict=True):
            refused = self._refused.pop(index, ())
            if verdict is SETTLED:
                self.skipped += 1
                if self._on_skip is not None:
                    self._on_skip(index, row)
            elif isinstance(verdict, Send):
                item = call.under(verdict.key)
                item = item if isinstance(item, Call) else item.start_at(verdict.leg)
                self._ready.append(pending_row(index, item, row, maybe_sent=verdict.maybe_sent, refused=refused))
            else:
                self._ready.append(pending_row(index, call, row, verdict=verdict))

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
