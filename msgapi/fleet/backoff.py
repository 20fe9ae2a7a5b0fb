"""Backoff: how long to wait before a backend that did not answer is asked again."""

from typing import final

from attrs import define, field


@final
@define
class Backoff:
    """Pauses in seconds that grow by a factor from *first* to *longest*."""

    first: float
    longest: float
    growth: float = 2.0
    _pause: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Start with the first pause."""
        self.reset()

    def next(self) -> float:
        """Return the seconds to wait now; the next pause is longer."""
        pause = self._pause
        self._pause = min(self.longest, pause * self.growth)
        return pause

    def reset(self) -> None:
        """Start again with the first pause, after an answer."""
        self._pause = self.first
