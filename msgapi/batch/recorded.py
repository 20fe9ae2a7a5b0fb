"""Recorded: the rows of a batch with a journal, each written down before it is handed out.

Rules:
- Rows are pulled a little ahead and begun together, so that sending does not wait for the disk. The
  next lot is pulled when half of them are taken, and while one is being written the next gathers.
- What was begun and not handed out when the batch is left is released.
- A row that is settled since an earlier run is passed over, and counted.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar, final

import anyio
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from ..calls import Call
from ..journal import SETTLED, Go, held_up
from ..results import Ok, Result
from .book import Book
from .lone import explained
from .outcome import Due, Outcome
from .source import END, End, Source

T = TypeVar("T")


@final
@define(eq=False, repr=False)
class Recorded(Generic[T]):
    """Rows, of which at most *ahead* are begun and not yet taken."""

    _source: Source[tuple[str, Call[T]]]
    _journal: Book
    _tasks: TaskGroup
    _ahead: int
    _on_skip: Callable[[int, str], None] | None = None
    skipped: int = field(default=0, init=False)
    _pulled: int = field(default=0, init=False)
    _gathered: list[tuple[int, str, Call[T]]] = field(factory=list, init=False)
    _ready: deque[Due[T]] = field(factory=deque, init=False)
    _reading: bool = field(default=False, init=False)
    _writing: int = field(default=0, init=False)
    _unread: Exception | None = field(default=None, init=False)
    _unwritten: Exception | None = field(default=None, init=False)
    _changed: anyio.Event = field(factory=anyio.Event, init=False)

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing more to come."""
        return self._source.exhausted and not (self._ready or self._gathered or self._writing)

    async def pull(self, wanted: Callable[[], bool]) -> Due[T] | End:
        """Take the next row that is begun, or that comes to something without being sent."""
        while True:
            self._go_on()
            if self._ready:
                return self._ready.popleft()
            if self._unwritten is not None:
                failure, self._unwritten = self._unwritten, None
                raise failure
            if self._unread is not None and not (self._gathered or self._writing):
                failure, self._unread = self._unread, None
                raise failure
            if self.exhausted or not wanted():
                return END
            await self._changed.wait()

    def settle(self, due: Due[T], result: Result[T]) -> Result[T]:
        """Write down what became of *due*, soon; what an earlier run may have done stays in doubt."""
        if due.call.invalid is not None:
            self._journal.note(due.id, due.call, result)
        elif due.verdict is None:
            if due.doubtful and not isinstance(result, Ok) and held_up(result):
                result = evolve(result, may_have_happened=True)
            self._journal.settle(due.id, result)
        return result

    def release(self, due: Due[T]) -> None:
        """Take back that *due* was begun: it was not sent."""
        if due.call.invalid is None and due.verdict is None:
            self._journal.release(due.id)

    def repeat(self, outcome: Outcome[T]) -> None:
        """Have the call of *outcome* come again, before all else."""
        self._gathered.insert(0, (outcome.index, outcome.id, outcome.call))

    async def close(self) -> None:
        """Release what was begun and not sent, and close the source."""
        for due in self._ready:
            self.release(due)
        self._ready.clear()
        await self._source.close()

    def _waiting(self) -> int:
        return len(self._ready) + len(self._gathered) + self._writing

    def _room(self) -> bool:
        return self._waiting() < self._ahead

    def _go_on(self) -> None:
        if self._unwritten is not None:
            return
        low = 2 * self._waiting() <= self._ahead  # a lot of many rows costs the disk hardly more than one of a few
        if not self._reading and not self._source.exhausted and self._unread is None and low:
            self._reading = True
            _ = self._tasks.start_soon(self._read)
        if self._gathered and not self._writing:
            self._writing = len(self._gathered)
            _ = self._tasks.start_soon(self._write)

    async def _read(self) -> None:
        try:
            while self._room() and (row := await self._source.pull(self._room)) is not END:
                self._take(*row)
        except Exception as error:  # noqa: BLE001 - goes to whoever pulls
            self._unread = error
        except anyio.get_cancelled_exc_class() as error:
            self._unread = explained(error, "the source")
        finally:
            self._reading = False
            self._stir()

    def _take(self, row: str, call: Call[T]) -> None:
        index = self._pulled
        self._pulled += 1
        if call.invalid is not None:
            self._ready.append(Due(index, call, row))
            self._stir()
            return
        self._gathered.append((index, row, call))
        self._go_on()

    async def _write(self) -> None:
        try:
            while self._gathered:
                lot, self._gathered = self._gathered, []
                self._writing = len(lot)
                try:
                    await self._begin(lot)
                except BaseException:  # none of them is begun
                    self._gathered[:0] = lot
                    raise
                self._stir()
        except Exception as error:  # noqa: BLE001 - goes to whoever pulls
            self._unwritten = error
        finally:
            self._writing = 0
            self._stir()

    async def _begin(self, lot: list[tuple[int, str, Call[T]]]) -> None:
        verdicts = await self._journal.begin([(row, call) for _, row, call in lot])
        for (index, row, call), verdict in zip(lot, verdicts, strict=True):
            if verdict is SETTLED:
                self.skipped += 1
                if self._on_skip is not None:
                    self._on_skip(index, row)
            elif isinstance(verdict, Go):
                self._ready.append(Due(index, call.under(verdict.key), row, doubtful=verdict.doubtful))
            else:
                self._ready.append(Due(index, call, row, verdict))

    def _stir(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
