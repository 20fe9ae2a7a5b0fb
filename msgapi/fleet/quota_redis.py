"""A quota on Redis or Valkey: the arithmetic of `quota.RateState` as a script, by the server's own time.

Rules:
- The script and the `RateState` say the same of each step; a test holds one against the other.
- Nothing is named after the API key itself.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar, final

from attrs import define, field
from coredis import Redis
from coredis.commands import Script

from ..clock import Clock, SystemClock
from ..ratelimit.shared import FIGURES, Grant
from .away import Away
from .chunks import Unreachable
from .quota_name import hashed
from .redis import asked

T = TypeVar("T")
_SYSTEM_CLOCK: Final = SystemClock()
_LUA: Final = Path(__file__).with_name("quota.lua").read_text(encoding="utf-8")

SCRIPT: Final = "".join((*(f"local {name} = {value!r}\n" for name, value in FIGURES.items()), _LUA))
"""The script, with the figures of the arithmetic."""


def opened(client: Redis[Any], *, key: str, clock: Clock = _SYSTEM_CLOCK) -> "RedisQuota":
    """Make the quota of an API *key* over a *client* that is open.

    All who ask the same database with the same key share it. *clock* is only waited on.
    """
    return RedisQuota(client, f"msgapi:quota:{hashed(key)}", clock)


@final
@define(eq=False, repr=False)
class RedisQuota:
    """A `SharedRate` on Redis: see `opened`."""

    _client: Redis[Any]
    _name: str
    _clock: Clock
    _away: Away = field(factory=Away, init=False)
    _script: Script[Any] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare the script; the server is sent it when it does not know it yet."""
        self._script = self._client.register_script(SCRIPT)

    async def reserve(self, endpoint_class: str, slots: int, at_most: float | None = None) -> Grant:
        """Reserve up to so many *slots* of a kind of endpoint; none while the server is away."""
        try:
            number, after, spacing = await self._run(endpoint_class, "reserve", slots, at_most or 0.0)
        except Unreachable:
            return Grant(0, self._away.longer(), 0.0)
        self._away.over()
        return Grant(int(number), float(after), float(spacing))

    async def throttle(self, endpoint_class: str, seconds: float) -> None:
        """Close the kind of endpoint for all, for *seconds*, and lower its rate."""
        with suppress(Unreachable):
            _ = await self._run(endpoint_class, "throttle", seconds)

    async def set_limit(self, endpoint_class: str, per_second: float) -> None:
        """Take down the limit that an answer told."""
        with suppress(Unreachable):
            _ = await self._run(endpoint_class, "set_limit", per_second)

    async def pause(self, why: bytes) -> None:
        """Let nobody send for now; waits while the server is away."""
        _ = await self._insist(lambda: self._client.set(self._pause, why))

    async def paused(self) -> bytes | None:
        """Tell why nobody sends; None if they may."""
        why: str | bytes | None = await self._insist(lambda: self._client.get(self._pause))
        return why.encode() if isinstance(why, str) else why

    async def resume(self) -> None:
        """Let them send again."""
        _ = await self._insist(lambda: self._client.delete([self._pause]))

    @property
    def _pause(self) -> str:
        return f"{self._name}:pause"

    async def _run(self, endpoint_class: str, what: str, *figures: float) -> list[Any]:
        told = (what, *map(repr, figures))  # coredis would cut a float's last digits off
        answer: Any = await asked(self._client, self._script([f"{self._name}:{endpoint_class}"], told))
        return list(answer)

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        away = Away()
        while True:
            try:
                return await asked(self._client, ask())
            except Unreachable:
                await self._clock.sleep(away.longer())
