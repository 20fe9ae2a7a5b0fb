"""Cursor pages: lists that are read page by page, each page with the cursor of the next one."""

from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol, TypeVar

from ..calls import Call, Caller
from ..results import Ok, Result
from .validators import Validator, integer

PAGE_SIZE: Final[Validator] = integer(1, 2**63 - 1)
"""Validates the size of a page where the docs state no bounds."""


class CursorPage(Protocol):
    """One page of a list."""

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the next page; None if this is the last one."""
        ...  # pragma: no cover


P = TypeVar("P", bound=CursorPage)


async def follow_pages(api: Caller, page: Callable[[str | None], Call[P]]) -> AsyncIterator[Result[P]]:
    """Yield one page after another, up to the last. An error is yielded once and ends the iteration.

    A cursor that was followed before ends the iteration too.
    """
    cursor, followed = None, set[str]()
    while True:
        result = await api(page(cursor))
        yield result
        cursor = result.value.next_cursor if isinstance(result, Ok) else None
        if not cursor or cursor in followed:
            return
        followed.add(cursor)
