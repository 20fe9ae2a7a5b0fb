"""One batch on two workers, one of which is killed or frozen, over real engines and sockets: each row is sent once.

`MSGAPI_FLEET=5x20000` plays 5 rounds of 20,000 rows of each; without it, one small round.
"""

import gc
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import Process
from attrs import define, field

from msgapi.concurrency import background
from msgapi.http import Request
from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox, serve
from tests.support.brokers import Broker, nats, valkey

ROUNDS, ROWS = (int(part) for part in os.environ.get("MSGAPI_FLEET", "1x3000").split("x"))
ALLOWED = (
    0 if "MSGAPI_FLEET" in os.environ else ROWS // 100
)  # 429s; how late a request comes is a matter of the machine
LIMIT = 1500  # requests a second
STALL = 0.03  # seconds for which a service stands still if it is to be its own fault that it refuses
ODD = 97  # of so many rows one is refused by the service, and one before it is sent
REFUSED = [magic.phone for magic in MAGIC_RECIPIENTS if magic.digits in {"403", "404", "422"}]
ENGINES = {"redis": valkey, "nats": nats}
ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.usefixtures("unmeasured_processes"),
]


def recipient(at: int) -> str:
    return REFUSED[at % len(REFUSED)] if at % ODD == 1 else "" if at % ODD == 2 else f"+49151{at:08}"


WANTED = sorted(to for to in map(recipient, range(ROWS)) if to and to not in REFUSED)


@define(eq=False)
class Fleet:
    """A sandbox with a limit, an engine, and a batch that is queued."""

    broker: Broker
    directory: Path
    sandbox: Sandbox = field(factory=lambda: Sandbox(rate_limit=LIMIT, balance=Decimal(10_000), timing=None))
    refused: list[float] = field(factory=list)
    stalls: list[tuple[float, float]] = field(factory=list)
    environment: dict[str, str] = field(factory=dict)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count the answers that say that the limit was exceeded."""
        with pytest.MonkeyPatch.context() as patch:
            handle: Callable[[Sandbox, Request], Any] = Sandbox.handle

            def counted(sandbox: Sandbox, request: Request) -> Any:  # noqa: ANN401 - as `handle` has it
                reply = handle(sandbox, request)
                if reply.response.status == 429:
                    self.refused.append(time.monotonic())
                return reply

            patch.setattr(Sandbox, "handle", counted)
            gc.disable()  # a service that stands still counts what came meanwhile into its next second
            try:
                yield
            finally:
                gc.enable()

    async def msgapi(self, *options: str, check: bool = True) -> str:
        """Run the command to its end; gives what it prints."""
        done = await anyio.run_process(
            [sys.executable, "-m", "msgapi.cli", "fleet", *options], env=self.env, check=False
        )
        assert not check or done.returncode in {0, 1}, done.stderr.decode()
        return done.stdout.decode()

    @property
    def env(self) -> dict[str, str]:
        return os.environ | self.environment | {"PYTHONPATH": str(ROOT)}

    async def enqueue(self) -> None:
        people = self.directory / "people.csv"
        rows = (f"{recipient(at)},{at}" for at in range(ROWS))
        _ = people.write_text("\n".join(["to,name", *rows]) + "\n")
        options = ["--batch", "may", "--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}"]
        _ = await self.msgapi("enqueue", str(people), *options)

    @asynccontextmanager
    async def worker(self, name: str) -> AsyncIterator[Process]:
        command = [sys.executable, "-m", "msgapi.cli", "fleet", "work", "--until-empty", "--json"]
        with (self.directory / f"{name}.txt").open("wb") as said:
            async with await anyio.open_process(command, env=self.env, stdout=said, stderr=said) as process:
                try:
                    yield process
                finally:
                    with anyio.CancelScope(shield=True):
                        if process.returncode is None:
                            process.kill()
                        _ = await process.wait()

    async def tick(self) -> None:
        """Note when the service stood still, as when hundreds of its connections break at once."""
        while True:
            before = time.monotonic()
            await anyio.sleep(0.002)
            now = time.monotonic()
            if now - before > STALL:
                self.stalls.append((now, now - before))

    def overrun(self) -> list[float]:
        """Find the refusals that are not of a second in which the service counted what came while it stood still."""
        return [at for at in self.refused if not any(0 <= at - stalled <= 1 for stalled, _ in self.stalls)]

    async def reached(self, share: float) -> None:
        """Wait until so many of the rows are accepted."""
        with anyio.fail_after(120):
            while len(self.sandbox.account.state.log) < share * len(WANTED):  # noqa: ASYNC110 - it has no event for it
                await anyio.sleep(0.005)

    async def report(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(await self.msgapi("report", "--batch", "may", "--json"))
        return told

    async def check(self) -> None:
        """Compare the service, the account and the report."""
        assert sorted(message.to for message in self.sandbox.messages) == WANTED, "each row once, and no other"
        told = await self.report()
        assert (told["rows"], told["accepted"]) == (ROWS, len(WANTED)), told
        assert told["refused"] == ROWS - len(WANTED), told
        assert (told["not_sent_yet"], told["unknown"], told["chunks"]["left"]) == (0, 0, 0), told
        assert told["price"] == f"{self.sandbox.balance.reserved}", "the account and the report agree to the cent"
        said = f"the fleet went over the limit at {self.overrun()}; the service stood still at {self.stalls}"
        assert len(self.overrun()) <= ALLOWED, said


@asynccontextmanager
async def opened(engine: str, directory: Path) -> AsyncIterator[Fleet]:
    with ENGINES[engine](directory / "broker") as broker:
        fleet = Fleet(broker, directory)
        with fleet.watched():
            async with serve(fleet.sandbox) as url:
                fleet.environment = {
                    "MSGAPI_API_KEY": fleet.sandbox.api_key,
                    "MSGAPI_BASE_URL": url,
                    "MSGAPI_FLEET_URL": broker.url,
                }
                await fleet.enqueue()
                async with background(fleet.tick):
                    yield fleet


@pytest.mark.parametrize("share", [0.4, 0.95])
@pytest.mark.parametrize("engine", ENGINES)
async def test_when_one_of_two_workers_is_killed_each_row_is_sent_once(
    engine: str, share: float, tmp_path: Path
) -> None:
    for number in range(ROUNDS):
        directory = tmp_path / f"{number}"
        directory.mkdir()
        async with opened(engine, directory) as fleet, fleet.worker("one") as one, fleet.worker("two") as two:
            await fleet.reached(1e-9)
            began = time.monotonic()
            await fleet.reached(share)
            two.kill()
            await fleet.reached(1.0)
            wall = time.monotonic() - began
            assert await one.wait() in {0, 1}, (directory / "one.txt").read_text()
            await fleet.check()
        said = f"{ROWS} rows, {wall:.1f} s, {wall * LIMIT / ROWS:.2f} of the ideal, {len(fleet.refused)} refused"
        print(f"{engine}, killed at {share:.0%}: {said}", flush=True)  # noqa: T201 - it is what is asked for


@pytest.mark.parametrize("engine", ENGINES)
async def test_when_one_of_two_workers_hangs_the_other_sends_its_rows(engine: str, tmp_path: Path) -> None:
    async with opened(engine, tmp_path) as fleet, fleet.worker("one") as one, fleet.worker("two") as two:
        await fleet.reached(0.4)
        two.send_signal(signal.SIGSTOP)
        await fleet.reached(1.0)
        assert await one.wait() in {0, 1}, (tmp_path / "one.txt").read_text()
        two.send_signal(signal.SIGCONT)
        assert await two.wait() in {0, 1}, (tmp_path / "two.txt").read_text()
        await fleet.check()


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_workers_continue_when_the_broker_is_killed_and_restarted(engine: str, tmp_path: Path) -> None:
    async with opened(engine, tmp_path) as fleet, fleet.worker("one") as one, fleet.worker("two") as two:
        await fleet.reached(0.4)
        await anyio.to_thread.run_sync(fleet.broker.kill)
        await anyio.sleep(0.5)  # a broker that is away, for real
        await anyio.to_thread.run_sync(fleet.broker.start)
        await fleet.reached(1.0)
        for name, process in (("one", one), ("two", two)):
            assert await process.wait() in {0, 1}, (tmp_path / f"{name}.txt").read_text()
        await fleet.check()
