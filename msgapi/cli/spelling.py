"""Suggestions for a mistyped name: of an option, a command, an event or a setting.

Rules:
- A name is suggested only if it is near by itself: the hyphens before an option, which all options share, do not count.
- The nearest kind of similarity decides, and names of a weaker kind are left out. Without a near name there is no
  suggestion, and none if there would be too many.
"""

import re
from collections.abc import Iterable
from typing import Final

_MOST: Final = 3
_SEPARATORS: Final = re.compile(r"[-_.\s]+")
_ONE_EDIT: Final = 3  # letters of a word for which one edit is near
_TWO_EDITS: Final = 6


def suggest(word: str, names: Iterable[str]) -> str:
    """Return a question with the names that are near *word*, such as ` Did you mean '--text'?`; empty if none is."""
    near = [repr(name) for name in near_names(word, names)]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def near_names(word: str, names: Iterable[str]) -> list[str]:
    """Return those of *names* that are near *word*, at most three.

    In this order: equal but for case and separators; one or two edits apart, as far as the length of *word* allows;
    begun with *word*; made of words of which the one has all and the other has more, such as `agent` and `agent-id`.
    """
    known = sorted(set(names))
    for similar in (_is_same, _is_an_edit_away, _is_two_edits_away, _is_beginning, _has_same_words):
        if found := [name for name in known if similar(_words(word), _words(name))]:
            return found if len(found) <= _MOST else []
    return []


def _words(name: str) -> list[str]:
    return [word for word in _SEPARATORS.split(name.lower()) if word]


def _is_same(typed: list[str], name: list[str]) -> bool:
    return "".join(typed) == "".join(name)


def _is_an_edit_away(typed: list[str], name: list[str]) -> bool:
    return len("".join(typed)) >= _ONE_EDIT and _edits("".join(typed), "".join(name)) == 1


def _is_two_edits_away(typed: list[str], name: list[str]) -> bool:
    return len("".join(typed)) >= _TWO_EDITS and _edits("".join(typed), "".join(name)) == 2  # noqa: PLR2004 - as named


def _is_beginning(typed: list[str], name: list[str]) -> bool:
    beginning = "".join(typed)
    return len(beginning) > 1 and "".join(name).startswith(beginning)


def _has_same_words(typed: list[str], name: list[str]) -> bool:
    return bool(typed) and (set(typed) <= set(name) or set(name) <= set(typed))


def _edits(first: str, second: str) -> int:
    # Returns how many letters have to be inserted, removed, replaced or swapped with the next one.
    before, last = list[int](), list(range(len(second) + 1))
    for row, letter in enumerate(first, 1):
        line = [row]
        for column, other in enumerate(second, 1):
            least = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == second[column - 2] and first[row - 2] == other:
                least = min(least, before[column - 2] + 1)
            line.append(least)
        before, last = last, line
    return last[-1]
