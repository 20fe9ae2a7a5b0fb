"""The shared rate on Redis or Valkey: the arithmetic of `RateState` as a script, by the server's own clock.

Rules:
- The script and `RateState` compute the same at each step; a test compares them.
- No key is named after the API key itself.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar, final

from attrs import define, field
from coredis import Redis
from coredis.commands import Script

from ....clock import SYSTEM_CLOCK, Clock
from ....ratelimit.shared import FIGURES, Grant
from ...backend import Unreachable
from ...opening import hash_key
from ...sending import Backoff
from .connection import run_command

T = TypeVar("T")
_LUA: Final = Path(__file__).with_name("shared_rate.lua").read_text(encoding="utf-8")
_FIRST_PAUSE: Final = 0.05  # seconds until an unreachable server is asked again
_LONGEST_PAUSE: Final = 1.0
_GROWTH: Final = 1.6

SCRIPT: Final = "".join((*(f"local {name} = {value!r}\n" for name, value in FIGURES.items()), _LUA))
"""The script, with the constants of the arithmetic."""


def open_shared_rate(client: Redis[Any], *, key: str, clock: Clock = SYSTEM_CLOCK) -> "RedisSharedRate":
    """Return the shared rate of an API *key* over a *client* that is open.

    All clients of the same database with the same key share it. *clock* is only used to sleep.
    """
    return RedisSharedRate(client, f"msgapi:quota:{hash_key(key)}", clock)


def _backoff() -> Backoff:
    return Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH)


@final
@define(eq=False, repr=False)
class RedisSharedRate:
    """A `SharedRate` on Redis; made by `open_shared_rate`."""

    _client: Redis[Any]
    _name: str
    _clock: Clock
    _backoff: Backoff = field(factory=_backoff, init=False)
    _script: Script[Any] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the script, which is loaded into the server when it is missing there."""
        self._script = self._client.register_script(SCRIPT)

    async def reserve(self, endpoint_class: str, slots: int, at_most: float | None = None) -> Grant:
        """Reserve up to *slots* slots of *endpoint_class*; grant none while the server is unreachable."""
        try:
            number, after, spacing = await self._run(endpoint_class, "reserve", slots, at_most or 0.0)
        except Unreachable:
            return Grant(0, self._backoff.next(), 0.0)
        self._backoff.reset()
        return Grant(int(number), float(after), float(spacing))

    async def throttle(self, endpoint_class: str, seconds: float) -> None:
        """Grant nothing of *endpoint_class* for *seconds* and lower its rate."""
        with suppress(Unreachable):
            _ = await self._run(endpoint_class, "throttle", seconds)

    async def set_limit(self, endpoint_class: str, per_second: float) -> None:
        """Set the limit of *endpoint_class* that response headers give, in requests per second."""
        with suppress(Unreachable):
            _ = await self._run(endpoint_class, "set_limit", per_second)

    async def pause(self, why: bytes) -> None:
        """Pause all sends; *why* is the error as JSON. Wait while the server is unreachable."""
        _ = await self._retry(lambda: self._client.set(self._pause_key, why))

    async def paused(self) -> bytes | None:
        """Return the error that sends are paused for, None if they are not; wait while the server is unreachable."""
        why: str | bytes | None = await self._retry(lambda: self._client.get(self._pause_key))
        return why.encode() if isinstance(why, str) else why

    async def resume(self) -> None:
        """End the pause; wait while the server is unreachable."""
        _ = await self._retry(lambda: self._client.delete([self._pause_key]))

    @property
    def _pause_key(self) -> str:
        return f"{self._name}:pause"

    async def _run(self, endpoint_class: str, operation: str, *numbers: float) -> list[Any]:
        arguments = (operation, *map(repr, numbers))  # coredis would cut off the last digits of a float
        response: Any = await run_command(self._client, self._script([f"{self._name}:{endpoint_class}"], arguments))
        return list(response)

    async def _retry(self, command: Callable[[], Awaitable[T]]) -> T:
        backoff = _backoff()
        while True:
            try:
                return await run_command(self._client, command())
            except Unreachable:
                await self._clock.sleep(backoff.next())
