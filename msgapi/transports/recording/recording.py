"""`Recording` writes the exchanges of a transport to a file; `Replay` answers from that file.

Rules:
- An exchange is written when it has ended. One that is cancelled or raises is not written.
- The API key is never written; personal data and content only on request.
- A request is looked up as the file holds it: a masked request matches all requests that are masked to the same text.
"""

import os
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import TypeAlias, final

import anyio.lowlevel

from ...http import Request
from ...results import NotSent
from ..protocol import Answer, Transport
from .cassette import RequestKey, encode_exchange, make_mask, open_cassette, read_cassette, request_key
from .masking import Mask

PathLike: TypeAlias = "str | os.PathLike[str]"


@final
class Recording:
    """A transport that sends over *transport* and appends every exchange to the file at *path*.

    Use it in a `with` statement, or call `close`. The *transport* is not closed. Only routes, ids, enums, amounts and
    dates are written: any other string is `***`, any other number 0, and of a body that is not JSON only the size is
    written. *unmasked* writes everything but the API key and cookies. Only the owner can read the file.

    Raise ValueError if the file exists and is not a recording of the same kind, and FileNotFoundError if its folder
    does not exist. If the disk is full, a call raises OSError after the request was sent.
    """

    def __init__(self, transport: Transport, path: PathLike, *, unmasked: bool = False) -> None:
        """Open the file, and create it if it does not exist."""
        self._transport = transport
        self._unmasked = unmasked
        self._file = open_cassette(Path(path), masked=not unmasked)

    def __enter__(self) -> "Recording":
        """Return the recording itself."""
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Close the file."""
        self.close()

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
    or not any more, is `NotSent` with the route in its reason. Host and headers are not compared, so neither is the
    idempotency key. If the file is not a recording, or was cut short, ValueError names the line.
    """

    def __init__(self, path: PathLike) -> None:
        """Read the whole recording."""
        self._masked, exchanges = read_cassette(Path(path))
        self._outcomes: dict[RequestKey, deque[Answer]] = {}
        for key, outcome in exchanges:
            self._outcomes.setdefault(key, deque()).append(outcome)

    @property
    def left(self) -> int:
        """The number of exchanges in the recording that have not been requested yet."""
        return sum(map(len, self._outcomes.values()))

    async def __call__(self, request: Request, /) -> Answer:
        """Return the next outcome that was recorded for *request*."""
        await anyio.lowlevel.checkpoint()
        key = request_key(request, make_mask(request, masked=self._masked))
        outcomes = self._outcomes.get(key)
        if not outcomes:
            return NotSent(f"not in the recording: {key[0]} {Mask().target(key[1])}")
        return outcomes.popleft()
