"""Receiver: turns one webhook delivery into one HTTP response, whatever the web framework.

Rules:
- Only an event that was handled, now or earlier, is answered 200. After any other status the service delivers again.
- A wrong signature is answered 401, a body that is not an event 400 (docs: /api/webhooks/verify-requests). The
  service repeats these too, and stops after its fifth attempt (docs: /api/webhooks/retries).
- The response is sent within the 5 seconds that the service waits, however long the handler and the store take.
- An event stays claimed in the store until its handler has ended, so no two handlers run for it at the same time.
"""

import inspect
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeAlias, final, get_args

import anyio
import orjson
from attrs import define, evolve, field, frozen
from attrs.validators import gt

from ..delivery import InvalidDelivery, parse_secrets, read
from ..events import Event
from .event_store import EventState, EventStore

Handler: TypeAlias = Callable[[Event], Awaitable[None]]
"""An async function that handles one event."""
_CODES: Final = {401: "unauthorized", 400: "validation_error"}
_CANCELLED_STORE_TIMEOUT: Final = 0.4  # seconds for the store to record the result of a cancelled delivery
_LATE_HANDLER_TIMEOUT: Final = 55.0  # seconds that a late handler may go on; the service repeats after a minute
_log: Final = logging.getLogger("msgapi")


def _check_handler(_: object, __: object, handler: Handler) -> None:
    # Looks for the function that is called in the end: in a partial, a decorated function or a callable object.
    found: object = handler
    inner: object = handler
    while inner is not None and not _is_async(found):
        found = inner
        inner = found.func if isinstance(found, partial) else getattr(found, "__wrapped__", None)
        if inner is None and not inspect.isroutine(found) and not isinstance(found, type):
            inner = getattr(type(found), "__call__", None)  # noqa: B004 - of its class, and not of the object
    if not _is_async(found):
        name = getattr(handler, "__name__", type(handler).__name__)
        raise TypeError(
            f"the handler must be an `async def` function, and {name} is not one; to run a plain function, write "
            f"`async def handle(event): await anyio.to_thread.run_sync({name}, event)`"
        )


def _is_async(function: object) -> bool:
    # By its flags, as those that AsyncMock has too.
    flags: object = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return isinstance(flags, int) and bool(flags & (inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE))


@final
@frozen
class WebhookResponse:
    """The response to a delivery: a status and a JSON body.

    If *close* is true, the connection is to be closed, because the handler still runs.
    """

    status: int
    body: bytes = b"{}"
    close: bool = False


Respond: TypeAlias = Callable[[WebhookResponse], Awaitable[None]]


@final
@define(eq=False)
class Receiver:
    """Receives deliveries: verifies them with *secret*, and calls *handler* once for each event.

    "Once" holds as far as *store* reaches: for `MemoryEventStore`, one process.

    - A handler that raises has not handled its event. The delivery is answered 500, and the service repeats
      it after a minute or more.
    - A handler that has not returned after *timeout* seconds is not interrupted, but the delivery is answered
      503. If the handler returns within 55 more seconds, the event counts as handled, and the repeated
      delivery is answered 200. After that the handler is cancelled, and is called again for the repetition.
    - So a handler should only store the event or put it into a queue, and must be able to run twice for an
      event if it can fail halfway.
    - A call of the store counts towards *timeout*. A store that raises is treated as a handler that raises.
    - A body of more than *max_body* bytes is answered 413 and not read to its end; one that does not arrive
      within *timeout* is answered 408.

    *secret* is one secret, or several while one is being replaced. Raise TypeError if *handler* is not an `async def`
    function, and ValueError if a secret is empty or has a line break, or if *max_body* or *timeout* is not positive.
    """

    handler: Handler = field(validator=_check_handler)
    secret: tuple[str, ...] = field(repr=False, converter=parse_secrets)
    store: EventStore
    max_body: int = field(validator=gt(0), kw_only=True)
    timeout: float = field(validator=gt(0), kw_only=True)

    async def receive(self, headers: Mapping[str, str], chunks: AsyncIterable[bytes], respond: Respond) -> None:
        """Receive one delivery, whose body is *chunks*, and pass the response to *respond*, once.

        Return when the handler has ended: as a rule at most 55 seconds after the response. An exception of
        *respond* or of *chunks* is raised. An exception of the handler is logged, but for those that end
        the program, such as KeyboardInterrupt: they are raised.
        """
        deadline = anyio.current_time() + self.timeout
        body = await self._read_body(chunks, deadline)
        if isinstance(body, WebhookResponse):
            await respond(body)
            return
        event = read(headers, body, secret=self.secret)
        if isinstance(event, InvalidDelivery):
            await respond(error_response(event.status, _CODES[event.status], event.reason))
            return
        await self._handle(event, deadline, respond)

    async def _read_body(self, chunks: AsyncIterable[bytes], deadline: float) -> bytes | WebhookResponse:
        body = bytearray()
        with anyio.CancelScope(deadline=deadline):
            async for chunk in chunks:
                body += chunk
                if len(body) > self.max_body:
                    return error_response(413, "too_large", f"the body is larger than {self.max_body} bytes")
            return bytes(body)
        return error_response(408, "timeout", "the body did not arrive in time")

    async def _handle(self, event: Event, deadline: float, respond: Respond) -> None:
        # The handler runs in a task of its own: one that waits for a thread, or in a shielded scope, does not
        # end when it is cancelled, and the response must not wait for it.
        work = _EventTask(self.handler, self.store, event)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(work.run)
            with anyio.CancelScope(deadline=deadline):
                await work.ended.wait()
            try:
                await respond(self._response(work))
            except Exception as error:  # noqa: BLE001 - raised below, so that it does not leave in an exception group
                failure = error
            work.scope.deadline = anyio.current_time() + _LATE_HANDLER_TIMEOUT
        for raised in (failure, work.fatal):
            if raised is not None:
                raise raised

    def _response(self, work: "_EventTask") -> WebhookResponse:
        if work.response is not None:  # the handler has ended: a store that is late does not change its result
            return evolve(work.response, close=not work.ended.is_set())
        _log.error("webhook handler or event store took longer than %s s for event %s", self.timeout, work.event.id)
        return evolve(error_response(503, "timeout", "the event was not handled in time"), close=True)


@final
@define(eq=False)
class _EventTask:
    # Handles one event and records the result in the store.
    handler: Handler
    store: EventStore
    event: Event
    handled: bool = field(default=False, init=False)
    response: WebhookResponse | None = field(default=None, init=False)
    fatal: BaseException | None = field(default=None, init=False)
    ended: anyio.Event = field(factory=anyio.Event, init=False)
    scope: anyio.CancelScope = field(factory=anyio.CancelScope, init=False)

    async def run(self) -> None:
        state: EventState | None = None
        store_timeout = _LATE_HANDLER_TIMEOUT
        try:
            with self.scope:
                state = await self.store.claim(self.event.id)
                self.response = await self._handle(state)
        except Exception:  # noqa: BLE001 - it is logged with its traceback, and the service delivers the event again
            _log.exception("webhook handler or event store raised for event %s", self.event.id)
            self.response = _FAILED
        except anyio.get_cancelled_exc_class():
            self.response, store_timeout = _FAILED, _CANCELLED_STORE_TIMEOUT
            raise
        except BaseException as error:  # noqa: BLE001 - raised by `Receiver._handle`, outside of the task group
            self.response, self.fatal = _FAILED, error
        finally:
            if state == "new":
                await self._record(store_timeout)
            self.ended.set()

    async def _handle(self, state: EventState) -> WebhookResponse:
        if state == "busy":
            return error_response(503, "busy", "this event is being handled")
        if state == "new":
            await self.handler(self.event)
            if self.scope.cancel_called:  # a handler that suppresses the cancellation has not finished its work
                return error_response(503, "timeout", "the event was not handled in time")
            self.handled = True
        elif state not in get_args(EventState):
            raise TypeError(f"claim() of an event store must return 'new', 'busy' or 'done', not {state!r}")
        return WebhookResponse(200)

    async def _record(self, seconds: float) -> None:
        # An error of the store does not change whether the event was handled, so it does not change the response.
        scope = anyio.CancelScope(deadline=anyio.current_time() + seconds, shield=True)
        try:
            with scope:
                await (self.store.complete if self.handled else self.store.release)(self.event.id)
        except Exception:  # noqa: BLE001 - it is logged with its traceback
            _log.exception("webhook event store raised for event %s", self.event.id)
        if scope.cancelled_caught:
            _log.error("webhook event store took too long for event %s", self.event.id)


def error_response(status: int, code: str, message: str) -> WebhookResponse:
    """Return a response in the form of the API's own errors: `error` and `message`."""
    return WebhookResponse(status, orjson.dumps({"error": code, "message": message}))


_FAILED: Final = error_response(500, "internal_error", "the event could not be handled")
