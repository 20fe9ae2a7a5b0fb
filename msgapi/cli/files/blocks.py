"""The stored bytes of a file or a copy, with digests of blocks, so that a later pass reads what the first one read.

Rules:
- The first pass stores 8 bytes of digest for each MB, and the length at which it found the end of the file.
- A later pass yields no byte of a block before the whole block has the digest of the first pass. It ends at the
  length of the first pass.
- Each pass ends with a check of the whole file: its length, its blocks, and whether it is still the file at its path.
  A last line without a line end is complete only after this check, so it is not yielded if the file has grown.
- A copy is a temporary file without a name, which only its owner can read. A pass over it ends with a check of the
  file that was copied.
"""

import errno
import io
import os
import re
import stat
import sys
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO, TYPE_CHECKING, BinaryIO, Final, final

from attrs import define, field, frozen

from ..output import CliError, Exit

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK: Final = 1 << 20
_STREAMS: Final = re.compile(r"/dev/(stdin|fd/\d+)|/proc/[^/]+/fd/\d+")
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_BUFFER: Final = 64 << 10
CONTINUE: Final = "run the same command again to continue with it"
_KEPT: Final = 8  # bytes of the digest of a block that are kept


@final
@define(eq=False, repr=False)
class FileBlocks:
    """The blocks of *file*, which is open and not buffered.

    *path* is None for a copy that no other process can open, and *source* is the file from which such a copy was made.
    *remedy* is what the user can do if the file has changed.

    The methods raise CliError with the status STOPPED if the file is not as the first pass read it.
    """

    name: str
    file: IO[bytes]
    path: str | None = None
    remedy: str = CONTINUE
    source: "FileBlocks | None" = None
    _digests: "array[int]" = field(factory=lambda: array("Q"), init=False)
    _whole: blake2b = field(factory=lambda: blake2b(digest_size=16), init=False)
    _length: int | None = field(default=None, init=False)

    def open(self) -> BinaryIO:
        """Return a reader of the file from its beginning. The first one that reaches the end sets the length."""
        return io.BufferedReader(_Reader(self), _BUFFER)

    def digest(self) -> str:
        """Return a hash of the whole file as the first pass read it; of a copy, that of the file it was made from."""
        return self._whole.hexdigest() if self.source is None else self.source.digest()

    def is_same_file(self, other: os.stat_result) -> bool:
        """Return whether *other* is this file, or the one from which it was made."""
        return os.path.samestat(self._stat(), other) or (self.source is not None and self.source.is_same_file(other))

    def read(self, number: int) -> bytes:
        """Return the block *number*, counted from 0. It is empty after the last one, if the whole file is as it was."""
        if self._length is None and number == len(self._digests):
            return self._read_first(number)
        if number < len(self._digests):
            return self._read_again(number)
        self.check()
        return b""

    def check(self) -> None:
        """Check the whole file against what the first pass read."""
        cause = self._moved() or self._resized()
        if cause is not None:
            raise self._changed(cause)
        for number in range(len(self._digests)):
            _ = self._read_again(number)
        if self.source is not None:
            self.source.check()

    def head(self, size: int) -> bytes:
        """Return the first *size* bytes, or the whole file if it is shorter."""
        found, number = b"", 0
        while len(found) < size and (block := self.read(number)):
            found, number = found + block[: size - len(found)], number + 1
        return found

    def read_through(self) -> None:
        """Read the file to its end, if it was not read before."""
        number = 0
        while self._length is None:
            _ = self.read(number)
            number += 1

    def _read_first(self, number: int) -> bytes:
        block = self._stored(number, BLOCK)
        if len(block) < BLOCK:
            self._length = number * BLOCK + len(block)
        if not block:
            self.check()
            return block
        digest = _digest(block)
        self._whole.update(digest)
        self._digests.append(int.from_bytes(digest[:_KEPT]))
        return block

    def _read_again(self, number: int) -> bytes:
        cause = self._moved()
        if cause is not None:
            raise self._changed(cause)
        block = self._stored(number, BLOCK if self._length is None else min(BLOCK, self._length - number * BLOCK))
        if int.from_bytes(_digest(block)[:_KEPT]) != self._digests[number]:
            raise self._changed(self._resized() or "its content is different")
        return block

    def _stored(self, number: int, size: int) -> bytes:
        _ = self.file.seek(number * BLOCK)
        parts = []
        while size and (part := self.file.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _moved(self) -> str | None:
        try:
            if self.path is None or self.is_same_file(Path(self.path).stat()):
                return None
        except (FileNotFoundError, NotADirectoryError):
            return "it was moved or deleted"
        return "another file has its name"

    def _resized(self) -> str | None:
        size = self._stat().st_size
        if self._length is None or size == self._length:
            return None
        return "it is longer" if size > self._length else "it is shorter"

    def _stat(self) -> os.stat_result:
        return os.fstat(self.file.fileno())

    def _changed(self, cause: str) -> CliError:
        return CliError(f"{self.name} has changed since it was first read ({cause}): {self.remedy}", Exit.STOPPED)


@final
class _Reader(io.RawIOBase):
    """Reads the blocks of a file in order."""

    def __init__(self, blocks: FileBlocks) -> None:
        self._blocks = blocks
        self._number = 0
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if not self._rest:
            self._rest = memoryview(b"")  # releases the block before the next one is read
            self._rest = memoryview(self._blocks.read(self._number))
            self._number += 1
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _digest(block: bytes) -> bytes:
    return blake2b(block, digest_size=16).digest()


@final
@frozen(eq=False, repr=False)
class Content:
    """What a file contains: the *blocks* of text, or of a *sheet*, and the *name* of what was packed."""

    blocks: FileBlocks
    name: str
    sheet: bool = False


def is_stream(path: str) -> bool:
    """Return whether what is at *path* can be read only once, such as a pipe: nothing can be recorded next to it."""
    if path == "-" or _STREAMS.fullmatch(path):
        return True
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


@contextmanager
def open_stored(path: str, remedy: str) -> Iterator[FileBlocks]:
    """Open the file at *path*, or standard input for `-`. What is not a regular file is copied."""
    name = "standard input" if path == "-" else path
    if path == "-":
        with open_copy(name, iter(lambda: sys.stdin.buffer.read(BLOCK), b"")) as copy:
            yield FileBlocks(name, copy)
        return
    with Path(path).open("rb", buffering=0) as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            yield FileBlocks(name, file, path, remedy)
            return
        with open_copy(name, iter(lambda: file.read(BLOCK), b"")) as copy:
            yield FileBlocks(name, copy)


@contextmanager
def open_copy(name: str, parts: Iterable[bytes]) -> Iterator[IO[bytes]]:
    """Write *parts* of the file *name* to a temporary file, and open it. Raise CliError if there is no room."""
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(TemporaryFile(buffering=0))
            for part in parts:
                rest = memoryview(part)
                while rest:
                    rest = rest[copy.write(rest) :]
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise CliError(
                f"cannot copy {name} to the temporary folder {gettempdir()}: {error.strerror} (TMPDIR names another)",
                Exit.STOPPED,
            ) from None
        yield copy
