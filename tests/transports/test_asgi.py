"""transports.asgi: requests into an ASGI application, and the webhooks of a sandbox into a receiver."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import orjson
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.routing import Route

import msgapi
from msgapi import Ok, Unanswered, VirtualClock, messages, transports, webhooks
from msgapi.http import Request as HttpRequest
from msgapi.http import Response as HttpResponse
from msgapi.sandbox import Sandbox
from msgapi.transports.asgi_app import Message, Receive, Send
from msgapi.webhooks import Event

pytestmark = pytest.mark.anyio
SECRET = "whsec_0123456789abcdef"
TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
app = FastAPI()


@app.api_route("/echo/{rest:path}", methods=["GET", "POST"])
async def echo(request: Request) -> JSONResponse:
    body = await request.body()
    seen = {
        "method": request.method,
        "url": str(request.url),
        "headers": dict(request.headers),
        "body": body.decode(),
        "client": request.client and request.client.host,
    }
    return JSONResponse(seen, status_code=201, headers={"X-Two": "a"})


@app.get("/cookies")
async def cookies() -> Response:
    response = Response(status_code=204)
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one ", b"two"):
            await anyio.lowlevel.checkpoint()
            yield part

    return StreamingResponse(parts())


@app.get("/broken")
async def broken() -> None:
    raise LookupError("a bug")


done = list[str]()


@app.get("/later")
async def later() -> Response:
    return Response("ok", background=BackgroundTask(done.append, "after the response"))


async def test_the_application_sees_the_request_and_its_response_comes_back() -> None:
    send = transports.asgi(app)
    answer = await send(HttpRequest("POST", "https://app.test/echo/a%2Fb%20c?q=%C3%A4&q=2", {"X-One": "é"}, b"body"))
    assert isinstance(answer, HttpResponse)
    found = orjson.loads(answer.body)
    assert (answer.status, answer.headers["x-two"]) == (201, "a")
    assert found["method"] == "POST"
    assert found["url"] == "https://app.test/echo/a/b c?q=%C3%A4&q=2"
    assert found["headers"] == {"host": "app.test", "x-one": "é", "content-length": "4"}
    assert (found["body"], found["client"]) == ("body", "127.0.0.1")


async def test_headers_that_the_request_has_are_kept() -> None:
    headers = {"Host": "other.test", "Content-Length": "0"}
    answer = await transports.asgi(app)(HttpRequest("GET", "http://user@app.test:81", headers, b""))
    assert isinstance(answer, HttpResponse)
    assert answer.status == 404


async def test_several_headers_of_one_name_and_several_parts_of_a_body_are_joined() -> None:
    send = transports.asgi(app)
    answer = await send(HttpRequest("GET", "http://app.test/cookies"))
    assert isinstance(answer, HttpResponse)
    assert answer.headers["set-cookie"].count("Path=/") == 2
    answer = await send(HttpRequest("GET", "http://app.test/stream"))
    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.body) == (200, b"one two")


async def test_background_tasks_have_ended_when_the_response_is_returned() -> None:
    done.clear()
    answer = await transports.asgi(app)(HttpRequest("GET", "http://app.test/later"))
    assert answer == HttpResponse(200, {"content-length": "2"}, b"ok")
    assert done == ["after the response"]


async def test_an_application_that_raises_answers_500_and_the_log_has_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "msgapi"):
        answer = await transports.asgi(app)(HttpRequest("GET", "http://app.test/broken"))
    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.getMessage() == "the ASGI application raised LookupError"


async def test_an_application_that_raises_can_fail_the_test() -> None:
    with pytest.raises(LookupError, match="a bug"):
        _ = await transports.asgi(app, raise_errors=True)(HttpRequest("GET", "http://app.test/broken"))


async def test_an_application_that_raises_before_it_answers_is_500_too() -> None:
    async def plain(_scope: Message, _receive: Receive, _send: Send) -> None:
        raise LookupError("a bug")

    assert await transports.asgi(plain)(HttpRequest("GET", "http://app.test/")) == HttpResponse(500)


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [{"type": "http.response.start", "status": 200}],
        [{"type": "http.response.start", "status": 200}, {"type": "http.response.body", "more_body": True}],
    ],
)
async def test_a_response_that_is_not_complete_is_unanswered(sent: list[dict[str, Any]]) -> None:
    async def partial(_scope: Message, _receive: Receive, send: Send) -> None:
        for message in sent:
            await send(message)

    answer = await transports.asgi(partial)(HttpRequest("GET", "http://app.test/"))
    assert isinstance(answer, Unanswered)
    assert "without a complete response" in answer.reason


@pytest.mark.parametrize(
    "sent",
    [
        [{"type": "http.response.body"}],
        [{"type": "http.response.start", "status": 200}] * 2,
        [
            {"type": "http.response.start", "status": 200},
            {"type": "http.response.body"},
            {"type": "http.response.body"},
        ],
        [{"type": "websocket.accept"}],
    ],
)
async def test_a_message_out_of_place_is_the_mistake_of_the_application(sent: list[dict[str, Any]]) -> None:
    async def wrong(_scope: Message, _receive: Receive, send: Send) -> None:
        for message in sent:
            await send(message)

    with pytest.raises(RuntimeError, match="which is not expected here"):
        _ = await transports.asgi(wrong, raise_errors=True)(HttpRequest("GET", "http://app.test/"))


async def test_after_the_response_the_application_sees_a_disconnect() -> None:
    seen = list[str]()

    async def curious(_scope: Message, receive: Receive, send: Send) -> None:
        seen.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})
        seen.append((await receive())["type"])

    assert await transports.asgi(curious)(HttpRequest("GET", "http://app.test")) == HttpResponse(204)
    assert seen == ["http.request", "http.disconnect"]


async def test_the_webhooks_of_a_sandbox_reach_a_receiver_without_a_socket() -> None:
    seen = list[Event]()

    async def handle(event: Event) -> None:
        seen.append(event)

    receiver = FastAPI()
    receiver.routes.append(Route("/webhooks", webhooks.asgi(handle, secret=SECRET)))
    clock = VirtualClock(autojump=True)
    sandbox = Sandbox(clock=clock)
    async with (
        msgapi.Client(transport=sandbox, api_key=sandbox.api_key, clock=clock) as client,
        sandbox.deliver_webhooks(transports.asgi(receiver)),
    ):
        endpoint = webhooks.create(
            webhooks.NewEndpoint(url="https://app.test/webhooks", events=("message.read",), secret=SECRET)
        )
        assert isinstance(await client(endpoint), Ok)
        assert isinstance(await client(messages.send(TEXT)), Ok)
        await clock.sleep(60)
    assert [type(event).__name__ for event in seen] == ["MessageRead"]
    assert [attempt.status for attempt in sandbox.attempts] == [200]


# The lifespan.


async def test_a_block_runs_the_lifespan_of_the_application() -> None:
    steps = list[str]()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, str]]:
        steps.append("startup")
        yield {"name": "shop"}
        steps.append("shutdown")

    shop = FastAPI(lifespan=lifespan)

    @shop.get("/")
    async def name(request: Request) -> str:
        steps.append("request")
        return str(request.state.name)

    async with transports.asgi(shop) as transport:
        answer = await transport(HttpRequest("GET", "http://app.test/"))
    assert isinstance(answer, HttpResponse)
    assert answer.body == b'"shop"'
    assert steps == ["startup", "request", "shutdown"]


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
async def test_a_lifespan_that_fails_is_named(phase: str) -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if phase == "startup":
            raise LookupError("no database")
        yield
        raise LookupError("no database")

    with pytest.raises(RuntimeError, match=rf"the {phase} of the ASGI application failed: (?s:.*)no database"):
        async with transports.asgi(FastAPI(lifespan=lifespan)):
            pass


async def test_a_lifespan_that_breaks_off_is_named() -> None:
    async def breaks_off(_scope: Message, receive: Receive, send: Send) -> None:
        _ = await receive()
        await send({"type": "lifespan.startup.complete"})
        _ = await receive()
        raise LookupError("a bug")

    with pytest.raises(RuntimeError, match="the shutdown of the ASGI application failed: LookupError: a bug"):
        async with transports.asgi(breaks_off):
            pass


async def test_an_application_without_a_lifespan_works_in_a_block() -> None:
    async def plain(scope: Message, _receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    async with transports.asgi(plain) as transport:
        assert await transport(HttpRequest("GET", "http://app.test/")) == HttpResponse(204)
    await transport.__aexit__(None, None, None)


async def test_a_lifespan_that_asks_for_more_waits_until_the_block_ends() -> None:
    async def curious(_scope: Message, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})

        async def third() -> None:
            _ = await receive()

        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(third)
            await anyio.wait_all_tasks_blocked()  # the third message is waited for when the lifespan ends
            await send({"type": "lifespan.shutdown.complete"})

    async with transports.asgi(curious):
        pass


async def test_an_exception_of_the_block_leaves_as_itself_after_the_shutdown() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with transports.asgi(FastAPI()):
            raise KeyError("mine")


async def test_an_application_has_to_be_callable() -> None:
    with pytest.raises(TypeError, match=r"an ASGI application, such as FastAPI\(\), not str"):
        _ = transports.asgi("app:app")  # type: ignore[arg-type]
