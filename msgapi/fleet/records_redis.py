"""Records of a fleet in Redis or Valkey: a hash for each batch, a field for each document.

Rules:
- A field holds `REVISION DOCUMENT`; a script compares and writes in one step.
"""

from collections.abc import AsyncIterator
from typing import Final, cast, final

from attrs import frozen
from coredis import Redis

from .records import Revision
from .redis import asked

_WRITE: Final = """
local had = redis.call('HGET', KEYS[1], ARGV[1])
local revision = had and string.match(had, '^%d+') or '0'
if revision ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ' ' .. ARGV[4])
return 1
"""
_AT_ONCE: Final = 50  # documents in an answer of the scan


@final
@frozen(eq=False, repr=False)
class RedisRecords:
    """What became of the batches of a *fleet*, in the Redis of *client*."""

    client: "Redis[bytes]"
    fleet: str

    async def read(self, batch: str, name: str) -> tuple[bytes | None, Revision]:
        """Read the document of a *batch* with this *name*, and its revision; None and 0 if there is none."""
        field = await asked(self.client, self.client.hget(self._key(batch), name))
        if field is None:
            return None, 0
        revision, _, value = field.partition(b" ")
        return value, int(revision)

    async def write(self, batch: str, name: str, value: bytes, revision: Revision) -> bool:
        """Write *value* if the document still is of this *revision*; False if another has written meanwhile.

        A write that raises may have taken place.
        """
        given: list[str | bytes] = [name, f"{revision}", f"{revision + 1}", value]
        return await asked(self.client, self.client.eval(_WRITE, [self._key(batch)], given)) == 1

    async def scan(self, batch: str) -> AsyncIterator[tuple[str, bytes]]:
        """Read all documents of a *batch*, in no order; one that is written meanwhile comes old or new."""
        cursor, seen = 0, set[bytes]()
        while True:
            request = self.client.hscan(self._key(batch), cursor=cursor, count=_AT_ONCE)
            cursor, fields = cast("tuple[int, dict[bytes, bytes]]", await asked(self.client, request))
            for name in fields.keys() - seen:  # a hash that grows meanwhile tells some twice
                yield name.decode(), fields[name].partition(b" ")[2]
            seen |= fields.keys()
            if not cursor:
                return

    def _key(self, batch: str) -> str:
        return f"msgapi:{self.fleet}:records:{batch}"
