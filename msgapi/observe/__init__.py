"""Observing: hooks that are called while calls and batches run, for logs, traces and metrics."""

from .hooks import BatchWatch, Observer, Watch, combine
from .records import log

__all__ = ["BatchWatch", "Observer", "Watch", "combine", "log"]
