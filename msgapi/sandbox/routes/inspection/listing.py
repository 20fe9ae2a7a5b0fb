"""Lists: their pages, the cursors between them, and what a route that reads has in common with the others.

Rules:
- A cursor is the place of the last item of a page: the number of the item, or how many items came before.
- With numbers, what is added or removed meanwhile shifts no page. The few lists whose items have no number, such as
  that of the agents, count.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar, final

from attrs import frozen

from ...http.requests import (
    MAX_PAGE_SIZE,
    PAGE_SIZE,
    Parser,
    RouteRequest,
    format_cursor,
    parse_cursor,
    parse_integer,
    parse_query,
)
from ...http.responses import SimulatedResponse, json_response, not_found
from ...model.state import AccountState

T = TypeVar("T")
V = TypeVar("V")
Query: TypeAlias = Mapping[str, Any]
Reader: TypeAlias = Callable[[AccountState, RouteRequest, Query], object]
"""Returns the body of the response, or a whole response."""


@final
@frozen
class Missing:
    """There is nothing with the id of the request; *what* names its kind."""

    what: str


@final
@frozen
class Inspection:
    """One route that reads: its *path*, what it *returns*, and the parsers of its query.

    *codes* are its error codes, and *media* is the media type of its response.
    """

    path: str
    reader: Reader
    returns: Any
    parsers: Mapping[str, Parser] = {}
    codes: tuple[str, ...] = ()
    media: str = "application/json"
    is_public: bool = False

    def respond(self, state: AccountState, request: RouteRequest) -> SimulatedResponse:
        """Parse the query, and return what is read as a response."""
        query = parse_query(request.query, self.parsers)
        if isinstance(query, SimulatedResponse):
            return query
        found = self.reader(state, request, query)
        if isinstance(found, Missing):
            return not_found(found.what)
        return found if isinstance(found, SimulatedResponse) else json_response(found)


def parse_text(text: str) -> str:
    """Accept any text."""
    return text


def parse_recipient(text: str) -> str:
    """Accept a recipient; a `+` that was not encoded has become a blank."""
    return f"+{text[1:]}" if text[:1] == " " else text


PAGED: Final[Mapping[str, Parser]] = {"limit": parse_integer(1, MAX_PAGE_SIZE, digits=3), "cursor": parse_cursor}
"""The parameters of every list."""


def page(
    items: Iterable[T], query: Query, place: Callable[[T], int], view: Callable[[T], V]
) -> tuple[tuple[V, ...], str | None]:
    """Return the views of the next page of *items*, and the cursor of the page after it.

    The items are those after the cursor; *place* returns the number of one.
    """
    limit = query.get("limit", PAGE_SIZE)
    found = [*islice(items, limit + 1)]
    shown = found[:limit]
    return tuple(view(one) for one in shown), format_cursor(place(shown[-1])) if len(found) > limit else None


def counted_page(items: Iterable[T], query: Query, view: Callable[[T], V]) -> tuple[tuple[V, ...], str | None]:
    """Return the views of the next page of items that have no number, and the cursor of the page after it."""
    start = min(query.get("cursor", 0), 2**62)
    numbered = islice(enumerate(items, 1), start, None)
    return page(numbered, query, lambda one: one[0], lambda one: view(one[1]))
