"""Time as something passed in: what to read it from, and how to wait."""

import time
from typing import Protocol, final

import anyio


class Clock(Protocol):
    """Where the time comes from: seconds that only grow, Unix time, and a way to wait."""

    def now(self) -> float:
        """Tell seconds since some fixed moment; never goes back."""
        ...  # pragma: no cover

    def time(self) -> float:
        """Tell Unix time in seconds, as this machine believes it to be."""
        ...  # pragma: no cover

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*."""
        ...  # pragma: no cover


@final
class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Tell seconds since some fixed moment; never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Tell Unix time in seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds*."""
        await anyio.sleep(seconds)
