"""JSON: models and results are written and read by one converter, which reports every problem with its path."""

from .converter import Mismatch, format_time, kind_of
from .json import Problems, dump, explaining, fast, is_deeper, load, load_error, parse, plain, read

__all__ = [
    "Mismatch",
    "Problems",
    "dump",
    "explaining",
    "fast",
    "format_time",
    "is_deeper",
    "kind_of",
    "load",
    "load_error",
    "parse",
    "plain",
    "read",
]
