"""The rate limit: so many requests in each window of time, counted for each kind of endpoint."""

from math import ceil, floor
from typing import final

from attrs import define, field, frozen
from attrs.validators import ge, gt


@final
@frozen
class Limit:
    """At most *requests* in each fixed window of *window* seconds; windows begin at multiples of it."""

    requests: int = field(validator=ge(1))
    window: float = field(default=1.0, validator=gt(0))


@final
@frozen
class Figures:
    """What the headers say after one request; *wait* is the seconds until the reset if it was refused."""

    limit: int
    remaining: int
    reset: float
    wait: float | None = None

    def headers(self) -> dict[str, str]:
        """Write them as `X-RateLimit-*` (docs: /api/conventions); the reset is in Unix seconds."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(int(self.reset)) if self.reset == int(self.reset) else f"{self.reset:.3f}",
        }


@final
@define(eq=False)
class Window:
    """The count of one kind of endpoint. A refused request is not counted."""

    limit: Limit
    _number: int = field(default=-1, init=False)
    _used: int = field(default=0, init=False)

    def take(self, now: float) -> Figures:
        """Count a request at *now*, in Unix seconds, or refuse it."""
        number = floor(now / self.limit.window)
        if number != self._number:
            self._number, self._used = number, 0
        reset = (number + 1) * self.limit.window
        if self._used >= self.limit.requests:
            return Figures(self.limit.requests, 0, reset, wait=ceil(max(reset - now, 0.0) * 1000 + 1) / 1000)
        self._used += 1
        return Figures(self.limit.requests, self.limit.requests - self._used, reset)

    def untouched(self, now: float) -> Figures:
        """Tell the figures of a window in which nothing was counted."""
        most, window = self.limit.requests, self.limit.window
        return Figures(most, most, (floor(now / window) + 1) * window)
