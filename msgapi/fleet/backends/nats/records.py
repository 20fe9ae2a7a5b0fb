"""The record store on NATS: a key-value bucket of JetStream with a key for each document."""

from collections.abc import AsyncIterator
from typing import Any, final

import orjson
from attrs import frozen
from nats.aio.client import Client
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import BucketNotFoundError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from ...backend import Revision, Unreachable
from .connection import COMMAND_TIMEOUT, decode_name, encode_name, run_command


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
