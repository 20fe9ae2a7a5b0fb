"""Journals: a batch that is stopped in any way, `kill -9` included, continues where it was."""

from .journal import (
    REMEMBERED,
    Journal,
    JournalReader,
    open,  # noqa: A004 - read as `journal.open`
    open_readonly,
)
from .mainfile import Unusable
from .opening import Merge, merge
from .report import Count, JournalRow, Summary
from .resumption import CHANGED, KEY_USED, OUTDATED, REPEATED, SETTLED, UNKNOWN, Send, State, Verdict, key_of

__all__ = [
    "CHANGED",
    "KEY_USED",
    "OUTDATED",
    "REMEMBERED",
    "REPEATED",
    "SETTLED",
    "UNKNOWN",
    "Count",
    "Journal",
    "JournalReader",
    "JournalRow",
    "Merge",
    "Send",
    "State",
    "Summary",
    "Unusable",
    "Verdict",
    "key_of",
    "merge",
    "open",
    "open_readonly",
]
