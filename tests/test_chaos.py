"""kill -9, behind a hostile proxy: the same batch, killed and begun again at random moments, is sent exactly once.

`MSGAPI_CHAOS=50x20000` plays 50 rounds of 20,000 rows, with a line for each; without it, one small round.
"""

import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from attrs import define, field

from msgapi import journal
from msgapi.journal import JournalRow, State, Summary
from msgapi.sandbox import Sandbox, serve
from tests.support.batch_program import ODD

ROUNDS, ROWS = (int(part) for part in os.environ.get("MSGAPI_CHAOS", "1x1500").split("x"))
KILLS, PUT = 5, Decimal(10_000)
HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.usefixtures("unmeasured_processes"),
]


@define(eq=False)
class Round:
    """One batch on one disk, against one sandbox behind one proxy."""

    seed: int
    disk: Path
    chance: random.Random = field(init=False)
    sandbox: Sandbox = field(init=False)
    told: list[list[str]] = field(factory=list)
    kills: int = 0
    reruns: int = 0

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - to be had again
        faults = self.chance.choice([0.0, 0.02])
        self.sandbox = Sandbox(
            rate_limit=100_000, balance=PUT, faults=faults, slow=0.5, random_seed=self.seed, timing=None
        )

    async def play(self, url: str) -> None:
        """Begin the batch again and again, and kill it, but for the last time."""
        for left in range(KILLS, 0, -1):
            await self._kill(url, left)
        while True:
            async with self._program(url) as (program, said):
                assert await program.wait() == 0
            assert said.read_text().splitlines()[-1].endswith(" None")
            self._take(said)
            if not (unsettled := self.left()):
                return
            # The weather was bad for these to the end, as was told: they are what the same command sends now.
            assert {row for row, *_ in (one.split(" ") for one in self.told[-1])} >= unsettled
            self.reruns += 1
            assert self.reruns < 5, unsettled

    def left(self) -> set[str]:
        """Find the rows that may still be accepted."""
        with journal.open_readonly(str(self.disk / "run.db")) as read:
            unsettled = {State.STARTED, State.NOT_SENT, State.UNKNOWN}
            return {line.id for line in read.rows() if line.state in unsettled and int(line.id) % ODD != 1}

    async def _kill(self, url: str, left: int) -> None:
        before = len(self.sandbox.messages)
        target = before + self.chance.randrange(0, max(1, (ROWS - before) // left))
        early = self.chance.random() < 0.25
        async with self._program(url) as (program, said):
            with anyio.move_on_after(0.6 if early else 60):
                while program.returncode is None and len(self.sandbox.messages) <= target:  # noqa: ASYNC110 - it has no event for it
                    await anyio.sleep(0.005)
            await anyio.sleep(self.chance.uniform(0, 0.15))
            if program.returncode is None:
                program.kill()
                self.kills += 1
            _ = await program.wait()
        self._take(said)

    @asynccontextmanager
    async def _program(self, url: str) -> AsyncIterator[tuple[Process, Path]]:
        said = self.disk / "said.txt"
        environment = {"MSGAPI_API_KEY": self.sandbox.api_key, "MSGAPI_BASE_URL": url, "PYTHONPATH": str(HERE.parent)}
        transport = self.chance.choice(["aiohttp", "httptools"])
        command = [
            sys.executable,
            str(HERE / "support" / "batch_program.py"),
            str(self.disk / "run.db"),
            str(ROWS),
            transport,
        ]
        with said.open("w") as out:
            async with await anyio.open_process(
                command, env=os.environ | environment, stdout=out, stderr=None
            ) as program:
                yield program, said

    def _take(self, said: Path) -> None:
        whole = said.read_text().rpartition("\n")[0]  # what a killed program was writing is no line
        self.told.append([line for line in whole.splitlines() if line.split(" ")[0].isdigit()])

    def check(self) -> int:
        """Compare the service, the journal and what was told; gives how many rows were reported with a reason."""
        sent = {message.to: message for message in self.sandbox.messages}
        assert len(sent) == len(self.sandbox.messages), "a row was accepted twice"
        with journal.open_readonly(str(self.disk / "run.db")) as read:
            summary, lines = read.summary(), {line.id: line for line in read.rows()}
        unread = self.check_rows(lines, {to: entry.id for to, entry in sent.items()})
        self.check_told(lines)
        self.check_money(summary, sum((sent[to].hold for to in unread if to in sent), Decimal(0)))
        return summary.rows() - summary.rows(State.ACCEPTED) + len(unread)

    def check_rows(self, lines: dict[str, JournalRow], sent: dict[str, str]) -> list[str]:
        """Each row was accepted under the id that the journal has, or the journal says why not."""
        unread = []
        for at in range(ROWS):
            to, line = f"+49151{at:08}", lines[str(at)]
            if line.code == "unreadable":
                unread.append(to)
            elif at % ODD == 1:
                # In doubt if an attempt before that one had no answer, or no whole one.
                assert line.state in {State.REFUSED, State.UNKNOWN}, line
                assert line.code in {"forbidden", "not_rcs_capable", "recipient_suppressed"}
            elif at % ODD == 2:
                assert (line.state, line.code) == (State.INVALID, "validation_error")
            else:
                assert (line.state, line.message_id) == (State.ACCEPTED, sent.pop(to, None)), line
        assert sent.keys() <= set(unread), "the service has what the journal has not"
        return unread

    def check_told(self, lines: dict[str, JournalRow]) -> None:
        """What was told to have happened, has; and the last program told of all that it came to."""
        for run in self.told:
            for one in run:
                row, kind, said = one.split(" ")
                line = lines[row]
                if kind == "Ok" and line.code != "unreadable":  # it went again, and a page came back
                    assert said == line.message_id, (one, line)
                elif kind != "Ok" and run is self.told[-1]:
                    assert (kind, said) == (line.kind, line.code), (one, line)

    def check_money(self, summary: Summary, unsaid: Decimal) -> None:
        """The journal and the account agree to the cent."""
        balance = self.sandbox.balance
        assert summary.hold + unsaid == balance.reserved == PUT - (balance.free or 0)


@asynccontextmanager
async def hostile(port: int, seed: int, *more: str) -> AsyncIterator[tuple[str, dict[str, int]]]:
    """Stand the proxy before *port*, with *more* faults; at the end, what it did is in the dictionary."""
    done: dict[str, int] = {}
    command = [sys.executable, str(HERE / "support" / "chaos_proxy.py"), str(port), str(seed), *more]
    async with await anyio.open_process(command, stderr=None) as proxy:
        assert proxy.stdout is not None
        said = TextReceiveStream(proxy.stdout)
        try:
            yield f"http://127.0.0.1:{int(await said.receive())}", done
        except BaseException:
            proxy.kill()
            raise
        proxy.terminate()
        done.update(json.loads("".join([part async for part in said])))


def seeds() -> Iterator[int]:
    chance = random.Random()  # noqa: S311 - printed, to be had again
    yield from (chance.randrange(1 << 32) for _ in range(ROUNDS))


async def test_killed_behind_a_hostile_proxy_each_row_is_sent_once_or_told_of(tmp_path: Path) -> None:
    for number, seed in enumerate(seeds()):
        disk = tmp_path / str(number)
        disk.mkdir()
        one, began = Round(seed, disk), time.monotonic()
        print(f"round {number + 1}, seed {seed}:", end=" ", flush=True)  # noqa: T201 - to be had again
        async with serve(one.sandbox) as url, hostile(int(url.split(":")[2]), seed) as (before, done):
            await one.play(before)
        reported = one.check()
        print(  # noqa: T201
            f"{ROWS} rows, {one.kills} kills, {one.reruns} runs more, {one.sandbox.requests} requests at the service,",
            f"{len(one.sandbox.messages)} accepted once, {reported} reported, {time.monotonic() - began:.1f} s,",
            {fault: count for fault, count in sorted(done.items()) if fault != "fine"},
            flush=True,
        )
