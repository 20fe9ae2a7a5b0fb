"""The file of a recording: one line of JSON for what it is, then one for each exchange.

Rules:
- A line is written whole, in one go, when its exchange has ended.
- What was read can be written again, and gives the same line.
"""

import json
import os
import re
from base64 import b64decode
from io import FileIO
from pathlib import Path
from typing import Final, TypeAlias, assert_never

from ..http import Request, Response
from ..results import NotSent, Unanswered
from .masking import Json, KeyMask, Mask, compact, parse
from .protocol import Answer

Asked: TypeAlias = tuple[str, str, str]
"""What a request is found by: method, path with query, body, each as it stands in the file."""

_VERSION: Final = 1
_URL: Final = re.compile(r"[^/?#]*://[^/?#]*([^#]*)")


def mask_for(request: Request, *, masked: bool) -> Mask | KeyMask:
    """Make what hides of an exchange what is not to be written: all but the facts, or only the key."""
    if masked:
        return Mask()
    given = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
    return KeyMask(given.rpartition(" ")[2])


def asked(request: Request, mask: Mask | KeyMask) -> Asked:
    """Tell what *request* is found by."""
    return request.method, mask.target(_target(request)), _sorted(mask.body(request.body or b""))


def line(request: Request, answer: Answer, mask: Mask | KeyMask) -> bytes:
    """Write one exchange."""
    question: Json = {
        "method": request.method,
        "target": mask.target(_target(request)),
        "headers": dict(mask.headers({name.lower(): value for name, value in request.headers.items()})),
        "body": mask.body(request.body or b""),
    }
    return _encode({"request": question, "answer": _outcome(answer, mask.answering())})


def open_tape(path: Path, *, masked: bool) -> FileIO:
    """Open the file to write at its end; make it, with its first line, if it is not there."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot record to {path}: there is no such folder")
    start = _encode({"recording": "msgapi", "version": _VERSION, "masked": masked})
    if path.exists() and (before := path.read_bytes()):
        if read_tape(path)[0] is not masked:
            raise ValueError(f"{path}: this recording is {'not ' if masked else ''}masked; take another file")
        start = b"" if before.endswith(b"\n") else b"\n"
    tape = FileIO(path, "a", opener=lambda name, flags: os.open(name, flags, 0o600))
    _ = tape.write(start)
    return tape


def read_tape(path: Path) -> tuple[bool, list[tuple[Asked, Answer]]]:
    """Read a file: whether it is masked, and its exchanges; a ValueError names the line that is wrong."""
    whole = path.read_bytes()
    first, *rest = whole.removesuffix(b"\n").split(b"\n")
    try:
        masked = _read_first(parse(first.decode()))
    except (ValueError, RecursionError):
        raise ValueError(f"{path}, line 1: this is not a recording of msgapi") from None
    exchanges: list[tuple[Asked, Answer]] = []
    for number, text in enumerate(rest, 2):
        try:
            exchanges.append(_read_exchange(parse(text.decode())))
        except (ValueError, RecursionError):
            cut = number == len(rest) + 1 and not whole.endswith(b"\n")
            wrong = "it was cut short; delete the line to use the rest" if cut else "this is not an exchange"
            raise ValueError(f"{path}, line {number}: {wrong}") from None
    return masked, exchanges


def _target(request: Request) -> str:
    found = _URL.match(request.url)
    return (found and found[1]) or "/"


def _outcome(answer: Answer, mask: Mask | KeyMask) -> Json:
    match answer:
        case Response(status, headers, body):
            return {"status": status, "headers": dict(mask.headers(headers)), "body": mask.body(body)}
        case NotSent(reason):
            return {"not_sent": mask.reason(reason)}
        case Unanswered(reason):
            return {"unanswered": mask.reason(reason)}
        case _:
            assert_never(answer)


def _encode(value: Json) -> bytes:
    try:
        return f"{compact(value)}\n".encode()
    except UnicodeEncodeError:  # half a character, as a header may have it
        return f"{json.dumps(value)}\n".encode()


def _sorted(body: Json) -> str:
    return json.dumps(body, sort_keys=True)


def _read_first(value: Json) -> bool:
    match value:
        case {"recording": "msgapi", "version": 1, "masked": bool(masked)}:
            return masked
        case _:
            raise ValueError("no first line")


def _read_exchange(value: Json) -> tuple[Asked, Answer]:
    match value:
        case {"request": {"method": str(method), "target": str(target), "body": body}, "answer": answer}:
            return (method, target, _sorted(body)), _read_answer(answer)
        case _:
            raise ValueError("no exchange")


def _read_answer(value: Json) -> Answer:
    match value:
        case {"status": int(status), "headers": dict(headers), "body": body}:
            return Response(status, {name: str(text) for name, text in headers.items()}, _read_body(body))
        case {"not_sent": str(reason)}:
            return NotSent(reason)
        case {"unanswered": str(reason)}:
            return Unanswered(reason)
        case _:
            raise ValueError("no answer")


def _read_body(value: Json) -> bytes:
    match value:
        case None:
            return b""
        case {"json": body}:
            return compact(body).encode()
        case {"text": str(text)}:
            return text.encode()
        case {"base64": str(text)}:
            return b64decode(text, validate=True)
        case {"bytes": int(size)}:
            return b"*" * size
        case _:
            raise ValueError("no body")
