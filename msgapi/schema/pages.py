"""Paging: lists that come page by page, each with the cursor of the next."""

from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol, TypeVar

from ..calls import Call, Caller
from ..results import Ok, Result
from .validators import Rule, whole

PAGE_SIZE: Final[Rule] = whole(1, 2**63 - 1)
"""Asks for how many a page may have, where the docs give no bounds."""


class Paged(Protocol):
    """One page of a list."""

    @property
    def next_cursor(self) -> str | None:
        """What leads to the next page; None if this was the last."""
        ...  # pragma: no cover


P = TypeVar("P", bound=Paged)


async def follow_pages(api: Caller, page: Callable[[str | None], Call[P]]) -> AsyncIterator[Result[P]]:
    """Read one *page* after another to the last; an error is given once, and ends it.

    So does a cursor that leads back to where it came from.
    """
    cursor, known = None, set[str]()
    while True:
        result = await api(page(cursor))
        yield result
        cursor = result.value.next_cursor if isinstance(result, Ok) else None
        if not cursor or cursor in known:
            return
        known.add(cursor)
