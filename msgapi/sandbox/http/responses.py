"""Answers: success bodies, error envelopes, and what the world does to them on the way back."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, final

import orjson
from attrs import frozen

from ...http import Response
from ...results import Detail

JSON: Final = {"content-type": "application/json"}


@final
@frozen
class Reply:
    """An answer, and what the shell is to do about it: hold it back for *delay* seconds, or lose it.

    A *lost* answer was given, and what it says has happened; only nobody gets to read it.
    """

    response: Response
    delay: float = 0.0
    lost: bool = False


def say(body: object, status: int = 200) -> Reply:
    """Answer with a JSON *body*."""
    return Reply(Response(status, JSON, fit(orjson.dumps(body))))


def made(body: object, location: str) -> Reply:
    """Answer 201 with a JSON *body*, which is found at *location* from now on."""
    return Reply(Response(201, {**JSON, "location": location}, fit(orjson.dumps(body))))


def fit(body: bytes) -> bytes:
    """Copy *body* into as much memory as it needs: what orjson writes keeps some 4 kB, however short."""
    return memoryview(body).tobytes()


def refuse(status: int, code: str, message: str, **more: object) -> Reply:
    """Answer with an error envelope (docs: /api/errors); *more* are the fields of this code."""
    return say({"error": code, "message": message, **more}, status)


def invalid(details: Iterable[Detail], message: str = "The request is not valid.") -> Reply:
    """Answer 400, with what is wrong where."""
    return refuse(400, "validation_error", message, details=written(details))


def written(details: Iterable[Detail]) -> list[Mapping[str, str]]:
    """Write *details* as the envelope has them."""
    return [{"field": one.field, "message": one.message} for one in details]


def shown(moment: float) -> datetime:
    """Tell the time in UTC as which a *moment* in Unix seconds is shown: to the millisecond."""
    found = datetime.fromtimestamp(moment, UTC)
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


def iso(moment: float) -> str:
    """Write a *moment* in Unix seconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
