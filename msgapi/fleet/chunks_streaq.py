"""Chunks of a fleet in streaq's queue, on Redis or Valkey.

Rules:
- A worker of streaq runs in the background from the first `lease` on. Each task that it starts is a chunk, and lasts
  until that chunk is done with or its lease has run out; meanwhile streaq keeps it from the other workers.
- What becomes of a chunk is written here, by streaq's own `finish_task` and over a connection of its own. So a
  lease outlives a worker whose connection broke; another one is begun, under the same name.
- A chunk that nobody takes in time goes back.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Final, TypeVar, cast, final
from uuid import uuid4

import anyio
import orjson
from attrs import define, field
from coredis.exceptions import RedisError
from streaq import Worker
from streaq.constants import REDIS_GROUP, REDIS_RETRY, REDIS_RUNNING_SET
from streaq.types import StreamMessage, Streaq
from streaq.utils import now_ms

from ..concurrency import background
from .chunks import Lease, Unreachable
from .keeping import kept
from .redis import AGAIN, PATIENCE, asked, plainly, pooled
from .streaq_worker import MESSAGE, Running

T = TypeVar("T")
W = TypeVar("W", bound=Worker[None])
TASK: Final = "msgapi.chunk"
"""The name of the task; its one argument, `body`, is the JSON of the chunk."""

_FIRST: Final = 0.1  # seconds until a worker that broke is begun again
_LONGEST: Final = 2.0


@final
@define(eq=False)
class _Held:
    lease: Lease
    until: float
    free: anyio.Event = field(factory=anyio.Event, init=False)


@final
@define(eq=False, repr=False)
class StreaqChunks:
    """The queue of a fleet; `opened` makes one."""

    lease_seconds: float
    _worker: Worker[None]
    _another: Callable[[], Running]
    _held: dict[str, _Held] = field(factory=dict, init=False)
    _ready: deque[_Held] = field(factory=deque, init=False)
    _arrived: anyio.Event = field(factory=anyio.Event, init=False)
    _wanted: anyio.Event = field(factory=anyio.Event, init=False)
    _broken: str | None = field(default=None, init=False)

    async def put(self, id: str, body: bytes) -> None:  # noqa: A002 - it is one
        """Queue a chunk, for good when this returns; one that is queued under this *id* already stays as it is."""
        task = self._worker.enqueue_unsafe(TASK, body=body.decode(errors="replace"))
        task.id = id
        await self._ask(self._worker.enqueue_many([task]))

    async def lease(self, wait: float) -> Lease | None:
        """Take the next chunk, and wait for one for up to *wait* seconds; None if there was none."""
        self._wanted.set()
        with anyio.move_on_after(wait):
            while True:
                while self._ready:
                    held = self._ready.popleft()
                    if self._ours(held.lease):
                        held.until = self._later()
                        return held.lease
                self._arrived = anyio.Event()
                await self._arrived.wait()
        if self._broken is not None:
            raise Unreachable(f"Redis: {self._broken}")
        _ = await self._ask(self._worker.redis.ping())
        return None

    async def renew(self, lease: Lease) -> bool:
        """Keep a chunk for another `lease_seconds`; False if it is ours no more."""
        held = self._ours(lease)
        if held is None:
            return False
        message, worker = _message(lease), self._worker
        queue, running = worker.stream_key + message.priority, worker.prefix + REDIS_RUNNING_SET
        streaq = Streaq(worker.redis)
        kept = streaq.refresh_timeout(queue, running, REDIS_GROUP, worker.id, message.message_id, lease.id)
        if not await self._ask(kept):
            self._drop(lease)
            return False
        held.until = self._later()
        return True

    async def ack(self, lease: Lease) -> None:
        """Tell that the chunk is done."""
        await self._finish(lease, None)

    async def release(self, lease: Lease, after: float) -> None:
        """Give the chunk back, to be handed out again *after* so many seconds, as if we had never had it."""
        if await self.renew(lease):
            _ = await self._ask(self._worker.redis.decr(self._worker.prefix + REDIS_RETRY + lease.id))
            await self._finish(lease, now_ms() + round(1000 * after))

    async def bury(self, lease: Lease) -> None:
        """Take the chunk out of the queue for good: it can never succeed. Its record tells of it."""
        await self._finish(lease, None)

    async def left(self) -> int:
        """Tell how many chunks are queued or with a worker."""
        return await self._ask(self._worker.queue_size())

    async def run(self) -> None:
        """Run workers of streaq, one after the other, once a chunk is wanted; ends by being cancelled."""
        await self._wanted.wait()
        pause = _FIRST
        while True:
            began, worker = anyio.current_time(), self._another()
            worker.busy, worker.begun, worker.ended = self._is_held, self._mend, self._free
            self._register(worker)
            try:
                await worker.run_async()
            except Exception as error:  # noqa: BLE001 - whatever ends a worker, another is begun
                self._broken = plainly(error)
            except BaseExceptionGroup as group:  # it was cancelled, and broke over that
                ended = group.split(Exception)[1]
                raise ended or group from None
            pause = _FIRST if anyio.current_time() - began > _LONGEST else min(2 * pause, _LONGEST)
            await anyio.sleep(pause)

    async def close(self) -> None:
        """Give back what is still with us."""
        with anyio.move_on_after(PATIENCE, shield=True), suppress(Unreachable):
            for held in [*self._held.values()]:
                await self.release(held.lease, 0)

    def _register(self, worker: Running) -> None:
        async def chunk(body: str) -> None:
            message = MESSAGE.get()
            await self._hand_over(Lease(message.task_id, body.encode(), task.context.tries, message))

        task = worker.task(name=TASK, max_tries=None, ttl=0, silent=True)(chunk)

    async def _hand_over(self, lease: Lease) -> None:
        held = self._held[lease.id] = _Held(lease, self._later())
        self._ready.append(held)
        self._arrived.set()
        while (left := held.until - anyio.current_time()) > 0 and not held.free.is_set():
            with anyio.move_on_after(left):
                await held.free.wait()
        if held in self._ready and not held.free.is_set():
            self._ready.remove(held)
            held.until = self._later()
            with suppress(Unreachable):
                await self.release(lease, 0)

    async def _finish(self, lease: Lease, schedule: int | None) -> None:
        done = self._worker.finish_task(
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
        await self._ask(done)
        self._drop(lease)

    async def _ask(self, command: Awaitable[T]) -> T:
        return await asked(self._worker.redis, command)

    def _ours(self, lease: Lease) -> _Held | None:
        held = self._held.get(lease.id)
        return held if held is not None and held.lease is lease and anyio.current_time() < held.until else None

    def _is_held(self, name: str) -> bool:
        held = self._held.get(name)
        return held is not None and self._ours(held.lease) is not None

    def _later(self) -> float:
        return anyio.current_time() + self.lease_seconds

    def _drop(self, lease: Lease) -> None:
        held = self._held.get(lease.id)
        if held is not None and held.lease is lease:
            del self._held[lease.id]
            held.free.set()

    def _mend(self) -> None:
        self._broken = None

    def _free(self) -> None:
        for held in self._held.values():
            held.free.set()


@asynccontextmanager
async def opened(
    url: str, *, fleet: str, lease_seconds: float = 3.0, chunks_at_once: int = 4
) -> AsyncIterator[StreaqChunks]:
    """Open the queue of a *fleet* at *url*, of which up to *chunks_at_once* come to us; it closes with the block.

    A chunk whose worker is lost is handed out again after *lease_seconds*, or up to twice that if nothing else is
    queued meanwhile.
    """

    def made(kind: type[W], patience: float) -> W:
        worker = kind(
            redis_pool=pooled(url, patience=patience, decode=True),
            redis_kwargs={"retry_policy": AGAIN},
            concurrency=chunks_at_once,
            queue_name=f"msgapi:{fleet}",
            serializer=_dump,
            deserializer=orjson.loads,
            idle_timeout=lease_seconds,
            id=name,
        )
        worker.prefetch = chunks_at_once  # streaq's own least is twice that: chunks that wait while others idle
        return worker

    name = uuid4().hex
    async with AsyncExitStack() as stack:
        try:
            worker = await stack.enter_async_context(kept(made(Worker[None], PATIENCE)))
        except (RedisError, OSError, ExceptionGroup) as error:
            raise Unreachable(f"Redis: {plainly(error)}") from None
        chunks = StreaqChunks(lease_seconds, worker, partial(made, Running, lease_seconds + PATIENCE))
        _ = stack.push_async_callback(chunks.close)
        await stack.enter_async_context(background(chunks.run))
        yield chunks


def _message(lease: Lease) -> StreamMessage:
    return cast("StreamMessage", lease.token)


def _dump(data: object) -> bytes:
    return orjson.dumps(data, default=repr)  # streaq stores exceptions too
