"""Three worker processes share a store, and one is killed: each event is handled, and none twice without a cause."""

import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import anyio
import pytest
from attrs import define, field

from msgapi import Request, Response, webhooks
from msgapi.transports import aiohttp as over_aiohttp
from msgapi.transports.protocol import Transport
from tests.support.webhook_worker import SECRET

ROOT = Path(__file__).parents[2]
EVENTS = 40
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
    pytest.mark.usefixtures("unmeasured_processes"),
]


@define
class Worker:
    process: "subprocess.Popen[str]"
    url: str
    handled: set[str] = field(factory=set)


@pytest.fixture(params=["sqlite", "redis"])
def workers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Worker]]:
    where = str(tmp_path / "events.db") if request.param == "sqlite" else request.getfixturevalue("valkey_broker").url
    command = [sys.executable, "-m", "tests.support.webhook_worker", where, str(tmp_path)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT))  # noqa: S603
            for _ in range(3)
        ]
        for process in processes:
            _ = stack.callback(process.kill)
        yield [Worker(process, process.stdout.readline().strip()) for process in processes if process.stdout]


async def deliver(transport: Transport, to: Worker, name: str) -> bool:
    """Deliver an event, and return whether it was answered 200."""
    body = webhooks.write(webhooks.UnknownEvent(id=name, event="other"))
    headers = {webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret=SECRET)}
    answer = await transport(Request("POST", to.url, headers, body))
    if isinstance(answer, Response):
        assert answer.status in {200, 500, 503}, answer.body
        if answer.status == 200:
            to.handled.add(name)
    return name in to.handled


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - a file and another process are nothing to wait for
            await anyio.sleep(0.01)


def lines(directory: Path, what: str) -> list[tuple[str, str]]:
    """Return the events that began or ended, each with its process."""
    found = [line.split() for line in (directory / "log").read_text().splitlines()]
    return [(name, process) for kind, name, process in found if kind == what]


def has_begun(directory: Path, name: str) -> bool:
    return (directory / "log").exists() and name in dict(lines(directory, "begin"))


async def test_each_event_is_handled_once_unless_its_handler_was_killed(workers: list[Worker], tmp_path: Path) -> None:
    victim, *others = workers
    run = uuid.uuid4().hex
    names, hanging = [f"{run}_{number}" for number in range(EVENTS)], f"{run}_hang"
    hang = tmp_path / "hang"
    hang.touch()
    async with over_aiohttp.open() as transport:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(deliver, transport, victim, hanging)
            await until(partial(has_begun, tmp_path, hanging))
            for name in names:
                for one in workers:
                    tasks.start_soon(deliver, transport, one, name)
                if name == names[EVENTS // 2]:
                    await until(lambda: bool(victim.handled))
                    victim.process.kill()
                    _ = victim.process.wait()
        hang.unlink()
        for name in [*names, hanging]:  # the service delivers again until the answer is 200
            with anyio.fail_after(60):
                while not await deliver(transport, others[len(name) % 2], name):  # noqa: ASYNC110 - as the service does
                    await anyio.sleep(0.05)
    begun, ended = lines(tmp_path, "begin"), lines(tmp_path, "end")
    killed = f"{victim.process.pid}"
    interrupted = {name for name, process in begun if process == killed} - victim.handled
    assert hanging in interrupted
    assert {name for name, _ in ended} == {*names, hanging}
    for found in (begun, ended):
        counts = Counter(name for name, _ in found)
        assert {name for name, count in counts.items() if count > 1} <= interrupted
        assert max(counts.values()) <= 2
    assert [process for name, process in ended if name == hanging] != [killed]
