"""Quota: the rate limit of one key as many processes share it, in slots that are reserved ahead.

Rules:
- A request leaves in a slot that was reserved for it, or not at all. A slot that is not used in its
  time is lost, never kept for later: so many at once would break the limit.
- Whoever keeps the quota goes by its own clock; what it tells is in seconds from now.
"""

from typing import Protocol, final

from attrs import frozen


@final
@frozen
class Grant:
    """Slots that are reserved: the first may be used *after* so many seconds, the others *spacing* apart.

    With no *slots* nothing is reserved: ask again *after* so many seconds. A *spacing* of 0 is that of
    a limit that nobody knows yet.
    """

    slots: int
    after: float
    spacing: float


class Quota(Protocol):
    """What the workers of one key share: the rate for each kind of endpoint, and a pause of all sends.

    None of its methods raises for what the store behind it does: one that is away for a moment is
    waited for, and nothing is granted meanwhile.
    """

    async def reserve(self, band: str, slots: int) -> Grant:
        """Reserve up to so many *slots* of a kind of endpoint, such as `POST messages`."""
        ...  # pragma: no cover

    async def penalise(self, band: str, seconds: float) -> None:
        """Close the kind of endpoint for all, for *seconds*, and lower its rate: one was refused with a 429."""
        ...  # pragma: no cover

    async def tell(self, band: str, per_second: float) -> None:
        """Take down the limit that an answer told, in requests a second."""
        ...  # pragma: no cover

    async def pause(self, why: bytes) -> None:
        """Let nobody send for now: the balance is used up. *why* is the error as JSON."""
        ...  # pragma: no cover

    async def paused(self) -> bytes | None:
        """Tell why nobody sends; None if they may."""
        ...  # pragma: no cover

    async def resume(self) -> None:
        """Let them send again."""
        ...  # pragma: no cover
