"""Observing: what calls and batches do, told to whoever wants to know, while they do it."""

from .log import log
from .several import both
from .watching import BatchWatch, Observer, Watch

__all__ = ["BatchWatch", "Observer", "Watch", "both", "log"]
