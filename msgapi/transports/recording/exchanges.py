"""The file of a recording: one line of JSON for its format, then one line for each exchange.

Rules:
- A request is looked up as the file holds it: a masked request matches all requests that are masked to the same text.
- Reading a line and writing it again gives the same line.
"""

import json
import os
import re
from base64 import b64decode
from collections import deque
from collections.abc import Iterable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any, Final, TypeAlias, assert_never, final

from ...http import Request, Response
from ...results import Meta, NotSent, Unanswered
from ..protocol import Answer
from .masking import Json, KeyMask, Mask, dump_compact, parse_json

_RequestKey: TypeAlias = tuple[str, str, str]  # method, path with query, and body, as they are written in the file

_VERSION: Final = 1
_NOT_SENT: Final = NotSent("").code
_URL: Final = re.compile(r"[^/?#]*://[^/?#]*([^#]*)")


@final
class NotRecorded(LookupError):
    """A request that cannot be replayed: it is not in the recording, or not any more. Nothing was sent."""


@final
class Exchanges:
    """The exchanges of the recording at *path* that have not been replayed yet; none if *path* is None."""

    def __init__(self, path: Path | None, *, masked: bool = True) -> None:
        self._path, self._masked = path, masked
        exchanges: Iterable[tuple[_RequestKey, Answer]] = ()
        if path is not None:
            self._masked, exchanges = read_recording(path)
        self._outcomes: dict[_RequestKey, deque[Answer]] = {}
        for key, outcome in exchanges:
            self._outcomes.setdefault(key, deque()).append(outcome)

    @property
    def left(self) -> int:
        """The number of exchanges that have not been replayed."""
        return sum(map(len, self._outcomes.values()))

    def take(self, request: Request) -> Answer | None:
        """Return the next outcome for *request*, and forget it; None if there is none."""
        outcomes = self._outcomes.get(self._key(request))
        return outcomes.popleft() if outcomes else None

    def missing(self, request: Request) -> NotRecorded:
        """Return the error for a *request* without an outcome."""
        key = self._key(request)
        if key in self._outcomes:
            why = "no more often in"
        elif any(key[:2] == other[:2] for other in self._outcomes):
            why = "with another body in"
        else:
            why = "not in"
        return NotRecorded(
            f"{key[0]} {Mask().target(key[1])} is {why} the recording {self._path}, and nothing was sent: correct the "
            "test, or record it again by Cassette(record='new') or 'all'"
        )

    def _key(self, request: Request) -> _RequestKey:
        return _request_key(request, make_mask(request, masked=self._masked))


def make_mask(request: Request, *, masked: bool) -> Mask | KeyMask:
    """Return the mask for one exchange: if *masked*, a `Mask`; otherwise one that hides only the API key."""
    if masked:
        return Mask()
    authorization = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
    return KeyMask(authorization.rpartition(" ")[2])


def _request_key(request: Request, mask: Mask | KeyMask) -> _RequestKey:
    """Return the key by which *request* is found."""
    return request.method, mask.target(_target(request)), _sorted(mask.body(request.body or b""))


def encode_exchange(request: Request, outcome: Answer, mask: Mask | KeyMask) -> bytes:
    """Return the line of one exchange."""
    masked_request: Json = {
        "method": request.method,
        "target": mask.target(_target(request)),
        "headers": dict(mask.headers({name.lower(): value for name, value in request.headers.items()})),
        "body": mask.body(request.body or b""),
    }
    return _encode({"request": masked_request, "answer": _outcome(outcome, mask.for_response())})


def open_recording(path: Path, *, masked: bool, append: bool) -> FileIO:
    """Open the file for appending; create it, with its first line, if it does not exist."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot record to {path}: there is no such folder")
    start = _encode({"recording": "msgapi", "version": _VERSION, "masked": masked})
    if path.exists() and (content := path.read_bytes()):
        was_masked, exchanges = read_recording(path)
        if was_masked is not masked:
            raise ValueError(f"{path}: this recording is {'not ' if masked else ''}masked; take another file")
        if exchanges and not append:
            raise ValueError(
                f"{path} has {len(exchanges)} exchanges already, which would be replayed first: delete it, or add to "
                "it by append=True"
            )
        start = b"" if content.endswith(b"\n") else b"\n"
    file = FileIO(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600))
    _ = file.write(start)
    return file


def read_recording(path: Path) -> tuple[bool, list[tuple[_RequestKey, Answer]]]:
    """Return whether the file is masked, and its exchanges; raise ValueError, with the line, if it is not valid."""
    content = path.read_bytes()
    first, *rest = content.removesuffix(b"\n").split(b"\n")
    try:
        masked = _read_first(parse_json(first.decode()))
    except (ValueError, RecursionError):
        raise ValueError(f"{path}, line 1: this is not a recording of msgapi") from None
    exchanges: list[tuple[_RequestKey, Answer]] = []
    for number, text in enumerate(rest, 2):
        try:
            exchanges.append(_read_exchange(parse_json(text.decode())))
        except (ValueError, RecursionError):
            is_cut = number == len(rest) + 1 and not content.endswith(b"\n")
            problem = "it was cut short; delete the line to use the rest" if is_cut else "this is not an exchange"
            raise ValueError(f"{path}, line {number}: {problem}") from None
    return masked, exchanges


def _target(request: Request) -> str:
    match = _URL.match(request.url)
    return (match and match[1]) or "/"


def _outcome(outcome: Answer, mask: Mask | KeyMask) -> Json:
    more: dict[str, Json] = {}
    match outcome:
        case Response(status, headers, body):
            if outcome.attempts != 1:
                more["attempts"] = outcome.attempts
            return {"status": status, "headers": dict(mask.headers(headers)), "body": mask.body(body), **more}
        case NotSent(reason):
            if outcome.code != _NOT_SENT:
                more["code"] = mask.reason(outcome.code)
            return {"not_sent": mask.reason(reason), **more}
        case Unanswered(reason):
            if outcome.meta.attempts:
                more["attempts"] = outcome.meta.attempts
            return {"unanswered": mask.reason(reason), **more}
        case _:
            assert_never(outcome)


def _encode(value: Json) -> bytes:
    try:
        return f"{dump_compact(value)}\n".encode()
    except UnicodeEncodeError:  # a lone surrogate, which a header may contain
        return f"{json.dumps(value)}\n".encode()


def _sorted(body: Json) -> str:
    return json.dumps(body, sort_keys=True)


def _read_first(value: Json) -> bool:
    match value:
        case {"recording": "msgapi", "version": 1, "masked": bool(masked)}:
            return masked
        case _:
            raise ValueError("no first line")


def _read_exchange(value: Json) -> tuple[_RequestKey, Answer]:
    match value:
        case {"request": {"method": str(method), "target": str(target), "body": body}, "answer": outcome}:
            return (method, target, _sorted(body)), _read_outcome(outcome)
        case _:
            raise ValueError("no exchange")


def _read_outcome(value: Json) -> Answer:
    match value:
        case {"status": int(status), "headers": dict(headers), "body": body, **more}:
            texts = {name: str(text) for name, text in headers.items()}
            return Response(status, texts, _read_body(body), attempts=_read_attempts(more, 1))
        case {"not_sent": str(reason), **more}:
            return NotSent(reason, code=str(more.get("code", _NOT_SENT)))
        case {"unanswered": str(reason), **more}:
            return Unanswered(reason, meta=Meta(attempts=_read_attempts(more, 0)))
        case _:
            raise ValueError("no outcome")


def _read_attempts(value: Mapping[Any, object], default: int) -> int:
    match value.get("attempts", default):
        case int(attempts):
            return attempts
        case _:
            raise ValueError("no number of attempts")


def _read_body(value: Json) -> bytes:
    match value:
        case None:
            return b""
        case {"json": body}:
            return dump_compact(body).encode()
        case {"text": str(text)}:
            return text.encode()
        case {"base64": str(text)}:
            return b64decode(text, validate=True)
        case {"bytes": int(size)}:
            return b"*" * size
        case _:
            raise ValueError("no body")
