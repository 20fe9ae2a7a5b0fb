"""SandboxProcess: a sandbox in a process of its own, for tests of programs in any language.

Rules:
- The process ends when its standard input ends: at the end of the `with`, and when this process dies, however it does.
- It has a session of its own, so that Ctrl-C in a terminal reaches this process alone, which then ends it.
- Nothing is polled. Its first line of output says that it listens, and at which address.
"""

import json
import os
import runpy
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from subprocess import PIPE, Popen, TimeoutExpired
from tempfile import TemporaryFile
from threading import Thread
from typing import IO, Final, TypeVar, final

from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import frozen

from ..calls import Call
from ..client import Client
from ..config import check_seconds
from ..results import Ok, Result
from .controls import health, reset

T = TypeVar("T")
START_TIMEOUT: Final = 30.0  # seconds
STOP_TIMEOUT: Final = 10.0  # seconds, in which a sandbox with --state writes its file
_PROGRAM: Final = "from msgapi.testing.process import run_until_end_of_input as run; run()"
_LONGEST_OUTPUT: Final = 4000  # characters of its errors that are shown


@final
class SandboxError(RuntimeError):
    """The sandbox did not start, or has ended by itself. The text says why, and what the process wrote to stderr."""


@final
class SandboxProcess:
    """A sandbox that is served by a process of its own, for the duration of a `with`.

        with testing.SandboxProcess() as sandbox:
            subprocess.run(["npm", "test"], env={**os.environ, **sandbox.environ}, check=True)
            arrival = sandbox.run(testing.controls.wait_for_message(to="+4915112345678")).unwrap()

    It is `msgapi sandbox`, on a free port of this machine, and listens once the `with` is entered. It ends with the
    `with`, also after an exception, and when this process dies.

    - *host*, *port*: where it listens; a free port of 127.0.0.1 by default.
    - *allow_hosts*: the names of other hosts that it answers for.
    - *seed_file*: a file with what it has from the start. *state_file*: the file that keeps it for the next process.
    - *options*: more options of the command, such as `("--balance", "5")`.
    - *timeout*: the seconds after which it must listen, 30 by default.

    Entering raises `SandboxError` if the process ends or does not listen in time. So does leaving if it has ended by
    itself, or with an error; an exception of the block gets a note instead. An object is entered once.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_hosts: Iterable[str] = (),
        seed_file: str | os.PathLike[str] | None = None,
        state_file: str | os.PathLike[str] | None = None,
        options: Iterable[str] = (),
        timeout: float = START_TIMEOUT,
    ) -> None:
        """Start nothing yet. Raise TypeError or ValueError if *timeout* is not a number of seconds."""
        check_seconds("timeout", timeout)
        self._arguments: Final = (
            *("--json", "--host", host, "--port", f"{port}"),
            *(part for name in allow_hosts for part in ("--allow-host", name)),
            *(() if seed_file is None else ("--seed", os.fspath(seed_file))),
            *(() if state_file is None else ("--state", os.fspath(state_file))),
            *options,
        )
        self._timeout = timeout
        self._environ: Mapping[str, str] = {}
        self._page: str | None = None
        self._pid: int | None = None
        self._stack = ExitStack()
        self._running: tuple[BlockingPortal, Client] | None = None

    def __repr__(self) -> str:
        """Show the address; never the key."""
        return f"SandboxProcess({self._environ.get('MSGAPI_BASE_URL', 'not started')})"

    def __enter__(self) -> "SandboxProcess":
        """Start the process, and wait until it answers. Raise SandboxError if it does not."""
        if self._environ:
            raise RuntimeError("a SandboxProcess is entered once: construct another one")
        self._stack.enter_context(self._run())
        return self

    def __exit__(self, *given: object) -> None:
        """End the process. Raise SandboxError if it has ended by itself, or ends with an error."""
        self._stack.__exit__(*given)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return self.environ["MSGAPI_BASE_URL"]

    @property
    def api_key(self) -> str:
        """The API key of the account."""
        return self.environ["MSGAPI_API_KEY"]

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables by which a program finds this sandbox. Raise RuntimeError before it is entered."""
        if not self._environ:
            raise RuntimeError("the sandbox is not started: enter it with `with`")
        return self._environ

    @property
    def page(self) -> str | None:
        """The URL of its page, for a browser. If *host* is not of this machine alone, it contains a secret."""
        return self._page

    @property
    def pid(self) -> int | None:
        """The id of the process; None before it is entered."""
        return self._pid

    def run(self, call: Call[T]) -> Result[T]:
        """Carry out *call*, and return its result. It blocks, and may be used while this thread runs an event loop.

        For a test that is async, or many calls at once, pass `url` and `api_key` to a client. Raise RuntimeError
        outside of the `with`.
        """
        if self._running is None:
            raise RuntimeError("the sandbox is not running: enter it with `with`")
        portal, client = self._running
        return portal.call(client, call)

    def reset(self) -> None:
        """Make the sandbox as it was when it was started. Raise `CallFailed` if it does not answer."""
        _ = self.run(reset()).unwrap()

    @contextmanager
    def _run(self) -> Iterator[None]:
        with TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
            process = Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-c", _PROGRAM, "sandbox", *self._arguments],
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
            started = False
            try:
                self._environ, self._page = _read_addresses(process, self._timeout)
                self._pid = process.pid
                with self._connect():
                    started = True
                    yield
            except BaseException as error:
                ending = _end(process, errors)
                if isinstance(error, SandboxError) and not started:
                    raise SandboxError(f"{error}: {ending}") from None
                if ending.is_failure:
                    error.add_note(f"The sandbox: {ending}")
                raise
            ending = _end(process, errors)
            if ending.is_failure:
                raise SandboxError(f"the sandbox: {ending}")

    @contextmanager
    def _connect(self) -> Iterator[None]:
        with start_blocking_portal() as portal:
            connecting = Client(base_url=self.url, api_key=self.api_key)
            with portal.wrap_async_context_manager(connecting) as client:
                self._running = portal, client
                try:
                    answer = self.run(health())
                    if not isinstance(answer, Ok):
                        raise SandboxError(f"the sandbox at {self.url} does not answer: {answer.message}")
                    yield
                finally:
                    self._running = None


def _read_addresses(process: "Popen[str]", timeout: float) -> tuple[Mapping[str, str], str]:
    # They are in the first line of its output, which it prints when it listens. A thread reads it, since Windows cannot
    # wait for a pipe and a time; the thread ends with the process.
    lines: SimpleQueue[str] = SimpleQueue()
    Thread(target=lambda: lines.put(process.stdout.readline() if process.stdout else ""), daemon=True).start()
    try:
        line = lines.get(timeout=timeout)
    except Empty:
        raise SandboxError(f"the sandbox did not listen within {timeout:g} seconds (timeout)") from None
    try:
        found = json.loads(line)
        return {name: str(found[name]) for name in ("MSGAPI_BASE_URL", "MSGAPI_API_KEY")}, str(found["page"])
    except (ValueError, TypeError, KeyError):
        with suppress(TimeoutExpired):  # its own status says more than that of a process that was ended
            _ = process.wait(STOP_TIMEOUT)
        raise SandboxError("the sandbox did not start") from None


def _end(process: "Popen[str]", errors: IO[str]) -> "_Ending":
    by_itself = process.poll() is not None
    with process:  # closes its pipes, which ends it, and waits for it
        try:
            if process.stdin is not None:  # pragma: no branch
                process.stdin.close()
            _ = process.wait(STOP_TIMEOUT)
        except TimeoutExpired:
            process.kill()
    _ = errors.seek(0)
    return _Ending(by_itself, process.returncode, errors.read()[-_LONGEST_OUTPUT:].strip())


@final
@frozen
class _Ending:
    """How a process has ended: *by_itself* or because it was ended, its *status*, and what it wrote to stderr."""

    by_itself: bool
    status: int
    output: str

    @property
    def is_failure(self) -> bool:
        return self.by_itself or self.status != 0

    def __str__(self) -> str:
        return f"the process has ended with status {self.status}, and wrote: {self.output or 'nothing'}"


def run_until_end_of_input() -> None:
    """Run `msgapi` with the arguments of this process, and end it as by SIGTERM when the standard input ends."""
    Thread(target=_terminate_at_end_of_input, daemon=True).start()
    _ = runpy.run_module(__name__.partition(".")[0], run_name="__main__")


def _terminate_at_end_of_input() -> None:
    # Nothing is written to it. Not by `sys.stdin`, whose lock the interpreter needs when it exits.
    _ = os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
