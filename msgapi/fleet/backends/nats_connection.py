"""The connection to a NATS server, commands with a timeout, and the shared rate over it; on asyncio only.

Rules of the shared rate, which is a `RateState` in a key-value bucket of JetStream, written by compare-and-set:
- The times in it are the server's: each worker measures by how much its own clock differs, once a minute.
- Nothing is named after the API key itself.
"""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from random import random
from typing import Any, Final, TypeVar, final
from urllib.parse import unquote

import anyio
import nats.errors
import orjson
from attrs import define, field
from nats.aio.client import Client
from nats.errors import Error, MaxPayloadError
from nats.js.errors import (
    APIError,
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NoStreamResponseError,
)
from nats.js.kv import KeyValue

from ...clock import SYSTEM_CLOCK, Clock
from ...codec import Problems, from_json, to_json
from ...ratelimit import Grant, RateState
from ..backend import Unreachable
from ..opening import hash_key
from ..sending import Backoff

T = TypeVar("T")
COMMAND_TIMEOUT: Final = 3.0
"""Seconds that any command may take, also over a connection that broke; waiting for a chunk is no command."""

_LOG: Final = logging.getLogger("msgapi")
_PLAIN_LETTER: Final = re.compile(r"[A-Za-z0-9_-]")
_LONGEST_TEXT: Final = 200  # characters of an error that are shown
_FAILURES: Final = (nats.errors.Error, OSError)  # the built-in TimeoutError is an OSError
_BUCKET: Final = "msgapi-quota"
_INFO: Final = f"$JS.API.STREAM.INFO.KV_{_BUCKET}"
_RATE_TIMEOUT: Final = 2.0  # seconds that the server may take for the shared rate
_ATTEMPTS: Final = 30  # at one write, while other workers are faster
_JITTER_STEP: Final = 0.002  # seconds by which the pause between two attempts grows
_CLOCK_SAMPLES: Final = 3  # of the server's time, of which the quickest counts
_CLOCK_RENEWAL: Final = 60.0  # seconds after which the server's time is measured again
_FIRST_PAUSE: Final = 0.05  # seconds until an unreachable server is asked again
_LONGEST_PAUSE: Final = 1.0
_GROWTH: Final = 1.6


def connection_options(url: str) -> dict[str, Any]:
    """Return the options of nats-py for *url*: a lost server is noticed within 10 seconds, and reconnected forever."""
    return {
        "servers": [url],
        "connect_timeout": 2,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.25,
        "ping_interval": 5,
        "max_outstanding_pings": 1,
        "error_cb": log_error,
    }


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Client]:
    """Open a client for *url* for the time of a block; raise `Unreachable` if the server cannot be reached now."""
    client, connected = Client(), False

    async def on_error(error: Exception) -> None:
        if not connected:
            raise error  # otherwise nats-py would try forever
        await log_error(error)

    try:
        connecting = client.connect(**{**connection_options(url), "error_cb": on_error})
        del url  # it may hold a password, and an error tracker shows the local variables of a frame that raises
        await run_command(connecting)
        connected = True
        yield client
    finally:
        await close_all(client.close())


async def close_all(*closing: Awaitable[object]) -> None:
    """Await each of *closing* in turn, up to `COMMAND_TIMEOUT` seconds each; log what they raise."""
    for one in closing:
        with anyio.move_on_after(COMMAND_TIMEOUT, shield=True):
            try:
                _ = await one
            except Exception as error:  # noqa: BLE001 - nats-py lets through what sockets and event loops raise
                await log_error(error)


async def log_error(error: Exception) -> None:
    """Log an *error* of a connection that reconnects by itself."""
    _LOG.debug("fleet: NATS: %s", describe_error(error))


async def run_command(command: Awaitable[T], *expected: type[Exception], within: float = COMMAND_TIMEOUT) -> T:
    """Await a *command*; raise `Unreachable` if it fails or takes more than *within* seconds.

    An exception of an *expected* type is raised as it is. A command without a response may have been carried out.
    """
    try:
        with anyio.fail_after(within):
            return await command
    except expected:
        raise
    except (TimeoutError, NoStreamResponseError):
        text = f"NATS did not answer within {within:g} seconds; is it up, with JetStream, and is it reachable?"
        raise Unreachable(text) from None
    except MaxPayloadError:
        raise Unreachable("NATS takes no message of this size: raise `max_payload` in its settings") from None
    except (Error, OSError) as error:
        raise Unreachable(f"NATS: {describe_error(error)}") from None


def describe_error(error: BaseException) -> str:
    """Return *error* as one line."""
    text = error.description if isinstance(error, APIError) else None
    return (text or f"{error}").removeprefix("nats: ").replace("\n", " ")[:_LONGEST_TEXT] or type(error).__name__


def encode_name(name: str) -> str:
    """Return *name* in the letters that NATS allows in a name: others become `=` and two hexadecimal digits a byte."""
    return "".join(
        letter if _PLAIN_LETTER.fullmatch(letter) else letter.encode().hex("=").join(("=", "")) for letter in name
    )


def decode_name(name: str) -> str:
    """Return the name that `encode_name` has encoded as *name*."""
    return unquote(name.replace("=", "%"))


def open_shared_rate(client: Client, *, key: str, clock: Clock = SYSTEM_CLOCK) -> "NatsSharedRate":
    """Return the shared rate of an API *key* over a *client* that is connected to a server with JetStream.

    All clients of the same NATS account with the same key share it.
    """
    return NatsSharedRate(client, hash_key(key), clock)


def _backoff() -> Backoff:
    return Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH)


@final
@define(eq=False, repr=False)
class NatsSharedRate:
    """A `SharedRate` on NATS; made by `open_shared_rate`."""

    _client: Client
    _name: str
    _clock: Clock
    _bucket: KeyValue | None = field(default=None, init=False)
    _backoff: Backoff = field(factory=_backoff, init=False)
    _offset: float = field(default=0.0, init=False)  # seconds by which the server's time is ahead of our clock's
    _measured_at: float | None = field(default=None, init=False)

    async def reserve(self, endpoint_class: str, slots: int, at_most: float | None = None) -> Grant:
        """Reserve up to *slots* slots of *endpoint_class*; grant none while the server is unreachable."""
        grant = Grant(0, 0.0, 0.0)

        def step(state: RateState, now: float) -> RateState:
            nonlocal grant
            after, grant = state.reserve(now, slots, at_most or 0.0)
            return after

        if not await self._update(endpoint_class, step):
            return Grant(0, self._backoff.next(), 0.0)
        self._backoff.reset()
        return grant

    async def throttle(self, endpoint_class: str, seconds: float) -> None:
        """Grant nothing of *endpoint_class* for *seconds* and lower its rate."""
        _ = await self._update(endpoint_class, lambda state, now: state.throttle(now, seconds))

    async def set_limit(self, endpoint_class: str, per_second: float) -> None:
        """Set the limit of *endpoint_class* that response headers give, in requests per second."""
        _ = await self._update(endpoint_class, lambda state, _: state.set_limit(per_second))

    async def pause(self, why: bytes) -> None:
        """Pause all sends; *why* is the error as JSON. Wait while the server is unreachable."""
        _ = await self._retry(lambda bucket: bucket.put(self._pause_key, why))

    async def paused(self) -> bytes | None:
        """Return the error that sends are paused for, None if they are not; wait while the server is unreachable."""
        return (await self._retry(lambda bucket: _read(bucket, self._pause_key)))[0]

    async def resume(self) -> None:
        """End the pause; wait while the server is unreachable."""
        _ = await self._retry(lambda bucket: bucket.delete(self._pause_key))

    @property
    def _pause_key(self) -> str:
        return f"{self._name}.pause"

    async def _update(self, endpoint_class: str, step: Callable[[RateState, float], RateState]) -> bool:
        # False if the state could not be written.
        name = f"{self._name}.rate.{''.join(_encode_letter(letter) for letter in endpoint_class)}"
        try:
            bucket = await self._open_bucket()
            for attempt in range(1, _ATTEMPTS + 1):
                value, revision = await _read(bucket, name)
                before = _load_state(value)
                after = step(before, await self._server_time())
                if after == before:
                    return True
                with suppress(KeyWrongLastSequenceError):
                    _ = await bucket.update(name, to_json(after), last=revision)
                    return True
                await self._clock.sleep(random() * _JITTER_STEP * attempt)  # noqa: S311 - jitter
        except _FAILURES:
            self._bucket = None
        return False

    async def _retry(self, command: Callable[[KeyValue], Awaitable[T]]) -> T:
        backoff = _backoff()
        while True:
            try:
                return await command(await self._open_bucket())
            except _FAILURES:
                self._bucket = None
                await self._clock.sleep(backoff.next())

    async def _open_bucket(self) -> KeyValue:
        if self._bucket is None:
            stream = self._client.jetstream(timeout=_RATE_TIMEOUT)
            try:
                self._bucket = await stream.key_value(_BUCKET)
            except BucketNotFoundError:
                self._bucket = await stream.create_key_value(bucket=_BUCKET)
        return self._bucket

    async def _server_time(self) -> float:
        if self._measured_at is None or self._clock.now() > self._measured_at + _CLOCK_RENEWAL:
            self._offset = min([await self._measure_clock() for _ in range(_CLOCK_SAMPLES)])[1]
            self._measured_at = self._clock.now()
        return self._clock.now() + self._offset

    async def _measure_clock(self) -> tuple[float, float]:
        # How long the server took to return its time, and by how much that is ahead of our clock's.
        asked_at = self._clock.now()
        response = await self._client.request(_INFO, timeout=_RATE_TIMEOUT)
        took = self._clock.now() - asked_at
        second, _, fraction = f"{orjson.loads(response.data)['ts']}".rstrip("Z").partition(".")
        time = datetime.fromisoformat(f"{second}+00:00").timestamp() + float(f"0.{fraction}")
        return took, time - asked_at - took / 2


async def _read(bucket: KeyValue, name: str) -> tuple[bytes | None, int]:
    try:
        entry = await bucket.get(name)
    except KeyNotFoundError as error:
        # a deleted key still has a revision
        return None, (error.entry.revision or 0) if error.entry is not None else 0
    return entry.value, entry.revision or 0


def _load_state(value: bytes | None) -> RateState:
    state = RateState() if value is None else from_json(value, RateState)
    return RateState() if isinstance(state, Problems) else state


def _encode_letter(letter: str) -> str:
    return letter if letter.isascii() and letter.isalnum() else f"={ord(letter):x}="
