"""Opening a fleet: the queue, the records and the shared rate on one server, by its address.

Rules:
- An address may hold a password, so error messages never quote one.
- No local variable of a frame that raises holds the API key or the address: error trackers show them.
- A fleet sends with one key. One worker may send a chunk and another may send it again: under one key the service
  recognises the same operation, under two keys it may carry out two. So the first key that works claims the fleet,
  before anything is sent.
- A key that the service refuses sends nothing and claims nothing. A key that was not tried yet should not claim either.
- The key itself is never stored or used in a name; its hash is.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from hashlib import blake2b
from math import inf
from typing import Final, final
from urllib.parse import urlsplit

from attrs import frozen

from ..clock import SYSTEM_CLOCK, Clock
from ..concurrency import unwrapped
from ..ratelimit import SharedRate
from .backend import ChunkQueue, RecordStore, Revision, Unreachable
from .batches import FleetConflict, is_valid_name

_FLEET: Final = "_fleet"  # not a valid name of a batch
_KEY: Final = "key"


def hash_key(key: str) -> str:
    """Return a hash of the API *key*, 16 hexadecimal digits, that does not disclose it."""
    return blake2b(key.encode()).hexdigest()[:16]


async def check(records: RecordStore, fleet: str, api_key: str) -> None:
    """Raise `FleetConflict` if *fleet*, whose records are *records*, is claimed by another key than *api_key*."""
    own_hash = hash_key(api_key).encode()
    del api_key
    _ = await _is_owner(records, fleet, own_hash)


async def claim(records: RecordStore, fleet: str, api_key: str) -> None:
    """Claim *fleet* for *api_key*; raise `FleetConflict` if another key has claimed it. May be repeated."""
    own_hash = hash_key(api_key).encode()
    del api_key
    while True:
        claimed, revision = await _is_owner(records, fleet, own_hash)
        if claimed or await records.write(_FLEET, _KEY, own_hash, revision):
            return


async def disclaim(records: RecordStore, api_key: str) -> None:
    """Drop the claim of *api_key*, which the service has refused; do nothing if another key has claimed the fleet."""
    own_hash = hash_key(api_key).encode()
    del api_key
    owner, revision = await records.read(_FLEET, _KEY)
    if owner == own_hash:
        _ = await records.write(_FLEET, _KEY, b"", revision)  # False: another worker has dropped it already


async def _is_owner(records: RecordStore, fleet: str, own_hash: bytes) -> tuple[bool, Revision]:
    owner, revision = await records.read(_FLEET, _KEY)
    if owner and owner != own_hash:
        raise FleetConflict(f"the fleet {fleet} sends with another API key: set that one, or name another fleet")
    return owner == own_hash, revision


_REDIS: Final = {
    "redis": "redis",
    "rediss": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
}  # our scheme: the scheme that coredis knows
_NATS: Final = ("nats", "tls")
_DATABASE: Final = re.compile(r"(/?|/[0-9]+/?)\?|/?\?db=[0-9]+")
_END: Final = "HOST:PORT, or in HOST:PORT/NUMBER for another database than 0"
_EXAMPLE: Final = "redis://HOST:6379, rediss://…, valkey://…, valkeys://…, nats://HOST:4222 or tls://…"


@final
@frozen(eq=False)
class Fleet:
    """An open fleet: its *queue* of chunks, the *records* of its batches, and the *shared_rate* of the API key."""

    queue: ChunkQueue
    records: RecordStore
    shared_rate: SharedRate


@final
@frozen(kw_only=True, repr=False)
class _Options:
    url: str
    fleet: str
    api_key: str
    lease_seconds: float
    concurrent_chunks: int
    clock: Clock


@asynccontextmanager
async def open(  # noqa: A001 - used as `fleet.open`
    url: str,
    *,
    fleet: str = "msgapi",
    api_key: str,
    lease_seconds: float = 3.0,
    concurrent_chunks: int = 4,
    claim_key: bool = True,
    read_only: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator[Fleet]:
    """Open the *fleet* on the server at *url*, with the shared rate of *api_key*, for the time of a block.

    *url* begins with `redis://`, `rediss://`, `valkey://` or `valkeys://` for Redis and Valkey, which need the extra
    `msgapi-sdk[redis]`, or with `nats://` or `tls://` for NATS, which needs `msgapi-sdk[nats]` and runs on asyncio.
    Over TLS, certificates are checked; a CA of your own is trusted if it is in the bundle that `SSL_CERT_FILE` names.

    A chunk whose worker is lost is delivered again after *lease_seconds*. Up to *concurrent_chunks* chunks can be
    leased at a time. A fleet sends with one key: that of the first worker that opens it with *claim_key*, until
    `disclaim` says that the service has refused it. Set *claim_key* to False to queue only, since the key is not tried
    then. With *read_only* any key may be given.

    Raise ValueError if *url*, a name or a number is invalid; `Unreachable` if the server cannot be reached now or the
    extra is not installed; `FleetConflict` if the fleet sends with another key. A server that fails later raises
    `Unreachable` from each call, and is reconnected automatically.
    """
    address = _normalise_url(url)
    del url
    if isinstance(address, ValueError):
        del api_key
        raise address
    options = _Options(
        url=address,
        fleet=fleet,
        api_key=api_key,
        lease_seconds=lease_seconds,
        concurrent_chunks=concurrent_chunks,
        clock=clock,
    )
    del address, api_key
    _check(options)
    backend = _open_on_nats(options) if options.url.startswith(_NATS) else _open_on_redis(options)
    async with unwrapped(backend, _first_error) as opened:
        if options.api_key and not read_only:
            await (claim if claim_key else check)(opened.records, fleet, options.api_key)
        yield opened


@asynccontextmanager
async def _open_on_redis(options: _Options) -> AsyncIterator[Fleet]:
    with _extra("redis"):
        from .backends import redis_connection, redis_storage
    opening_queue = redis_storage.open_queue(
        options.url,
        fleet=options.fleet,
        lease_seconds=options.lease_seconds,
        concurrent_chunks=options.concurrent_chunks,
    )
    async with redis_connection.open_shielded(redis_connection.connect(options.url)) as client:
        _ = await redis_connection.run_command(client, client.ping())
        rate = redis_connection.open_shared_rate(client, key=options.api_key, clock=options.clock)
        async with opening_queue as chunks:
            yield Fleet(chunks, redis_storage.RedisRecordStore(client, options.fleet), rate)


@asynccontextmanager
async def _open_on_nats(options: _Options) -> AsyncIterator[Fleet]:
    with _extra("nats"):
        from .backends import nats_connection, nats_storage
    try:
        _ = asyncio.get_running_loop()
    except RuntimeError:
        raise ValueError("a fleet on NATS runs on asyncio only; on trio, take Redis or Valkey") from None
    opening_queue = nats_storage.open_queue(options.url, fleet=options.fleet, lease_seconds=options.lease_seconds)
    async with nats_connection.connect(options.url) as client, opening_queue as chunks:
        store = await nats_storage.open_records(client, fleet=options.fleet)
        yield Fleet(chunks, store, nats_connection.open_shared_rate(client, key=options.api_key, clock=options.clock))


def _check(options: _Options) -> None:
    if not is_valid_name(options.fleet):
        raise ValueError(f"a fleet is named by up to 64 of A-Z a-z 0-9 . _ -, no sign first, not {options.fleet!r}")
    if not 0 < options.lease_seconds < inf:
        raise ValueError(f"lease_seconds must be a number of seconds above 0, not {options.lease_seconds}")
    if options.concurrent_chunks < 1:
        raise ValueError(f"concurrent_chunks must be at least 1, not {options.concurrent_chunks}")


def _first_error(error: BaseException) -> BaseException:
    return _first_error(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _normalise_url(url: str) -> str | ValueError:
    # Return the address as the libraries take it, or the error to raise, in whose traceback it must not stand.
    wrong = ValueError(f"the address of a fleet is one of {_EXAMPLE}")
    try:
        parts = urlsplit(url)
        if not parts.hostname or parts.port == 0 or parts.scheme not in {*_REDIS, *_NATS}:
            return wrong
    except ValueError:
        return wrong
    if parts.scheme in _REDIS and not _DATABASE.fullmatch(f"{parts.path}?{parts.query}"):
        return ValueError(f"the address of a fleet on Redis ends in {_END}")
    return parts._replace(scheme=_REDIS.get(parts.scheme, parts.scheme)).geturl()


@contextmanager
def _extra(name: str) -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise Unreachable(f"this server needs the extra {name}: pip install 'msgapi-sdk[{name}]'") from None
