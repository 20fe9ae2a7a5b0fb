"""The cassette, the file of a recording: one line of JSON for its format, then one line for each exchange.

Rules:
- A line is written with one write, when its exchange has ended.
- Reading a line and writing it again gives the same line.
"""

import json
import os
import re
from base64 import b64decode
from io import FileIO
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from ...http import Request, Response
from ...results import NotSent, Unanswered
from ..protocol import Answer
from .masking import Json, KeyMask, Mask, dump_compact, parse_json

RequestKey: TypeAlias = tuple[str, str, str]
"""By which a recorded request is found: method, path with query, and body, as they are written in the file."""

_VERSION: Final = 1
_URL: Final = re.compile(r"[^/?#]*://[^/?#]*([^#]*)")


def make_mask(request: Request, *, masked: bool) -> Mask | KeyMask:
    """Return the mask for one exchange: if *masked*, a `Mask`; otherwise one that hides only the API key."""
    if masked:
        return Mask()
    authorization = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
    return KeyMask(authorization.rpartition(" ")[2])


def request_key(request: Request, mask: Mask | KeyMask) -> RequestKey:
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


def open_cassette(path: Path, *, masked: bool) -> FileIO:
    """Open the file for appending; create it, with its first line, if it does not exist."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot record to {path}: there is no such folder")
    start = _encode({"recording": "msgapi", "version": _VERSION, "masked": masked})
    if path.exists() and (content := path.read_bytes()):
        if read_cassette(path)[0] is not masked:
            raise ValueError(f"{path}: this recording is {'not ' if masked else ''}masked; take another file")
        start = b"" if content.endswith(b"\n") else b"\n"
    file = FileIO(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600))
    _ = file.write(start)
    return file


def read_cassette(path: Path) -> tuple[bool, list[tuple[RequestKey, Answer]]]:
    """Return whether the file is masked, and its exchanges; raise ValueError, with the line, if it is not valid."""
    content = path.read_bytes()
    first, *rest = content.removesuffix(b"\n").split(b"\n")
    try:
        masked = _read_first(parse_json(first.decode()))
    except (ValueError, RecursionError):
        raise ValueError(f"{path}, line 1: this is not a recording of msgapi") from None
    exchanges: list[tuple[RequestKey, Answer]] = []
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
    match outcome:
        case Response(status, headers, body):
            return {"status": status, "headers": dict(mask.headers(headers)), "body": mask.body(body)}
        case NotSent(reason):
            return {"not_sent": mask.reason(reason)}
        case Unanswered(reason):
            return {"unanswered": mask.reason(reason)}
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


def _read_exchange(value: Json) -> tuple[RequestKey, Answer]:
    match value:
        case {"request": {"method": str(method), "target": str(target), "body": body}, "answer": outcome}:
            return (method, target, _sorted(body)), _read_outcome(outcome)
        case _:
            raise ValueError("no exchange")


def _read_outcome(value: Json) -> Answer:
    match value:
        case {"status": int(status), "headers": dict(headers), "body": body}:
            return Response(status, {name: str(text) for name, text in headers.items()}, _read_body(body))
        case {"not_sent": str(reason)}:
            return NotSent(reason)
        case {"unanswered": str(reason)}:
            return Unanswered(reason)
        case _:
            raise ValueError("no outcome")


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
