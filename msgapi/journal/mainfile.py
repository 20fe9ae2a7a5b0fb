"""The main file of a journal as bytes: its lock, its seal, and the WAL next to it; and why it cannot be used.

The seal is the last 64 bytes of the second page. That page is the root of the first table, which has one row and is
never written again by SQLite, so the seal says what the main file is, whatever the WAL contains:

- `CLOSED`: everything is in the main file. The seal has the digest of all other bytes, so that a cut file or a changed
  byte is noticed.
- `OPENING`: a program has just opened the file, and has begun no row. The digest is the previous one; SQLite may have
  moved the first row of the WAL, which says only that, into the file.
- `OPEN`: rows were begun, and the newest are in the WAL. The seal has the salt of the first WAL of this opening.

Rules:
- One program at a time has the main file open, by a lock on the bytes that SQLite locks. A process loses its locks on a
  file when it closes any descriptor of that file, so a process opens a journal only once, and keeps its descriptor
  until SQLite has closed the file.
- What SQLite or the operating system raises leaves as `Unusable`.
- A main file appears under its name complete and on the disk, and never replaces another one by chance.
"""

import errno
import os
import sqlite3
import stat
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum, unique
from hashlib import blake2b
from pathlib import Path
from shutil import copyfile
from tempfile import mkstemp
from threading import Lock
from typing import Final, Literal, TypeAlias, final

from attrs import define, field, frozen

if sys.platform != "win32":  # pragma: no branch - as the next ones: another platform
    import fcntl

Reason: TypeAlias = Literal[
    "missing", "foreign", "newer", "damaged", "incomplete", "other batch", "in use", "unwritable", "full"
]

APPLICATION: Final = 0x6D736761  # in the header of the file: marks it as a journal
FORMAT: Final = 2
PAGE: Final = 4096
SEAL_SIZE: Final = 64
MARK_SIZE: Final = 32
WAIT: Final = 0.5  # seconds for another program to release the file
_SEAL_AT: Final = 2 * PAGE - SEAL_SIZE
_SQLITE: Final = b"SQLite format 3\0"
_HEADER: Final = struct.Struct(">16s H 42x i 4x I")  # the name, the page size, the format, the application
_SEAL: Final = struct.Struct(">8s B 3x I d 32s 8s")
_NAME: Final = b"msgapi\0\2"
_PAUSE: Final = 0.01
_CHUNK: Final = 1 << 20
_LOCKED_AT: Final = 0x4000_0000  # SQLite's lock bytes
_LOCKED: Final = 512
_RESTARTS: Final = 1 << 16  # of the WAL during one opening, which is more than 200 GB of it
_WAL_MAGIC: Final = 0x377F0682
_WAL: Final = struct.Struct(">4I 2I 2I")
_FULL: Final = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows has no quota error


@final
class Unusable(Exception):
    """The journal cannot be used or written. *reason* classifies the problem; the text says what to do."""

    def __init__(self, reason: Reason, text: str) -> None:
        """Set *reason* and the text."""
        super().__init__(reason, text)  # both, so that it can be pickled and copied
        self.reason: Final = reason

    def __str__(self) -> str:
        """Return the text."""
        return f"{self.args[1]}"


def damaged(path: str) -> Unusable:
    """Return the error for a journal whose content is not what was written."""
    return Unusable(
        "damaged", f"the journal {path} is damaged and cannot be relied on; look in the message log for what was sent"
    )


def in_use(path: str) -> Unusable:
    """Return the error for a journal that is open elsewhere."""
    return Unusable("in use", f"the journal {path} is in use by another program: let that one finish")


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Raise the errors of SQLite as `Unusable`."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(path, error) from error


@contextmanager
def as_unwritable(path: str) -> Iterator[None]:
    """Raise an OSError as `Unusable`."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: str, error: OSError, verb: str = "write") -> Unusable:
    """Return the error for a journal that the operating system refuses to open or to write."""
    reason: Reason = "full" if error.errno in _FULL else "unwritable"
    return Unusable(reason, f"cannot {verb} the journal {path}: {error.strerror or error}")


def _translate(path: str, error: sqlite3.Error) -> Unusable:
    match getattr(error, "sqlite_errorcode", None):
        case None if isinstance(error, sqlite3.OperationalError):  # a text that is not UTF-8
            return damaged(path)
        case None:
            return Unusable("unwritable", f"cannot use the journal {path}: {error}")
        case code:
            return _translate_code(path, code & 0xFF, error)


def _translate_code(path: str, code: int, error: sqlite3.Error) -> Unusable:
    match code:
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_ERROR:  # the last: a table is missing
            return damaged(path)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return in_use(path)
        case sqlite3.SQLITE_FULL:
            return Unusable("full", f"cannot write the journal {path}: the disk is full")
        case _:
            return Unusable("unwritable", f"cannot use the journal {path}: {error}")


@unique
class SealState(IntEnum):
    """What the main file is. The numbers are stored in the files."""

    CLOSED = 1
    OPENING = 2
    OPEN = 3


@final
@frozen
class Seal:
    """The seal of a main file.

    *opened* is the Unix time of the last opening. *mark* is the digest of the file; if it is open, random bytes that
    the first row of the WAL has, too.
    """

    state: SealState
    opened: float = 0.0
    salt: int = 0
    mark: bytes = bytes(MARK_SIZE)

    @property
    def mark_text(self) -> str:
        """The mark as the row in the WAL has it."""
        return self.mark.hex()

    def to_bytes(self) -> bytes:
        """Return the seal as it is stored."""
        fields = _NAME, self.state, self.salt, self.opened, self.mark
        return _SEAL.pack(*fields, _check(_SEAL.pack(*fields, b"")))

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Seal | None":
        """Return the seal that is *stored*; None if it is damaged."""
        if len(stored) != SEAL_SIZE:
            return None
        _, state, salt, opened, mark, check = _SEAL.unpack(stored)
        if _check(stored[:-8] + bytes(8)) != check or state not in list(SealState):
            return None
        return cls(SealState(state), opened, salt, mark)


def _check(stored: bytes) -> bytes:
    return blake2b(stored, digest_size=8).digest()


_open: Final[set[tuple[int, int]]] = set()
_lock: Final = Lock()


@final
@define(eq=False, repr=False)
class MainFile:
    """The main file at *path*, opened and locked. *place* is its real path, without symbolic links.

    *is_unchanged* says whether it has the digest of its seal, so that it is complete without a WAL.
    """

    path: str
    place: str
    _descriptor: int
    _identity: tuple[int, int]
    seal: Seal = field(default=Seal(SealState.CLOSED), init=False)
    is_unchanged: bool = field(default=True, init=False)

    @property
    def wal(self) -> Path:
        """The path of the WAL."""
        return Path(f"{self.place}-wal")

    def close(self) -> None:
        """Release the lock. SQLite must have closed the file."""
        try:
            os.close(self._descriptor)
        finally:
            _open.discard(self._identity)

    def check(self) -> None:
        """Read the seal. Raise `Unusable` unless the file is an undamaged journal, as far as its seal can say.

        What the seal of an open journal cannot say is checked by `wal_is_missing` and by SQLite.
        """
        with self._reading():
            size = os.fstat(self._descriptor).st_size
            start = self._read(2 * PAGE)
            _check_header(self.path, start, size)
            seal = Seal.from_bytes(start[_SEAL_AT:])
            if seal is None:
                raise damaged(self.path)
            self.is_unchanged = seal.state is not SealState.OPEN and seal.mark == self._digest()
            if seal.state is SealState.CLOSED and not self.is_unchanged:
                raise damaged(self.path)
            self.seal = seal
            if seal.state is SealState.CLOSED and self._wal_header():
                raise Unusable(
                    "damaged",
                    f"{self.wal} does not belong to the journal {self.path}: "
                    "put the journal back that it belongs to, or move it away",
                )

    @property
    def has_wal(self) -> bool:
        """Whether there is a WAL with something in it."""
        with self._reading():
            return bool(self._wal_header())

    def wal_is_missing(self) -> bool:
        """Return whether rows may be missing: the journal was not closed, and the WAL next to it is not its own.

        The salt of another WAL can fit by chance, so the mark is looked for as well.
        """
        if self.seal.state is not SealState.OPEN:
            return False
        with self._reading():
            salt = _wal_salt(self._wal_header())
            if salt is None or (salt - self.seal.salt) % (1 << 32) >= _RESTARTS:
                return True
            return not self._has_mark(in_wal=salt == self.seal.salt)

    def _has_mark(self, *, in_wal: bool) -> bool:
        # The first WAL begins with the mark. Before it is begun anew, all of it is moved into the main file. A chunk
        # of the main file has whole pages, and the row with the mark is in one of them.
        mark = self.seal.mark_text.encode()
        if in_wal:
            with self.wal.open("rb") as file:
                return mark in file.read(_CHUNK)
        _ = os.lseek(self._descriptor, 0, os.SEEK_SET)
        return any(mark in some for some in iter(lambda: os.read(self._descriptor, _CHUNK), b""))

    def remove_wal(self, *, keep: bool) -> None:
        """Remove the WAL; with *keep*, rename it, since it may belong to another journal."""
        with as_unwritable(self.path), suppress(FileNotFoundError):
            if keep and self._wal_header():
                _ = self.wal.replace(f"{self.wal}.foreign")
            else:
                self.wal.unlink()

    def mark_closed(self) -> None:
        """Write the seal of a file that has everything, and no WAL."""
        self._write(Seal(SealState.CLOSED, self.seal.opened, 0, self._digest()))

    def mark_opening(self, now: float) -> None:
        """Write that the file is opened at the Unix time *now*."""
        self._write(Seal(SealState.OPENING, now, 0, self.seal.mark))

    def mark_open(self, mark: bytes) -> None:
        """Write that the newest rows are in the WAL, whose first frame must be written and has *mark*."""
        with as_unwritable(self.path):
            salt = _wal_salt(self._wal_header())
        if salt is None:
            raise Unusable("unwritable", f"cannot write the journal {self.path}: {self.wal} is missing")
        self._write(Seal(SealState.OPEN, self.seal.opened, salt, mark))

    def _write(self, seal: Seal) -> None:
        with as_unwritable(self.path):
            _ = os.lseek(self._descriptor, _SEAL_AT, os.SEEK_SET)
            _ = os.write(self._descriptor, seal.to_bytes())
            os.fsync(self._descriptor)
        self.seal = seal

    def _digest(self) -> bytes:
        with self._reading():
            found = blake2b(self._read(2 * PAGE)[:_SEAL_AT], digest_size=MARK_SIZE)
            while some := os.read(self._descriptor, _CHUNK):
                found.update(some)
        return found.digest()

    def _read(self, size: int) -> bytes:
        _ = os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, size)

    def _wal_header(self) -> bytes:
        return _read_start(self.wal)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self.path, error, "read") from None


def open_main(path: str, *, write: bool, name: str | None = None) -> MainFile:
    """Open and lock the main file at *path*, to read or to *write* it. It is not checked yet.

    Errors name it as *name*, by default as *path*. Raise `Unusable`: `missing` if there is none, `in use` if it is
    open elsewhere.
    """
    place = real_path(path)
    try:
        facts = Path(place).stat()
        if not stat.S_ISREG(facts.st_mode):
            raise Unusable("unwritable", f"the journal {path} is not a regular file: name a file")
        with _lock:
            identity = facts.st_dev, facts.st_ino
            if identity in _open:
                raise in_use(path)
            descriptor = os.open(place, (os.O_RDWR if write else os.O_RDONLY) | getattr(os, "O_BINARY", 0))
            _open.add(identity)
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise Unusable("missing", f"cannot open the journal {path}: {error.strerror}") from None
        raise unwritable(path, error, "open") from None
    main = MainFile(name or path, place, descriptor, identity)
    try:
        _lock_bytes(path, descriptor, write=write)
    except BaseException:
        main.close()
        raise
    return main


def is_open_here(path: str) -> bool:
    """Return whether this process has the main file at *path* open."""
    facts = Path(real_path(path)).stat()
    return (facts.st_dev, facts.st_ino) in _open


def copy_open(path: str, copy: Path) -> bool:
    """Copy the main file at *path*, which another process has open, and its WAL; return whether they fit together."""
    place = Path(real_path(path))
    wal = place.with_name(f"{place.name}-wal")
    try:
        before = _read_start(wal)
        _ = copyfile(place, copy)
        os.truncate(copy, copy.stat().st_size // PAGE * PAGE)  # a page that was being added is in the WAL
        if before:
            _ = copyfile(wal, f"{copy}-wal")
        return before == _read_start(wal)
    except FileNotFoundError:  # it was closed in the meantime
        return False
    except OSError as error:
        raise unwritable(path, error, "read") from None


def _read_start(wal: Path) -> bytes:
    try:
        with wal.open("rb") as file:
            return file.read(_WAL.size)
    except FileNotFoundError:
        return b""


def real_path(path: str) -> str:
    """Return the absolute path of the file *path*. Raise `Unusable` if it is a name that SQLite treats as special."""
    text = os.fspath(path)
    if not text or text == ":memory:" or text.startswith("file:"):
        raise Unusable("unwritable", f"the journal {text!r} would not be kept: name a file")
    if "\0" in text:
        raise Unusable("unwritable", f"the journal {text!r} has a NUL in its name: name a file")
    return os.path.realpath(text)


def _lock_bytes(path: str, descriptor: int, *, write: bool) -> None:
    # On Windows SQLite alone locks the file.
    if sys.platform != "win32":  # pragma: no branch
        how = (fcntl.LOCK_EX if write else fcntl.LOCK_SH) | fcntl.LOCK_NB
        until = time.monotonic() + WAIT
        while True:
            try:
                fcntl.lockf(descriptor, how, _LOCKED, _LOCKED_AT)
            except (BlockingIOError, PermissionError):
                if time.monotonic() > until:
                    raise in_use(path) from None
                time.sleep(_PAUSE)
            except OSError:  # a file system without locks
                return
            else:
                return


def _check_header(path: str, start: bytes, size: int) -> None:
    if not size:
        raise Unusable("damaged", f"the journal {path} is empty: delete it, or name a file that does not exist")
    name, page, version, application = _HEADER.unpack(start[: _HEADER.size].ljust(_HEADER.size, b"\0"))
    sealed = start[_SEAL_AT : _SEAL_AT + len(_NAME)] == _NAME
    if application != APPLICATION and not sealed:
        if not any(start[: _HEADER.size]) or (size < _HEADER.size and _SQLITE.startswith(start[:16])):
            raise damaged(path)
        kind = "a database of another program, not a journal" if name == _SQLITE else "not a journal"
        raise Unusable("foreign", f"{path} is {kind}: name another file")
    if name == _SQLITE and application == APPLICATION and version != FORMAT and not sealed:
        raise Unusable("newer", f"the journal {path} is of another version of msgapi-sdk: finish it with that version")
    if (name, page, version, application, size % PAGE) != (_SQLITE, PAGE, FORMAT, APPLICATION, 0) or size < 2 * PAGE:
        raise damaged(path)


def _wal_salt(header: bytes) -> int | None:
    # The checksum covers the first 24 bytes, as 32-bit words in the byte order that the magic number names.
    if len(header) < _WAL.size:
        return None
    magic, _, page, _, salt, _, *stored = _WAL.unpack(header)
    if magic & ~1 != _WAL_MAGIC or page != PAGE:
        return None
    first = second = 0
    words = struct.unpack(">6I" if magic & 1 else "<6I", header[:24])
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return salt if [first, second] == stored else None


@contextmanager
def part_of(path: str) -> Iterator[str]:
    """Create an empty file in the folder of *path*, readable by its owner only; it is deleted at exit if it remains."""
    place = Path(real_path(path))
    with as_unwritable(path):
        number, part = mkstemp(".part", f".{place.name}.", place.parent)
    os.close(number)
    try:
        yield part
    finally:
        with suppress(FileNotFoundError):
            Path(part).unlink()


def publish(part: str, path: str, *, replace: bool) -> None:
    """Rename *part*, which is complete, to *path*; without *replace* an existing file is `Unusable`."""
    place = Path(real_path(path))
    with as_unwritable(path):
        if replace:
            _ = Path(part).replace(place)
        else:
            _rename_to_new(path, Path(part), place)
        _sync_folder(place.parent)


def _rename_to_new(path: str, part: Path, place: Path) -> None:
    try:
        place.hardlink_to(part)  # in contrast to a rename it never replaces a file
    except FileExistsError:
        raise in_use(path) from None
    except OSError:  # a file system without links
        _ = part.rename(place)
    else:
        part.unlink()


def _sync_folder(folder: Path) -> None:
    if sys.platform != "win32":  # pragma: no branch
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
