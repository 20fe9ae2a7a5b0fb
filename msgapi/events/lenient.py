"""Reading JSON that strict readers refuse, since what was signed is real: refused, it would come again and be lost.

A user's client may cut an emoji in half, and a number may have more digits than any computer's.
"""

import json
from typing import cast


def leniently(body: bytes) -> object:
    """Read *body* as JSON; None for what is none. What is no Unicode becomes U+FFFD, and NaN null."""
    try:
        return _whole(json.loads(body.decode(), parse_constant=_none, parse_int=_number))
    except (ValueError, RecursionError):
        return None


def _none(_: str) -> None:
    return None


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) < 300 else float(digits)  # noqa: PLR2004 - what a float can hold


def _whole(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole(name): _whole(part) for name, part in cast("dict[str, object]", value).items()}
    return [_whole(part) for part in cast("list[object]", value)] if isinstance(value, list) else value
