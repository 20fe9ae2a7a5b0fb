"""Webhook receivers: each event once, the right status, in time; in memory and in real applications."""

import asyncio
import functools
import gzip
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from unittest.mock import AsyncMock

import anyio
import anyio.lowlevel
import anyio.to_thread
import orjson
import pytest
from aiohttp import ClientSession, web
from anyio.abc import TaskStatus
from attrs import define, field

from msgapi import Request, Response, webhooks
from msgapi.transports import aiohttp as over_aiohttp
from msgapi.webhooks import Event, MemoryEventStore
from msgapi.webhooks.receivers.asgi_aiohttp import Application
from tests.support.raw_servers import by_uvicorn

SECRET = "whsec_1"
BODY = b'{"id":"evt_1","event":"message.read","timestamp":"2026-05-04T07:30:00Z","data":{"message_id":"msg_1"}}'
ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])
pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancel a late handler after a moment."""
    monkeypatch.setattr("msgapi.webhooks.receivers.receiver._LATE_HANDLER_TIMEOUT", 0.05)


@define(eq=False)
class Handler:
    """A handler that records its events, and then awaits the function of the test."""

    got: list[Event] = field(factory=list)
    then: Callable[[], Any] = anyio.lowlevel.checkpoint

    async def __call__(self, event: Event) -> None:
        self.got.append(event)
        await self.then()


async def post(
    app: Application, *parts: bytes, method: str = "POST", headers: dict[str, str] | None = None, hang: bool = False
) -> tuple[int, dict[str, str], Any] | None:
    """Send one request to an ASGI application, its body in *parts*; return None if there was no response."""
    signed = {"X-Arowana-Signature": webhooks.sign(b"".join(parts), secret=SECRET)} if headers is None else headers
    left, answer = list(parts), []

    async def receive() -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        if not left and hang:
            await anyio.sleep_forever()
        if not left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or hang}

    async def send(message: Any) -> None:  # noqa: ANN401 - as in ASGI
        answer.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in signed.items()]
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
    """Start with the status as soon as it is sent, and return when the application has returned."""
    parts = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        return parts.pop()

    async def send(message: Any) -> None:  # noqa: ANN401 - as in ASGI
        await anyio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            task_status.started([message["status"]])

    raw = [(webhooks.SIGNATURE_HEADER.lower().encode(), webhooks.sign(body, secret=SECRET).encode())]
    await app({"type": "http", "method": "POST", "headers": raw}, receive, send)


async def status(app: Application, *parts: bytes, **more: Any) -> int:  # noqa: ANN401 - those of `post`
    answer = await post(app, *parts, **more)
    assert answer is not None
    return answer[0]


async def test_an_event_is_passed_to_the_handler_and_answered_200() -> None:
    handler = Handler()
    app = webhooks.asgi(handler, secret=SECRET)
    assert await post(app, BODY[:9], BODY[9:]) == (200, {"content-type": "application/json", "content-length": "2"}, {})
    assert [one.id for one in handler.got] == ["evt_1"]


async def test_a_repeated_event_is_answered_200_and_not_handled_again() -> None:
    handler = Handler()
    app = webhooks.asgi(handler, secret=["old", SECRET])
    assert [await status(app, BODY) for _ in range(3)] == [200, 200, 200]
    assert len(handler.got) == 1


async def test_an_unsigned_delivery_is_401_and_a_body_that_is_not_an_event_400() -> None:
    handler = Handler()
    app = webhooks.asgi(handler, secret=SECRET)
    answer = await post(app, BODY, headers={})
    assert answer is not None
    assert (answer[0], answer[2]["error"]) == (401, "unauthorized")
    assert await status(app, b"[]") == 400
    assert await status(app, b"") == 400
    assert handler.got == []


async def test_an_event_is_handled_again_after_the_handler_raised(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        await anyio.lowlevel.checkpoint()
        raise LookupError("no database")

    handler = Handler(then=fail)
    app = webhooks.asgi(handler, secret=SECRET)
    with caplog.at_level(logging.ERROR, "msgapi"):
        assert await status(app, BODY) == 500
    assert "evt_1" in caplog.text
    assert "no database" in caplog.text
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200
    assert len(handler.got) == 2


async def test_an_event_is_handled_again_after_the_handler_was_cancelled() -> None:
    handler = Handler(then=anyio.sleep_forever)
    app = webhooks.asgi(handler, secret=SECRET, timeout=0.05)
    assert await status(app, BODY) == 503
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200


async def test_a_late_handler_is_not_interrupted_and_not_called_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("msgapi.webhooks.receivers.receiver._LATE_HANDLER_TIMEOUT", 20)
    go, handler = anyio.Event(), Handler()
    handler.then = go.wait
    app = webhooks.asgi(handler, secret=SECRET, timeout=0.05)
    async with anyio.create_task_group() as tasks:
        answers = await tasks.start(answered, app, BODY)
        assert answers == [503]
        assert await status(app, BODY) == 503
        go.set()
    assert await status(app, BODY) == 200
    assert len(handler.got) == 1


async def test_the_response_does_not_wait_for_a_thread_or_a_shielded_cleanup() -> None:
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
        app = webhooks.asgi(handler, secret=SECRET, timeout=0.05)
        async with anyio.create_task_group() as tasks:
            assert await tasks.start(answered, app, BODY) == [503]
            go.set()
        handler.then = anyio.lowlevel.checkpoint
        assert await status(app, BODY) == 200


async def test_a_handler_that_suppresses_its_cancellation_has_not_handled_the_event() -> None:
    async def swallow() -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()

    handler = Handler(then=swallow)
    app = webhooks.asgi(handler, secret=SECRET, timeout=0.05)
    assert await status(app, BODY) == 503
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200
    assert len(handler.got) == 2


async def test_system_exit_of_a_handler_is_raised_unchanged() -> None:
    async def leave() -> None:
        await anyio.lowlevel.checkpoint()
        raise SystemExit(3)

    handler = Handler(then=leave)
    app = webhooks.asgi(handler, secret=SECRET)
    with pytest.raises(SystemExit):
        _ = await status(app, BODY)
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200


async def test_an_error_while_sending_the_response_is_raised_unchanged() -> None:
    async def respond(_: object) -> None:
        await anyio.lowlevel.checkpoint()
        raise LookupError("no line")

    async def parts() -> AsyncIterator[bytes]:
        await anyio.lowlevel.checkpoint()
        yield BODY

    receiver = webhooks.Receiver(Handler(), SECRET, MemoryEventStore(), max_body=1000, timeout=1)
    with pytest.raises(LookupError, match="no line"):
        await receiver.receive({webhooks.SIGNATURE_HEADER: webhooks.sign(BODY, secret=SECRET)}, parts(), respond)


@ON_ASYNCIO
async def test_a_handler_that_raises_cancelled_error_has_failed() -> None:
    async def cancelled() -> None:
        await anyio.lowlevel.checkpoint()
        raise asyncio.CancelledError

    handler = Handler(then=cancelled)
    app = webhooks.asgi(handler, secret=SECRET)
    assert await status(app, BODY) == 500
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200


async def test_a_second_delivery_is_503_while_the_first_is_being_handled() -> None:
    begun, go = anyio.Event(), anyio.Event()

    async def wait() -> None:
        begun.set()
        await go.wait()

    app = webhooks.asgi(Handler(then=wait), secret=SECRET)
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


async def test_a_cancelled_delivery_can_be_handled_again() -> None:
    handler = Handler(then=anyio.sleep_forever)
    app = webhooks.asgi(handler, secret=SECRET)
    with anyio.move_on_after(0.05):
        _ = await status(app, BODY)
    handler.then = anyio.lowlevel.checkpoint
    assert await status(app, BODY) == 200


async def test_a_body_that_is_too_large_is_413_before_its_end() -> None:
    app = webhooks.asgi(Handler(), secret=SECRET, max_body=1000)
    assert await status(app, b"x" * 600, b"x" * 600, b"x" * 600, hang=True, headers={}) == 413


async def test_a_body_that_does_not_arrive_in_time_is_408() -> None:
    app = webhooks.asgi(Handler(), secret=SECRET, timeout=0.05)
    assert await status(app, BODY, hang=True) == 408


async def test_a_sender_that_disconnects_gets_no_response() -> None:
    app = webhooks.asgi(Handler(), secret=SECRET)
    assert await post(app) is None


async def test_a_method_other_than_post_is_405() -> None:
    answer = await post(webhooks.asgi(Handler(), secret=SECRET), b"", method="GET")
    assert answer is not None
    assert (answer[0], answer[1]["allow"]) == (405, "POST")


async def test_lifespan_is_completed_and_a_websocket_is_closed() -> None:
    app, sent = webhooks.asgi(Handler(), secret=SECRET), []
    stages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        return {"type": next(stages)}

    async def send(message: Any) -> None:  # noqa: ANN401 - as in ASGI
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    await app({"type": "websocket"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


async def test_a_custom_store_is_used() -> None:
    asked: list[str] = []

    class Store:
        lease = 30.0

        async def claim(self, event_id: str, owner: str) -> webhooks.EventState:
            await anyio.lowlevel.checkpoint()
            asked.append(f"claim {event_id} {owner}")
            return "new"

        async def complete(self, event_id: str, owner: str) -> None:
            await anyio.lowlevel.checkpoint()
            asked.append(f"complete {event_id} {owner}")

        async def release(self, event_id: str, owner: str) -> None:
            raise AssertionError(event_id, owner)

    assert await status(webhooks.asgi(Handler(), secret=SECRET, store=Store()), BODY) == 200
    (claimed, _, owner), (completed, *same) = (one.split() for one in asked)
    assert (claimed, completed, same) == ("claim", "complete", ["evt_1", owner])


@define(eq=False)
class CustomStore:
    """An event store with methods that await the functions of the test."""

    lease: float = 30.0
    claim_: Callable[[], Any] = anyio.lowlevel.checkpoint
    record_: Callable[[], Any] = anyio.lowlevel.checkpoint

    async def claim(self, event_id: str, owner: str) -> webhooks.EventState:
        await self.claim_()
        return "new" if event_id and owner else "done"

    async def complete(self, event_id: str, owner: str) -> None:
        assert event_id
        assert owner
        await self.record_()

    async def release(self, event_id: str, owner: str) -> None:
        assert event_id
        assert owner
        await self.record_()


async def broken() -> None:
    await anyio.lowlevel.checkpoint()
    raise ConnectionError("no store")


async def test_a_store_that_is_late_is_503_and_the_handler_is_not_called() -> None:
    handler = Handler()
    app = webhooks.asgi(handler, secret=SECRET, store=CustomStore(claim_=anyio.sleep_forever), timeout=0.05)
    assert await status(app, BODY) == 503
    assert handler.got == []


async def test_a_store_that_raises_is_500_and_the_handler_is_not_called(caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler()
    assert await status(webhooks.asgi(handler, secret=SECRET, store=CustomStore(claim_=broken)), BODY) == 500
    assert handler.got == []
    assert "no store" in caplog.text


async def test_a_store_that_returns_an_unknown_state_is_500(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(CustomStore):
        async def claim(self, event_id: str, owner: str) -> Any:  # noqa: ANN401 - a wrong type is the point of the test
            await anyio.lowlevel.checkpoint()
            return not (event_id and owner)

    handler = Handler()
    assert await status(webhooks.asgi(handler, secret=SECRET, store=Odd()), BODY) == 500
    assert "must return 'new', 'busy' or 'done'" in caplog.text
    assert handler.got == []


async def test_a_handled_event_is_200_even_if_the_store_cannot_record_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await status(webhooks.asgi(Handler(), secret=SECRET, store=CustomStore(record_=broken)), BODY) == 200
    assert "no store" in caplog.text
    monkeypatch.setattr("msgapi.webhooks.receivers.receiver._LATE_HANDLER_TIMEOUT", 0.3)
    slow = webhooks.asgi(Handler(), secret=SECRET, store=CustomStore(record_=anyio.sleep_forever), timeout=0.05)
    assert await status(slow, BODY) == 200
    assert "took too long" in caplog.text


@define(eq=False)
class RenewedStore:
    """An event store with a short lease, whose answers to the claims after the first are those of the test."""

    answers: list[Any]
    lease: float = 0.01
    claims: int = 0
    renewed: anyio.Event = field(factory=anyio.Event)
    ended: list[str] = field(factory=list)

    async def claim(self, event_id: str, owner: str) -> webhooks.EventState:
        await anyio.lowlevel.checkpoint()
        self.claims += 1
        if self.claims == 1:
            assert event_id
            assert owner
            return "new"
        if not self.answers:
            self.renewed.set()
            return "new"
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        state: webhooks.EventState = answer
        return state

    async def complete(self, event_id: str, owner: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.ended.append(f"complete {event_id}" if owner else "")

    async def release(self, event_id: str, owner: str) -> None:
        raise AssertionError(event_id, owner)


async def test_the_claim_is_renewed_while_a_handler_runs(caplog: pytest.LogCaptureFixture) -> None:
    store = RenewedStore(["new", ConnectionError("no store"), "new"])
    handler = Handler(then=lambda: store.renewed.wait())  # noqa: PLW0108 - the event is made in the loop of the test
    assert await status(webhooks.asgi(handler, secret=SECRET, store=store), BODY) == 200
    assert store.ended == ["complete evt_1"]
    assert "no store" in caplog.text
    assert "is being handled" in caplog.text


async def test_a_claim_that_was_lost_is_logged_and_the_handler_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    store = RenewedStore(["busy"])
    handler = Handler(then=lambda: store.renewed.wait())  # noqa: PLW0108
    assert await status(webhooks.asgi(handler, secret=SECRET, store=store), BODY) == 200
    assert store.ended == ["complete evt_1"]
    assert "the claim of event evt_1 ended while it was being handled" in caplog.text


async def test_a_renewal_that_is_answered_after_the_end_of_the_handler_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, recorded = anyio.Event(), anyio.Event()

    class Store(RenewedStore):
        async def claim(self, event_id: str, owner: str) -> webhooks.EventState:
            if self.claims:
                begun.set()
                await recorded.wait()
                return "done"
            return await super().claim(event_id, owner)

        async def complete(self, event_id: str, owner: str) -> None:
            await super().complete(event_id, owner)
            recorded.set()

    app = webhooks.asgi(Handler(then=begun.wait), secret=SECRET, store=Store([]))
    assert await status(app, BODY) == 200
    assert caplog.text == ""


async def test_a_claim_that_was_cancelled_is_released_since_it_may_have_been_made() -> None:
    released: list[str] = []

    class Store(CustomStore):
        async def release(self, event_id: str, owner: str) -> None:
            await anyio.lowlevel.checkpoint()
            released.append(event_id)
            assert owner

    app = webhooks.asgi(Handler(), secret=SECRET, store=Store(claim_=anyio.sleep_forever))
    with anyio.move_on_after(0.05):
        _ = await status(app, BODY)
    assert released == ["evt_1"]


async def test_a_handler_is_not_called_after_a_claim_in_a_thread_during_which_it_was_cancelled() -> None:
    go, begun = threading.Event(), anyio.Event()

    async def claim_in_thread() -> None:
        begun.set()
        _ = await anyio.to_thread.run_sync(go.wait, 20)

    handler = Handler()
    app = webhooks.asgi(handler, secret=SECRET, store=CustomStore(claim_=claim_in_thread))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(status, app, BODY))
        await begun.wait()
        tasks.cancel_scope.cancel()
        go.set()
    assert handler.got == []


async def test_the_cause_of_a_wrong_signature_is_logged_once_a_minute_and_not_sent(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = webhooks.asgi(Handler(), secret=SECRET)
    quoted = {"X-Arowana-Signature": webhooks.sign(BODY, secret=f'"{SECRET}"')}
    for _ in range(3):
        answer = await post(app, BODY, headers=quoted)
        assert answer is not None
        assert answer[2] == {"error": "unauthorized", "message": "the signature does not match the body"}
    assert caplog.messages == [
        "a webhook delivery was refused: it is the secret: the sender's has quotation marks (\") around it"
    ]
    monkeypatch.setattr("msgapi.webhooks.receivers.receiver._EXPLANATION_INTERVAL", 0)
    app = webhooks.asgi(Handler(), secret=SECRET)
    assert await status(app, b"x" * 2**17, headers=quoted) == 401
    assert len(caplog.messages) == 1
    assert await status(app, BODY.replace(b"evt_1", b"evt_2"), headers=quoted) == 401
    assert await status(app, BODY, headers={}) == 401
    assert "no cause was found" in caplog.messages[1]
    assert "there is no X-Arowana-Signature header" in caplog.messages[2]


async def test_a_body_that_a_middleware_has_read_is_named(caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler()
    app = webhooks.asgi(handler, secret=SECRET, timeout=0.05)
    length = {"Content-Length": f"{len(BODY)}"}
    answer = await post(app, b"", headers=length)
    assert answer is not None
    assert (answer[0], answer[2]["error"]) == (500, "body_read_before")
    assert await status(app, b"", headers=length, hang=True) == 408  # as uvicorn has it
    assert caplog.text.count("something else in this application") == 2
    assert await status(app, b"", headers={"Content-Length": "0"}) == 401
    assert handler.got == []


@ON_ASYNCIO
@pytest.mark.parametrize(("how", "expected"), [("read", 200), ("json", 200), ("stream", 500), (None, 200)])
async def test_a_body_that_a_middleware_of_aiohttp_has_read_is_used_or_named(how: str | None, expected: int) -> None:
    @web.middleware
    async def middleware(request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401 - as aiohttp has it
        if how is not None:
            _ = await (request.content.read() if how == "stream" else getattr(request, how)())
        answer: web.StreamResponse = await handler(request)
        return answer

    handler = Handler()
    app = web.Application(middlewares=[middleware])
    async with in_aiohttp(handler, app) as url, over_aiohttp.open() as transport:
        headers = {webhooks.SIGNATURE_HEADER: webhooks.sign(BODY, secret=SECRET)}
        answer = await transport(Request("POST", url, headers, BODY))
    assert isinstance(answer, Response)
    assert answer.status == expected
    assert len(handler.got) == (expected == 200)


@ON_ASYNCIO
async def test_a_body_that_a_middleware_of_starlette_has_read_is_handled_or_named() -> None:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.routing import Route

    async def dispatch(request: Any, call_next: Any) -> Any:  # noqa: ANN401 - as Starlette has it
        _ = await request.body()
        return await call_next(request)

    handler = Handler()
    app = Starlette(
        routes=[Route("/webhooks", webhooks.asgi(handler, secret=SECRET))],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)],
    )
    async with by_uvicorn(app) as url, over_aiohttp.open() as transport:
        headers = {webhooks.SIGNATURE_HEADER: webhooks.sign(BODY, secret=SECRET)}
        answer = await transport(Request("POST", f"{url}/webhooks", headers, BODY))
    assert isinstance(answer, Response)
    assert answer.status == 200
    assert len(handler.got) == 1


def test_a_receiver_without_a_secret_raises_value_error() -> None:
    for secret in ("", [], ["a", ""]):
        with pytest.raises(ValueError, match="secret"):
            _ = webhooks.asgi(Handler(), secret=secret)
        with pytest.raises(ValueError, match="secret"):
            _ = webhooks.aiohttp(Handler(), secret=secret)


# In real applications, over a socket.


@asynccontextmanager
async def in_aiohttp(handler: Handler, app: web.Application | None = None) -> AsyncIterator[str]:
    app = web.Application() if app is None else app
    _ = app.router.add_post("/webhooks", webhooks.aiohttp(handler, secret=SECRET, max_body=1000, timeout=0.5))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_aiohttp_handler_of_all_methods_answers_405_to_any_but_post(caplog: pytest.LogCaptureFixture) -> None:
    app, handler = web.Application(), Handler()
    _ = app.router.add_route("*", "/all", webhooks.aiohttp(handler, secret=SECRET))
    async with in_aiohttp(handler, app) as url, ClientSession() as session:
        for method in ("GET", "HEAD", "PUT"):
            async with session.request(method, url.replace("/webhooks", "/all")) as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert handler.got == []
    assert "refused" not in caplog.text


@asynccontextmanager
async def in_fastapi(handler: Handler) -> AsyncIterator[str]:
    from fastapi import FastAPI
    from starlette.routing import Route

    app = FastAPI()
    app.routes.append(Route("/webhooks", webhooks.asgi(handler, secret=SECRET, max_body=1000, timeout=0.5)))
    async with by_uvicorn(app) as url:
        yield f"{url}/webhooks"


@asynccontextmanager
async def in_starlette(handler: Handler) -> AsyncIterator[str]:
    from starlette.applications import Starlette
    from starlette.routing import Route

    app = Starlette(routes=[Route("/webhooks", webhooks.asgi(handler, secret=SECRET, max_body=1000, timeout=0.5))])
    async with by_uvicorn(app) as url:
        yield f"{url}/webhooks"


@asynccontextmanager
async def in_litestar(handler: Handler) -> AsyncIterator[str]:
    from litestar import Litestar
    from litestar.handlers import asgi

    app = webhooks.asgi(handler, secret=SECRET, max_body=1000, timeout=0.5)
    mounted = asgi("/webhooks", is_mount=True, copy_scope=True)(app)
    async with by_uvicorn(Litestar(route_handlers=[mounted])) as url:
        yield f"{url}/webhooks"


APPLICATIONS = pytest.mark.parametrize("application", [in_aiohttp, in_fastapi, in_starlette, in_litestar])


@ON_ASYNCIO
@APPLICATIONS
async def test_a_receiver_in_a_real_application_answers_as_documented(application: Callable[[Handler], Any]) -> None:
    handler = Handler()
    async with application(handler) as url, over_aiohttp.open() as transport:

        async def sent(body: bytes, secret: str = SECRET) -> int:
            headers = {
                "Content-Type": "application/json",
                webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret=secret),
            }
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
async def test_a_compressed_body_is_read_and_a_broken_one_is_400(caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler()
    async with in_aiohttp(handler) as url, over_aiohttp.open() as transport:

        async def sent(body: bytes, signed: bytes) -> int:
            headers = {"Content-Encoding": "gzip", webhooks.SIGNATURE_HEADER: webhooks.sign(signed, secret=SECRET)}
            answer = await transport(Request("POST", url, headers, body))
            assert isinstance(answer, Response)
            return answer.status

        assert await sent(b"nonsense", b"nonsense") == 400
        assert await sent(gzip.compress(BODY), BODY) == 200
    assert len(handler.got) == 1
    assert all(record.levelno < logging.ERROR for record in caplog.records)


@ON_ASYNCIO
@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 99\r\n\r\n",
        b"Content-Length: 99\r\n\r\n{",
        b"Content-Length: 9\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b",
    ],
)
async def test_a_sender_that_disconnects_within_its_body_logs_no_error(
    caplog: pytest.LogCaptureFixture, head: bytes
) -> None:
    async with in_aiohttp(Handler()) as url:
        async with await anyio.connect_tcp("127.0.0.1", int(url.split(":")[2].split("/")[0])) as stream:
            await stream.send(b"POST /webhooks HTTP/1.1\r\nHost: x\r\n" + head)
            await anyio.sleep(0.05)
        await anyio.sleep(0.05)
    assert all(record.levelno < logging.ERROR for record in caplog.records), caplog.text


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'bottle'"):
        webhooks.bottle  # type: ignore[attr-defined]  # noqa: B018


class Plain:
    def __call__(self, event: Event) -> None: ...


def plain(event: Event) -> None: ...


async def handle(event: Event, more: int = 0) -> None: ...


@functools.wraps(handle)
def wrapped(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - as a decorator has it
    return handle(*given, **named)


@pytest.mark.parametrize("mount", [webhooks.asgi, webhooks.aiohttp])
@pytest.mark.parametrize("handler", [plain, Plain(), partial(plain), lambda _: None, print, None, 5, Plain])
async def test_a_handler_that_is_not_async_is_refused_when_it_is_mounted(mount: Any, handler: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match=r"must be an `async def` function.*to_thread"):
        _ = mount(handler, secret=SECRET)


@pytest.mark.parametrize(
    "handler",
    [
        handle,
        Handler(),
        Handler().__call__,
        partial(handle, more=1),
        wrapped,
        AsyncMock(),
        partial(Handler()),
    ],
)
async def test_every_form_of_an_async_function_is_accepted(handler: Any) -> None:  # noqa: ANN401 - as a caller may
    answer = await post(webhooks.asgi(handler, secret=SECRET), BODY)
    assert answer is not None
    assert answer[0] == 200
