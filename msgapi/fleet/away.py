"""Away: a store that does not answer for now, as a quota is asked for that must not fail."""

from typing import Final, final

from attrs import define, field

_FIRST: Final = 0.05  # seconds until it is asked again
_LONGEST: Final = 1.0
_GROWTH: Final = 1.6


@final
@define
class Away:
    """How long to wait until a store is asked again that did not answer: a little longer each time."""

    _pause: float = field(default=_FIRST, init=False)

    def longer(self) -> float:
        """Tell the seconds to wait now."""
        pause = self._pause
        self._pause = min(_LONGEST, pause * _GROWTH)
        return pause

    def over(self) -> None:
        """Begin anew: it has answered."""
        self._pause = _FIRST
