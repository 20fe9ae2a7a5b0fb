"""Observing: hooks that are called while calls and batches run, for logs, traces and metrics."""

from .differences import Drift, FieldDifference, drift
from .hooks import BatchWatch, Observer, Watch, combine, log, route_of

__all__ = ["BatchWatch", "Drift", "FieldDifference", "Observer", "Watch", "combine", "drift", "log", "route_of"]
