"""Chunks of a fleet in a stream of NATS JetStream, taken from it by FastStream. On asyncio only.

Rules:
- A chunk is a message on a subject of its own, of which the stream keeps one: no chunk is queued twice.
- JetStream counts each time that a message is handed out. Those that ended in a `release` are counted in a bucket,
  and taken off.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, cast, final

import anyio
from attrs import define, field
from faststream.middlewares import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage
from faststream.nats.subscriber.usecases import PullStreamSubscriber
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, KeyNotFoundError, NotFoundError, ServerError
from nats.js.kv import KeyValue

from .chunks import Lease, Unreachable
from .nats import PATIENCE, asked, bare, connected, ended, plain, plainly, settings
from .records_nats import bucket

_WORKERS: Final = "workers"
_QUEUED: Final = 10077  # the stream has a message on this subject
_SHORT: Final = 1.0  # seconds in which a server that knows of a message says so
_LEAST: Final = 0.1  # seconds that one waits for a message, which has to come all the way


@final
@define(eq=False)
class _Held:
    message: Msg
    returned: int
    until: float


@final
@define(eq=False, repr=False)
class FastStreamChunks:
    """The queue of a fleet; `opened` makes one."""

    lease_seconds: float
    _client: Client
    _stream: JetStreamContext
    _name: str
    _returned: KeyValue
    _subscriber: PullStreamSubscriber
    _one: anyio.Lock = field(factory=anyio.Lock, init=False)
    _leases: dict[str, Lease] = field(factory=dict, init=False)

    async def put(self, id: str, body: bytes) -> None:  # noqa: A002 - it is one
        """Queue a chunk, for good when this returns; one that is queued under this *id* already stays as it is."""
        try:
            _ = await asked(self._stream.publish(f"{self._name}.{plain(id)}", body), APIError)
        except APIError as error:
            if error.err_code != _QUEUED:
                raise Unreachable(f"NATS: {plainly(error)}") from None

    async def lease(self, wait: float) -> Lease | None:
        """Take the next chunk, and wait for one for up to *wait* seconds; None if there was none."""
        until, message = anyio.current_time() + wait, None
        with anyio.move_on_after(max(wait, _LEAST)):
            await self._one.acquire()  # of two at once, one may get what the server says to the other
            try:
                left = max(until - anyio.current_time(), _LEAST)
                message = await asked(self._subscriber.get_one(timeout=left), within=left + PATIENCE)
            finally:
                self._one.release()
        if message is None:
            _ = await asked(self._stream.account_info())  # is it there at all? A `flush` that times out breaks nats-py
            return None
        return await self._taken(message)

    async def renew(self, lease: Lease) -> bool:
        """Keep a chunk for another `lease_seconds`; False if it is ours no more."""
        held = _held(lease)
        if anyio.current_time() >= held.until:
            return False
        await self._tell(held, Msg.Ack.Progress)
        held.until = anyio.current_time() + self.lease_seconds
        return True

    async def ack(self, lease: Lease) -> None:
        """Tell that the chunk is done."""
        held = _held(lease)
        try:
            await self._tell(held, Msg.Ack.Ack, _SHORT)
        except Unreachable:
            await self._remove(held)
        if held.returned:
            _ = await asked(self._returned.purge(plain(lease.id)))
        self._drop(lease)

    async def release(self, lease: Lease, after: float) -> None:
        """Give the chunk back, to be handed out again *after* so many seconds, as if we had never had it."""
        held = _held(lease)
        if anyio.current_time() < held.until:
            _ = await asked(self._returned.put(plain(lease.id), b"%d" % (held.returned + 1)))
            await self._tell(held, Msg.Ack.Nak + b' {"delay": %d}' % round(after * 10**9))
            self._drop(lease)

    async def bury(self, lease: Lease) -> None:
        """Take the chunk out of the queue for good: it can never succeed. Its record tells of it."""
        await self.ack(lease)

    async def left(self) -> int:
        """Tell how many chunks are queued or with a worker."""
        return (await asked(self._stream.stream_info(self._name))).state.messages

    async def close(self) -> None:
        """Give back what is still with us."""
        with anyio.move_on_after(PATIENCE, shield=True), suppress(Unreachable):
            for lease in [*self._leases.values()]:
                await self.release(lease, 0)

    async def _taken(self, message: NatsMessage) -> Lease:
        raw, returned = message.raw_message, 0
        name = bare(raw.subject.rpartition(".")[2])
        if raw.metadata.num_delivered > 1:
            with suppress(KeyNotFoundError):
                entry = await asked(self._returned.get(plain(name)), KeyNotFoundError)
                returned = int(entry.value or b"0")
        held = _Held(raw, returned, anyio.current_time() + self.lease_seconds)
        lease = self._leases[name] = Lease(name, raw.data, max(raw.metadata.num_delivered - returned, 1), held)
        return lease

    async def _tell(self, held: _Held, what: bytes, within: float = PATIENCE) -> None:
        # As a request, so that the server says that it has heard it.
        _ = await asked(self._client.request(held.message.reply, what, timeout=within))

    async def _remove(self, held: _Held) -> None:
        # A server that was killed may not know that it has handed out a message, and then leaves its `ack` unanswered.
        sequence = held.message.metadata.sequence.stream
        with suppress(ServerError):  # it is not there
            _ = await asked(self._stream.delete_msg(self._name, sequence), ServerError)

    def _drop(self, lease: Lease) -> None:
        _held(lease).until = 0.0
        if self._leases.get(lease.id) is lease:
            del self._leases[lease.id]


@asynccontextmanager
async def opened(url: str, *, fleet: str, lease_seconds: float = 3.0) -> AsyncIterator[FastStreamChunks]:
    """Open the queue of a *fleet* at *url*; it closes with the block.

    A chunk whose worker is lost is handed out again after *lease_seconds*, as whoever first opened the fleet set it.
    """
    name = f"msgapi-{plain(fleet)}"
    broker = NatsBroker(**settings(url), logger=None)
    subscriber = broker.subscriber(
        f"{name}.>",
        stream=JStream(name, declare=False),
        durable=_WORKERS,
        pull_sub=True,
        ack_policy=AckPolicy.MANUAL,
    )
    async with connected(url) as client:
        stream = client.jetstream(timeout=PATIENCE)
        _ = await asked(stream.add_stream(_stream(name)))
        seconds = await _consumer(stream, name, lease_seconds)
        returned = await bucket(client, f"{name}-returned")
        chunks = FastStreamChunks(seconds, client, stream, name, returned, subscriber)
        connection = await asked(broker.connect())
        try:
            await asked(broker.start())
            yield chunks
        finally:
            await chunks.close()
            await ended(broker.stop(), connection.close())  # one that is away is not stopped, and would come back


def _stream(name: str) -> api.StreamConfig:
    return api.StreamConfig(
        name,
        subjects=[f"{name}.>"],
        retention=api.RetentionPolicy.WORK_QUEUE,
        discard=api.DiscardPolicy.NEW,
        discard_new_per_subject=True,
        max_msgs_per_subject=1,
        storage=api.StorageType.FILE,
    )


async def _consumer(stream: JetStreamContext, name: str, seconds: float) -> float:
    try:
        found = await asked(stream.consumer_info(name, _WORKERS), NotFoundError)
    except NotFoundError:
        asks = api.ConsumerConfig(
            durable_name=_WORKERS,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=seconds,
            max_deliver=-1,
            max_ack_pending=-1,
        )
        found = await asked(stream.add_consumer(name, asks))
    return found.config.ack_wait or seconds


def _held(lease: Lease) -> _Held:
    return cast("_Held", lease.token)
