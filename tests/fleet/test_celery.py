"""The recipe of the documentation for Celery: a real worker, of which a process is killed in the middle."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from anyio.abc import Process
from celery.exceptions import Retry  # type: ignore[import-untyped]

from msgapi import Misconfigured, fleet, journal, messages
from msgapi.journal import State
from msgapi.sandbox import Sandbox, serve
from tests.docs.pages import EXAMPLES
from tests.support.brokers import Broker, valkey
from tests.support.raw_servers import free_port

EXAMPLE = EXAMPLES["docs/how-to/fleet.md", "Many hosts, one key", 0]
ROWS = 1200
ROOT = Path(__file__).parents[2]
QUEUE = f"""
import anyio
from msgapi import journal, messages
from shop import enqueue

def made(at):
    text = messages.Text(agent_id="ag_live_demo", to=f"+49151{{at:08}}", traffic_type="TRANSACTION", text="Hi")
    return messages.send(text, idempotency_key=journal.key_of("may", f"{{at}}"))

anyio.run(enqueue, "may", {{f"{{at}}": made(at) for at in range({ROWS})}})
"""
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.usefixtures("unmeasured_processes"),
]


def children(pid: int) -> list[int]:
    """Find the processes that a process has started."""
    stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    found = [(int(stat.split(" ")[0]), int(stat.rpartition(")")[2].split()[1])) for stat in stats]
    return [child for child, parent in found if parent == pid]


@asynccontextmanager
async def working(directory: Path, env: dict[str, str]) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "-c", "2", "-P", "prefork", "-l", "WARNING"]
    with (directory / "worker.txt").open("wb") as said:
        async with await anyio.open_process(command, env=env, cwd=directory, stdout=said, stderr=said) as process:
            try:
                yield process
            finally:
                with anyio.CancelScope(shield=True):
                    for one in (*children(process.pid), process.pid):
                        os.kill(one, signal.SIGKILL)
                    _ = await process.wait()


@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the processes of the worker in /proc")
async def test_a_celery_worker_that_is_killed_in_the_middle_sends_each_row_once(tmp_path: Path) -> None:
    sandbox = Sandbox(rate_limit=300, timing=None)
    _ = (tmp_path / "shop.py").write_text(EXAMPLE)
    with valkey(tmp_path / "broker") as broker:
        async with serve(sandbox) as url:
            settings = {"MSGAPI_FLEET_URL": broker.url, "MSGAPI_API_KEY": sandbox.api_key, "MSGAPI_BASE_URL": url}
            env = os.environ | settings | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
            _ = await anyio.run_process([sys.executable, "-c", QUEUE], env=env)
            async with working(tmp_path, env) as worker:
                with anyio.fail_after(90):
                    while len(sandbox.account.state.log) < ROWS // 3:  # noqa: ASYNC110 - it has no event for it
                        await anyio.sleep(0.01)
                    os.kill(children(worker.pid)[0], signal.SIGKILL)
                    while await settled(broker.url, sandbox.api_key, tmp_path) < ROWS:  # noqa: ASYNC110 - nor has it
                        await anyio.sleep(0.25)
    assert len({message.to for message in sandbox.messages}) == len(sandbox.messages) == ROWS


async def attempted(monkeypatch: pytest.MonkeyPatch, url: str, key: str) -> None:
    """Run the task of the recipe once, as a worker of Celery does."""
    monkeypatch.setenv("MSGAPI_FLEET_URL", url)
    monkeypatch.setenv("MSGAPI_API_KEY", key)
    scope: dict[str, Any] = {"__name__": "shop"}
    exec(EXAMPLE, scope)  # noqa: S102 - the page's own
    scope["app"].conf.broker_url, send = "memory://", scope["send"]
    call = messages.send(
        messages.Text(agent_id="ag_live_demo", to="+4915100000001", traffic_type="TRANSACTION", text="Hi")
    )
    body = fleet.Chunk(batch="may", id="000000", rows=(fleet.make_row("1", call),)).dump().decode()

    def run() -> None:
        send.push_request(id="may/000000", args=(body,), kwargs={}, called_directly=False)
        send.run(body)

    await anyio.to_thread.run_sync(run)


async def test_a_chunk_stays_in_the_celery_queue_while_the_fleet_is_unreachable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Retry, match="5s"):
        await attempted(monkeypatch, f"redis://127.0.0.1:{free_port()}", "k")


async def test_a_refused_key_fails_the_celery_task_and_claims_no_fleet(
    monkeypatch: pytest.MonkeyPatch, valkey_broker: Broker
) -> None:
    url, sandbox = f"{valkey_broker.url}/7", Sandbox()
    async with serve(sandbox) as service:
        monkeypatch.setenv("MSGAPI_BASE_URL", service)
        with pytest.raises(Misconfigured, match="the API key was refused"):
            await attempted(monkeypatch, url, "mistyped")
        assert not sandbox.messages
        await attempted(monkeypatch, url, sandbox.api_key)
        assert len(sandbox.messages) == 1


async def settled(url: str, key: str, directory: Path) -> int:
    """Tell how many rows are accepted, by what stands in the records."""
    path = directory / "may.journal"
    async with fleet.open(url, api_key=key) as there:
        assert await fleet.collect(there.records, "may", str(path)) is not None
    with journal.open_readonly(str(path)) as record:
        return record.summary().rows(State.ACCEPTED)
