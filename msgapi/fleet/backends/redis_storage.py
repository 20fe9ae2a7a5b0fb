"""The chunk queue and the record store on Redis or Valkey.

The queue is that of streaq. The records are a hash for each batch, with a field for each document.

Rules of the queue:
- A streaq worker runs in the background from the first `lease` on. Each task that it starts is a chunk, and lasts until
  the lease is given up or has expired; meanwhile streaq keeps the chunk from the other workers.
- The end of a chunk is written here, by streaq's own `finish_task` and over a separate connection. So a lease outlives
  a worker whose connection broke; another worker is started under the same name.
- A chunk that is not leased in time is returned to the queue.

Rules of the record store:
- A field holds `REVISION DOCUMENT`; a script compares the revision and writes in one step.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeVar, cast, final
from uuid import uuid4

import anyio
import orjson
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream
from attrs import define, field, frozen
from coredis import Redis
from coredis.exceptions import RedisError
from streaq import Worker
from streaq.constants import REDIS_GROUP, REDIS_RETRY, REDIS_RUNNING_SET
from streaq.types import StreamMessage, Streaq
from streaq.utils import now_ms

from ...concurrency import background
from ..backend import Lease, Revision, Unreachable
from .redis_connection import COMMAND_TIMEOUT, RETRY_POLICY, Address, describe_error, open_shielded, run_command

_WRITE: Final = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
local revision = stored and string.match(stored, '^%d+') or '0'
if revision ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ' ' .. ARGV[4])
return 1
"""
_SCAN_COUNT: Final = 50  # documents in one response of a scan
MESSAGE: Final[ContextVar[StreamMessage]] = ContextVar("MESSAGE")
"""The message that the running task came as."""


@final
class StreaqWorker(Worker[None]):
    """A streaq worker that leaves signals and the end of each task to the queue.

    *is_leased* returns whether a task is one that the queue has leased; *on_start* and *on_end* are called when the
    worker starts and ends.
    """

    is_leased: Callable[[str], bool]
    on_start: Callable[[], None]
    on_end: Callable[[], None]

    async def run_task(self, msg: StreamMessage) -> None:
        """Run a task, unless the queue has leased it already: then its lease was renewed too late for streaq."""
        if not self.is_leased(msg.task_id):
            _ = MESSAGE.set(msg)
            await super().run_task(msg)

    async def finish_task(self, msg: StreamMessage, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - streaq's
        """Do nothing: the queue finishes the task when the lease is given up."""

    async def run_consumers(
        self,
        receive: MemoryObjectReceiveStream[StreamMessage],
        renew_scope: anyio.CancelScope,
        produce_scope: anyio.CancelScope,
        *,
        task_status: TaskStatus[anyio.CapacityLimiter] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the tasks, and close the stream, which streaq 7.2 leaves open."""
        with receive:
            await super().run_consumers(receive, renew_scope, produce_scope, task_status=task_status)

    async def signal_handler(self, scope: anyio.CancelScope) -> None:  # noqa: ARG002 - streaq's
        """Leave signals to the program, and report the end of the worker, whose tasks cannot be cancelled."""
        try:
            self.on_start()
            await anyio.sleep_forever()
        finally:
            self.on_end()


T = TypeVar("T")
W = TypeVar("W", bound=Worker[None])
TASK: Final = "msgapi.chunk"
"""The name of the task; its one argument, `body`, is the JSON of the chunk."""

_FIRST_PAUSE: Final = 0.1  # seconds until another worker is started after one that ran for a while
_LONGEST_PAUSE: Final = 2.0


@final
@define(eq=False)
class _Delivery:
    # A chunk that streaq has delivered; `given_up` ends its task.
    lease: Lease
    until: float
    given_up: anyio.Event = field(factory=anyio.Event, init=False)


@final
@define(eq=False, repr=False)
class StreaqChunkQueue:
    """A `ChunkQueue` on Redis; made by `open_queue`."""

    lease_seconds: float
    _worker: Worker[None]
    _create_worker: Callable[[], StreaqWorker]
    _deliveries: dict[str, _Delivery] = field(factory=dict, init=False)
    _ready: deque[_Delivery] = field(factory=deque, init=False)
    _arrived: anyio.Event = field(factory=anyio.Event, init=False)
    _wanted: anyio.Event = field(factory=anyio.Event, init=False)
    _broken: str | None = field(default=None, init=False)

    async def put(self, id: str, body: bytes) -> None:  # noqa: A002 - it is an id
        """Queue a chunk durably; do nothing if one is queued under this *id* already."""
        task = self._worker.enqueue_unsafe(TASK, body=body.decode(errors="replace"))
        task.id = id
        await self._run(self._worker.enqueue_many([task]))

    async def lease(self, wait: float) -> Lease | None:
        """Take the next chunk, waiting up to *wait* seconds; return None if there is none."""
        self._wanted.set()
        with anyio.move_on_after(wait):
            while True:
                while self._ready:
                    delivery = self._ready.popleft()
                    if self._valid(delivery.lease):
                        delivery.until = self._expiry()
                        return delivery.lease
                self._arrived = anyio.Event()
                await self._arrived.wait()
        if self._broken is not None:
            raise Unreachable(f"Redis: {self._broken}")
        _ = await self._run(self._worker.redis.ping())
        return None

    async def renew(self, lease: Lease) -> bool:
        """Extend *lease* by `lease_seconds` from now; return False if it has expired."""
        delivery = self._valid(lease)
        if delivery is None:
            return False
        message, worker = _message(lease), self._worker
        stream, running = worker.stream_key + message.priority, worker.prefix + REDIS_RUNNING_SET
        streaq = Streaq(worker.redis)
        renewal = streaq.refresh_timeout(stream, running, REDIS_GROUP, worker.id, message.message_id, lease.id)
        if not await self._run(renewal):
            self._drop(lease)
            return False
        delivery.until = self._expiry()
        return True

    async def ack(self, lease: Lease) -> None:
        """Remove the chunk from the queue because it is done."""
        await self._finish(lease, None)

    async def release(self, lease: Lease, after: float) -> None:
        """Return the chunk to the queue, for delivery *after* so many seconds; this delivery is not counted."""
        if await self.renew(lease):
            _ = await self._run(self._worker.redis.decr(self._worker.prefix + REDIS_RETRY + lease.id))
            await self._finish(lease, now_ms() + round(1000 * after))

    async def bury(self, lease: Lease) -> None:
        """Remove the chunk from the queue because it can never succeed; its record says why."""
        await self._finish(lease, None)

    async def size(self) -> int:
        """Return the number of chunks that are queued or leased."""
        return await self._run(self._worker.queue_size())

    async def run_workers(self) -> None:
        """Run streaq workers, one after the other, from the first `lease` on, until cancelled."""
        await self._wanted.wait()
        pause = _FIRST_PAUSE
        while True:
            started, worker = anyio.current_time(), self._create_worker()
            worker.is_leased, worker.on_start, worker.on_end = self._is_leased, self._worker_started, self._end_tasks
            self._register(worker)
            try:
                await worker.run_async()
            except Exception as error:  # noqa: BLE001 - whatever ends a worker, another one is started
                self._broken = describe_error(error)
            except BaseExceptionGroup as group:  # it was cancelled, and failed while it ended
                cancelled = group.split(Exception)[1]
                raise cancelled or group from None
            ran_long = anyio.current_time() - started > _LONGEST_PAUSE
            pause = _FIRST_PAUSE if ran_long else min(2 * pause, _LONGEST_PAUSE)
            await anyio.sleep(pause)

    async def close(self) -> None:
        """Return all leased chunks to the queue, in at most `COMMAND_TIMEOUT` seconds."""
        with anyio.move_on_after(COMMAND_TIMEOUT, shield=True), suppress(Unreachable):
            for delivery in [*self._deliveries.values()]:
                await self.release(delivery.lease, 0)

    def _register(self, worker: StreaqWorker) -> None:
        async def chunk(body: str) -> None:
            message = MESSAGE.get()
            await self._deliver(Lease(message.task_id, body.encode(), task.context.tries, message))

        task = worker.task(name=TASK, max_tries=None, ttl=0, silent=True)(chunk)

    async def _deliver(self, lease: Lease) -> None:
        delivery = self._deliveries[lease.id] = _Delivery(lease, self._expiry())
        self._ready.append(delivery)
        self._arrived.set()
        while (left := delivery.until - anyio.current_time()) > 0 and not delivery.given_up.is_set():
            with anyio.move_on_after(left):
                await delivery.given_up.wait()
        if delivery in self._ready and not delivery.given_up.is_set():
            self._ready.remove(delivery)
            delivery.until = self._expiry()
            with suppress(Unreachable):
                await self.release(lease, 0)

    async def _finish(self, lease: Lease, schedule: int | None) -> None:
        command = self._worker.finish_task(
            _message(lease),
            finish=schedule is None,
            schedule=schedule,
            return_value=None,
            start_time=0,
            finish_time=0,
            created_time=0,
            fn_name=TASK,
            success=True,
            silent=True,
            ttl=0,
            triggers=None,
            lock_key=None,
            tries=lease.delivery,
            otherwise=None,
        )
        await self._run(command)
        self._drop(lease)

    async def _run(self, command: Awaitable[T]) -> T:
        return await run_command(self._worker.redis, command)

    def _valid(self, lease: Lease) -> _Delivery | None:
        delivery = self._deliveries.get(lease.id)
        is_valid = delivery is not None and delivery.lease is lease and anyio.current_time() < delivery.until
        return delivery if is_valid else None

    def _is_leased(self, name: str) -> bool:
        delivery = self._deliveries.get(name)
        return delivery is not None and self._valid(delivery.lease) is not None

    def _expiry(self) -> float:
        return anyio.current_time() + self.lease_seconds

    def _drop(self, lease: Lease) -> None:
        delivery = self._deliveries.get(lease.id)
        if delivery is not None and delivery.lease is lease:
            del self._deliveries[lease.id]
            delivery.given_up.set()

    def _worker_started(self) -> None:
        self._broken = None

    def _end_tasks(self) -> None:
        for delivery in self._deliveries.values():
            delivery.given_up.set()


@asynccontextmanager
async def open_queue(
    url: str, *, fleet: str, lease_seconds: float = 3.0, concurrent_chunks: int = 4
) -> AsyncIterator[StreaqChunkQueue]:
    """Open the queue of a *fleet* at *url* for the time of a block; up to *concurrent_chunks* can be leased at a time.

    A chunk whose worker is lost is delivered again after *lease_seconds*, or up to twice that if nothing else is queued
    meanwhile. Raise `Unreachable` if the server cannot be reached now.
    """
    address = Address(url)
    del url

    def create(kind: type[W], timeout: float) -> W:
        worker = kind(
            redis_pool=address.create_pool(timeout=timeout, decode=True),
            redis_kwargs={"retry_policy": RETRY_POLICY},
            concurrency=concurrent_chunks,
            queue_name=f"msgapi:{fleet}",
            serializer=_dump,
            deserializer=orjson.loads,
            idle_timeout=lease_seconds,
            id=name,
        )
        worker.prefetch = concurrent_chunks  # streaq's minimum is twice that: chunks would wait while others idle
        return worker

    name = uuid4().hex
    async with AsyncExitStack() as stack:
        try:
            worker = await stack.enter_async_context(open_shielded(create(Worker[None], COMMAND_TIMEOUT)))
        except (RedisError, OSError, ExceptionGroup) as error:
            raise Unreachable(f"Redis: {describe_error(error)}") from None
        queue = StreaqChunkQueue(lease_seconds, worker, partial(create, StreaqWorker, lease_seconds + COMMAND_TIMEOUT))
        _ = stack.push_async_callback(queue.close)
        await stack.enter_async_context(background(queue.run_workers))
        yield queue


def _message(lease: Lease) -> StreamMessage:
    return cast("StreamMessage", lease.token)


def _dump(data: object) -> bytes:
    return orjson.dumps(data, default=repr)  # streaq stores exceptions too


@final
@frozen(eq=False, repr=False)
class RedisRecordStore:
    """A `RecordStore` for the batches of a *fleet*, on the server of *client*."""

    client: "Redis[bytes]"
    fleet: str

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        """Return the document *name* of *batch* and its revision; None and 0 if there is none."""
        field = await run_command(self.client, self.client.hget(self._key(batch), name))
        if field is None:
            return None, 0
        revision, _, value = field.partition(b" ")
        return value, int(revision)

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        """Write *value* if the document still has this *revision*; return False if it has another one.

        A write that raises may have taken place.
        """
        arguments: list[str | bytes] = [name, f"{revision}", f"{revision + 1}", value]
        return await run_command(self.client, self.client.eval(_WRITE, [self._key(batch)], arguments)) == 1

    async def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the name and the value of every document of *batch*, in no order; see `RecordStore`."""
        cursor, seen = 0, set[bytes]()
        while True:
            command = self.client.hscan(self._key(batch), cursor=cursor, count=_SCAN_COUNT)
            cursor, fields = cast("tuple[int, dict[bytes, bytes]]", await run_command(self.client, command))
            for name in fields.keys() - seen:  # a hash that grows during the scan returns some fields twice
                yield name.decode(), fields[name].partition(b" ")[2]
            seen |= fields.keys()
            if not cursor:
                return

    def _key(self, batch: str) -> str:
        return f"msgapi:{self.fleet}:records:{batch}"
