"""Batches: any number of calls, so many at once, each outcome as it ends."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

import anyio
from anyio.abc import TaskGroup

from ..calls import Call, Caller
from ..client import Client
from ..clock import Clock, SystemClock
from ..observe import Observer, both
from .book import Book
from .breaker import Breaker
from .crew import Crew
from .outage import Outage
from .outcome import Outcome, Reason, Stopped
from .outcomes import Outcomes
from .source import Plain, Queue, Source
from .spending import Limit, Spending

if TYPE_CHECKING:
    from ..billing import Estimate

T = TypeVar("T")

__all__ = ["Book", "Limit", "Outcome", "Outcomes", "Reason", "Stopped", "sending"]

_SYSTEM_CLOCK = SystemClock()


@overload
def sending(
    api: Caller,
    items: Iterable[Call[T]] | AsyncIterable[Call[T]],
    *,
    at_once: int = 64,
    breaker: int | None = 25,
    patience: float = 900.0,
    max_spend: Limit | None = None,
    estimate: "Estimate | None" = None,
    clock: Clock = _SYSTEM_CLOCK,
    observer: Observer | None = None,
    only_while: Callable[[], bool] | None = None,
) -> AbstractAsyncContextManager[Outcomes[T]]: ...


@overload
def sending(
    api: Caller,
    items: Iterable[tuple[str, Call[T]]] | AsyncIterable[tuple[str, Call[T]]],
    *,
    journal: Book,
    on_skip: Callable[[int, str], None] | None = None,
    at_once: int = 64,
    breaker: int | None = 25,
    patience: float = 900.0,
    max_spend: Limit | None = None,
    estimate: "Estimate | None" = None,
    clock: Clock = _SYSTEM_CLOCK,
    observer: Observer | None = None,
    only_while: Callable[[], bool] | None = None,
) -> AbstractAsyncContextManager[Outcomes[T]]: ...


def sending(
    api: Caller,
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    journal: Book | None = None,
    on_skip: Callable[[int, str], None] | None = None,
    at_once: int = 64,
    breaker: int | None = 25,
    patience: float = 900.0,
    max_spend: Limit | None = None,
    estimate: "Estimate | None" = None,
    clock: Clock = _SYSTEM_CLOCK,
    observer: Observer | None = None,
    only_while: Callable[[], bool] | None = None,
) -> AbstractAsyncContextManager[Outcomes[Any]]:
    """Send the calls in *items* through *api*, at most *at_once* of them in flight.

    Use it as `async with sending(api, calls) as outcomes: async for outcome in outcomes: ...`.
    Sending starts with the iteration and keeps its pace: *items* is pulled only as fast as they are
    sent and their outcomes taken, so its length costs no memory. A plain iterable is pulled in the
    event loop and must not block; what waits, such as a slow file, belongs in an async iterable,
    which is pulled by one task at a time. An async generator is closed at the end.

    With a *journal* the items are pairs of a row's id and its call. Each call goes out under the key
    that the journal has for its row, and the same batch can be sent again after any end: rows that
    are settled are passed over (`Outcomes.skipped`; *on_skip* is given the position and the id of
    each), the others go out, under their old keys.

    The first 401 or 402 stops the sending, and so do *breaker* refusals in a row that say the same
    and are not the row's own fault (None: never); see `Outcomes.stopped`. With a `Client`, nothing
    leaves after a stop, not even what waits for its turn at the rate limit.

    When the service fails in a row (5xx, no answer, no connection) nothing new is sent; one row
    probes now and then, and the batch goes on by itself when that is answered. What failed goes
    again if it may be repeated. After *patience* seconds without an answer (10 at most if there
    never was one) it stops; 0 gives every failure out as it comes.

    *max_spend* is never exceeded, what is in flight or in doubt included. With an *estimate* of the
    whole batch, a stop for want of money says how much is missing for the rest. *observer* is told
    what becomes of the rows; without one, that of the `Client` is. *only_while* is asked before each
    row leaves: once it says no, the batch stops as `asked`.

    What *items* or *api* raises comes out of the iteration, and what the loop's body raises out of
    the `async with`: as itself, never in a group. So does `journal.Unusable`, when the disk does not
    take what must be written before a row goes out. Leaving early cancels what is in flight;
    `Outcomes.stop` lets it end. An *at_once* or a *breaker* below 1 is a ValueError.
    """
    if at_once < 1:
        raise ValueError(f"at_once must be at least 1, not {at_once}")
    if breaker is not None and breaker < 1:
        raise ValueError(f"breaker must be at least 1, or None for no breaker, not {breaker}")
    if patience < 0:
        raise ValueError(f"patience is in seconds and not below 0, not {patience}")
    spending = None if max_spend is None and estimate is None else Spending(max_spend)
    outage: Outage[Any] = Outage(patience)
    watching = _observer(api, observer)

    def manned(queue: Queue[Any], tasks: TaskGroup) -> Crew[Any]:
        expected = None if estimate is None else estimate.amount
        watch = None if watching is None else watching.batch()
        return Crew(api, queue, Breaker(breaker), outage, spending, clock, tasks, at_once, expected, watch, only_while)

    def queued(tasks: TaskGroup) -> Queue[Any]:
        return Plain(items) if journal is None else _recorded(items, journal, tasks, at_once, on_skip)

    return _opened(queued, journal, manned)


Items: TypeAlias = Iterable[Any] | AsyncIterable[Any]
Manned: TypeAlias = Callable[[Queue[Any], TaskGroup], Crew[Any]]


@asynccontextmanager
async def _opened(
    queued: Callable[[TaskGroup], Queue[Any]], journal: Book | None, manned: Manned
) -> AsyncIterator[Outcomes[Any]]:
    async with AsyncExitStack() as stack, _tasks() as tasks:
        queue = queued(tasks)
        crew = manned(queue, tasks)
        _ = stack.push(crew.end)
        _ = stack.push_async_callback(_close, queue, crew)
        if journal is not None:
            _ = tasks.start_soon(_keep, journal, crew)
        yield Outcomes(crew)


@asynccontextmanager
async def _tasks() -> AsyncIterator[TaskGroup]:
    # What leaves a task group leaves it as a group, so an exception is carried around it instead.
    left: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:
            try:
                yield tasks
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001 - raised again below
                left = error
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:  # workers let nothing out but the likes of KeyboardInterrupt
        left = group.exceptions[0]
    if left is not None:
        raise left


def _observer(api: Caller, given: Observer | None) -> Observer | None:
    if given is not None:
        return both(given)
    return api.observer if isinstance(api, Client) else None


async def _close(queue: Queue[Any], crew: Crew[Any]) -> None:
    crew.leave()
    await queue.close()


def _recorded(
    items: Items, journal: Book, tasks: TaskGroup, at_once: int, on_skip: Callable[[int, str], None] | None
) -> Queue[Any]:
    from .recorded import Recorded

    return Recorded(Source(items), journal, tasks, 2 * at_once, on_skip)


async def _keep(journal: Book, crew: Crew[Any]) -> None:
    try:
        await journal.keep()
    except Exception as error:  # noqa: BLE001 - goes to whoever iterates
        crew.fail(error)
