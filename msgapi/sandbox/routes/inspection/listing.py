"""Lists: their pages, the cursors between them, and what a route that reads has in common with the others.

Rules:
- A cursor is the place of the last item of a page: the number of the item, or its position in the list.
- With numbers, what is added or removed meanwhile shifts no page. The few lists whose items have no number, such as
  that of the agents, count.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias, TypeVar, final

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


class Numbered(Protocol):
    """An item of a list, with a number that no other item has."""

    @property
    def number(self) -> int:
        """The number."""
        ...  # pragma: no cover


T = TypeVar("T")
V = TypeVar("V")
N = TypeVar("N", bound=Numbered)
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


def after_cursor(items: Iterable[N], query: Query, *, newest_first: bool = True) -> Iterator[N]:
    """Yield those of *items* that are after the cursor of *query*; all if it has none."""
    place = query.get("cursor")
    return (one for one in items if place is None or (one.number < place if newest_first else one.number > place))


def page(items: Iterable[N], query: Query, view: Callable[[N], V]) -> tuple[tuple[V, ...], str | None]:
    """Return the views of the first *items*, which are after the cursor, and the cursor of the page after them."""
    return _page(((one.number, one) for one in items), query, view)


def counted_page(items: Iterable[T], query: Query, view: Callable[[T], V]) -> tuple[tuple[V, ...], str | None]:
    """Return the views of the next page of items that have no number, and the cursor of the page after it."""
    start = min(query.get("cursor", 0), 2**62)
    return _page(islice(enumerate(items, 1), start, None), query, view)


def _page(placed: Iterable[tuple[int, T]], query: Query, view: Callable[[T], V]) -> tuple[tuple[V, ...], str | None]:
    limit = query.get("limit", PAGE_SIZE)
    found = [*islice(placed, limit + 1)]
    shown = found[:limit]
    return tuple(view(one) for _, one in shown), format_cursor(shown[-1][0]) if len(found) > limit else None
