"""kill -9: the same batch, killed at random moments over a real socket and begun again, is sent exactly once."""

import os
import random
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from msgapi import journal
from msgapi.journal import State
from msgapi.sandbox import Sandbox, server

ROWS, KILLS = 3000, 6
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


async def test_after_any_kill_the_same_batch_finishes_exactly_the_rest(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)  # noqa: S311 - printed when the test fails
    print(f"seed {seed}")  # noqa: T201 - to be found in the report of a failure
    chance, path = random.Random(seed), tmp_path / "run.db"  # noqa: S311 - not for secrets
    sandbox = Sandbox(rate_limit=100_000, balance=Decimal(10_000), faults=0.02, seed=seed, timing=None)
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(path), str(ROWS)]
    async with server.serving(sandbox, host="127.0.0.1", port=0) as url:
        here = str(Path(__file__).parent.parent)
        environment = os.environ | {
            "MSGAPI_API_KEY": sandbox.api_key,
            "MSGAPI_BASE_URL": url,
            "PYTHONPATH": here,
        }
        for kill in range(KILLS):
            before = len(sandbox.messages)
            async with await anyio.open_process(command, env=environment, stdout=subprocess.DEVNULL) as victim:
                with anyio.move_on_after(20):
                    while len(sandbox.messages) <= before:  # noqa: ASYNC110 - the sandbox has no event for it
                        await anyio.sleep(0.005)
                await anyio.sleep(chance.uniform(0, 0.15))
                victim.kill()
            assert victim.returncode == -9 or len(sandbox.messages) == ROWS, f"kill {kill}"
        done = await anyio.run_process(command, env=environment)
    assert done.stdout.split()[-1] == b"None"
    recipients = [message.to for message in sandbox.messages]
    assert len(recipients) == len(set(recipients)) == ROWS
    with journal.reading(str(path)) as read:
        summary = read.summary()
        assert summary.rows() == summary.rows(State.ACCEPTED) == ROWS
        assert {line.message_id for line in read.lines()} == {message.id for message in sandbox.messages}
        assert summary.hold == sandbox.balance.reserved == Decimal(10_000) - (sandbox.balance.free or 0)
