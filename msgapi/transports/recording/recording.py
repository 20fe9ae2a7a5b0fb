"""`Recording` writes the exchanges of a transport to a file; `Replay` answers from that file; `Cassette` does both.

Rules:
- A request that cannot be replayed raises: a test must not continue with an error that looks like one of the network.
- An exchange is written when it has ended, with one write. One that is cancelled or raises is not written.
- The API key is never written; personal data and content only on request.
"""

import os
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias, cast, final, get_args

import anyio.lowlevel

from ...config import check_transport, is_unopened
from ...http import Request
from ..protocol import Answer, Transport
from .exchanges import Exchanges, encode_exchange, make_mask, open_recording

PathLike: TypeAlias = "str | os.PathLike[str]"
RecordMode: TypeAlias = Literal["none", "once", "new", "all"]
"""Which requests a `Cassette` sends and records."""


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
        """Send *request*, and write the exchange."""
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
