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
_LEAST_RATIO: Final = 0.75  # of `difflib`; at it, names of four letters that differ in one are near


def suggest(word: str, names: Iterable[str]) -> str:
    """Return a question with the names that are near *word*, such as ` Did you mean '--text'?`; empty if none is."""
    near = [repr(name) for name in near_names(word, names)]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def near_names(word: str, names: Iterable[str]) -> list[str]:
    """Return those of *names* that are near *word*, at most three.

    In this order: the one that is most similar, without regard to case and separators; those that begin with *word*;
    those made of words of which the one has all and the other has more, such as `agent` and `agent-id`.
    """
    from difflib import get_close_matches  # here, because --help does not need it

    typed = _words(word)
    known = {"".join(_words(name)): name for name in sorted(set(names))}
    letters = "".join(typed)
    if nearest := get_close_matches(letters, known, 1, _LEAST_RATIO):
        return [known[nearest[0]]]
    begun = [name for joined, name in known.items() if len(letters) > 1 and joined.startswith(letters)]
    found = begun or [name for name in known.values() if _have_same_words(set(typed), set(_words(name)))]
    return found if len(found) <= _MOST else []


def _words(name: str) -> list[str]:
    return [word for word in _SEPARATORS.split(name.lower()) if word]


def _have_same_words(typed: set[str], name: set[str]) -> bool:
    return bool(typed) and (typed <= name or name <= typed)
