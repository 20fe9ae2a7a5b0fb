"""The file of --sandbox-state: the snapshot of a sandbox that is kept between commands.

Rules:
- One command at a time uses the file. Another one is refused at once, since the later of two would undo the earlier.
- The file is replaced as a whole when the command ends, also by an error or Ctrl-C. A command that is killed leaves it
  as it was before.
- It contains recipients, content and secrets of webhooks, so only its owner may read it.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .output import CliError, Exit, cannot_read, cannot_write
from .profiles import write_private

if TYPE_CHECKING:
    from ..sandbox import Sandbox

if sys.platform != "win32":  # pragma: no branch
    import fcntl

_SEPARATORS: Final = (",", ":")


@contextmanager
def open_state(
    path: str, create: Callable[[], "Sandbox"], adapt: Callable[[dict[str, Any]], None] | None = None
) -> Iterator["Sandbox"]:
    """Open the sandbox in the file at *path* and keep what is done to it, for the time of a block.

    *create* makes the sandbox if there is no such file; *adapt* may change the snapshot that is restored. Raise
    CliError if the file is in use, damaged or of another version, or if it cannot be read or written.
    """
    with _lock(path):
        sandbox = _load(path, adapt) or create()
        try:
            yield sandbox
        finally:
            problem = write_private(Path(path), _dump(sandbox.snapshot()))
            if problem is not None:
                raise CliError(problem)


def _load(path: str, adapt: Callable[[dict[str, Any]], None] | None) -> "Sandbox | None":
    from ..sandbox import Sandbox

    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_read(path, error) from None
    except UnicodeDecodeError:
        text = ""
    try:
        snapshot = json.loads(text, parse_constant=_refuse)
        if adapt is not None and isinstance(snapshot, dict):
            adapt(snapshot)
        return Sandbox.from_snapshot(snapshot)
    except (json.JSONDecodeError, RecursionError):
        reason = "it is not JSON, or not all of it"
    except ValueError as error:
        reason = str(error)
    raise CliError(f"{path} cannot be used for --sandbox-state: {reason}; delete it, or name another file")


def _refuse(_: str) -> None:
    raise ValueError("a number in it is not one of JSON")


def _dump(snapshot: dict[str, Any]) -> bytes:
    # A line for each part, so that differences can be seen. Not by orjson, which has no integers of more than 64 bits.
    lines = [f"{json.dumps(name)}:{json.dumps(part, separators=_SEPARATORS)}" for name, part in snapshot.items()]
    return "{\n{}\n}\n".replace("{}", ",\n".join(lines)).encode()


@contextmanager
def _lock(path: str) -> Iterator[None]:
    # The lock is on a file beside it, because the file itself is replaced; beside the target of a link, which is what
    # is replaced. It is removed while it is locked, so each command that gets the lock checks that it is still there.
    name = f"{os.path.realpath(path)}.lock"
    while True:
        try:
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise CliError(cannot_write(name, error)) from None
        try:
            _lock_file(path, descriptor)
            if _is_at(name, descriptor):
                try:
                    yield
                finally:
                    with suppress(OSError):  # on Windows an open file cannot be removed
                        os.unlink(name)  # noqa: PTH108 - a name, as it was opened
                return
        finally:
            os.close(descriptor)


def _lock_file(path: str, descriptor: int) -> None:
    try:
        if sys.platform == "win32":  # pragma: no cover
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        text = f"another command uses {path}: wait until it has ended, or name another file for --sandbox-state"
        raise CliError(text, Exit.STOPPED) from None
    except OSError:  # a file system without locks
        return


def _is_at(name: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(name), os.fstat(descriptor))  # noqa: PTH116 - a name, as it was opened
    except FileNotFoundError:
        return False
