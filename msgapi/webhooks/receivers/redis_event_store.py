"""An event store on Redis or Valkey, for worker processes on many machines; needs the extra `redis`.

Rules:
- Each operation is one script, so it is atomic, and times are those of the server.
- The client blocks and runs in a thread. So one store serves asyncio, trio, synchronous views and programs that fork,
  while an asynchronous client belongs to one event loop.
- A command is repeated once if its connection is lost. A claim that is repeated by its owner gets `new` again.
"""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, final

from attrs import define, field
from attrs.validators import gt

from ...config import needing_extra
from .event_store import DEFAULT_LEASE, DEFAULT_RETENTION, EventState, EventStoreError, check_retention, run_blocking

if TYPE_CHECKING:
    from redis import Redis

Script: TypeAlias = Callable[[Sequence[str], Sequence[str | int]], Any]
_TIMEOUT: Final = 1.5  # seconds for a response or a connection, of which there are two; a delivery has 4.5
_PAUSE: Final = 0.1  # seconds before the second attempt
_STATES: Final[tuple[EventState, ...]] = ("new", "busy", "done")
_CLAIM: Final = """
local owner = redis.call('GET', KEYS[1])
if owner == 'done' then return 2 end
if owner and owner ~= ARGV[1] then return 1 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0
"""
_COMPLETE: Final = """
redis.call('SET', KEYS[1], 'done', 'PX', ARGV[2])
return 1
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


def _client(given: "str | Redis") -> "Redis":
    with needing_extra("webhooks.RedisEventStore", "redis", "redis"):
        import redis
        from redis.backoff import ConstantBackoff
        from redis.retry import Retry
    if isinstance(given, str):
        return redis.Redis.from_url(
            given,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(ConstantBackoff(_PAUSE), 1),
        )
    if isinstance(given, redis.Redis | redis.RedisCluster):
        return given
    raise TypeError(
        "RedisEventStore takes a URL such as redis://127.0.0.1:6379/0, or a client of the class redis.Redis, not "
        f"{type(given).__module__}.{type(given).__name__}"
    )


@final
@define(eq=False)
class RedisEventStore:
    """The ids of handled events on a Redis or Valkey server, for all processes on all machines that use it.

    *server* is a URL such as `redis://host:6379/0` or `rediss://host`, or a `redis.Redis` of yours, which may be one of
    Sentinel or a cluster, and which you close. With a URL the store connects when it is first used, waits up to 1.5
    seconds for a response, and tries once more.

    "Once" holds for all processes that use this server and *prefix*, as long as the server keeps its keys: one that
    loses its latest writes in a crash (`appendfsync` other than `always`), fails over to a replica that lacks them, or
    evicts keys (`maxmemory-policy` other than `noeviction` or `volatile-ttl`), can give an event out again. An event is
    also handled again if its handler raised or was cancelled (see `Receiver`), if the process was killed before the
    handler had ended and that was recorded, or if it was blocked for longer than *lease*.

    An id is kept for *retention* seconds, 7 days by default and at least 26 hours. *lease* is in seconds, 30 by
    default: the event of a process that was killed is free after that time. Each id is a key of the server, *prefix*
    and the id.

    A store can be made before a server forks its workers, and can be used by several threads and event loops; it runs
    on asyncio and on trio. Raise ModuleNotFoundError if the extra `redis` is missing, TypeError for another client, and
    ValueError if a number is too small or the URL is not valid. A server that cannot be reached raises
    `EventStoreError` when the store is used.
    """

    server: "str | Redis" = field(repr=False)
    prefix: str = field(default="msgapi:event:", kw_only=True)
    lease: float = field(default=DEFAULT_LEASE, validator=gt(0), kw_only=True)
    retention: float = field(default=DEFAULT_RETENTION, validator=check_retention, kw_only=True)
    _client: "Redis" = field(init=False, repr=False)
    _scripts: dict[str, Script] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Make the client. It does not connect yet."""
        self._client = _client(self.server)
        self._scripts = {source: self._client.register_script(source) for source in (_CLAIM, _COMPLETE, _RELEASE)}

    async def claim(self, event_id: str, owner: str) -> EventState:
        """Return `new`, `busy` or `done`; `new` claims the event."""
        return _STATES[await self._run(_CLAIM, event_id, owner, self.lease)]

    async def complete(self, event_id: str, owner: str) -> None:
        """Record that the event was handled."""
        _ = await self._run(_COMPLETE, event_id, owner, self.retention)

    async def release(self, event_id: str, owner: str) -> None:
        """Give up the claim of *owner*."""
        _ = await self._run(_RELEASE, event_id, owner, self.lease)

    def close(self) -> None:
        """Close the connections, unless the client is yours. The store connects again when it is used after that."""
        if isinstance(self.server, str):
            self._client.close()

    def __enter__(self) -> Self:
        """Return the store, which is closed at the end of the block."""
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Close the connections."""
        self.close()

    async def _run(self, script: str, event_id: str, owner: str, seconds: float) -> int:
        return await run_blocking(lambda: self._run_script(script, event_id, owner, seconds))

    def _run_script(self, script: str, event_id: str, owner: str, seconds: float) -> int:
        from redis.exceptions import RedisError

        try:
            milliseconds = max(1, round(seconds * 1000))
            return int(self._scripts[script]([f"{self.prefix}{event_id}"], [f"claim:{owner}", milliseconds]))
        except (RedisError, OSError) as error:
            raise EventStoreError(f"the event store on Redis cannot be used: {error}") from error
