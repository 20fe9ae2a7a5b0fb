"""The signals of the command, also on an event loop without `add_signal_handler`, as on Windows."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from msgapi.cli.connection import open_signals
from msgapi.sandbox import serve_in_thread

PROGRAM = """
import asyncio, sys
from msgapi.cli import main

def missing(*_):
    raise NotImplementedError

sys.modules["uvloop"] = None
asyncio.SelectorEventLoop.add_signal_handler = missing
sys.exit(main(sys.argv[1:]))
"""
SEND = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi", "--concurrency", "1", "--rate", "5"]


def missing(*_: object) -> None:
    raise NotImplementedError


@pytest.mark.parametrize("has_handlers", [True, False])
def test_signals_are_yielded_in_their_order_and_the_handlers_are_restored(
    monkeypatch: pytest.MonkeyPatch, *, has_handlers: bool
) -> None:
    if not has_handlers:
        monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", missing)
    before = signal.getsignal(signal.SIGTERM)

    async def main() -> list[signal.Signals]:
        with open_signals(signal.SIGINT, signal.SIGTERM) as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            first = await anext(signals)
            os.kill(os.getpid(), signal.SIGINT)
            return [first, await anext(signals)]

    assert asyncio.run(main()) == [signal.SIGTERM, signal.SIGINT]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_wakes_a_loop_that_waits_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", missing)

    async def main() -> signal.Signals:
        with open_signals(signal.SIGALRM) as signals:
            _ = signal.setitimer(signal.ITIMER_REAL, 0.05)
            return await anext(signals)

    assert asyncio.run(main()) == signal.SIGALRM


def run(folder: Path, *arguments: str, env: dict[str, str], interrupt: bool = False) -> tuple[int, str]:
    program = [sys.executable, "-c", PROGRAM, *arguments]
    environ = {**os.environ, **env, "COLUMNS": "120"}
    pipe = subprocess.PIPE
    with subprocess.Popen(program, cwd=folder, env=environ, stderr=pipe, stdout=pipe, text=True) as child:  # noqa: S603
        if interrupt:
            _wait_for_journal(folder / "people.csv.journal")
            child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    return child.returncode, out + err


def _wait_for_journal(path: Path) -> None:
    until = monotonic() + 30
    while not path.exists():
        assert monotonic() < until


def test_a_batch_ends_well_on_a_loop_without_signal_handlers(tmp_path: Path) -> None:
    _ = (tmp_path / "people.csv").write_text("to\n" + "".join(f"+49151{at:08}\n" for at in range(40)))
    with serve_in_thread() as served:
        env = dict(served.environ)
        status, said = run(tmp_path, "batch", "people.csv", *SEND, env=env, interrupt=True)
        assert (status, "Traceback" in said) == (130, False), said
        assert "stopping: no more rows are sent" in said
        status, said = run(tmp_path, "batch", "people.csv", *SEND[:-4], env=env)
        assert status == 0, said
        assert served.call(lambda sandbox: len(sandbox.messages)) == 40
