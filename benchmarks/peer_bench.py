"""The processes of the comparison: a server on one core, a worker for each client on another, and their reports."""

import json
import os
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from peer_environments import NotInstalled, clean, prepared
from peer_list import BASE, ENVIRONMENTS, PEERS, Peer
from peer_table import Figures, Run

HERE = Path(__file__).resolve().parent


class Failed(Exception):
    """A process did not do what it was asked."""


class Process:
    """A program of this directory that prints lines, pinned to one core where that can be done."""

    def __init__(self, name: str, core: int | None, program: list[str]) -> None:
        """Start the program."""
        self.name, self.fresh = name, True
        self.popen = subprocess.Popen(  # noqa: S603 - our own program
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean()
        )
        if core is not None:
            os.sched_setaffinity(self.popen.pid, {core})

    def read_report(self) -> Any:  # noqa: ANN401 - JSON
        """Read the next line."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            raise Failed(f"{self.name}: its process ended, as written above")
        return json.loads(line)

    def ask(self, command: str, calls: int) -> dict[str, float]:
        """Have *calls* calls made, none of which may fail."""
        assert self.popen.stdin is not None
        print(command, calls, file=self.popen.stdin, flush=True)
        found: dict[str, float] = self.read_report()
        if found["failures"]:
            raise Failed(f"{self.name}: {found['problem']}")
        return found

    def stop(self) -> None:
        """End the program."""
        self.popen.kill()
        _ = self.popen.wait()


class Server:
    """The server, and what it counts."""

    def __init__(self, python: Path, core: int | None) -> None:
        """Start it."""
        self.process = Process("the server", core, [str(python), str(HERE / "server.py")])
        self.port: int = self.process.read_report()
        self.connection = HTTPConnection("127.0.0.1", self.port)

    def count(self) -> tuple[int, float]:
        """Return the number of requests, and the seconds of CPU that they cost."""
        self.connection.request("GET", "/count")
        found = json.loads(self.connection.getresponse().read())
        return found["requests"], found["cpu"]


def cores() -> tuple[int | None, int | None]:
    """Choose a core for the clients and one for the server, where there are two and they can be chosen."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else (None, None)


@dataclass
class Entrant:
    """A client that runs, by *program*."""

    program: list[str]
    worker: Process
    figures: Figures


class Bench:
    """The server and all clients that could be started; *left_out* names the others."""

    def __init__(self, stack: ExitStack, under: Path, concurrency: int) -> None:
        """Make every environment and start every process; they end with *stack*."""
        self.stack, self.concurrency = stack, concurrency
        self.left_out: dict[str, str] = {}
        self.entrants: list[Entrant] = []
        self.clients, servers = cores()
        self.server = Server(prepared(BASE.environment, under), servers)
        stack.callback(self.server.process.stop)
        for name in ENVIRONMENTS:
            try:
                python = prepared(name, under)
            except NotInstalled as reason:
                self.left_out[name] = str(reason)
                continue
            for peer in PEERS:
                if peer.environment == name:
                    self.start(peer, python)

    def start(self, peer: Peer, python: Path) -> None:
        """Start a client."""
        program = [str(python), str(HERE / "peer_worker.py"), peer.name]
        program += [f"http://127.0.0.1:{self.server.port}", f"{self.concurrency}"]
        worker, report = self.started(peer.name, program)
        if "missing" in report:
            self.left_out[peer.name] = report["missing"]
            return
        self.entrants.append(Entrant(program, worker, Figures(peer, report["version"], report["over"])))

    def started(self, name: str, program: list[str]) -> tuple[Process, dict[str, str]]:
        """Start a process; gives what it says first as well."""
        worker = Process(name, self.clients, program)
        self.stack.callback(worker.stop)
        return worker, worker.read_report()

    def renew(self) -> None:
        """Have every client go on in a new process: where a process happens to lie in memory is worth 10 % and more."""
        for one in self.entrants:
            one.worker.stop()
            one.worker, _ = self.started(one.worker.name, one.program)

    def counted(self, worker: Process, command: str, calls: int) -> tuple[dict[str, float], float]:
        """Have the worker make calls, each one request; return the report, and the server's seconds of CPU."""
        before, spent = self.server.count()
        report = worker.ask(command, calls)
        after, then = self.server.count()
        if after - before != calls:
            raise Failed(f"{worker.name}: {calls} calls were {after - before} requests")
        return report, then - spent

    def measure(self, rounds: int, processes: int, calls: int, profiled: int) -> None:
        """Let the clients take turns, each with its connections open again before what is measured.

        Each has *processes* processes, one after the other, of about as many rounds each.
        """
        for number in range(rounds):
            if number and number * processes // rounds != (number - 1) * processes // rounds:
                self.renew()
            for one in self.entrants:
                if one.worker.fresh:
                    _ = self.counted(one.worker, "warm", calls)
                    one.worker.fresh = False
                _ = self.counted(one.worker, "warm", 2 * self.concurrency)
                report, server = self.counted(one.worker, "run", calls)
                one.figures.runs.append(Run(report["cpu"], server, report["wall"]))
        for one in self.entrants:
            report, _ = self.counted(one.worker, "profile", profiled)
            one.figures.function_calls = report["function_calls"]
