"""Receivers in Django and Flask: over WSGI and ASGI, with plain and async handlers, on real sockets."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from attrs import define, field
from django.conf import settings  # type: ignore[import-untyped]
from flask import Flask
from flask import request as flask_request

import msgapi
from msgapi import Request, Response, messages, webhooks
from msgapi.sandbox import Sandbox
from msgapi.transports import aiohttp as over_aiohttp
from msgapi.webhooks import Event, MemoryEventStore, SqliteEventStore
from msgapi.webhooks.receivers import django_flask
from tests.support.raw_servers import by_uvicorn

SECRET = "whsec_1"
BODY = b'{"id":"evt_1","event":"message.read","timestamp":"2026-05-04T07:30:00Z","data":{"message_id":"msg_1"}}'
URLS: Any = types.ModuleType("msgapi_test_urls")
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


@pytest.fixture(scope="module", autouse=True)
def _django() -> Iterator[None]:
    import django  # type: ignore[import-untyped]

    sys.modules[URLS.__name__] = URLS
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=URLS.__name__,
        MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware", f"{__name__}.reading"],
        LOGGING_CONFIG=None,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "ATOMIC_REQUESTS": True}},
    )
    django.setup()
    yield
    django_flask._loop_thread.stop()


def reading(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A middleware of Django that reads the body if the request asks for that."""

    def middleware(request: Any) -> Any:  # noqa: ANN401 - Django has no types
        how = request.headers.get("X-Read")
        if how:
            _ = request.body if how == "body" else request.read(5)
        return get_response(request)

    return middleware


def nothing() -> None:
    pass


async def nothing_async() -> None:
    await anyio.lowlevel.checkpoint()


@define(eq=False)
class Handled:
    """A plain and an async handler that record their events and threads, and then do what the test wants."""

    got: list[str] = field(factory=list)
    threads: set[str] = field(factory=set)
    then: Callable[[], object] = nothing
    then_async: Callable[[], Awaitable[object]] = nothing_async

    def plain(self, event: Event) -> None:
        self._record(event)
        _ = self.then()

    async def coroutine(self, event: Event) -> None:
        self._record(event)
        _ = await self.then_async()

    def _record(self, event: Event) -> None:
        self.got.append(event.id)
        self.threads.add(threading.current_thread().name)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = False


@asynccontextmanager
async def over_wsgi(app: Any) -> AsyncIterator[str]:  # noqa: ANN401 - a WSGI application
    with make_server("127.0.0.1", 0, app, Threaded, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            await anyio.to_thread.run_sync(server.shutdown)
            thread.join()


def route(handler: Any, **options: Any) -> None:  # noqa: ANN401 - those of `webhooks.django`
    from django.urls import clear_url_caches, path  # type: ignore[import-untyped]

    URLS.urlpatterns = [path("webhooks", webhooks.django(handler, secret=SECRET, **options))]
    clear_url_caches()


@asynccontextmanager
async def in_django(handler: Any, **options: Any) -> AsyncIterator[str]:  # noqa: ANN401
    from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]

    route(handler, **options)
    async with over_wsgi(get_wsgi_application()) as url:
        yield f"{url}/webhooks"


@asynccontextmanager
async def in_django_over_asgi(handler: Any, **options: Any) -> AsyncIterator[str]:  # noqa: ANN401
    from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]

    route(handler, **options)
    async with by_uvicorn(get_asgi_application()) as url:
        yield f"{url}/webhooks"


@asynccontextmanager
async def in_flask(handler: Any, **options: Any) -> AsyncIterator[str]:  # noqa: ANN401
    app = Flask(__name__)

    @app.before_request
    def read() -> None:
        how = flask_request.headers.get("X-Read")
        if how:
            _ = flask_request.get_data() if how == "body" else flask_request.stream.read()

    view = webhooks.flask(handler, secret=SECRET, **options)
    app.add_url_rule("/webhooks", view_func=view, methods=["GET", "POST"])
    async with over_wsgi(app) as url:
        yield f"{url}/webhooks"


APPLICATIONS = [in_django, in_django_over_asgi, in_flask]
EVERYWHERE = pytest.mark.parametrize("application", APPLICATIONS)
BOTH = pytest.mark.parametrize("kind", ["plain", "coroutine"])


async def post(url: str, body: bytes = BODY, *, method: str = "POST", secret: str = SECRET, read: str = "") -> Response:
    signature = {webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret=secret)}
    headers = {"Content-Type": "application/json", "X-Read": read, **signature}
    async with over_aiohttp.open() as transport:
        answer = await transport(Request(method, url, headers, body))
    assert isinstance(answer, Response)
    return answer


async def status(url: str, body: bytes = BODY, **more: Any) -> int:  # noqa: ANN401 - those of `post`
    return (await post(url, body, **more)).status


@EVERYWHERE
@BOTH
async def test_a_receiver_answers_as_documented(application: Any, kind: str) -> None:  # noqa: ANN401
    handled = Handled()
    async with application(getattr(handled, kind), max_body=1000) as url:
        assert (await post(url)).body == b"{}"
        assert await status(url) == 200
        assert await status(url, secret="other") == 401
        assert await status(url, b"{}") == 400
        assert await status(url, b"") == 400
        assert await status(url, b" " * 2000) == 413
        wrong = await post(url, method="PATCH" if application is not in_flask else "GET")
        assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert handled.got == ["evt_1"]


@EVERYWHERE
@BOTH
async def test_an_event_is_handled_again_after_the_handler_raised(
    application: Any,  # noqa: ANN401
    kind: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise LookupError("no database")

    async def fail_async() -> None:
        await anyio.lowlevel.checkpoint()
        fail()

    handled = Handled(then=fail, then_async=fail_async)
    async with application(getattr(handled, kind)) as url:
        assert await status(url) == 500
        assert "no database" in caplog.text
        handled.then, handled.then_async = nothing, nothing_async
        assert await status(url) == 200
    assert handled.got == ["evt_1", "evt_1"]


@EVERYWHERE
@BOTH
@pytest.mark.parametrize(("how", "answer"), [("body", 200), ("stream", 500)])
async def test_a_body_that_something_else_has_read_is_used_or_named(
    application: Any,  # noqa: ANN401
    kind: str,
    how: str,
    answer: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    handled = Handled()
    async with application(getattr(handled, kind)) as url:
        found = await post(url, read=how)
    assert found.status == answer
    assert ("has read it before the receiver" in caplog.text) is (answer == 500)
    assert (b"body_read_before" in found.body) is (answer == 500)
    assert len(handled.got) == (answer == 200)


@pytest.mark.parametrize("application", [in_django, in_flask])
async def test_a_plain_handler_runs_in_the_thread_of_its_request_and_an_async_one_in_one_loop(
    application: Any,  # noqa: ANN401
) -> None:
    handled = Handled()
    for kind, body in (("plain", BODY), ("coroutine", BODY), ("coroutine", BODY.replace(b"evt_1", b"evt_2"))):
        async with application(getattr(handled, kind)) as url:
            assert await status(url, body) == 200
    assert len(handled.threads) == 2
    assert handled.threads - {"msgapi-webhooks"} != {"MainThread"}


@BOTH
async def test_a_handler_has_the_context_of_its_flask_request(kind: str) -> None:
    seen: list[str] = []

    def look() -> None:
        seen.append(flask_request.path)

    async def look_async() -> None:
        await anyio.lowlevel.checkpoint()
        look()

    async with in_flask(getattr(Handled(then=look, then_async=look_async), kind)) as url:
        assert await status(url) == 200
    assert seen == ["/webhooks"]


async def test_a_plain_handler_is_in_no_transaction_of_django() -> None:
    from django.db import connection  # type: ignore[import-untyped]

    seen: list[bool] = []
    async with in_django(Handled(then=lambda: seen.append(connection.in_atomic_block)).plain) as url:
        assert await status(url) == 200
    assert seen == [False]


async def handled_event(store: MemoryEventStore) -> None:
    with anyio.fail_after(20):
        while await store.claim("evt_1", "test") != "done":  # noqa: ASYNC110 - a store has nothing to wait for
            await anyio.sleep(0.001)


@EVERYWHERE
async def test_a_late_async_handler_goes_on_after_the_response(
    application: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
) -> None:
    go, store = threading.Event(), MemoryEventStore()
    handled = Handled(then_async=lambda: anyio.to_thread.run_sync(go.wait, 20))
    async with application(handled.coroutine, store=store, timeout=0.1) as url:
        assert await status(url) == 503
        assert "took longer than 0.1 s" in caplog.text
        go.set()
        await handled_event(store)
        assert await status(url) == 200
    assert handled.got == ["evt_1"]


@EVERYWHERE
async def test_a_plain_handler_may_take_longer_than_the_timeout(application: Any) -> None:  # noqa: ANN401
    pause = threading.Event()
    handled = Handled(then=lambda: pause.wait(0.3))
    async with application(handled.plain, timeout=0.1) as url:
        assert await status(url) == 200
        assert await status(url) == 200
    assert handled.got == ["evt_1"]


@define(eq=False)
class Renewed:
    """A store that counts claims, and awaits the function of the test in each."""

    then: Callable[[], Awaitable[object]] = nothing_async
    lease: float = 0.03
    claims: int = 0
    ended: list[str] = field(factory=list)

    async def claim(self, event_id: str, owner: str) -> webhooks.EventState:
        assert event_id
        assert owner
        self.claims += 1
        _ = await self.then()
        return "new"

    async def complete(self, event_id: str, owner: str) -> None:
        self.ended.append(f"complete {event_id}" if owner else "")

    async def release(self, event_id: str, owner: str) -> None:
        self.ended.append(f"release {event_id}" if owner else "")


@pytest.mark.parametrize("application", [in_django, in_flask])
async def test_the_claim_is_renewed_while_a_plain_handler_runs(application: Any) -> None:  # noqa: ANN401
    store = Renewed()
    renewed = threading.Event()

    async def count() -> None:
        await anyio.lowlevel.checkpoint()
        if store.claims > 3:
            renewed.set()

    store.then = count
    handled = Handled(then=lambda: renewed.wait(20))
    async with application(handled.plain, store=store) as url:
        assert await status(url) == 200
    assert renewed.is_set()
    assert store.ended == ["complete evt_1"]


@pytest.mark.parametrize("application", [in_django, in_flask])
async def test_a_store_that_is_late_or_raises_keeps_a_plain_handler_from_being_called(
    application: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        await anyio.lowlevel.checkpoint()
        raise ConnectionError("no store")

    handled, store = Handled(), Renewed(then=anyio.sleep_forever)
    async with application(handled.plain, store=store, timeout=0.1) as url:
        assert await status(url) == 503
        assert store.ended == ["release evt_1"]  # the claim may have been made
        store.then = fail
        assert await status(url) == 500
    assert "no store" in caplog.text
    assert handled.got == []


@pytest.mark.parametrize("application", [in_django, in_flask])
async def test_a_second_delivery_is_busy_while_a_plain_handler_runs(application: Any) -> None:  # noqa: ANN401
    begun, go, answers = threading.Event(), threading.Event(), list[int]()

    def wait() -> None:
        begun.set()
        _ = go.wait(20)

    handled = Handled(then=wait)
    async with application(handled.plain) as url, anyio.create_task_group() as tasks:

        async def first() -> None:
            answers.append(await status(url))

        tasks.start_soon(first)
        assert await anyio.to_thread.run_sync(begun.wait, 20)
        assert await status(url) == 503
        go.set()
    assert answers == [200]


@EVERYWHERE
async def test_an_async_handler_can_hold_a_client_over_several_events(application: Any) -> None:  # noqa: ANN401
    sandbox = Sandbox()
    client = msgapi.Client(api_key=sandbox.api_key, transport=sandbox)
    text = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")

    async def send() -> None:
        _ = (await client(messages.send(text))).value  # type: ignore[union-attr]

    async with application(Handled(then_async=send).coroutine) as url:
        for number in range(3):
            assert await status(url, BODY.replace(b"evt_1", f"evt_{number}".encode())) == 200
    assert len(sandbox.messages) == 3


@pytest.mark.parametrize("application", [in_django, in_flask])
async def test_an_async_handler_that_ends_the_program_does_not_end_the_loop_of_the_others(
    application: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def leave() -> None:
        await anyio.lowlevel.checkpoint()
        raise SystemExit(3)

    handled = Handled(then_async=leave)
    async with application(handled.coroutine) as url:
        assert await status(url) == 500
        handled.then_async = nothing_async
        assert await status(url) == 200
    assert "tried to end the program" in caplog.text


@BOTH
async def test_a_function_that_returns_a_coroutine_is_an_error_and_not_lost(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    handled = Handled()
    async with in_flask(lambda event: getattr(handled, kind)(event)) as url:  # noqa: PLW0108 - hides that it is async
        assert await status(url) == (500 if kind == "coroutine" else 200)
    assert ("returned a coroutine: make it an `async def` function" in caplog.text) is (kind == "coroutine")


def generator(event: Event) -> Iterator[str]:
    yield event.id


async def async_generator(event: Event) -> AsyncIterator[str]:
    await anyio.lowlevel.checkpoint()
    yield event.id


@EVERYWHERE
@pytest.mark.parametrize("handler", [generator, async_generator])
async def test_a_handler_that_only_returns_a_generator_has_not_handled_its_event(
    handler: Callable[[Event], object],
    application: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with application(handler) as url:
        assert [await status(url), await status(url)] == [500, 500]
    assert f"the handler {handler.__name__} returned a generator: a handler has no `yield`" in caplog.text


async def test_a_view_that_is_cancelled_leaves_its_handler_running() -> None:
    from django.test import AsyncRequestFactory  # type: ignore[import-untyped]

    begun, go, store = asyncio.Event(), asyncio.Event(), MemoryEventStore()

    async def wait() -> None:
        begun.set()
        _ = await go.wait()

    view = webhooks.django(Handled(then_async=wait).coroutine, secret=SECRET, store=store)
    headers = {webhooks.SIGNATURE_HEADER: webhooks.sign(BODY, secret=SECRET)}
    request = AsyncRequestFactory().post("/", BODY, content_type="application/json", headers=headers)
    task = asyncio.create_task(view(request))
    _ = await begun.wait()
    _ = task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    await handled_event(store)


async def test_the_limit_of_django_and_a_sender_that_disconnects_are_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from django.http import UnreadablePostError  # type: ignore[import-untyped]
    from django.test import RequestFactory
    from django.test.utils import override_settings  # type: ignore[import-untyped]

    view = webhooks.django(Handled().plain, secret=SECRET)
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        assert view(RequestFactory().post("/", BODY, content_type="application/json")).status_code == 413
    request = RequestFactory().post("/", BODY, content_type="application/json")

    def broken(*_: object) -> bytes:
        raise UnreadablePostError("connection lost")

    request.read = broken
    assert view(request).status_code == 400
    assert all(record.levelno < logging.ERROR for record in caplog.records)


async def test_the_limits_of_flask_are_answered_as_json() -> None:
    app = Flask(__name__)
    view = webhooks.flask(Handled().plain, secret=SECRET, max_body=1000)
    app.add_url_rule("/webhooks", view_func=view, methods=["POST"])

    def chunked(body: bytes) -> int:
        from io import BytesIO

        found = app.test_client().post(
            "/webhooks",
            input_stream=BytesIO(body),
            headers={"Transfer-Encoding": "chunked", webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret=SECRET)},
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert found.json is not None
        return found.status_code

    assert chunked(BODY) == 200
    assert chunked(b" " * 5000) == 413
    with app.test_request_context("/webhooks", method="POST", data=b"{", environ_overrides={"CONTENT_LENGTH": "99"}):
        assert view().status_code == 400  # the sender has disconnected


@pytest.mark.parametrize("name", ["django", "flask"])
async def test_a_framework_that_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, f"{name}.http" if name == "django" else name, None)
    with pytest.raises(ModuleNotFoundError, match=f"pip install {name}$"):
        _ = getattr(webhooks, name)(Handled().plain, secret=SECRET)


@pytest.mark.parametrize("mount", [webhooks.django, webhooks.flask])
@pytest.mark.parametrize("handler", [None, 5, Handled, "handle"])
async def test_a_handler_that_is_no_function_is_refused_when_it_is_mounted(mount: Any, handler: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match=r"must be a function, plain or `async def`"):
        _ = mount(handler, secret=SECRET)


@pytest.mark.parametrize("mount", [webhooks.django, webhooks.flask, webhooks.asgi, webhooks.aiohttp])
async def test_a_store_that_is_none_is_refused_when_it_is_mounted(mount: Any) -> None:  # noqa: ANN401
    async def handle(_: Event) -> None: ...

    for store, problem in (
        ("events.db", "str lacks lease, claim, complete, release"),
        (MemoryEventStore, "MemoryEventStore is a class: call it"),
        (object(), "object lacks lease"),
    ):
        with pytest.raises(TypeError, match=f"store must be an event store.*{problem}"):
            _ = mount(handle, secret=SECRET, store=store)


async def test_a_partial_and_a_decorated_async_handler_make_an_async_view() -> None:
    handled = Handled()

    async def handle(more: int, event: Event) -> None:
        assert more == 1
        await handled.coroutine(event)

    async with in_flask(partial(handle, 1)) as url:
        assert await status(url) == 200
    assert handled.threads == {"msgapi-webhooks"}


async def test_the_loop_thread_is_started_again_after_it_was_stopped() -> None:
    django_flask._loop_thread.stop()
    django_flask._loop_thread.stop()
    handled = Handled()
    async with in_flask(handled.coroutine) as url:
        assert await status(url) == 200
        django_flask._loop_thread.stop()
        assert await status(url, BODY.replace(b"evt_1", b"evt_2")) == 200
    assert handled.got == ["evt_1", "evt_2"]


async def test_a_forked_child_forgets_the_thread_of_its_parent() -> None:
    # What runs in a forked child, run here.
    parent, child = django_flask._LoopThread(), django_flask._LoopThread()
    portal = parent.portal()
    child._lock, child._thread, child._portal = parent._lock, parent._thread, portal
    child.forget()
    assert child.portal() is not portal
    assert parent.portal() is portal
    child.stop()
    parent.stop()


PROGRAM = """
import os, sys, threading
import anyio
from flask import Flask
from msgapi import webhooks

BODY = sys.argv[2].encode()
store = webhooks.SqliteEventStore(sys.argv[1])

async def handle(event):
    print("handled by", sys.argv[3] if os.getpid() == parent else "child", flush=True)
    if event.id == "late":
        try:
            await anyio.sleep(60)
        finally:
            print("cancelled", flush=True)

app = Flask("app")
app.add_url_rule("/", view_func=webhooks.flask(handle, secret="s", store=store, timeout=0.2), methods=["POST"])
parent = os.getpid()

def post(body):
    headers = {webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret="s")}
    print(app.test_client().post("/", data=body, headers=headers).status_code, flush=True)

post(BODY)
if sys.argv[3] == "parent" and (child := os.fork()) == 0:
    post(BODY)
    post(BODY.replace(b"evt_1", b"evt_2"))
    os._exit(0)
elif sys.argv[3] == "parent":
    assert os.waitpid(child, 0)[1] == 0
post(BODY.replace(b"evt_1", b"late"))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_a_forked_child_has_a_loop_of_its_own_and_late_handlers_are_cancelled_at_exit(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "dev", "-c", PROGRAM, str(tmp_path / "events.db"), BODY.decode(), "parent"]
    done = await anyio.to_thread.run_sync(partial(subprocess.run, command, capture_output=True, text=True, check=False))
    assert done.stdout.splitlines() == [
        *("handled by parent", "200"),
        *("200", "handled by child", "200"),
        *("handled by parent", "503", "cancelled"),
    ]
    assert done.returncode == 0, done.stderr
    with SqliteEventStore(tmp_path / "events.db") as store:
        assert await store.claim("late", "a") == "new"
