"""kill -9, behind a hostile proxy, with a file that is edited between the runs: each person gets one message.

`MSGAPI_CHAOS=50x20000` plays 50 rounds of 20,000 rows, with a line for each; without it, one small round. A round edits
the file between the runs, or deletes the `-wal` of the journal between runs over an unchanged file. `PARTS` switches
what a round does; `MSGAPI_CHAOS_PARTS=append,idle` plays these only.
"""

import json
import os
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from attrs import define, field

from msgapi import journal
from msgapi.journal import State
from msgapi.sandbox import Sandbox, serve
from tests.test_chaos import PUT, hostile

PARTS: dict[str, bool] = {
    "append": True,
    "sort": True,
    "insert": True,
    "delete": True,
    "edit": True,
    "wal": True,
    "pages": True,
    "idle": True,
}
if "MSGAPI_CHAOS_PARTS" in os.environ:
    PARTS = dict.fromkeys(PARTS, False) | dict.fromkeys(os.environ["MSGAPI_CHAOS_PARTS"].split(","), True)
EDITS = [name for name in ("append", "sort", "insert", "delete", "edit") if PARTS[name]]
PROXY = [*(name for name in ("pages", "idle") if PARTS[name]), *([] if PARTS["pages"] else ["-portal"])]
ROUNDS, ROWS = (int(part) for part in os.environ.get("MSGAPI_CHAOS", "1x1500").split("x"))
KILLS, RERUNS, LONGEST_RUN = 5, 12, 600  # the last in seconds
ENDED, STOPPED, USAGE = {0, 3}, 3, 2
HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.usefixtures("unmeasured_processes"),
]


@define(eq=False)
class Round:
    """One file on one disk, against one sandbox behind one proxy. *rows* are the recipients and names in the file.

    *undecided* are the people whose row was edited when it was not known as accepted. If it was in flight when the
    program was killed, --changed skip leaves it out, whether or not the service had received it.
    """

    seed: int
    disk: Path
    chance: random.Random = field(init=False)
    sandbox: Sandbox = field(init=False)
    rows: list[tuple[str, str]] = field(init=False)
    people: int = field(default=ROWS, init=False)
    done: Counter[str] = field(factory=Counter, init=False)
    edited: bool = field(default=False, init=False)
    undecided: set[str] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - to be had again
        faults = self.chance.choice([0.0, 0.02])
        self.sandbox = Sandbox(
            rate_limit=100_000, balance=PUT, faults=faults, slow=0.5, random_seed=self.seed, timing=None
        )
        self.rows = [person(at) for at in range(ROWS)]
        self.write()

    @property
    def file(self) -> Path:
        return self.disk / "people.csv"

    @property
    def journal(self) -> Path:
        return self.disk / "run.journal"

    def write(self) -> None:
        _ = self.file.write_text("to,name\n" + "".join(f"{to},{name}\n" for to, name in self.rows))

    async def play(self, url: str) -> None:
        """Run the command again and again: kill it, but for the last times, and change the files between the runs."""
        over_wal = PARTS["wal"] and (not EDITS or self.chance.random() < 0.3)
        for left in range(KILLS, 0, -1):
            await self.kill(url, left)
            if over_wal:
                self.drop_wal()
            elif EDITS:
                await self.change()
        for _ in range(RERUNS):
            if await self.run(url) == 0:
                return
            self.done["reruns"] += 1
        raise AssertionError(f"no end after {RERUNS} runs")

    async def kill(self, url: str, left: int) -> None:
        before = len(self.sandbox.messages)
        target = before + self.chance.randrange(0, max(1, (len(self.rows) - before) // left))
        async with self.command(url) as program:
            with anyio.move_on_after(60):
                while program.returncode is None and len(self.sandbox.messages) <= target:  # noqa: ASYNC110 - it has no event for it
                    await anyio.sleep(0.005)
            await anyio.sleep(self.chance.uniform(0, 0.15))
            if program.returncode is None:
                program.kill()
                self.done["kills"] += 1
            _ = await program.wait()

    async def run(self, url: str) -> int:
        async with self.command(url) as program:
            with anyio.fail_after(LONGEST_RUN):
                status = await program.wait()
        assert status in ENDED, self.said()
        return status

    def said(self) -> str:
        return (self.disk / "said.txt").read_text()

    @asynccontextmanager
    async def command(self, url: str, *, decide: bool = True) -> AsyncIterator[Process]:
        """Start the command; *decide* says whether it is told what to do with rows that have changed."""
        options = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}", "--concurrency", "32"]
        options += ["--with-recipients"]
        changed = ["--changed", "skip"] if self.edited and decide else []
        command = [sys.executable, str(HERE / "support" / "batch_command.py"), str(self.file), *options, *changed]
        files = ["--journal", str(self.journal), "--results", str(self.disk / "results.jsonl"), "--overwrite"]
        environment = {"MSGAPI_API_KEY": self.sandbox.api_key, "MSGAPI_BASE_URL": url, "PYTHONPATH": str(HERE.parent)}
        with (self.disk / "said.txt").open("w") as out:
            async with await anyio.open_process(
                [*command, *files], env=os.environ | environment, stdout=out, stderr=out
            ) as program:
                yield program

    async def change(self) -> None:
        """Change the file in one to three ways."""
        ways = {
            "append": self.append,
            "sort": self.sort,
            "insert": self.insert,
            "delete": self.delete,
            "edit": self.edit,
        }
        for name in self.chance.sample(EDITS, self.chance.randint(1, min(3, len(EDITS)))):
            self.done[name] += 1
            await ways[name]()
            self.write()

    async def append(self) -> None:
        self.rows += self.new_people()

    async def sort(self) -> None:
        self.rows.sort(key=lambda _: self.chance.random())

    async def insert(self) -> None:
        for one in self.new_people():
            self.rows.insert(self.chance.randrange(len(self.rows) + 1), one)

    async def delete(self) -> None:
        for _ in range(min(len(self.rows) // 20, self.chance.randint(1, 20))):
            del self.rows[self.chance.randrange(len(self.rows))]

    async def edit(self) -> None:
        """Edit rows, some of them of people who have their message; without --changed, nothing is sent then."""
        known, count = self.accepted(), 0
        for at in self.chance.sample(range(len(self.rows)), min(len(self.rows), 10)):
            to, name = self.rows[at]
            self.rows[at] = to, f"{name}x"
            count += to in known
            if to not in known:
                self.undecided.add(to)
        self.edited = True
        if count:
            self.done["edited after it was accepted"] += count
            self.write()
            await self.refused()

    async def refused(self) -> None:
        """Without --changed the command ends with 2, and opens no connection."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0)
            async with self.command(f"http://127.0.0.1:{listener.getsockname()[1]}", decide=False) as program:
                with anyio.fail_after(60):
                    assert await program.wait() == USAGE, self.said()
            with pytest.raises(BlockingIOError):
                _ = listener.accept()
        self.done["refused without --changed"] += 1

    def accepted(self) -> set[str]:
        """Return the recipients of the messages that the journal has as accepted."""
        if not self.journal.exists():
            return set()
        with journal.open_readonly(str(self.journal)) as read:
            ids = {line.message_id for line in read.rows(State.ACCEPTED)}
        return {message.to for message in self.sandbox.messages if message.id in ids}

    def changed(self) -> set[str]:
        """Return the recipients of the rows that the results of the last run have as changed."""
        lines = [json.loads(line) for line in (self.disk / "results.jsonl").read_text().splitlines()]
        return {line["to"] for line in lines if line["kind"] == "Changed"}

    def new_people(self) -> list[tuple[str, str]]:
        count = self.chance.randint(1, max(1, ROWS // 50))
        first, self.people = self.people, self.people + count
        return [person(at) for at in range(first, first + count)]

    def drop_wal(self) -> None:
        wal = self.journal.with_name(f"{self.journal.name}-wal")
        self.done["wal"] += wal.exists()
        wal.unlink(missing_ok=True)

    def check(self) -> None:
        """Compare the log and the account of the service with the file, and with the journal."""
        sent = {message.to: message for message in self.sandbox.messages}
        assert len(sent) == len(self.sandbox.messages), "a person got two messages"
        missing = {to for to, _ in self.rows} - sent.keys()
        assert missing <= self.undecided, "a person got none"
        assert missing <= self.changed(), "a person got none, and the results do not say why"
        self.done["left out as changed"] = len(missing)
        balance = self.sandbox.balance
        held = sum((message.hold for message in sent.values()), Decimal(0))
        assert held == balance.reserved == PUT - (balance.free or 0)
        by_id = {message.id: message for message in sent.values()}
        with journal.open_readonly(str(self.journal)) as read:
            lines = list(read.rows(State.ACCEPTED))
        known = [(line.message_id, Decimal(line.hold or 0)) for line in lines if line.message_id]
        assert len({name for name, _ in known}) == len(known)
        assert all(by_id[name].hold == hold for name, hold in known)


def person(at: int) -> tuple[str, str]:
    return f"+49151{at:08}", f"N{at}"


def seeds() -> Iterator[int]:
    chance = random.Random()  # noqa: S311 - printed, to be had again
    yield from (chance.randrange(1 << 32) for _ in range(ROUNDS))


async def test_a_batch_that_is_killed_while_its_file_is_edited_sends_each_person_one_message(tmp_path: Path) -> None:
    for number, seed in enumerate(seeds()):
        disk = tmp_path / str(number)
        disk.mkdir()
        one, began = Round(seed, disk), time.monotonic()
        print(f"round {number + 1}, seed {seed}:", end=" ", flush=True)  # noqa: T201 - to be had again
        async with serve(one.sandbox) as url, hostile(int(url.split(":")[2]), seed, *PROXY) as (before, done):
            await one.play(before)
        one.check()
        print(  # noqa: T201
            f"{len(one.rows)} rows, {dict(one.done)}, {one.sandbox.requests} requests at the service,",
            f"{len(one.sandbox.messages)} accepted once, {time.monotonic() - began:.1f} s,",
            {fault: count for fault, count in sorted(done.items()) if fault != "fine"},
            flush=True,
        )
