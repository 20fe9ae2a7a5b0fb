"""Receivers for Django and Flask. Neither is imported before `django` or `flask` is called.

Rules:
- A plain handler runs in the thread of its request, where the framework has its database connection, its context and
  the transaction of a test. The response is sent after it, however long it takes.
- An async handler of a synchronous server runs in an event loop that one thread of this process runs for all requests,
  so that a client can be held across events, and a late handler continues after its response. Under Django over ASGI
  it runs in the event loop of the request.
- Stores are asynchronous, so plain handlers use that event loop for them too.
- The thread is started by the first delivery, never before a fork, and stopped when the interpreter exits.
"""

import asyncio
import atexit
import inspect
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from importlib import import_module
from typing import Any, Final, TypeAlias, TypeVar, cast, final

import anyio
from anyio.from_thread import BlockingPortal
from attrs import define, field

from ..events import Event
from .event_store import EventStore, MemoryEventStore
from .receiver import (
    FAILED,
    POST_ONLY,
    EventTask,
    Handler,
    Receiver,
    WebhookResponse,
    error_response,
    is_async_function,
    late_response,
    name_of,
)

T = TypeVar("T")
PlainHandler: TypeAlias = Callable[[Event], None]
"""A function that handles one event in the thread of its request."""
Answered: TypeAlias = "Future[WebhookResponse] | asyncio.Future[WebhookResponse]"
_STOP_TIMEOUT: Final = 2.0  # seconds at interpreter exit; a handler in a thread cannot be cancelled
_UNREADABLE: Final = error_response(400, "validation_error", "the body cannot be read")
_log: Final = logging.getLogger("msgapi")
_background: Final[set[asyncio.Task[None]]] = set()  # an event loop holds its tasks by weak references only


def django(
    handler: Handler | PlainHandler,
    *,
    secret: str | Iterable[str],
    store: EventStore | None = None,
    max_body: int = 2**20,
    timeout: float = 4.5,
) -> Callable[[Any], Any]:
    """Return a Django view that calls *handler* once for each event; see `Receiver` for the options.

    For example: `path("webhooks", webhooks.django(handle, secret=...))`.

    If *handler* is a plain function, so is the view: the handler runs in the thread of the request, with its database
    connections, and the response is sent when it returns. If it is an `async def` function, the view is async: under
    ASGI the handler runs in the event loop of the server, and under WSGI in one event loop that a thread of this
    process runs for all events, so a `Client` can be held in a variable in both. A late async handler continues after
    the response, as described for `Receiver`.

    The view is exempt from CSRF protection, from `LoginRequiredMiddleware` and from ATOMIC_REQUESTS: open a
    transaction in the handler, so that it is committed before the event counts as handled.

    *store* is a new `MemoryEventStore` by default, so "once" holds for this view in this process. *max_body* is in
    bytes, 1 MiB by default; Django itself refuses more than DATA_UPLOAD_MAX_MEMORY_SIZE. *timeout* is in seconds, 4.5
    by default, and limits a plain handler only in that it is not called if the store is too slow. Raise
    ModuleNotFoundError if Django is not installed, and otherwise what `Receiver` raises.
    """
    http, asgi, transaction = _django("http"), _django("core.handlers.asgi"), _django("db.transaction")
    delivery = _Delivery.of(handler, secret, store, max_body, timeout)

    def to_django(answer: WebhookResponse) -> Any:  # noqa: ANN401 - Django has no types
        headers = {"Allow": "POST"} if answer.status == 405 else {}  # noqa: PLR2004
        return http.HttpResponse(answer.body, status=answer.status, content_type="application/json", headers=headers)

    def receive(request: Any) -> Any:  # noqa: ANN401 - Django has no types
        return to_django(delivery.receive(_read_django(request, delivery.receiver), dict(request.headers)))

    async def receive_async(request: Any) -> Any:  # noqa: ANN401 - Django has no types
        body = _read_django(request, delivery.receiver)
        if isinstance(request, asgi.ASGIRequest):
            return to_django(await delivery.receive_here(body, dict(request.headers)))
        return to_django(await delivery.receive_in_loop_thread(body, dict(request.headers)))

    view: Any = receive_async if delivery.plain is None else receive
    view.csrf_exempt, view.login_required = True, False
    return cast("Callable[[Any], Any]", transaction.non_atomic_requests(view))


def _django(module: str) -> Any:  # noqa: ANN401 - Django has no types
    try:
        return import_module(f"django.{module}")
    except ModuleNotFoundError:
        raise ModuleNotFoundError("webhooks.django needs Django: pip install django") from None


def _read_django(request: Any, receiver: Receiver) -> bytes | WebhookResponse:  # noqa: ANN401 - Django has no types
    http, exceptions = _django("http"), _django("core.exceptions")
    if request.method != "POST":
        return POST_ONLY
    try:
        if int(request.headers.get("Content-Length") or 0) > receiver.max_body:
            return receiver.refuse_size()
        return cast("bytes", request.body)
    except http.RawPostDataException:
        return b""  # something else has read the stream
    except exceptions.RequestDataTooBig:
        return receiver.refuse_size()
    except (http.UnreadablePostError, ValueError):
        return _UNREADABLE


def flask(
    handler: Handler | PlainHandler,
    *,
    secret: str | Iterable[str],
    store: EventStore | None = None,
    max_body: int = 2**20,
    timeout: float = 4.5,
) -> Callable[[], Any]:
    """Return a Flask 3.1 view function that calls *handler* once for each event; see `Receiver` for the options.

    For example: `app.add_url_rule("/webhooks", view_func=webhooks.flask(handle, secret=...), methods=["POST"])`. Give
    `endpoint=` too if an application has several of them.

    If *handler* is a plain function, it runs in the thread and the context of the request, and the response is sent
    when it returns. If it is an `async def` function, it runs in one event loop that a thread of this process runs for
    all events, with a copy of the context of the request; so a `Client` can be held in a variable. A late async handler
    continues after the response, as described for `Receiver`; Flask has ended that context by then.

    *store* is a new `MemoryEventStore` by default, so "once" holds for this view in this process. *max_body* is in
    bytes, 1 MiB by default. *timeout* is in seconds, 4.5 by default, and limits a plain handler only in that it is not
    called if the store is too slow. Raise ModuleNotFoundError if Flask is not installed, and otherwise what `Receiver`
    raises.
    """
    try:
        from flask import Response, request
    except ModuleNotFoundError:
        raise ModuleNotFoundError("webhooks.flask needs Flask: pip install flask") from None
    delivery = _Delivery.of(handler, secret, store, max_body, timeout)

    def webhooks() -> Response:
        answer = delivery.receive(_read_flask(request, delivery.receiver), dict(request.headers))
        headers = {"Allow": "POST"} if answer.status == 405 else {}  # noqa: PLR2004
        return Response(answer.body, answer.status, headers, content_type="application/json")

    return webhooks


def _read_flask(request: Any, receiver: Receiver) -> bytes | WebhookResponse:  # noqa: ANN401 - a proxy of werkzeug
    from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

    if request.method != "POST":
        return POST_ONLY
    if (request.content_length or 0) > receiver.max_body:
        return receiver.refuse_size()
    request.max_content_length = receiver.max_body + 1  # werkzeug cuts a body whose length is not announced there
    try:
        return cast("bytes", request.get_data())
    except HTTPException as error:
        return receiver.refuse_size() if isinstance(error, RequestEntityTooLarge) else _UNREADABLE


async def _run_elsewhere(_: Event) -> None:
    raise NotImplementedError  # pragma: no cover - a plain handler is called by `_Delivery`, not by the receiver


@final
@define(eq=False)
class _Delivery:
    # Receives bodies that were read before, for a *plain* handler or for the async one of the *receiver*.
    receiver: Receiver
    plain: PlainHandler | None

    @classmethod
    def of(
        cls,
        handler: Handler | PlainHandler,
        secret: str | Iterable[str],
        store: EventStore | None,
        max_body: int,
        timeout: float,
    ) -> "_Delivery":
        is_async = is_async_function(handler)
        if not callable(handler) or isinstance(handler, type):
            raise TypeError(f"the handler must be a function, plain or `async def`, and {name_of(handler)} is not one")
        store = MemoryEventStore() if store is None else store
        called = cast("Handler", handler) if is_async else _run_elsewhere
        receiver = Receiver(called, secret, store, max_body=max_body, timeout=timeout)
        return cls(receiver, None if is_async else cast("PlainHandler", handler))

    def receive(self, body: bytes | WebhookResponse, headers: Mapping[str, str]) -> WebhookResponse:
        """Receive a delivery in a thread."""
        event = self._event(body, headers)
        if isinstance(event, WebhookResponse):
            return event
        if self.plain is not None:
            return self._call_plain(event, self.plain)
        return self._start_in_loop_thread(event).result()

    async def receive_in_loop_thread(
        self, body: bytes | WebhookResponse, headers: Mapping[str, str]
    ) -> WebhookResponse:
        """Receive a delivery in an event loop of asyncio that ends with the request."""
        event = self._event(body, headers)
        if isinstance(event, WebhookResponse):
            return event
        return await asyncio.wrap_future(self._start_in_loop_thread(event))

    async def receive_here(self, body: bytes | WebhookResponse, headers: Mapping[str, str]) -> WebhookResponse:
        """Receive a delivery in the event loop of asyncio that runs, which lasts longer than the request."""
        event = self._event(body, headers)
        if isinstance(event, WebhookResponse):
            return event
        answered: asyncio.Future[WebhookResponse] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._handle(event, answered))
        _background.add(task)
        task.add_done_callback(_background.discard)
        return await answered

    def _event(self, body: bytes | WebhookResponse, headers: Mapping[str, str]) -> Event | WebhookResponse:
        return body if isinstance(body, WebhookResponse) else self.receiver.read(headers, body)

    def _start_in_loop_thread(self, event: Event) -> "Future[WebhookResponse]":
        answered: Future[WebhookResponse] = Future()
        _ = _loop_thread.portal().start_task_soon(self._handle_in_loop_thread, event, answered)
        return answered

    async def _handle_in_loop_thread(self, event: Event, answered: Answered) -> None:
        try:
            await self._handle(event, answered)
        except (KeyboardInterrupt, SystemExit):  # they would end the thread, and with it the handlers of other events
            _log.exception("webhook handler tried to end the program for event %s", event.id)

    async def _handle(self, event: Event, answered: Answered) -> None:
        async def respond(answer: WebhookResponse) -> None:
            if not answered.done():  # a view that was cancelled has no use for it
                answered.set_result(answer)

        try:
            await self.receiver.handle(event, anyio.current_time() + self.receiver.timeout, respond)
        finally:
            await respond(FAILED)

    def _call_plain(self, event: Event, handler: PlainHandler) -> WebhookResponse:
        portal = _loop_thread.portal()
        work = portal.call(self._begin, event)
        if not work.has_claim:
            return work.response or FAILED
        _ = portal.start_task_soon(work.keep_claim)
        try:
            _check_returned(cast("Callable[[Event], object]", handler)(event), handler)
            work.succeed()
        except Exception:  # noqa: BLE001 - it is logged with its traceback, and the service delivers the event again
            work.fail()
        finally:
            portal.call(work.record)
        return work.response or FAILED

    async def _begin(self, event: Event) -> EventTask:
        work, scope = EventTask(self.receiver.store, event), anyio.CancelScope()
        scope.deadline = anyio.current_time() + self.receiver.timeout
        try:
            with scope:
                _ = await work.claim()
        except Exception:  # noqa: BLE001 - it is logged with its traceback, and the service delivers the event again
            work.fail()
        if scope.cancel_called:
            await work.record()
            work.has_claim, work.response = False, late_response(event, self.receiver.timeout)
        return work


def _check_returned(result: object, handler: object) -> None:
    # What returns one of these has not run yet, so its event is not handled.
    if inspect.iscoroutine(result):
        result.close()
    if inspect.isawaitable(result):
        raise TypeError(f"the handler {name_of(handler)} returned a coroutine: make it an `async def` function")
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(f"the handler {name_of(handler)} returned a generator: a handler has no `yield`")


@final
@define(eq=False)
class _LoopThread:
    # An event loop in a thread of this process, for all synchronous views.
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _portal: BlockingPortal | None = field(default=None, init=False)

    def portal(self) -> BlockingPortal:
        """Return the portal into the event loop, which is started if it does not run."""
        with self._lock:
            if self._portal is None or self._thread is None or not self._thread.is_alive():
                ready: Future[BlockingPortal] = Future()
                self._thread = threading.Thread(target=_run_loop, args=(ready,), name="msgapi-webhooks", daemon=True)
                self._thread.start()
                self._portal = ready.result()
            return self._portal

    def stop(self) -> None:
        """Cancel the handlers that still run, so that their events are released, and end the thread."""
        with self._lock:
            if self._portal is not None and self._thread is not None and self._thread.is_alive():
                _ = self._portal.start_task_soon(self._portal.stop, True)  # noqa: FBT003 - cancel what remains
                self._thread.join(_STOP_TIMEOUT)
            self._portal = self._thread = None

    def forget(self) -> None:
        """Forget the thread of the parent process, in a forked child."""
        self._lock, self._portal, self._thread = threading.Lock(), None, None


def _run_loop(ready: "Future[BlockingPortal]") -> None:
    async def serve() -> None:
        async with BlockingPortal() as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    anyio.run(serve)


_loop_thread: Final = _LoopThread()
atexit.register(_loop_thread.stop)  # pyright: ignore[reportUnusedCallResult]
if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has none, and no fork
    os.register_at_fork(after_in_child=_loop_thread.forget)
