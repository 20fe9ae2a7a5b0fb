"""The rate limit: a number of requests in each window of time, counted separately for each endpoint class."""

from math import ceil, floor
from typing import final

from attrs import define, field, frozen
from attrs.validators import ge, gt


@final
@frozen
class WindowLimit:
    """At most *requests* in each fixed window of *window* seconds; windows begin at multiples of it."""

    requests: int = field(validator=ge(1))
    window: float = field(default=1.0, validator=gt(0))


@final
@frozen
class WindowState:
    """The values of the rate limit headers after a request.

    *wait* is the number of seconds until the reset if the request was refused, else None.
    """

    limit: int
    remaining: int
    reset: float
    wait: float | None = None

    def headers(self) -> dict[str, str]:
        """Return the `X-RateLimit-*` headers (docs: /api/conventions); the reset is in Unix seconds."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(self.remaining),
            "x-ratelimit-reset": str(int(self.reset)) if self.reset == int(self.reset) else f"{self.reset:.3f}",
        }


@final
@define(eq=False)
class WindowCounter:
    """The request count of one endpoint class. A refused request is not counted."""

    limit: WindowLimit
    _number: int = field(default=-1, init=False)
    _used: int = field(default=0, init=False)

    def count(self, now: float) -> WindowState:
        """Count a request at *now*, in Unix seconds, or refuse it."""
        number = floor(now / self.limit.window)
        if number != self._number:
            self._number, self._used = number, 0
        reset = (number + 1) * self.limit.window
        if self._used >= self.limit.requests:
            return WindowState(self.limit.requests, 0, reset, wait=ceil(max(reset - now, 0.0) * 1000 + 1) / 1000)
        self._used += 1
        return WindowState(self.limit.requests, self.limit.requests - self._used, reset)

    def unused(self, now: float) -> WindowState:
        """Return the state of a window in which no request was counted."""
        most, window = self.limit.requests, self.limit.window
        return WindowState(most, most, (floor(now / window) + 1) * window)
