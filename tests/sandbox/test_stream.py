"""The stream of changes that the page follows, as events on either event loop, and over a socket."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import orjson
import pytest
from attrs import define

from msgapi.clock import VirtualClock
from msgapi.sandbox import Sandbox, Timing, serve
from msgapi.sandbox.model.changes import MAX_CHANGES
from msgapi.sandbox.page.access import PageAccess
from msgapi.sandbox.page.serving import COMMENT_INTERVAL, PAUSE, PageServer, stream_changes
from tests.support.sandbox_refusals import RUNS, sent
from tests.support.sandbox_requests import KEY, request, said, still, text

pytestmark = pytest.mark.anyio
ID = re.compile(r"id: ([0-9a-f]{12}-[0-9]+)\n")


@define
class Follower:
    """Reads the events of a stream."""

    events: AsyncGenerator[bytes, None]
    last_id: str = ""

    async def next(self) -> str:
        """Read the next event or comment."""
        text = (await anext(self.events)).decode()
        assert text.endswith("\n\n")
        found = ID.search(text)
        self.last_id = found[1] if found else self.last_id
        return text

    async def change(self) -> Any:  # noqa: ANN401 - JSON
        """Read the data of the next event, which is a change."""
        text = await self.next()
        assert "event: change\n" in text, text
        return orjson.loads(text.partition("data: ")[2])


@asynccontextmanager
async def following(box: Sandbox, last_id: str | None = None) -> AsyncIterator[Follower]:
    async with aclosing(stream_changes(box, last_id, box.clock)) as events:
        follower = Follower(events)
        assert (await follower.next()).startswith("retry: 1000\nid: ")
        yield follower


def quiet() -> Sandbox:
    return Sandbox(clock=VirtualClock(autojump=True), timing=None)


async def test_a_stream_begins_with_its_position_and_has_what_changes_from_then_on() -> None:
    box = quiet()
    _ = sent(box)
    async with following(box) as page:
        assert page.last_id.endswith(f"-{box.account.state.changes.count}")
        name = sent(box)
        assert await page.change() == {"account": True, "messages": [name], "requests": True}


async def test_what_changes_at_once_is_one_event_and_the_next_one_comes_after_a_pause() -> None:
    box = quiet()
    async with following(box) as page:
        names = [sent(box), sent(box)]
        assert (await page.change())["messages"] == names
        assert box.clock.now() == 0.0
        names = [sent(box), sent(box)]
        assert (await page.change())["messages"] == names
        assert box.clock.now() == PAUSE


async def test_a_change_wakes_a_stream_that_waits() -> None:
    box = quiet()
    async with following(box) as page, anyio.create_task_group() as tasks:

        async def change_later() -> None:
            await box.clock.sleep(3)
            box.account.state.changes.add("clock")

        _ = tasks.start_soon(change_later)
        assert await page.change() == {"clock": True}
        assert box.clock.now() == 3.0


async def test_what_happens_by_itself_is_in_the_stream() -> None:
    box = Sandbox(clock=VirtualClock(autojump=True), timing=Timing(sent=1, delivered=2, read=4))
    async with following(box) as page:
        name = str(sent_now(box))
        assert (await page.change())["messages"] == [name]
        for moment in (1.0, 3.0, 7.0):
            assert (await page.change())["messages"] == [name]
            assert box.clock.now() == pytest.approx(moment)


def sent_now(box: Sandbox) -> object:
    return said(box.handle(request("POST", "/v1/messages", body=text())).response)["message_id"]


async def test_a_comment_shows_that_a_quiet_stream_is_alive() -> None:
    box = quiet()
    async with following(box) as page:
        for number in (1, 2):
            assert (await page.next()).startswith(":")
            assert box.clock.now() == pytest.approx(number * COMMENT_INTERVAL)


async def test_a_page_that_comes_back_gets_what_it_has_missed() -> None:
    box = quiet()
    async with following(box) as page:
        box.account.state.changes.add("agents")
        _ = await page.change()
    name = sent(box)
    box.account.state.changes.add("clock")
    async with following(box, page.last_id) as page:
        found = await page.change()
    assert found == {"account": True, "clock": True, "messages": [name], "requests": True}


@pytest.mark.parametrize("last_id", ["000000000000-1", "nonsense", "", "\u0661-1", "{instance}-999999"])
async def test_an_id_that_is_not_one_of_this_sandbox_leads_to_a_reset(last_id: str) -> None:
    box = quiet()
    async with following(box, last_id.format(instance=box.account.state.changes.instance)) as page:
        assert "event: reset\n" in await page.next()
        box.account.state.changes.add("agents")
        assert await page.change() == {"agents": True}


async def test_a_page_that_is_too_far_behind_is_reset() -> None:
    box = quiet()
    async with following(box) as page:
        for _ in range(MAX_CHANGES + 1):
            box.account.state.changes.add("requests")
        assert "event: reset\n" in await page.next()
        assert page.last_id.endswith(f"-{MAX_CHANGES + 1}")


async def test_a_page_is_reset_when_the_account_is_replaced() -> None:
    box = quiet()
    async with following(box) as page, anyio.create_task_group() as tasks:

        async def replace() -> None:
            await box.clock.sleep(1)
            before, box.account = box.account, still().account
            before.state.changes.end()

        _ = tasks.start_soon(replace)
        assert "event: reset\n" in await page.next()
        box.account.state.changes.add("agents")
        assert await page.change() == {"agents": True}
        assert page.last_id.startswith(box.account.state.changes.instance)


async def test_the_progress_of_a_running_campaign_is_in_the_stream() -> None:
    box = quiet()
    async with following(box) as page:
        _ = box.handle(request("POST", f"/v1/campaigns/{RUNS}/trigger"))
        assert (await page.change())["campaigns"]
        for _ in range(3):
            before = box.clock.now()
            assert await page.change() == {"campaigns": True}
            assert box.clock.now() > before
        _ = box.handle(request("POST", f"/v1/campaigns/{RUNS}/pause"))
        assert "campaigns" in await page.change()
        assert (await page.next()).startswith(":")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_over_a_socket_the_stream_needs_the_key_and_ends_with_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    box = Sandbox(timing=None)
    async with aiohttp.ClientSession() as session:
        async with serve(box) as url:
            async with session.get(f"{url}/_sandbox/events") as refused:
                assert refused.status == 401
            answer = await session.get(f"{url}/_sandbox/events", headers={"Authorization": f"Bearer {KEY}"})
            assert answer.headers["content-type"] == "text/event-stream"
            assert answer.headers["cache-control"] == "no-store"
            assert await answer.content.readline() == b"retry: 1000\n"
            box.account.state.changes.add("clock")
            while await answer.content.readline() != b'data: {"clock":true}\n':
                pass
        assert await answer.content.read() == b"\n"
        answer.close()
    assert caplog.records == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_over_a_socket_a_page_comes_back_with_the_last_event_that_it_has() -> None:
    box = Sandbox(timing=None)
    headers = {"Authorization": f"Bearer {KEY}", "Last-Event-ID": f"{box.account.state.changes.instance}-0"}
    box.account.state.changes.add("clock")
    async with (
        serve(box) as url,
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{url}/_sandbox/events") as answer,
    ):
        read = [await answer.content.readline() for _ in range(6)]
        assert read[-1] == b'data: {"clock":true}\n'


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_wait_over_a_socket_ends_with_the_server() -> None:
    box = Sandbox(timing=None)
    headers = {"Authorization": f"Bearer {KEY}"}
    found: list[object] = []
    async with aiohttp.ClientSession(headers=headers) as session, anyio.create_task_group() as tasks:

        async def wait(url: str) -> None:
            async with session.get(f"{url}/_sandbox/messages/wait?timeout=60") as answer:
                found.append((answer.status, await answer.json()))

        async with serve(box) as url:
            _ = tasks.start_soon(wait, url)
            while not box.account.state.changes._waiting:
                await anyio.lowlevel.checkpoint()
    assert found == [(200, {"message": None})]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_stream_ends_when_its_page_is_gone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pages: list[PageServer] = []

    def make(served: Sandbox, access: PageAccess) -> PageServer:
        pages.append(PageServer(served, access))
        return pages[0]

    monkeypatch.setattr("msgapi.sandbox.server.PageServer", make)
    monkeypatch.setattr("msgapi.sandbox.page.serving.PAUSE", 0.0)
    box = Sandbox(timing=None)
    async with serve(box) as url, aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        answer = await session.get(f"{url}/_sandbox/events")
        assert len(pages[0]._scopes) == 1
        answer.close()
        while pages[0]._scopes:
            box.account.state.changes.add("clock")
            await anyio.lowlevel.checkpoint()
    assert caplog.records == []
