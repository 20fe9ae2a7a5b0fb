"""Bodies: what comes with a request that writes, read up to the point where its route takes over."""

from collections.abc import Mapping
from typing import Final, TypeAlias

import orjson

from ...codec import Problems, parse
from ...results import Detail
from .idempotency import FIELD, key_of
from .responses import Reply, invalid

LARGEST: Final = 1_048_576  # bytes of a request's body
Written: TypeAlias = tuple[dict[str, object], str | None]


def read(headers: Mapping[str, str], body: bytes, *, most: int = LARGEST, bare: bool = False) -> Written | Reply:
    """Read the JSON object and the idempotency key of a request, or refuse it.

    *most* is how many bytes the body may have. One that is *bare* may be left out, and has no fields.
    """
    if len(body) > most:
        return invalid([Detail("", f"is larger than {most} bytes")], "The body is too large.")
    value = {} if bare and not body else _object(headers, body)
    if isinstance(value, Reply):
        return value
    key = key_of(headers, value)
    if isinstance(key, Detail):
        return invalid([key])
    fields = {name: part for name, part in value.items() if name != FIELD}
    if bare and fields:
        return invalid([Detail(name, "is not a known field") for name in fields])
    return fields, key


def content(value: Mapping[str, object], body: bytes) -> bytes:
    """Tell what a *body* says apart from its key, which is in *value*: how it is written does not matter."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return body  # deeper than can be written; no route takes that


def _object(headers: Mapping[str, str], body: bytes) -> dict[str, object] | Reply:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return invalid([Detail("content-type", "must be application/json")])
    value = parse(body)
    if isinstance(value, Problems):
        return invalid(value.details, "The body is not JSON.")
    return value if isinstance(value, dict) else invalid([Detail("", "must be an object")])
