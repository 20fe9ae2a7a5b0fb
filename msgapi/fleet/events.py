"""Events: what a worker tells of its chunks and rows, while it works."""

from typing import Literal, TypeAlias, final

from attrs import frozen

from ..batch import Outcome, Stopped
from ..messages import Accepted
from .sending import Sent

Fate: TypeAlias = Literal["done", "released", "buried", "lost"]


@final
@frozen
class Leased:
    """The worker has taken a *chunk*, the how many-eth that did."""

    chunk: str
    delivery: int


@final
@frozen
class Told:
    """A row of a *chunk* has ended."""

    chunk: str
    outcome: Outcome[Accepted]


@final
@frozen
class Given:
    """The worker has given a *chunk* out of its hands; *lost* is one that another has taken over meanwhile."""

    chunk: str
    fate: Fate
    sent: Sent


@final
@frozen
class Away:
    """The engine or the store does not answer, and the worker waits: *why* is one line."""

    why: str


@final
@frozen
class Paused:
    """Nobody sends, for want of money, and the worker waits for it."""

    stopped: Stopped


@final
@frozen
class Resumed:
    """There is money again."""


Event: TypeAlias = Leased | Told | Given | Away | Paused | Resumed
"""What `work` tells its *on_event*."""
