"""Records of a fleet in a key-value bucket of NATS JetStream: a key for each document."""

from collections.abc import AsyncIterator
from typing import Any, final

import orjson
from attrs import frozen
from nats.aio.client import Client
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import BucketNotFoundError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from .chunks import Unreachable
from .nats import PATIENCE, asked, bare, plain
from .records import Revision


@final
@frozen(eq=False, repr=False)
class NatsRecords:
    """What became of the batches of a fleet, in a *bucket*; `opened` makes one."""

    client: Client
    name: str
    bucket: KeyValue

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        """Read the document of a *batch* with this *name*, and its revision; None and 0 if there is none."""
        try:
            entry = await asked(self.bucket.get(_key(batch, name)), KeyNotFoundError)
        except KeyNotFoundError:
            return None, 0
        return entry.value or b"", entry.revision or 0

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        """Write *value* if the document still is of this *revision*; False if another has written meanwhile.

        A write that raises may have taken place.
        """
        try:
            _ = await asked(self.bucket.update(_key(batch, name), value, last=revision), KeyWrongLastSequenceError)
        except KeyWrongLastSequenceError:
            return False
        return True

    async def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        """Read all documents of a *batch*, in no order; one that is written meanwhile comes old or new."""
        for name in await self._names(batch):
            value, _ = await self.read(batch, name)
            if value is not None:
                yield name, value

    async def _names(self, batch: str) -> list[str]:
        # By what the stream tells of its subjects, a page at a time. The `watch` of nats-py is no list: it may say
        # that there is nothing while all of it is on its way, and each leaves a consumer behind.
        stream, names = f"KV_{self.name}", list[str]()
        while True:
            wanted = {"subjects_filter": f"$KV.{self.name}.{_key(batch, '>')}", "offset": len(names)}
            request = self.client.request(f"$JS.API.STREAM.INFO.{stream}", orjson.dumps(wanted), timeout=PATIENCE)
            told: dict[str, Any] = orjson.loads((await asked(request)).data)
            if "error" in told:
                raise Unreachable(f"NATS: {told['error'].get('description', 'the records cannot be listed')}")
            page = told["state"].get("subjects") or {}
            names += [bare(subject.rpartition(".")[2]) for subject in page]
            if not page or len(names) >= told.get("total", 0):
                return names


async def bucket(client: Client, name: str) -> KeyValue:
    """Find the bucket of this *name*, or make it; what it takes is on the server's disk."""
    context = client.jetstream(timeout=PATIENCE)
    try:
        return await asked(context.key_value(name), BucketNotFoundError)
    except BucketNotFoundError:
        return await asked(context.create_key_value(KeyValueConfig(name, storage=StorageType.FILE)))


async def opened(client: Client, *, fleet: str) -> NatsRecords:
    """Open the records of a *fleet*."""
    name = f"msgapi-{plain(fleet)}-records"
    return NatsRecords(client, name, await bucket(client, name))


def _key(batch: str, name: str) -> str:
    return f"{plain(batch)}.{name if name == '>' else plain(name)}"
