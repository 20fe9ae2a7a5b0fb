"""Bodies: what comes with a request that writes, read up to the point where its route takes over."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from ..codec import Problems, parse
from ..results import Detail
from .answers import Reply, invalid
from .keys import FIELD, key_of

LARGEST: Final = 1_048_576  # bytes of a request's body
Written: TypeAlias = tuple[dict[str, object], str | None]


def read(headers: Mapping[str, str], body: bytes) -> Written | Reply:
    """Read the JSON object and the idempotency key of a request, or refuse it."""
    if len(body) > LARGEST:
        return invalid([Detail("", f"is larger than {LARGEST} bytes")], "The body is too large.")
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return invalid([Detail("content-type", "must be application/json")])
    value = parse(body)
    if isinstance(value, Problems):
        return invalid(value.details, "The body is not JSON.")
    if not isinstance(value, dict):
        return invalid([Detail("", "must be an object")])
    key = key_of(headers, value)
    if isinstance(key, Detail):
        return invalid([key])
    return {name: part for name, part in value.items() if name != FIELD}, key
