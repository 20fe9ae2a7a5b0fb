"""A quota on NATS: the state of `quota.RateState` in a key-value bucket of JetStream, written by compare-and-set.

Rules:
- The times in it are the server's: each worker knows by how much its own clock differs, and asks anew now and then.
- Nothing is named after the API key itself.
- For asyncio alone, as the library is.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from random import random
from typing import Final, TypeVar, final

import nats.errors
import orjson
from attrs import define, field
from nats.aio.client import Client
from nats.js.errors import BucketNotFoundError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from ..clock import Clock, SystemClock
from ..codec import Problems, dump, load
from ..ratelimit import Grant, RateState
from .away import Away
from .quota_name import hashed

T = TypeVar("T")
_AWAY: Final = (nats.errors.Error, OSError)  # the built-in TimeoutError is one of the latter
_SYSTEM_CLOCK: Final = SystemClock()
_BUCKET: Final = "msgapi-quota"
_INFO: Final = f"$JS.API.STREAM.INFO.KV_{_BUCKET}"
_PATIENCE: Final = 2.0  # seconds that the server may take
_TRIES: Final = 30  # at one writing, when others are quicker
_STEP: Final = 0.002  # seconds by which the pause between these grows
_SOUNDINGS: Final = 3  # of the server's time, of which the quickest counts
_RENEWED: Final = 60.0  # seconds


def opened(client: Client, *, key: str, clock: Clock = _SYSTEM_CLOCK) -> "NatsQuota":
    """Make the quota of an API *key* over a *client* that is connected to a server with JetStream.

    All who ask the same account with the same key share it.
    """
    return NatsQuota(client, hashed(key), clock)


@final
@define(eq=False, repr=False)
class NatsQuota:
    """A `SharedRate` on NATS: see `opened`."""

    _client: Client
    _name: str
    _clock: Clock
    _bucket: KeyValue | None = field(default=None, init=False)
    _away: Away = field(factory=Away, init=False)
    _ahead: float = field(default=0.0, init=False)  # seconds by which the server's time is ahead of our clock's
    _sounded_at: float | None = field(default=None, init=False)

    async def reserve(self, endpoint_class: str, slots: int, at_most: float | None = None) -> Grant:
        """Reserve up to so many *slots* of a kind of endpoint; none while the server is away."""
        grant = Grant(0, 0.0, 0.0)

        def step(meter: RateState, now: float) -> RateState:
            nonlocal grant
            after, grant = meter.reserve(now, slots, at_most or 0.0)
            return after

        if not await self._change(endpoint_class, step):
            return Grant(0, self._away.longer(), 0.0)
        self._away.over()
        return grant

    async def throttle(self, endpoint_class: str, seconds: float) -> None:
        """Close the kind of endpoint for all, for *seconds*, and lower its rate."""
        _ = await self._change(endpoint_class, lambda meter, now: meter.throttle(now, seconds))

    async def set_limit(self, endpoint_class: str, per_second: float) -> None:
        """Take down the limit that an answer told."""
        _ = await self._change(endpoint_class, lambda meter, _: meter.set_limit(per_second))

    async def pause(self, why: bytes) -> None:
        """Let nobody send for now; waits while the server is away."""
        _ = await self._insist(lambda bucket: bucket.put(self._pause, why))

    async def paused(self) -> bytes | None:
        """Tell why nobody sends; None if they may."""
        return (await self._insist(lambda bucket: _read(bucket, self._pause)))[0]

    async def resume(self) -> None:
        """Let them send again."""
        _ = await self._insist(lambda bucket: bucket.delete(self._pause))

    @property
    def _pause(self) -> str:
        return f"{self._name}.pause"

    async def _change(self, endpoint_class: str, step: Callable[[RateState, float], RateState]) -> bool:
        # False if it could not be written.
        name = f"{self._name}.rate.{''.join(_letter(one) for one in endpoint_class)}"
        try:
            bucket = await self._opened()
            for failed in range(1, _TRIES + 1):
                value, revision = await _read(bucket, name)
                before = _meter(value)
                after = step(before, await self._time())
                if after == before:
                    return True
                with suppress(KeyWrongLastSequenceError):
                    _ = await bucket.update(name, dump(after), last=revision)
                    return True
                await self._clock.sleep(random() * _STEP * failed)  # noqa: S311 - jitter
        except _AWAY:
            self._bucket = None
        return False

    async def _insist(self, ask: Callable[[KeyValue], Awaitable[T]]) -> T:
        away = Away()
        while True:
            try:
                return await ask(await self._opened())
            except _AWAY:
                self._bucket = None
                await self._clock.sleep(away.longer())

    async def _opened(self) -> KeyValue:
        if self._bucket is None:
            stream = self._client.jetstream(timeout=_PATIENCE)
            try:
                self._bucket = await stream.key_value(_BUCKET)
            except BucketNotFoundError:
                self._bucket = await stream.create_key_value(bucket=_BUCKET)
        return self._bucket

    async def _time(self) -> float:
        if self._sounded_at is None or self._clock.now() > self._sounded_at + _RENEWED:
            self._ahead = min([await self._sounding() for _ in range(_SOUNDINGS)])[1]
            self._sounded_at = self._clock.now()
        return self._clock.now() + self._ahead

    async def _sounding(self) -> tuple[float, float]:
        # How long the server took to tell its time, and by how much that is ahead of ours.
        asked = self._clock.now()
        answer = await self._client.request(_INFO, timeout=_PATIENCE)
        took = self._clock.now() - asked
        second, _, fraction = f"{orjson.loads(answer.data)['ts']}".rstrip("Z").partition(".")
        time = datetime.fromisoformat(f"{second}+00:00").timestamp() + float(f"0.{fraction}")
        return took, time - asked - took / 2


async def _read(bucket: KeyValue, name: str) -> tuple[bytes | None, int]:
    try:
        entry = await bucket.get(name)
    except KeyNotFoundError as error:
        # of one that was deleted, a revision stands there still
        return None, (error.entry.revision or 0) if error.entry is not None else 0
    return entry.value, entry.revision or 0


def _meter(value: bytes | None) -> RateState:
    meter = RateState() if value is None else load(value, RateState)
    return RateState() if isinstance(meter, Problems) else meter


def _letter(one: str) -> str:
    return one if one.isascii() and one.isalnum() else f"={ord(one):x}="
