"""`Recording` writes the exchanges of a transport to a file; `Replay` answers from that file; `Cassette` does both.

The file has one line of JSON for its format, then one line for each exchange.

Rules:
- A request that cannot be replayed raises: a test must not continue with an error that looks like one of the network.
- An exchange is written when it has ended, with one write. One that is cancelled or raises is not written.
- The API key is never written; personal data and content only on request.
- A request is looked up as the file holds it: a masked request matches all requests that are masked to the same text.
- Reading a line and writing it again gives the same line.
"""

import json
import os
import re
from base64 import b64decode
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, assert_never, cast, final, get_args

import anyio.lowlevel

from ...config import check_transport, is_unopened
from ...http import Request, Response
from ...results import Meta, NotSent, Unanswered
from ..protocol import Answer, Transport
from .masking import Json, KeyMask, Mask, dump_compact, parse_json

PathLike: TypeAlias = "str | os.PathLike[str]"
RecordMode: TypeAlias = Literal["none", "once", "new", "all"]
"""Which requests a `Cassette` sends and records."""
_RequestKey: TypeAlias = tuple[str, str, str]  # method, path with query, and body, as they are written in the file
_VERSION: Final = 1
_NOT_SENT: Final = NotSent("").code
_URL: Final = re.compile(r"[^/?#]*://[^/?#]*([^#]*)")


@final
class Recording:
    """A transport that sends over *transport* and writes every exchange to the file at *path*.

    Use it in a `with` statement, or call `close`. The *transport* is not closed. Only routes, ids, enums, amounts and
    dates are written: any other string is `***`, any other number 0, and of a body that is not JSON only the size is
    written. *unmasked* writes everything but the API key and cookies. Only the owner can read the file. With *append*,
    the exchanges are added to those that the file has; they are replayed after them.

    Raise ValueError if the file has exchanges and *append* is False, or if it is not a recording of the same kind, and
    FileNotFoundError if its folder does not exist. If the disk is full, a call raises OSError after the request was
    sent.
    """

    def __init__(self, transport: Transport, path: PathLike, *, unmasked: bool = False, append: bool = False) -> None:
        """Open the file, and create it if it does not exist."""
        self._transport = transport
        self._unmasked = unmasked
        self._file = open_recording(Path(path), masked=not unmasked, append=append)

    def __enter__(self) -> "Recording":
        """Return the recording itself."""
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    @property
    def keeps_limits(self) -> bool:
        """Whether the transport keeps the limits of a request; see `http.TimeLimits`."""
        return getattr(self._transport, "keeps_limits", False)

    def close(self) -> None:
        """Close the file; a later request raises RuntimeError."""
        self._file.close()

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request*, and write the exchange. Raise RuntimeError if the recording is closed."""
        if self._file.closed:
            raise RuntimeError("this recording is closed")
        outcome = await self._transport(request)
        _ = self._file.write(encode_exchange(request, outcome, make_mask(request, masked=not self._unmasked)))
        return outcome


@final
class Replay:
    """A transport that returns the outcomes recorded in the file at *path*, and sends nothing.

    A request gets the outcome that was recorded for the same method, path, query and body, in the order of the file;
    values that were masked in the recording are equal. Each exchange is used once. A request that is not in the file,
    or not any more, raises `NotRecorded`, which names its route. Host and headers are not compared, so neither is the
    idempotency key. If the file is not a recording, or was cut short, ValueError names the line.
    """

    def __init__(self, path: PathLike) -> None:
        """Read the whole recording."""
        self._exchanges = Exchanges(Path(path))

    @property
    def left(self) -> int:
        """The number of exchanges in the recording that have not been requested yet."""
        return self._exchanges.left

    async def __call__(self, request: Request, /) -> Answer:
        """Return the next outcome that was recorded for *request*; raise NotRecorded if there is none."""
        await anyio.lowlevel.checkpoint()
        outcome = self._exchanges.take(request)
        if outcome is None:
            raise self._exchanges.missing(request)
        return outcome


@final
class Cassette:
    """A transport that replays the recording at *path*, and records what *record* says. It is opened by its client.

        client = msgapi.Client(transport=transports.Cassette("cassettes/welcome.jsonl"))

    - `none`: only replay. A request that is not in the file raises `NotRecorded`.
    - `once`: record if the file does not exist; otherwise only replay.
    - `new`: replay what the file has, and record every other request at its end.
    - `all`: record every request, and replace the file.

    Requests that are recorded are sent over *transport*, open or not; by default over aiohttp. *unmasked* is that of
    `Recording`. What was replayed is not replayed again if the cassette is opened once more. Raise ValueError for
    another *record*, and, when it is opened, for a file that is not a recording of the same kind. With `none`, a file
    that does not exist raises FileNotFoundError then; otherwise its folder is created.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        record: RecordMode = "once",
        transport: Transport | AbstractAsyncContextManager[Transport] | None = None,
        unmasked: bool = False,
    ) -> None:
        if record not in get_args(RecordMode):
            raise ValueError(f"record must be one of {', '.join(get_args(RecordMode))}, not {record!r}")
        if transport is not None:
            check_transport(transport)
        self._path, self._record, self._transport, self._unmasked = Path(path), record, transport, unmasked
        self._exchanges: Exchanges | None = None
        self._records = record in {"new", "all"}
        self._stack: AsyncExitStack | None = None

    @property
    def left(self) -> int:
        """The number of exchanges of the recording that are still to be replayed."""
        return 0 if self._exchanges is None else self._exchanges.left

    async def __aenter__(self) -> Transport:
        """Read the file if there is one; open the transport and the file if requests are recorded."""
        if self._stack is not None:
            raise RuntimeError("this cassette is open already: pass on what its `async with` gives")
        if self._exchanges is None:
            self._load()
        async with AsyncExitStack() as stack:
            recording = None
            if self._records:
                inner = await self._open_transport(stack)
                recording = stack.enter_context(Recording(inner, self._path, unmasked=self._unmasked, append=True))
            self._stack = stack.pop_all()
        return _CassetteTransport(cast("Exchanges", self._exchanges), recording)

    async def __aexit__(self, *_: object) -> None:
        """Close the file, and the transport that was opened."""
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    def _load(self) -> None:
        if self._record == "once":
            self._records = not self._path.exists()
        if self._records:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._record == "all":
                self._path.unlink(missing_ok=True)
        is_new = self._records and not self._path.exists()
        self._exchanges = Exchanges(None if is_new else self._path, masked=not self._unmasked)

    async def _open_transport(self, stack: AsyncExitStack) -> Transport:
        manager = self._transport
        if manager is None:
            from .. import aiohttp

            manager = aiohttp.open()
        if not is_unopened(manager):
            return cast("Transport", manager)
        return await stack.enter_async_context(cast("AbstractAsyncContextManager[Transport]", manager))


@final
class _CassetteTransport:
    """Replays *exchanges*; sends other requests over *recording*."""

    def __init__(self, exchanges: "Exchanges", recording: Recording | None) -> None:
        self._exchanges = exchanges
        self._recording = recording

    @property
    def keeps_limits(self) -> bool:
        """Whether the transport that requests are sent over keeps their limits; see `http.TimeLimits`."""
        return self._recording is not None and self._recording.keeps_limits

    async def __call__(self, request: Request, /) -> Answer:
        await anyio.lowlevel.checkpoint()
        outcome = self._exchanges.take(request)
        if outcome is not None:
            return outcome
        if self._recording is None:
            raise self._exchanges.missing(request)
        return await self._recording(request)


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
