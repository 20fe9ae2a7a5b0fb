"""Convert models and outcomes to JSON and back.

Reading never raises: it returns the model, or `Problems` that name a path and quote no value.
"""

from .converter import Mismatch, format_time, json_type_name
from .json import Problems, dump, from_plain, is_nested_deeper, load, load_error, parse, to_plain

__all__ = [
    "Mismatch",
    "Problems",
    "dump",
    "format_time",
    "from_plain",
    "is_nested_deeper",
    "json_type_name",
    "load",
    "load_error",
    "parse",
    "to_plain",
]
