"""The chunk queue on NATS, a stream of JetStream, and the record store, a key-value bucket; on asyncio only.

FastStream reads the stream. The bucket has a key for each document.

Rules of the queue:
- A chunk is a message on a subject of its own, of which the stream keeps one: no chunk is queued twice.
- JetStream counts every delivery of a message. Those that ended in a `release` are counted in a bucket and subtracted.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, cast, final

import anyio
import orjson
from attrs import define, field, frozen
from faststream.middlewares import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage
from faststream.nats.subscriber.usecases import PullStreamSubscriber
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import (
    APIError,
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NotFoundError,
    ServerError,
)
from nats.js.kv import KeyValue

from ..backend import Lease, Revision, Unreachable
from .nats_connection import (
    COMMAND_TIMEOUT,
    close_all,
    connect,
    connection_options,
    decode_name,
    describe_error,
    encode_name,
    run_command,
)

_CONSUMER: Final = "workers"
_SUBJECT_IN_USE: Final = 10077  # error code: the stream has a message on this subject
_ACK_TIMEOUT: Final = 1.0  # seconds in which a server that knows of a delivery confirms its end
_LEAST_WAIT: Final = 0.1  # seconds to wait for a message at least, as it has to cross the network


@final
@define(eq=False)
class _Delivery:
    message: Msg
    released: int  # how many earlier deliveries ended in a release
    until: float


@final
@define(eq=False, repr=False)
class FastStreamChunkQueue:
    """A `ChunkQueue` on NATS; made by `open_queue`."""

    lease_seconds: float
    _client: Client
    _stream: JetStreamContext
    _name: str
    _released: KeyValue
    _subscriber: PullStreamSubscriber
    _lock: anyio.Lock = field(factory=anyio.Lock, init=False)
    _leases: dict[str, Lease] = field(factory=dict, init=False)

    async def put(self, id: str, body: bytes) -> None:  # noqa: A002 - it is an id
        """Queue a chunk durably; do nothing if one is queued under this *id* already."""
        try:
            _ = await run_command(self._stream.publish(f"{self._name}.{encode_name(id)}", body), APIError)
        except APIError as error:
            if error.err_code != _SUBJECT_IN_USE:
                raise Unreachable(f"NATS: {describe_error(error)}") from None

    async def lease(self, wait: float) -> Lease | None:
        """Take the next chunk, waiting up to *wait* seconds; return None if there is none."""
        until, message = anyio.current_time() + wait, None
        with anyio.move_on_after(max(wait, _LEAST_WAIT)):
            await self._lock.acquire()  # of two concurrent requests one may get the response to the other
            try:
                left = max(until - anyio.current_time(), _LEAST_WAIT)
                request = self._subscriber.get_one(timeout=left)
                message = await run_command(request, within=left + COMMAND_TIMEOUT)
            finally:
                self._lock.release()
        if message is None:
            _ = await run_command(self._stream.account_info())  # is it up? A `flush` that times out breaks nats-py
            return None
        return await self._accept(message)

    async def renew(self, lease: Lease) -> bool:
        """Extend *lease* by `lease_seconds` from now; return False if it has expired."""
        delivery = _delivery(lease)
        if anyio.current_time() >= delivery.until:
            return False
        await self._respond(delivery, Msg.Ack.Progress)
        delivery.until = anyio.current_time() + self.lease_seconds
        return True

    async def ack(self, lease: Lease) -> None:
        """Remove the chunk from the queue because it is done."""
        delivery = _delivery(lease)
        try:
            await self._respond(delivery, Msg.Ack.Ack, _ACK_TIMEOUT)
        except Unreachable:
            await self._delete(delivery)
        if delivery.released:
            _ = await run_command(self._released.purge(encode_name(lease.id)))
        self._drop(lease)

    async def release(self, lease: Lease, after: float) -> None:
        """Return the chunk to the queue, for delivery *after* so many seconds; this delivery is not counted."""
        delivery = _delivery(lease)
        if anyio.current_time() < delivery.until:
            _ = await run_command(self._released.put(encode_name(lease.id), b"%d" % (delivery.released + 1)))
            await self._respond(delivery, Msg.Ack.Nak + b' {"delay": %d}' % round(after * 10**9))
            self._drop(lease)

    async def bury(self, lease: Lease) -> None:
        """Remove the chunk from the queue because it can never succeed; its record says why."""
        await self.ack(lease)

    async def size(self) -> int:
        """Return the number of chunks that are queued or leased."""
        return (await run_command(self._stream.stream_info(self._name))).state.messages

    async def close(self) -> None:
        """Return all leased chunks to the queue, in at most `COMMAND_TIMEOUT` seconds."""
        with anyio.move_on_after(COMMAND_TIMEOUT, shield=True), suppress(Unreachable):
            for lease in [*self._leases.values()]:
                await self.release(lease, 0)

    async def _accept(self, message: NatsMessage) -> Lease:
        raw, released = message.raw_message, 0
        name = decode_name(raw.subject.rpartition(".")[2])
        if raw.metadata.num_delivered > 1:
            with suppress(KeyNotFoundError):
                entry = await run_command(self._released.get(encode_name(name)), KeyNotFoundError)
                released = int(entry.value or b"0")
        delivery = _Delivery(raw, released, anyio.current_time() + self.lease_seconds)
        number = max(raw.metadata.num_delivered - released, 1)
        lease = self._leases[name] = Lease(name, raw.data, number, delivery)
        return lease

    async def _respond(self, delivery: _Delivery, response: bytes, within: float = COMMAND_TIMEOUT) -> None:
        # As a request, so that the server confirms it.
        _ = await run_command(self._client.request(delivery.message.reply, response, timeout=within))

    async def _delete(self, delivery: _Delivery) -> None:
        # A server that was killed may not know that it has delivered a message, and does not confirm its `ack` then.
        sequence = delivery.message.metadata.sequence.stream
        with suppress(ServerError):  # there is no such message any more
            _ = await run_command(self._stream.delete_msg(self._name, sequence), ServerError)

    def _drop(self, lease: Lease) -> None:
        _delivery(lease).until = 0.0
        if self._leases.get(lease.id) is lease:
            del self._leases[lease.id]


@asynccontextmanager
async def open_queue(url: str, *, fleet: str, lease_seconds: float = 3.0) -> AsyncIterator[FastStreamChunkQueue]:
    """Open the queue of a *fleet* at *url* for the time of a block; raise `Unreachable` if the server is not there now.

    A chunk whose worker is lost is delivered again after *lease_seconds*, or after the seconds that were given when the
    fleet was first opened.
    """
    name = f"msgapi-{encode_name(fleet)}"
    broker = NatsBroker(**connection_options(url), logger=None)
    subscriber = broker.subscriber(
        f"{name}.>",
        stream=JStream(name, declare=False),
        durable=_CONSUMER,
        pull_sub=True,
        ack_policy=AckPolicy.MANUAL,
    )
    connection_to_server = connect(url)
    del url  # it may hold a password
    async with connection_to_server as client:
        stream = client.jetstream(timeout=COMMAND_TIMEOUT)
        _ = await run_command(stream.add_stream(_stream_config(name)))
        seconds = await _open_consumer(stream, name, lease_seconds)
        released = await get_or_create_bucket(client, f"{name}-returned")
        queue = FastStreamChunkQueue(seconds, client, stream, name, released, subscriber)
        connection = await run_command(broker.connect())
        try:
            await run_command(broker.start())
            yield queue
        finally:
            await queue.close()
            # A connection to a server that is away is not stopped with the broker, and would reconnect.
            await close_all(broker.stop(), connection.close())


def _stream_config(name: str) -> api.StreamConfig:
    return api.StreamConfig(
        name,
        subjects=[f"{name}.>"],
        retention=api.RetentionPolicy.WORK_QUEUE,
        discard=api.DiscardPolicy.NEW,
        discard_new_per_subject=True,
        max_msgs_per_subject=1,
        storage=api.StorageType.FILE,
    )


async def _open_consumer(stream: JetStreamContext, name: str, seconds: float) -> float:
    try:
        found = await run_command(stream.consumer_info(name, _CONSUMER), NotFoundError)
    except NotFoundError:
        config = api.ConsumerConfig(
            durable_name=_CONSUMER,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=seconds,
            max_deliver=-1,
            max_ack_pending=-1,
        )
        found = await run_command(stream.add_consumer(name, config))
    return found.config.ack_wait or seconds


def _delivery(lease: Lease) -> _Delivery:
    return cast("_Delivery", lease.token)


@final
@frozen(eq=False, repr=False)
class NatsRecordStore:
    """A `RecordStore` in a *bucket*; made by `open_records`."""

    client: Client
    name: str
    bucket: KeyValue

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        """Return the document *name* of *batch* and its revision; None and 0 if there is none."""
        try:
            entry = await run_command(self.bucket.get(_key(batch, name)), KeyNotFoundError)
        except KeyNotFoundError:
            return None, 0
        return entry.value or b"", entry.revision or 0

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        """Write *value* if the document still has this *revision*; return False if it has another one.

        A write that raises may have taken place.
        """
        update = self.bucket.update(_key(batch, name), value, last=revision)
        try:
            _ = await run_command(update, KeyWrongLastSequenceError)
        except KeyWrongLastSequenceError:
            return False
        return True

    async def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        """Yield the name and the value of every document of *batch*, in no order; see `RecordStore`."""
        for name in await self._names(batch):
            value, _ = await self.read(batch, name)
            if value is not None:
                yield name, value

    async def _names(self, batch: str) -> list[str]:
        # From the subjects of the stream, a page at a time. The `watch` of nats-py does not list reliably: it may
        # report the end while all values are still on their way, and each call leaves a consumer behind.
        stream, names = f"KV_{self.name}", list[str]()
        while True:
            query = {"subjects_filter": f"$KV.{self.name}.{_key(batch, '>')}", "offset": len(names)}
            request = self.client.request(f"$JS.API.STREAM.INFO.{stream}", orjson.dumps(query), timeout=COMMAND_TIMEOUT)
            info: dict[str, Any] = orjson.loads((await run_command(request)).data)
            if "error" in info:
                raise Unreachable(f"NATS: {info['error'].get('description', 'the records cannot be listed')}")
            page = info["state"].get("subjects") or {}
            names += [decode_name(subject.rpartition(".")[2]) for subject in page]
            if not page or len(names) >= info.get("total", 0):
                return names


async def get_or_create_bucket(client: Client, name: str) -> KeyValue:
    """Return the bucket *name*; create it, with its values on disk, if there is none."""
    context = client.jetstream(timeout=COMMAND_TIMEOUT)
    try:
        return await run_command(context.key_value(name), BucketNotFoundError)
    except BucketNotFoundError:
        return await run_command(context.create_key_value(KeyValueConfig(name, storage=StorageType.FILE)))


async def open_records(client: Client, *, fleet: str) -> NatsRecordStore:
    """Return the record store of a *fleet*; raise `Unreachable` if the server cannot be reached now."""
    name = f"msgapi-{encode_name(fleet)}-records"
    return NatsRecordStore(client, name, await get_or_create_bucket(client, name))


def _key(batch: str, name: str) -> str:
    return f"{encode_name(batch)}.{name if name == '>' else encode_name(name)}"
