"""Cursor pages: lists that are read page by page, each page with the cursor of the next one.

Rules:
- A list that ends without an error is whole: if a page says that there are more, and the next page cannot be found,
  or if pages have no new rows, the last result is an `Unreadable` that says so.
- An iteration over items loses no row silently: one that cannot be read is yielded as an `Unreadable` in its place.
- A cursor may have any name; the docs do not state it. What it was taken from stays in `extra` of the page, unless it
  is the cursor itself.
"""

import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeVar, final
from urllib.parse import parse_qs, urlsplit

from attrs import define, field

from ..calls import Call, Caller
from ..codegen import Tree
from ..results import ApiError, Meta, Ok, Result, Unreadable
from .validators import Validator, integer

PAGE_SIZE: Final[Validator] = integer(1, 2**63 - 1)
"""Validates the size of a page where the docs state no bounds."""
INCOMPLETE: Final = "incomplete_list"
"""The code of the `Unreadable` that ends a list which may not be whole."""
UNREADABLE_ROW: Final = "unreadable_row"
"""The code of the `Unreadable` for one row of a list; the iteration continues after it."""
_MAX_IDLE: Final = 3  # pages in a row without a new row
_REMEMBERED: Final = 16  # pages whose rows are compared with those of the next page
_LEVELS: Final = 3  # of objects in which a cursor is looked for
_HAS_MORE: Final = frozenset({"hasmore", "hasnext", "hasnextpage", "more", "moreavailable"})
_BACKWARD: Final = ("prev", "before", "start", "first")  # parts of the name of a cursor to earlier pages
_NEXT: Final = re.compile(r"next(page)?(token|key|id|marker|link|links|url|uri|href)?|after|continuation(token)?")
_PAGING: Final = re.compile(r"cursor|pag|link|meta|next")  # in the name of an object that says what follows
_LINK: Final = re.compile(r"https?://|/v[0-9]+/|\?")
_PARAMETERS: Final = ("cursor", "next_cursor", "after", "page_token", "next_page_token", "starting_after")


def odd_rows(extra: Mapping[str, object], array: str) -> list[object]:
    """Return the rows of a page that could not be read, which are kept in its *extra* under the name of the *array*."""
    rows = extra.get(array)
    return rows if isinstance(rows, list) else []


class ListPage(Protocol):
    """One page of a list."""

    @property
    def extra(self) -> Mapping[str, object]:
        """The other fields of the page."""
        ...  # pragma: no cover


class CursorPage(ListPage, Protocol):
    """One page of a list, which has the cursor of the next one."""

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the next page; None if this is the last one."""
        ...  # pragma: no cover


P = TypeVar("P", bound=CursorPage)
Q = TypeVar("Q", bound=ListPage)
T = TypeVar("T")


async def follow_pages(
    api: Caller, page: Callable[[str | None], Call[P]], array: str
) -> AsyncGenerator[Result[P], None]:
    """Yield one page after another, up to the last. An error is yielded once and ends the iteration.

    *array* is the name of the field that has the rows of a page. The last result is an `Unreadable` with the code
    `incomplete_list` if the list may not be whole: a page says that there are more but has no cursor, or one that was
    followed before, or three pages in a row have no row that the pages before them did not have.
    """
    cursor, followed, progress = None, set[str](), Progress()
    while True:
        result = await api(page(cursor))
        yield result
        if not isinstance(result, Ok):
            return
        value = result.value
        _ = progress.add([*getattr(value, array), *map(repr, odd_rows(value.extra, array))])
        cursor = value.next_cursor
        problem = progress.problem if cursor else missing_cursor(value.extra)
        if cursor in followed:
            problem = "the cursor of the next page is that of an earlier page @ $.next_cursor"
        if problem is not None:
            yield incomplete(problem, result.meta)
            return
        if not cursor:
            return
        followed.add(cursor)


async def iterate_rows(
    pages: AsyncGenerator[Result[Q], None],
    rows: Callable[[Q], Iterable[T]],
    array: str,
    key: Callable[[T], Hashable] | None = None,
) -> AsyncGenerator[T | ApiError, None]:
    """Yield the *rows* of each of *pages*, which are in the field *array* of a page; then the error that ended them.

    A row that could not be read is yielded as an `Unreadable` with the code `unreadable_row`, after the others of its
    page. If there is a *key*, a row whose key was that of a row of the last 16 pages is skipped.
    """
    recent: deque[frozenset[Hashable]] = deque(maxlen=_REMEMBERED)
    async with aclosing(pages):
        async for result in pages:
            if not isinstance(result, Ok):
                yield result
                continue  # it is the last
            page = result.value
            found = [*rows(page)]
            for row in found:
                if key is None or all(key(row) not in keys for keys in recent):
                    yield row
            if key is not None:
                recent.append(frozenset(map(key, found)))
            for odd in odd_rows(page.extra, array):
                yield _unreadable_row(odd, array, result.meta)


def _unreadable_row(row: object, array: str, meta: Meta) -> Unreadable:
    extra = row if isinstance(row, dict) else {"row": row}
    problem = f"one row is not of the expected form @ $.{array}"
    return Unreadable(
        code=UNREADABLE_ROW, message="one row could not be read", problems=(problem,), meta=meta, extra=extra
    )


def incomplete(problem: str, meta: Meta) -> Unreadable:
    """Return the result that ends a list which may not be whole, because of *problem*."""
    message = f"the list may not be whole: {problem.partition(' @ ')[0]}"
    return Unreadable(code=INCOMPLETE, message=message, problems=(problem,), meta=meta)


@final
@define(eq=False)
class Progress:
    """Whether the last pages of a list had rows that earlier pages did not have."""

    _recent: deque[frozenset[Hashable]] = field(factory=lambda: deque(maxlen=_REMEMBERED), init=False)
    _idle: int = field(default=0, init=False)

    def add(self, rows: Iterable[Hashable]) -> bool:
        """Record the *rows* of a page; return whether one of them is new."""
        found = frozenset(rows)
        is_new = any(all(row not in page for page in self._recent) for row in found)
        self._idle = 0 if is_new else self._idle + 1
        self._recent.append(found)
        return is_new

    @property
    def problem(self) -> str | None:
        """What is wrong if too many pages in a row had no new row; None otherwise."""
        return f"{_MAX_IDLE} pages in a row have no new row @ $" if self._idle >= _MAX_IDLE else None


# Cursors.


def find_cursor(page: Tree) -> str | None:
    """Return the cursor of the next page from the fields of *page*, and remove it if it is a field itself.

    It is a string whose name contains `cursor` and does not lead backward, or is `next`, `after`, `next_page_token`
    or similar. Objects are searched too. If it is a URL, the cursor is taken from its query.
    """
    found = [
        (tree, name, cursor)
        for parent, tree in _trees(page)
        for name, part in tree.items()
        if type(part) is str and _leads_forward(name, parent) and (cursor := _cursor_in(part))
    ]
    if not found:
        return None
    tree, name, cursor = next((one for one in found if "next" in one[1].lower()), found[0])
    if tree is page and page[name] == cursor:
        del page[name]
    return cursor


def is_last_page(page: Tree) -> bool:
    """Return whether *page* says that no page follows."""
    return any(part is False and _plain(name) in _HAS_MORE for _, tree in _trees(page) for name, part in tree.items())


def missing_cursor(extra: Mapping[str, object]) -> str | None:
    """Return what is wrong with a page without a cursor if its other fields say that there are more; None otherwise."""
    if is_last_page(dict(extra)):
        return None
    for parent, tree in _trees(dict(extra)):
        for name, part in tree.items():
            if part is True and _plain(name) in _HAS_MORE:
                return "there are more, and the cursor of the next page was not found @ $"
            if part and type(part) in {str, int} and _is_next(name, parent):
                return "there is a next page, and its cursor was not found @ $"
    return None


def _trees(page: Tree, parent: str = "", levels: int = _LEVELS) -> Iterator[tuple[str, Tree]]:
    yield parent, page
    for name, part in page.items():
        if type(part) is dict and levels:
            yield from _trees(part, name, levels - 1)


def _leads_forward(name: str, parent: str) -> bool:
    plain = _plain(name)
    return not any(word in plain for word in _BACKWARD) and ("cursor" in plain or _is_next(name, parent))


def _is_next(name: str, parent: str) -> bool:
    # In an object of another kind, `after` may be a filter that the page repeats.
    plain, where = _plain(name), _plain(parent)
    if plain == "href":
        return where == "next"
    return _NEXT.fullmatch(plain) is not None and (not parent or _PAGING.search(where) is not None)


def _plain(name: str) -> str:
    return re.sub("[^a-z]", "", name.lower())


def _cursor_in(text: str) -> str | None:
    # A link to the next page has the cursor in its query.
    if not _LINK.match(text):
        return text
    try:
        query: dict[str, list[Any]] = parse_qs(urlsplit(text).query)
    except ValueError:
        return None
    return next((query[name][0] for name in _PARAMETERS if name in query), None)
