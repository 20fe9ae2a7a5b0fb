"""Recording and Replay: a conversation kept in a readable file, and given again.

Rules:
- An exchange is written when it has ended; one that is cancelled or raises is not.
- The API key is never in it; persons and content only if asked for.
- What is replayed is found by what the file holds: a masked request stands for all that look like it.
"""

import os
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import TypeAlias, final

import anyio.lowlevel

from ..http import Request
from ..results import NotSent
from .masking import Mask
from .protocol import Answer, Transport
from .tape import Asked, asked, line, mask_for, open_tape, read_tape

PathLike: TypeAlias = "str | os.PathLike[str]"


@final
class Recording:
    """A transport around *transport* that writes every exchange to the end of the file at *path*.

    Made for `with Recording(...) as recording`, or to be ended by `close`; the *transport* is not
    closed. Only routes, ids, enums, amounts and dates are written: any other string is `***`, any
    other number 0, and of a body that is not JSON only its size. *unmasked* writes everything but
    the API key and cookies. The file is made for its owner only; it is a ValueError if it
    exists and is no recording of the same kind, a FileNotFoundError if its folder does not exist.
    A disk that is full raises an OSError after the request was sent.
    """

    def __init__(self, transport: Transport, path: PathLike, *, unmasked: bool = False) -> None:
        """Open the file, and make it if it does not exist."""
        self._transport = transport
        self._unmasked = unmasked
        self._file = open_tape(Path(path), masked=not unmasked)

    def __enter__(self) -> "Recording":
        """Give the recording itself."""
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file; a request after it is a RuntimeError."""
        self._file.close()

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request*, and write down what was asked and answered."""
        if self._file.closed:
            raise RuntimeError("this recording is closed")
        answer = await self._transport(request)
        _ = self._file.write(line(request, answer, mask_for(request, masked=not self._unmasked)))
        return answer


@final
class Replay:
    """A transport that answers from the recording at *path*, and sends nothing.

    A request is answered by what came for the same method, path, query and body, the first one
    first; what was masked in the recording counts as the same. Each exchange is given once. A
    request that is not there (any more) is `NotSent`, and names the route. Host and headers,
    so also the idempotency key, are not compared. A file that is no recording, or was cut short,
    is a ValueError that names the line.
    """

    def __init__(self, path: PathLike) -> None:
        """Read the whole recording."""
        self._masked, exchanges = read_tape(Path(path))
        self._answers: dict[Asked, deque[Answer]] = {}
        for question, answer in exchanges:
            self._answers.setdefault(question, deque()).append(answer)

    @property
    def left(self) -> int:
        """How many exchanges of the recording have not been asked for yet."""
        return sum(map(len, self._answers.values()))

    async def __call__(self, request: Request, /) -> Answer:
        """Give the next answer that was recorded for *request*."""
        await anyio.lowlevel.checkpoint()
        question = asked(request, mask_for(request, masked=self._masked))
        answers = self._answers.get(question)
        if not answers:
            return NotSent(f"not in the recording: {question[0]} {Mask().target(question[1])}")
        return answers.popleft()
