"""What the transports with connections of their own share: deadlines, a limit, a pool and its rules.

Deadlines. They have equal length, with one asyncio timer for all of them; only a request with limits of its own has a
timer of its own. Rules, the same as those of `asyncio.timeout`:
- If a deadline cancels its task, the block raises TimeoutError. Any other cancellation propagates.
- A deadline that has ended leaves no cancellation pending in its task.

Connections. Rules:
- `NotSent` is certain. If a byte may have left, the outcome is `Unanswered`.
- At most `ConnectionLimit.size` connections are open. Calls wait for a free one in the order in which they came, until
  shortly before the caller's deadline or until the transport closes. The timeout of an exchange begins after that wait.
- An idle connection is checked before it is reused: it must be open, with nothing to read. Data that no request asked
  for retires it.
- A request is sent twice only if it may be repeated and a reused connection was lost before the first byte of a
  response. It is then sent once more, at once, over a new connection. If that fails, the outcome is `Unanswered`.
- After a timeout on a reused connection the other idle connections to the same origin are closed.
- A connection is not reused once it is *max_age* old, so that a changed address of the host is followed.
- A call that is in flight when its transport closes ends.
"""

import asyncio
import select
from asyncio import current_task
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from time import monotonic
from types import TracebackType
from typing import Final, Generic, Protocol, TypeVar, final

import anyio
import anyio.lowlevel
import attrs
from attrs import define, field
from yarl import URL

from ...codegen import constructor
from ...http import Request, Response, TimeLimits
from ...results import NO_FREE_CONNECTION, Meta, NotSent, Unanswered
from ..protocol import Answer
from .causes import TIMED_OUT, connect_failure, host_and_port
from .http1 import Origin, RequestEncoder, targets
from .opening import ConnectFailed, ProxyRules

MAX_CONNECTIONS: Final = 100
KEEPALIVE: Final = 15.0  # seconds for which an idle connection is kept
MAX_AGE: Final = 300.0  # seconds for which a connection is used
CLOSED: Final = "the transport was closed"
INVALID_URL: Final = NotSent("the URL is not valid")
_MARGIN: Final = 0.05  # share of a wait by which it ends before the caller's deadline, so that there is time to return
_LONGEST_MARGIN: Final = 0.1  # seconds

C = TypeVar("C", bound="PooledConnection")


class StartsDeadlines(Protocol):
    """What the transport needs of `Deadlines`, on any event loop."""

    def start(self) -> AbstractContextManager[object]:
        """Start a deadline for the current task, which raises TimeoutError at the end of its `with` block."""
        ...  # pragma: no cover

    def start_within(self, seconds: float) -> AbstractContextManager[object]:
        """Start a deadline of another length."""
        ...  # pragma: no cover

    @property
    def seconds(self) -> float:
        """The seconds of each deadline."""
        ...  # pragma: no cover

    def close(self) -> None:
        """Let every running deadline expire now."""
        ...  # pragma: no cover


@final
@define(eq=False)
class Deadlines:
    """Deadlines of *seconds* each: use `with deadlines.start():` around the code that must end in time.

    A timer for each deadline would cost a twentieth of a request. As all are equally long, the first to start is the
    first to expire, so one timer that waits for that one is enough.
    """

    seconds: float
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False, repr=False)
    running: "dict[Deadline, None]" = field(factory=dict, init=False, repr=False)  # those of the requests in flight
    _others: "dict[Deadline, None]" = field(factory=dict, init=False, repr=False)  # those of another length
    _timer: asyncio.TimerHandle | None = field(default=None, init=False, repr=False)

    def start(self) -> "Deadline":
        """Start a deadline for the current task; it runs until its `with` block ends."""
        task = current_task(self._loop)
        assert task is not None, "a coroutine of asyncio's runs in a task"  # noqa: S101 - for the type checker
        deadline = _new_deadline(task, self._loop.time() + self.seconds, task.cancelling(), self.running)
        self.running[deadline] = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline.at, self._fire)
        return deadline

    def start_within(self, seconds: float) -> "Deadline":
        """Start a deadline of another length, which has a timer of its own."""
        task = current_task(self._loop)
        assert task is not None, "a coroutine of asyncio's runs in a task"  # noqa: S101 - for the type checker
        deadline = _new_deadline(task, self._loop.time() + seconds, task.cancelling(), self._others)
        self._others[deadline] = None
        deadline.timer = self._loop.call_at(deadline.at, deadline.expire)
        return deadline

    def close(self) -> None:
        """Stop the timer, and let every running deadline expire now."""
        if self._timer is not None:
            self._timer.cancel()
        for deadline in list(self._others):
            deadline.expire()
        running, self.running = self.running, {}
        for deadline in running:
            deadline.expired = True
            _ = deadline.task.cancel()

    def _fire(self) -> None:
        now = self._loop.time()
        for deadline in list(self.running):
            if deadline.at > now:
                self._timer = self._loop.call_at(deadline.at, self._fire)
                return
            deadline.expired = True
            del self.running[deadline]
            _ = deadline.task.cancel()
        self._timer = None


@final
@define(eq=False)
class Deadline:
    """One deadline of *task*, which expires *at* a time of the loop's clock.

    *cancelling_before* is the value of `task.cancelling()` when the deadline started.
    """

    task: "asyncio.Task[object]"
    at: float
    cancelling_before: int
    running: "dict[Deadline, None]"
    expired: bool = False
    timer: asyncio.TimerHandle | None = None  # its own, if it is not one of equal length

    def expire(self) -> None:
        """Cancel the task now."""
        del self.running[self]
        self.expired = True
        _ = self.task.cancel()

    def __enter__(self) -> "Deadline":
        """Return the deadline, which is running already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """End the deadline; raise TimeoutError if it is the reason why the task was cancelled."""
        if self.timer is not None:
            self.timer.cancel()
        if not self.expired:
            del self.running[self]
        elif self.task.uncancel() <= self.cancelling_before and kind is asyncio.CancelledError:
            raise TimeoutError


_new_deadline: Final = constructor(Deadline)


def make_deadlines(seconds: float) -> Deadlines:
    """Return the deadlines of a transport on asyncio; raise RuntimeError on any other event loop."""
    try:
        return Deadlines(seconds)
    except RuntimeError:
        raise RuntimeError("this transport runs on asyncio only: on trio, use msgapi.transports.httpx2") from None


@final
@define(eq=False)
class ConnectionLimit:
    """The number of calls that may have a connection at a time, on any event loop.

    *free* is how many more there may be. A call takes one by subtracting 1 if *free* is above 0, else it awaits `wait`.
    It gives it back by `give_back`.
    """

    size: int
    free: int = field(init=False)
    closed: bool = field(default=False, init=False)
    _waiting: "OrderedDict[anyio.Event, None]" = field(factory=OrderedDict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Start with all of them free."""
        self.free = self.size

    async def wait(self, limits: TimeLimits | None = None) -> NotSent | None:
        """Wait for a free connection and take it. Return why there is none, or None if it was taken.

        There is none if the surrounding anyio deadline or the total timeout of *limits* comes first, or if the
        transport closes. Raise RuntimeError if it is closed already.
        """
        if self.closed:
            raise RuntimeError("this transport is closed: send inside its `async with`")
        await anyio.lowlevel.checkpoint_if_cancelled()
        turn = anyio.Event()
        self._waiting[turn] = None
        try:
            with anyio.move_on_after(seconds_to_wait(limits)):
                await turn.wait()
        except BaseException:
            self._leave(turn)
            raise
        if turn.is_set():
            return NotSent(CLOSED) if self.closed else None
        self._leave(turn)
        return no_free_connection(f"all {self.size} are in use (max_connections)")

    def give_back(self) -> None:
        """Give a connection back: to the call that waits for longest, or to later calls."""
        if self._waiting and self.free >= 0:
            turn, _ = self._waiting.popitem(last=False)
            turn.set()
        elif not self.closed:
            self.free += 1

    def resize(self, size: int) -> None:
        """Change the limit; calls that wait and now have a connection continue."""
        added, self.size = size - self.size, size
        self.free += added
        while self._waiting and self.free > 0:
            self.free -= 1
            turn, _ = self._waiting.popitem(last=False)
            turn.set()

    def close(self) -> None:
        """End the calls that wait, and let no other call have a connection."""
        self.closed, self.free = True, 0
        while self._waiting:
            turn, _ = self._waiting.popitem(last=False)
            turn.set()

    def _leave(self, turn: anyio.Event) -> None:
        # The connection may have been given to this call just before it stopped waiting.
        if turn.is_set():
            self.give_back()
        else:
            del self._waiting[turn]


def seconds_to_wait(limits: TimeLimits | None = None) -> float:
    """Return the seconds for which a call may wait for a free connection: until just before the caller's deadline.

    That is the surrounding anyio deadline, or the total timeout of *limits* if it comes first.
    """
    seconds = max(0.0, anyio.current_effective_deadline() - anyio.current_time())
    if limits is not None and limits.left is not None:
        seconds = min(seconds, limits.left)
    return seconds - min(seconds * _MARGIN, _LONGEST_MARGIN)


def no_free_connection(reason: str) -> NotSent:
    """Return the outcome of a request that waited for a free connection until the caller's deadline."""
    return NotSent(f"no free connection: {reason}", code=NO_FREE_CONNECTION)


class PooledConnection(Protocol):
    """One connection, for one exchange at a time."""

    idle_since: float
    """The time of `time.monotonic` at which its last exchange ended; 0 if it has not been used yet."""

    retire_at: float
    """The time of `time.monotonic` from which on it is closed when its exchange has ended."""

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent over it. An idle connection with anything to read is not open.

        It is True if `send` finds out.
        """
        ...  # pragma: no cover

    @property
    def reusable(self) -> bool:
        """Whether the exchange has ended in such a way that another one can follow."""
        ...  # pragma: no cover

    @property
    def answered(self) -> bool:
        """Whether a byte of the response to the last request has arrived."""
        ...  # pragma: no cover

    def send(self, request: bytes, *, bodiless: bool) -> Awaitable[Answer]:
        """Send *request* and return its outcome: `NotSent` if no byte was written.

        It is not written once the call is cancelled. If *bodiless*, the response to it has no body.
        """
        ...  # pragma: no cover

    def abort(self) -> None:
        """Close the connection at once; data that is still buffered is not sent."""
        ...  # pragma: no cover


@final
@define(eq=False)
class ConnectionPool(Generic[C]):
    """The idle connections of one transport.

    The one that was used last is reused first, since it is the least likely to be closed. With a *loop*, a timer closes
    those that have been idle for too long, otherwise this is done when another one becomes idle.
    """

    limit: ConnectionLimit
    loop: asyncio.AbstractEventLoop | None
    keepalive: float = KEEPALIVE
    idle: defaultdict[Origin, list[C]] = field(factory=lambda: defaultdict(list), init=False, repr=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False, repr=False)

    def release(self, origin: Origin, connection: C) -> bool:
        """Keep *connection* for reuse, or else close it; return whether it was kept."""
        now = monotonic()
        if not connection.reusable or self.limit.closed or now > connection.retire_at:
            connection.abort()
            return False
        connection.idle_since = now
        connections = self.idle[origin]
        connections.append(connection)
        if self.loop is None:
            if connections[0].idle_since <= now - self.keepalive:
                self.drop_expired()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.keepalive, self.drop_expired)
        return True

    def make_room(self) -> None:
        """Close the connection that is idle for longest if one more would be above the limit."""
        if sum(map(len, self.idle.values())) > max(0, self.limit.free):
            oldest = min(filter(None, self.idle.values()), key=lambda connections: connections[0].idle_since)
            oldest.pop(0).abort()

    def drop(self, origin: Origin) -> None:
        """Close all idle connections to *origin*."""
        for connection in self.idle.pop(origin, []):
            connection.abort()

    def drop_expired(self) -> None:
        """Close the connections that have been idle for too long, and those that the peer has closed."""
        oldest = monotonic() - self.keepalive
        for origin in list(self.idle):
            kept, self.idle[origin] = self.idle[origin], []
            for connection in kept:
                if connection.idle_since > oldest and connection.is_open and connection.reusable:
                    self.idle[origin].append(connection)
                else:
                    connection.abort()
            if not self.idle[origin]:
                del self.idle[origin]
        if self.loop is not None:
            self._timer = self.loop.call_later(self.keepalive / 2, self.drop_expired) if self.idle else None

    def close(self) -> None:
        """Close all idle connections."""
        if self._timer is not None:
            self._timer.cancel()
        for origin in list(self.idle):
            self.drop(origin)


@final
@define(eq=False)
class PooledTransport(Generic[C]):
    """A transport over connections that *connect* makes.

    `connect(url, seconds)` raises `ConnectFailed`, or returns one; *seconds* is its timeout, None for the usual one.
    An idle connection is kept for *keepalive* seconds, and none is used for more than *max_age* seconds. The common
    path is written for few function calls.
    """

    connect: Callable[[URL, float | None], Awaitable[C]]
    deadlines: StartsDeadlines
    limit: ConnectionLimit
    loop: asyncio.AbstractEventLoop | None
    keepalive: float = KEEPALIVE
    max_age: float = MAX_AGE
    proxies: ProxyRules | None = None
    keeps_limits: bool = field(default=True, init=False)
    pool: ConnectionPool[C] = field(init=False)
    encoder: RequestEncoder = field(factory=RequestEncoder, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Start without connections."""
        self.keepalive = keepalive_within(self.keepalive, self.max_age)
        self.pool = ConnectionPool(self.limit, self.loop, self.keepalive)

    async def __call__(self, request: Request, /) -> Answer:  # noqa: C901 - few function calls
        """Send *request* and return its outcome. Raise ValueError if one of its headers is not valid."""
        target = targets[request.url]
        if target is None:
            return INVALID_URL
        data, origin = self.encoder.encode(request, target), target.origin
        if self.proxies is not None:
            data = self.proxies.forward(data, target.url)
        limit, pool, limits = self.limit, self.pool, request.limits
        if limit.free > 0:
            limit.free -= 1
        elif (unsent := await limit.wait(limits)) is not None:
            return unsent
        connection, repeated, deadlines = None, False, self.deadlines
        try:
            with deadlines.start() if limits is None else deadlines.start_within(limits.exchange(deadlines.seconds)):
                while True:
                    if not repeated and (idle := pool.idle.get(origin)):
                        connection = idle.pop()
                        if not connection.is_open:
                            connection.abort()
                            continue
                    else:
                        connection = None
                        pool.make_room()
                        connection = await self.connect(target.url, None if limits is None else limits.connect_timeout)
                        connection.retire_at = monotonic() + self.max_age - 2 * self.keepalive
                    try:
                        outcome = await connection.send(data, bodiless=request.method == "HEAD")
                    except BaseException:
                        connection.abort()
                        raise
                    if pool.release(origin, connection) or not _goes_again(request, connection, outcome):
                        break
                    repeated = isinstance(outcome, Unanswered)
        except (ConnectFailed, TimeoutError) as error:
            outcome = self._failure(error, origin, connection)
        finally:
            limit.give_back()
        return repeated_outcome(outcome, 2) if repeated else outcome

    @property
    def max_connections(self) -> int:
        """The highest number of connections; with a higher value, calls that wait for one continue."""
        return self.limit.size

    @max_connections.setter
    def max_connections(self, size: int) -> None:
        self.limit.resize(size)

    async def close(self) -> None:
        """Close all connections, and end the calls in flight."""
        self.limit.close()
        self.pool.close()
        self.deadlines.close()
        await anyio.lowlevel.cancel_shielded_checkpoint()  # asyncio closes the sockets in the next iteration

    def _failure(self, error: Exception, origin: Origin, connection: C | None) -> NotSent | Unanswered:
        if isinstance(error, ConnectFailed):
            return error.outcome
        if self.limit.closed:
            return NotSent(CLOSED) if connection is None else Unanswered(CLOSED)
        if connection is None:
            return connect_failure(TimeoutError(), host_and_port(*origin[1:]))
        if connection.idle_since:
            self.pool.drop(origin)
        return TIMED_OUT


def keepalive_within(keepalive: float, max_age: float) -> float:
    """Return the seconds for which an idle connection is kept if none is used for more than *max_age* seconds."""
    return min(keepalive, max_age / 4)  # one that is idle for too long is closed up to half of them too late


def _goes_again(request: Request, connection: PooledConnection, outcome: Answer) -> bool:
    # Over a new connection nothing is repeated. If nothing was written over a reused one, any request can go again.
    if not connection.idle_since or isinstance(outcome, Response):
        return False
    return isinstance(outcome, NotSent) or (not connection.answered and request.repeatable)


def repeated_outcome(outcome: Answer, attempts: int) -> Answer:
    """Return *outcome* of the last of so many requests, the others of which were lost: nothing is `NotSent` then."""
    if isinstance(outcome, Response):
        return attrs.evolve(outcome, attempts=attempts)
    lost = "the connection was lost, and a new one failed: "
    reason = f"{lost}{outcome.reason}" if isinstance(outcome, NotSent) else outcome.reason
    return Unanswered(reason, meta=Meta(attempts=attempts))


def watch_socket(descriptor: int) -> Callable[[int], object]:
    """Return a function that, called with 0, asks the system whether a socket has data to read or is at its end.

    The event loop knows this too, but only once it runs again.
    """
    if not hasattr(select, "poll"):  # on Windows
        return lambda timeout: select.select([descriptor], [], [], timeout)[0]
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return poll.poll
