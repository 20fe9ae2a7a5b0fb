"""Book: what keeps the rows of a batch, so that it can be sent again after any end."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from ..calls import Call
from ..journal import Verdict
from ..results import Result

T = TypeVar("T")


class Book(Protocol):
    """A `journal.Journal`, or what stands in its place: it says what becomes of each row, and is told how it ended."""

    async def begin(self, rows: Sequence[tuple[str, Call[T]]]) -> list[Verdict]:
        """Write down that *rows* are about to be sent, and tell for each what becomes of it."""
        ...  # pragma: no cover

    def settle(self, row: str, result: Result[object]) -> None:
        """Take down how a row that was begun has ended."""
        ...  # pragma: no cover

    def note(self, row: str, call: Call[object], result: Result[object]) -> None:
        """Take down that a row is not fit to be sent."""
        ...  # pragma: no cover

    def release(self, row: str) -> None:
        """Take back that a row was begun: it was not sent."""
        ...  # pragma: no cover

    async def keep(self) -> None:
        """Write what is taken down, soon after it was; runs until it is cancelled."""
        ...  # pragma: no cover
