"""The record store on Redis or Valkey: a hash for each batch, a field for each document.

Rules:
- A field holds `REVISION DOCUMENT`; a script compares the revision and writes in one step.
"""

from collections.abc import AsyncIterator
from typing import Final, cast, final

from attrs import frozen
from coredis import Redis

from ...backend import Revision
from .connection import run_command

_WRITE: Final = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
local revision = stored and string.match(stored, '^%d+') or '0'
if revision ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ' ' .. ARGV[4])
return 1
"""
_SCAN_COUNT: Final = 50  # documents in one response of a scan


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
