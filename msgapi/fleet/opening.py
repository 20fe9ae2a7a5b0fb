"""Opening a fleet: the queue, the records and the shared pace that are on one server, by its address.

Rules:
- An address may hold a password, so none is ever quoted.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import inf
from typing import Final, final
from urllib.parse import urlsplit

from attrs import frozen

from ..clock import Clock, SystemClock
from ..ratelimit import SharedRate
from .beside import as_itself
from .chunks import Chunks, Unreachable
from .keeping import kept
from .manifest import fit
from .owner import check, claim
from .records import Records

_SYSTEM_CLOCK: Final = SystemClock()
_REDIS: Final = {
    "redis": "redis",
    "rediss": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
}  # as coredis knows them
_NATS: Final = ("nats", "tls")
_DATABASE: Final = re.compile(r"(/?|/[0-9]+/?)\?|/?\?db=[0-9]+")
_END: Final = "HOST:PORT, or in HOST:PORT/NUMBER for another database than 0"
_EXAMPLE: Final = "redis://HOST:6379, rediss://…, valkey://…, valkeys://…, nats://HOST:4222 or tls://…"


@final
@frozen(eq=False)
class Fleet:
    """A fleet that is open: its queue, what became of its batches, and the pace of the key."""

    chunks: Chunks
    records: Records
    quota: SharedRate


@final
@frozen(kw_only=True, repr=False)
class _Asked:
    url: str
    fleet: str
    api_key: str
    lease_seconds: float
    chunks_at_once: int
    clock: Clock


@asynccontextmanager
async def opened(
    url: str,
    *,
    fleet: str = "msgapi",
    api_key: str,
    lease_seconds: float = 3.0,
    chunks_at_once: int = 4,
    claiming: bool = True,
    only_reading: bool = False,
    clock: Clock = _SYSTEM_CLOCK,
) -> AsyncIterator[Fleet]:
    """Open the *fleet* on the server at *url*, whose pace is that of *api_key*; it closes with the block.

    *url* begins with `redis://`, `rediss://`, `valkey://` or `valkeys://` for Redis and Valkey, which needs the extra
    `msgapi-sdk[redis]`, or with `nats://` or `tls://` for NATS, which needs `msgapi-sdk[nats]` and runs on asyncio.
    What is none of these raises `ValueError`, and so does a bad name or number. A server that cannot be reached now,
    or an extra that is not installed, is `Unreachable`; a server that goes away later is it for each call, and comes
    back by itself.

    Over TLS certificates are checked; a CA of one's own is trusted if it is in the bundle that `SSL_CERT_FILE` names.

    A chunk whose worker is lost is handed out again after *lease_seconds*. To us come up to *chunks_at_once*.

    A fleet sends with one key: the first one that opens it *claiming*; with another it is `Taken`, until `disclaim`
    says that the service has refused the first. Who only queues does not claim it, as nobody has tried the key yet,
    and who is *only_reading* may have any key.
    """
    asked = _Asked(
        url=_address(url),
        fleet=fleet,
        api_key=api_key,
        lease_seconds=lease_seconds,
        chunks_at_once=chunks_at_once,
        clock=clock,
    )
    _check(asked)
    async with as_itself(_on_nats(asked) if url.startswith(_NATS) else _on_redis(asked), _first) as found:
        if api_key and not only_reading:
            await (claim if claiming else check)(found.records, fleet, api_key)
        yield found


@asynccontextmanager
async def _on_redis(asked: _Asked) -> AsyncIterator[Fleet]:
    with _extra("redis"):
        from . import chunks_streaq, quota_redis, redis
        from .records_redis import RedisRecords
    queue = chunks_streaq.opened(
        asked.url, fleet=asked.fleet, lease_seconds=asked.lease_seconds, chunks_at_once=asked.chunks_at_once
    )
    async with kept(redis.connected(asked.url)) as client:
        _ = await redis.asked(client, client.ping())
        quota = quota_redis.opened(client, key=asked.api_key, clock=asked.clock)
        async with queue as chunks:
            yield Fleet(chunks, RedisRecords(client, asked.fleet), quota)


@asynccontextmanager
async def _on_nats(asked: _Asked) -> AsyncIterator[Fleet]:
    with _extra("nats"):
        from . import chunks_faststream, nats, quota_nats, records_nats
    try:
        _ = asyncio.get_running_loop()
    except RuntimeError:
        raise ValueError("a fleet on NATS runs on asyncio only; on trio, take Redis or Valkey") from None
    queue = chunks_faststream.opened(asked.url, fleet=asked.fleet, lease_seconds=asked.lease_seconds)
    async with nats.connected(asked.url) as client, queue as chunks:
        records = await records_nats.opened(client, fleet=asked.fleet)
        yield Fleet(chunks, records, quota_nats.opened(client, key=asked.api_key, clock=asked.clock))


def _check(asked: _Asked) -> None:
    if not fit(asked.fleet):
        raise ValueError(f"a fleet is named by up to 64 of A-Z a-z 0-9 . _ -, no sign first, not {asked.fleet!r}")
    if not 0 < asked.lease_seconds < inf:
        raise ValueError(f"lease_seconds must be a number of seconds above 0, not {asked.lease_seconds}")
    if asked.chunks_at_once < 1:
        raise ValueError(f"chunks_at_once must be at least 1, not {asked.chunks_at_once}")


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0 or parts.scheme not in {*_REDIS, *_NATS}:
            raise ValueError(url)
    except ValueError:
        raise ValueError(f"the address of a fleet is one of {_EXAMPLE}") from None
    if parts.scheme in _REDIS and not _DATABASE.fullmatch(f"{parts.path}?{parts.query}"):
        raise ValueError(f"the address of a fleet on Redis ends in {_END}")
    return parts._replace(scheme=_REDIS.get(parts.scheme, parts.scheme)).geturl()


@contextmanager
def _extra(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise Unreachable(f"a server of this kind needs more: pip install 'msgapi-sdk[{name}]'") from None
