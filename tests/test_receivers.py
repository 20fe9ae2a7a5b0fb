"""receivers: each event once, an honest answer, in time; in memory and in real applications."""

import asyncio
import gzip
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import orjson
import pytest
from aiohttp import web
from anyio.abc import TaskStatus
from attrs import define, field
from servers import by_uvicorn

from msgapi import Request, Response, events, receivers
from msgapi.events import Event
from msgapi.receivers import Remembered
from msgapi.receivers.asgi import Application
from msgapi.transports import aiohttp as over_aiohttp

SECRET = "whsec_1"
BODY = b'{"id":"evt_1","event":"message.read","timestamp":"2026-05-04T07:30:00Z","data":{"message_id":"msg_1"}}'
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])
pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes on behind an answer goes on for a moment only."""
    monkeypatch.setattr("msgapi.receivers.inbox._LINGER", 0.05)


@define(eq=False)
class Handler:
    """A user's handler: remembers the events, and does what the test has it do."""

    got: list[Event] = field(factory=list)
    then: Callable[[], Any] = anyio.lowlevel.checkpoint

    async def __call__(self, event: Event) -> None:
        self.got.append(event)
        await self.then()


async def post(
    app: Application, *parts: bytes, method: str = "POST", headers: dict[str, str] | None = None, hang: bool = False
) -> tuple[int, dict[str, str], Any] | None:
    """Send one request to an ASGI application, its body in *parts*; None if there was no answer."""
    said = {"X-Arowana-Signature": events.sign(b"".join(parts), secret=SECRET)} if headers is None else headers
    left, answer = list(parts), []

    async def receive() -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        if not left and hang:
            await anyio.sleep_forever()
        if not left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or hang}

    async def send(message: Any) -> None:  # noqa: ANN401 - as ASGI has it
        answer.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in said.items()]
    await app({"type": "http", "method": method, "headers": raw}, receive, send)
    if not answer:
        return None
    start, body = answer
    return (
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        orjson.loads(body["body"]),
    )


async def answered(app: Application, body: bytes, *, task_status: TaskStatus[list[int]]) -> None:
    """Tell the answer's status as soon as it is said, and go on until the application is done."""
    parts = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        return parts.pop()

    async def send(message: Any) -> None:  # noqa: ANN401 - as ASGI has it
        await anyio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            task_status.started([message["status"]])

    raw = [(events.HEADER.lower().encode(), events.sign(body, secret=SECRET).encode())]
    await app({"type": "http", "method": "POST", "headers": raw}, receive, send)


async def status(app: Application, *parts: bytes, **more: Any) -> int:  # noqa: ANN401 - those of `post`
    answer = await post(app, *parts, **more)
    assert answer is not None
    return answer[0]


async def test_an_event_is_handed_over_and_acknowledged() -> None:
    handler = Handler()
    app = receivers.asgi(handler, secret=SECRET)
    assert await post(app, BODY[:9], BODY[9:]) == (200, {"content-type": "application/json", "content-length": "2"}, {})
    assert [one.id for one in handler.got] == ["evt_1"]


async def test_a_repeated_event_is_acknowledged_and_not_handed_over_again() -> None:
    handler = Handler()
    app = receivers.asgi(handler, secret=["old", SECRET])
    assert [await status(app, BODY) for _ in range(3)] == [200, 200, 200]
    assert len(handler.got) == 1


async def test_what_was_not_signed_is_401_and_what_is_no_event_400() -> None:
    handler = Handler()
    app = receivers.asgi(handler, secret=SECRET)
    answer = await post(app, BODY, headers={})
    assert answer is not None
    assert (answer[0], answer[2]["error"]) == (401, "unauthorized")
    assert await status(app, b"[]") == 400
    assert await status(app, b"") == 400
    assert handler.got == []


async def test_a_handler_that_raises_gets_the_event_again(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        await anyio.lowlevel.checkpoint()
        raise LookupError("no database")

    handler = Handler(then=fail)
    app = receivers.asgi(handler, secret=SECRET)
    with caplog.at_level(logging.ERROR, "msgapi"):
        assert await status(app, BODY) == 500
    assert "evt_1" in caplog.text
    assert "no database" in caplog.text
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200
    assert len(handler.got) == 2


async def test_a_handler_that_takes_too_long_is_stopped_and_gets_the_event_again() -> None:
    handler = Handler(then=anyio.sleep_forever)
    app = receivers.asgi(handler, secret=SECRET, timeout=0.05)
    assert await status(app, BODY) == 503
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200


async def test_a_handler_that_is_late_goes_on_and_the_event_does_not_come_to_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("msgapi.receivers.inbox._LINGER", 20)
    go, handler = anyio.Event(), Handler()
    handler.then = go.wait
    app = receivers.asgi(handler, secret=SECRET, timeout=0.05)
    async with anyio.create_task_group() as tasks:
        answers = await tasks.start(answered, app, BODY)
        assert answers == [503]
        assert await status(app, BODY) == 503
        go.set()
    assert await status(app, BODY) == 200
    assert len(handler.got) == 1


async def test_the_answer_does_not_wait_for_a_thread_or_a_cleanup_that_takes_its_time() -> None:
    go = threading.Event()

    async def in_a_thread() -> None:
        await anyio.to_thread.run_sync(go.wait, 20)

    async def shielded() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await in_a_thread()

    for then in (in_a_thread, shielded):
        go.clear()
        handler = Handler(then=then)
        app = receivers.asgi(handler, secret=SECRET, timeout=0.05)
        async with anyio.create_task_group() as tasks:
            assert await tasks.start(answered, app, BODY) == [503]
            go.set()
        handler.then = anyio.lowlevel.checkpoint
        assert await status(app, BODY) == 200


async def test_a_handler_that_takes_no_notice_of_being_stopped_has_not_handled_its_event() -> None:
    async def swallow() -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()

    handler = Handler(then=swallow)
    app = receivers.asgi(handler, secret=SECRET, timeout=0.05)
    assert await status(app, BODY) == 503
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200
    assert len(handler.got) == 2


async def test_what_ends_the_program_comes_out_of_a_handler_as_itself() -> None:
    async def leave() -> None:
        await anyio.lowlevel.checkpoint()
        raise SystemExit(3)

    handler = Handler(then=leave)
    app = receivers.asgi(handler, secret=SECRET)
    with pytest.raises(SystemExit):
        _ = await status(app, BODY)
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200


async def test_an_answer_that_cannot_be_said_comes_out_as_itself() -> None:
    async def say(_: object) -> None:
        await anyio.lowlevel.checkpoint()
        raise LookupError("no line")

    async def parts() -> AsyncIterator[bytes]:
        await anyio.lowlevel.checkpoint()
        yield BODY

    inbox = receivers.Inbox(Handler(), SECRET, Remembered(), most=1000, timeout=1)
    with pytest.raises(LookupError, match="no line"):
        await inbox.take({events.HEADER: events.sign(BODY, secret=SECRET)}, parts(), say)


@ON_ASYNCIO
async def test_a_handler_that_is_cancelled_from_within_has_failed() -> None:
    async def cancelled() -> None:
        await anyio.lowlevel.checkpoint()
        raise asyncio.CancelledError

    handler = Handler(then=cancelled)
    app = receivers.asgi(handler, secret=SECRET)
    assert await status(app, BODY) == 500
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200


async def test_a_second_delivery_is_not_acknowledged_while_the_first_may_still_fail() -> None:
    begun, go = anyio.Event(), anyio.Event()

    async def wait() -> None:
        begun.set()
        await go.wait()

    app = receivers.asgi(Handler(then=wait), secret=SECRET)
    answers = []

    async def first() -> None:
        answers.append(await status(app, BODY))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        await begun.wait()
        assert await status(app, BODY) == 503
        go.set()
    assert answers == [200]
    assert await status(app, BODY) == 200


async def test_a_cancelled_delivery_is_not_remembered() -> None:
    handler = Handler(then=anyio.sleep_forever)
    app = receivers.asgi(handler, secret=SECRET)
    with anyio.move_on_after(0.05):
        _ = await status(app, BODY)
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200


async def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    app = receivers.asgi(Handler(), secret=SECRET, most=1000)
    assert await status(app, b"x" * 600, b"x" * 600, b"x" * 600, hang=True, headers={}) == 413


async def test_a_body_that_does_not_end_in_time_is_given_up() -> None:
    app = receivers.asgi(Handler(), secret=SECRET, timeout=0.05)
    assert await status(app, BODY, hang=True) == 408


async def test_a_sender_that_goes_gets_no_answer() -> None:
    app = receivers.asgi(Handler(), secret=SECRET)
    assert await post(app) is None


async def test_only_post_is_answered() -> None:
    answer = await post(receivers.asgi(Handler(), secret=SECRET), b"", method="GET")
    assert answer is not None
    assert (answer[0], answer[1]["allow"]) == (405, "POST")


async def test_the_other_kinds_of_connection_are_served_as_asgi_asks_for() -> None:
    app, said = receivers.asgi(Handler(), secret=SECRET), []
    stages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        return {"type": next(stages)}

    async def send(message: Any) -> None:  # noqa: ANN401 - as ASGI has it
        said.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    await app({"type": "websocket"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


async def test_no_more_ids_are_remembered_than_asked_for_and_the_oldest_go_first() -> None:
    seen = Remembered(most=2)
    for name in ("a", "b"):
        assert await seen.begin(name) == "new"
        await seen.done(name)
    assert await seen.begin("a") == "done"
    assert await seen.begin("c") == "new"
    assert await seen.begin("c") == "busy"
    await seen.done("c")
    assert [await seen.begin(name) for name in ("a", "b", "c")] == ["done", "new", "done"]


async def test_a_store_of_the_users_is_asked() -> None:
    asked: list[str] = []

    class Store:
        async def begin(self, event_id: str) -> receivers.Standing:
            await anyio.lowlevel.checkpoint()
            asked.append(f"begin {event_id}")
            return "new"

        async def done(self, event_id: str) -> None:
            await anyio.lowlevel.checkpoint()
            asked.append(f"done {event_id}")

        async def forget(self, event_id: str) -> None:
            raise AssertionError(event_id)

    assert await status(receivers.asgi(Handler(), secret=SECRET, seen=Store()), BODY) == 200
    assert asked == ["begin evt_1", "done evt_1"]


@define(eq=False)
class Shelf:
    """A user's store of seen events, of which some functions do not work."""

    begin_: Callable[[], Any] = anyio.lowlevel.checkpoint
    done_: Callable[[], Any] = anyio.lowlevel.checkpoint

    async def begin(self, event_id: str) -> receivers.Standing:
        await self.begin_()
        return "new" if event_id else "done"

    async def done(self, event_id: str) -> None:
        assert event_id
        await self.done_()

    async def forget(self, event_id: str) -> None:
        assert event_id
        await self.done_()


async def broken() -> None:
    await anyio.lowlevel.checkpoint()
    raise ConnectionError("no store")


async def test_a_store_that_does_not_answer_in_time_is_a_delivery_to_come_again() -> None:
    handler = Handler()
    app = receivers.asgi(handler, secret=SECRET, seen=Shelf(begin_=anyio.sleep_forever), timeout=0.05)
    assert await status(app, BODY) == 503
    assert handler.got == []


async def test_a_store_that_raises_is_a_delivery_to_come_again(caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler()
    assert await status(receivers.asgi(handler, secret=SECRET, seen=Shelf(begin_=broken)), BODY) == 500
    assert handler.got == []
    assert "no store" in caplog.text


async def test_a_store_that_says_something_else_is_a_defect_of_it(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Shelf):
        async def begin(self, event_id: str) -> Any:  # noqa: ANN401 - which is the point
            await anyio.lowlevel.checkpoint()
            return not event_id

    handler = Handler()
    assert await status(receivers.asgi(handler, secret=SECRET, seen=Odd()), BODY) == 500
    assert "must say new, busy or done" in caplog.text
    assert handler.got == []


async def test_an_event_that_was_handled_is_acknowledged_though_the_store_cannot_remember_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await status(receivers.asgi(Handler(), secret=SECRET, seen=Shelf(done_=broken)), BODY) == 200
    assert "no store" in caplog.text
    monkeypatch.setattr("msgapi.receivers.inbox._LINGER", 0.3)
    slow = receivers.asgi(Handler(), secret=SECRET, seen=Shelf(done_=anyio.sleep_forever), timeout=0.05)
    assert await status(slow, BODY) == 200
    assert "took too long" in caplog.text


def test_a_receiver_without_a_secret_is_a_mistake() -> None:
    for secret in ("", [], ["a", ""]):
        with pytest.raises(ValueError, match="secret"):
            _ = receivers.asgi(Handler(), secret=secret)
        with pytest.raises(ValueError, match="secret"):
            _ = receivers.aiohttp.handler(Handler(), secret=secret)


# In real applications, over a socket.


@asynccontextmanager
async def in_aiohttp(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    _ = app.router.add_post("/webhooks", receivers.aiohttp.handler(handler, secret=SECRET, most=1000, timeout=0.5))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def in_fastapi(handler: Handler) -> AsyncIterator[str]:
    from fastapi import FastAPI
    from starlette.routing import Route

    app = FastAPI()
    app.routes.append(Route("/webhooks", receivers.asgi(handler, secret=SECRET, most=1000, timeout=0.5)))
    async with by_uvicorn(app) as url:
        yield f"{url}/webhooks"


@asynccontextmanager
async def in_starlette(handler: Handler) -> AsyncIterator[str]:
    from starlette.applications import Starlette
    from starlette.routing import Route

    app = Starlette(routes=[Route("/webhooks", receivers.asgi(handler, secret=SECRET, most=1000, timeout=0.5))])
    async with by_uvicorn(app) as url:
        yield f"{url}/webhooks"


@asynccontextmanager
async def in_litestar(handler: Handler) -> AsyncIterator[str]:
    from litestar import Litestar
    from litestar.handlers import asgi

    app = receivers.asgi(handler, secret=SECRET, most=1000, timeout=0.5)
    mounted = asgi("/webhooks", is_mount=True, copy_scope=True)(app)
    async with by_uvicorn(Litestar(route_handlers=[mounted])) as url:
        yield f"{url}/webhooks"


APPLICATIONS = pytest.mark.parametrize("application", [in_aiohttp, in_fastapi, in_starlette, in_litestar])


@ON_ASYNCIO
@APPLICATIONS
async def test_a_real_application_answers_as_the_docs_ask_for(application: Callable[[Handler], Any]) -> None:
    handler = Handler()
    async with application(handler) as url, over_aiohttp.open() as transport:

        async def sent(body: bytes, secret: str = SECRET) -> int:
            headers = {"Content-Type": "application/json", events.HEADER: events.sign(body, secret=secret)}
            answer = await transport(Request("POST", url, headers, body))
            assert isinstance(answer, Response)
            return answer.status

        assert await sent(BODY) == 200
        assert await sent(BODY) == 200
        assert await sent(BODY, "other") == 401
        assert await sent(b"{}") == 400
        assert await sent(b" " * 2000) == 413
        handler.then = anyio.sleep_forever
        assert await sent(BODY.replace(b"evt_1", b"evt_2")) == 503
    assert [one.id for one in handler.got] == ["evt_1", "evt_2"]


@ON_ASYNCIO
async def test_a_packed_body_is_no_defect_of_the_receiver(caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler()
    async with in_aiohttp(handler) as url, over_aiohttp.open() as transport:

        async def sent(body: bytes, signed: bytes) -> int:
            headers = {"Content-Encoding": "gzip", events.HEADER: events.sign(signed, secret=SECRET)}
            answer = await transport(Request("POST", url, headers, body))
            assert isinstance(answer, Response)
            return answer.status

        assert await sent(b"nonsense", b"nonsense") == 400
        assert await sent(gzip.compress(BODY), BODY) == 200
    assert len(handler.got) == 1
    assert all(record.levelno < logging.ERROR for record in caplog.records)


@ON_ASYNCIO
@pytest.mark.parametrize(
    "said",
    [
        b"Content-Length: 99\r\n\r\n",
        b"Content-Length: 99\r\n\r\n{",
        b"Content-Length: 9\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b",
    ],
)
async def test_a_sender_that_goes_within_its_body_is_no_error_of_ours(
    caplog: pytest.LogCaptureFixture, said: bytes
) -> None:
    async with in_aiohttp(Handler()) as url:
        async with await anyio.connect_tcp("127.0.0.1", int(url.split(":")[2].split("/")[0])) as stream:
            await stream.send(b"POST /webhooks HTTP/1.1\r\nHost: x\r\n" + said)
            await anyio.sleep(0.05)
        await anyio.sleep(0.05)
    assert all(record.levelno < logging.ERROR for record in caplog.records), caplog.text


def test_a_receiver_for_something_else_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'flask'"):
        receivers.flask  # type: ignore[attr-defined]  # noqa: B018
