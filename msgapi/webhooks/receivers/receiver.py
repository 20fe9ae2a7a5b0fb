"""Receiver: turns one webhook delivery into one HTTP response, whatever the web framework.

Rules:
- Only an event that was handled, now or earlier, is answered 200. After any other status the service delivers again.
- A wrong signature is answered 401, a body that is not an event 400 (docs: /api/webhooks/verify-requests). The
  service repeats these too, and stops after its fifth attempt (docs: /api/webhooks/retries).
- The response is sent within the 5 seconds that the service waits, however long the handler and the store take.
- An event stays claimed in the store until its handler has ended, so no two handlers run for it at the same time. The
  claim is renewed while the handler runs, so the lease says how long a killed process keeps its events, and nothing
  about how long a handler may take.
"""

import inspect
import logging
import math
import secrets
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeAlias, final, get_args

import anyio
import anyio.lowlevel
import orjson
from attrs import define, evolve, field, frozen
from attrs.validators import gt

from ..delivery import InvalidDelivery, explain_mismatch, parse_secrets, read
from ..events import Event
from .event_store import EventState, EventStore

Handler: TypeAlias = Callable[[Event], Awaitable[None]]
"""An async function that handles one event."""
_CODES: Final = {401: "unauthorized", 400: "validation_error"}
_EXPLANATION_INTERVAL: Final = 60.0  # seconds between two refusals whose cause is looked for
_MAX_EXPLAINED: Final = 2**16  # bytes
_NO_CAUSE: Final = "the signature does not match, and no cause was found: is the secret that of this endpoint?"
_RENEWALS: Final = 3  # of a claim within its lease
_CANCELLED_STORE_TIMEOUT: Final = 0.4  # seconds for the store to record the result of a cancelled delivery
_LATE_HANDLER_TIMEOUT: Final = 55.0  # seconds for which a late handler may run; the service repeats after a minute
_log: Final = logging.getLogger("msgapi")


def is_async_function(handler: object) -> bool:
    """Return whether *handler* is an async function, also in a partial, a decorated function or a callable object."""
    found: object = handler
    while found is not None and not _has_async_flag(found):
        inner: object = found.func if isinstance(found, partial) else getattr(found, "__wrapped__", None)
        if inner is None and not inspect.isroutine(found) and not isinstance(found, type):
            inner = getattr(type(found), "__call__", None)  # noqa: B004 - of its class, and not of the object
        found = inner
    return found is not None


def _has_async_flag(function: object) -> bool:
    # By its flags, as those that AsyncMock has too.
    flags: object = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return isinstance(flags, int) and bool(flags & (inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE))


def name_of(handler: object) -> str:
    """Return the name of *handler* for an error message."""
    return f"{getattr(handler, '__name__', type(handler).__name__)}"


def _check_handler(_: object, __: object, handler: Handler) -> None:
    if not is_async_function(handler):
        name = name_of(handler)
        raise TypeError(
            f"the handler must be an `async def` function, and {name} is not one; to run a plain function, write "
            f"`async def handle(event): await anyio.to_thread.run_sync({name}, event)`"
        )


def _check_store(_: object, __: object, store: EventStore) -> None:
    missing = [name for name in ("lease", "claim", "complete", "release") if not hasattr(store, name)]
    if missing or isinstance(store, type):
        what = store.__name__ if isinstance(store, type) else type(store).__name__
        lacks = f"lacks {', '.join(missing)}" if missing else "is a class: call it"
        raise TypeError(f"store must be an event store, such as SqliteEventStore(path), and {what} {lacks}")


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

    "Once" holds as far as *store* reaches: one process for `MemoryEventStore`, one machine for `SqliteEventStore`, all
    that use the server for `RedisEventStore`. An event is handled again if its handler raised or was cancelled, if the
    process died between the call of the handler and the moment at which the store has recorded that it returned, or if
    the event loop was blocked in between for longer than the lease of the store.

    - A handler that raises has not handled its event. The delivery is answered 500, and the service repeats
      it after a minute or more.
    - A handler that has not returned after *timeout* seconds is not interrupted, but the delivery is answered
      503. If the handler returns within 55 more seconds, the event counts as handled, and the repeated
      delivery is answered 200. After that the handler is cancelled, and is called again for the repetition.
    - So a handler should only store the event or put it into a queue, and must be able to run twice for an
      event if it can fail halfway.
    - A call of the store counts towards *timeout*. A store that raises is treated as a handler that raises.
    - A wrong signature is answered 401; once a minute at most, a warning says what may be wrong, as
      `explain_mismatch` does.
    - A body of more than *max_body* bytes is answered 413 and not read to its end; one that does not arrive
      within *timeout* is answered 408.

    *secret* is one secret, or several while one is being replaced. Raise TypeError if *handler* is not an `async def`
    function or *store* is not an event store, and ValueError if a secret is empty or has a line break, or if *max_body*
    or *timeout* is not positive.
    """

    handler: Handler = field(validator=_check_handler)
    secret: tuple[str, ...] = field(repr=False, converter=parse_secrets)
    store: EventStore = field(validator=_check_store)
    max_body: int = field(validator=gt(0), kw_only=True)
    timeout: float = field(validator=gt(0), kw_only=True)
    _next_explanation: float = field(default=-math.inf, init=False, repr=False)

    async def receive(self, headers: Mapping[str, str], chunks: AsyncIterable[bytes], respond: Respond) -> None:
        """Receive one delivery, whose body is *chunks*, and pass the response to *respond*, once.

        Return when the handler has ended: as a rule at most 55 seconds after the response. An exception of
        *respond* or of *chunks* is raised. An exception of the handler is logged, but for those that end
        the program, such as KeyboardInterrupt: they are raised.
        """
        deadline = anyio.current_time() + self.timeout
        body = await self._read_body(chunks, deadline)
        event = body if isinstance(body, WebhookResponse) else self.read(headers, body)
        if isinstance(event, WebhookResponse):
            await respond(event)
        else:
            await self.handle(event, deadline, respond)

    def read(self, headers: Mapping[str, str], body: bytes) -> Event | WebhookResponse:
        """Return the event of a delivery whose *body* has been read, or the response that refuses it."""
        if not body and _announces_body(headers):
            _log.error(_BODY_READ)
            return error_response(500, "body_read_before", _BODY_READ)
        if len(body) > self.max_body:
            return self.refuse_size()
        event = read(headers, body, secret=self.secret)
        if isinstance(event, InvalidDelivery):
            if event.status == 401:  # noqa: PLR2004
                self._explain(headers, body)
            return error_response(event.status, _CODES[event.status], event.reason)
        return event

    def _explain(self, headers: Mapping[str, str], body: bytes) -> None:
        # Anybody can send a wrong signature, so the cause is looked for once in a while, and not in long bodies.
        now = time.monotonic()
        if now < self._next_explanation or len(body) > _MAX_EXPLAINED:
            return
        self._next_explanation = now + _EXPLANATION_INTERVAL
        cause = explain_mismatch(headers, body, secret=self.secret, combined=False)
        _log.warning("a webhook delivery was refused: %s", cause or _NO_CAUSE)

    def refuse_size(self) -> WebhookResponse:
        """Return the response to a body that is too large."""
        return error_response(413, "too_large", f"the body is larger than {self.max_body} bytes")

    async def _read_body(self, chunks: AsyncIterable[bytes], deadline: float) -> bytes | WebhookResponse:
        body = bytearray()
        with anyio.CancelScope(deadline=deadline):
            async for chunk in chunks:
                body += chunk
                if len(body) > self.max_body:
                    return self.refuse_size()
            return bytes(body)
        if not body:
            _log.error("%s, or the sender did not send it within %s s", _BODY_READ, self.timeout)
        return error_response(408, "timeout", "the body did not arrive in time")

    async def handle(self, event: Event, deadline: float, respond: Respond) -> None:
        """Handle an event that was verified, and pass the response to *respond*; see `receive`.

        *deadline*, in seconds of the clock, is when the response is due.
        """
        # The handler runs in a task of its own: one that waits for a thread, or in a shielded scope, does not
        # end when it is cancelled, and the response must not wait for it.
        work = EventTask(self.store, event)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(work.run, self.handler)
            _ = tasks.start_soon(work.keep_claim)
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

    def _response(self, work: "EventTask") -> WebhookResponse:
        if work.response is not None:  # the handler has ended: a store that is late does not change its result
            return evolve(work.response, close=not work.ended.is_set())
        return evolve(late_response(work.event, self.timeout), close=True)


@final
@define(eq=False)
class EventTask:
    """Handles one event and records the result in the store.

    `run` does it for an async handler. A caller that runs a handler elsewhere awaits `claim` before and `record`
    afterwards. `keep_claim` runs at the same time.
    """

    store: EventStore
    event: Event
    owner: str = field(factory=partial(secrets.token_hex, 8), init=False)
    has_claim: bool = field(default=False, init=False)
    handled: bool = field(default=False, init=False)
    response: WebhookResponse | None = field(default=None, init=False)
    fatal: BaseException | None = field(default=None, init=False)
    ended: anyio.Event = field(factory=anyio.Event, init=False)
    scope: anyio.CancelScope = field(factory=anyio.CancelScope, init=False)

    async def run(self, handler: Handler) -> None:
        """Claim the event, call *handler*, and record the result."""
        store_timeout = _LATE_HANDLER_TIMEOUT
        try:
            with self.scope:
                if await self.claim():
                    await anyio.lowlevel.checkpoint_if_cancelled()  # a claim that runs in a thread is not interrupted
                    await handler(self.event)
                    self.succeed(is_late=self.scope.cancel_called)
        except Exception:  # noqa: BLE001 - it is logged with its traceback, and the service delivers the event again
            self.fail()
        except anyio.get_cancelled_exc_class():
            self.response, store_timeout = FAILED, _CANCELLED_STORE_TIMEOUT
            raise
        except BaseException as error:  # noqa: BLE001 - raised by `Receiver.handle`, outside of the task group
            self.response, self.fatal = FAILED, error
        finally:
            await self.record(store_timeout)

    async def claim(self) -> bool:
        """Return whether the event is to be handled now; if not, *response* is the answer."""
        try:
            state = await self.store.claim(self.event.id, self.owner)
        except anyio.get_cancelled_exc_class():
            self.has_claim = True  # as far as is known
            raise
        if state not in get_args(EventState):
            raise TypeError(f"claim() of an event store must return 'new', 'busy' or 'done', not {state!r}")
        self.has_claim = state == "new"
        if state != "new":
            self.response = WebhookResponse(200) if state == "done" else _BUSY
        return self.has_claim

    def fail(self) -> None:
        """Log the current exception, and answer that the event could not be handled."""
        _log.exception("webhook handler or event store raised for event %s", self.event.id)
        self.response = FAILED

    def succeed(self, *, is_late: bool = False) -> None:
        """Answer 200; if *is_late*, 503: a handler that suppresses its cancellation has not finished its work."""
        self.handled = not is_late
        self.response = _TIMED_OUT if is_late else WebhookResponse(200)

    async def keep_claim(self) -> None:
        """Renew the claim until the task has ended. If the store raises, log that, and try again later."""
        while not self.ended.is_set():
            with anyio.move_on_after(self.store.lease / _RENEWALS):
                await self.ended.wait()
            if self.has_claim and not self.ended.is_set():
                await self._renew()

    async def _renew(self) -> None:
        try:
            state = await self.store.claim(self.event.id, self.owner)
        except Exception:  # noqa: BLE001 - it is logged with its traceback
            _log.exception("webhook event store raised for event %s, which is being handled", self.event.id)
            return
        if state != "new" and not self.ended.is_set():
            _log.error("the claim of event %s ended while it was being handled; it may be handled twice", self.event.id)

    async def record(self, seconds: float = _LATE_HANDLER_TIMEOUT) -> None:
        """Record whether the event was handled, for at most *seconds*, and end the task."""
        # An error of the store does not change whether the event was handled, so it does not change the response.
        scope = anyio.CancelScope(deadline=anyio.current_time() + seconds, shield=True)
        try:
            with scope:
                if self.has_claim:
                    await (self.store.complete if self.handled else self.store.release)(self.event.id, self.owner)
        except Exception:  # noqa: BLE001 - it is logged with its traceback
            _log.exception("webhook event store raised for event %s", self.event.id)
        finally:
            self.ended.set()
        if scope.cancelled_caught:
            _log.error("webhook event store took too long for event %s", self.event.id)


def late_response(event: Event, seconds: float) -> WebhookResponse:
    """Log that *event* was not handled within *seconds*, and return the response that says so."""
    _log.error("webhook handler or event store took longer than %s s for event %s", seconds, event.id)
    return _TIMED_OUT


def _announces_body(headers: Mapping[str, str]) -> bool:
    lengths = [value for name, value in headers.items() if name.lower() == "content-length"]
    return any(value.strip("0 ") for value in lengths)


def error_response(status: int, code: str, message: str) -> WebhookResponse:
    """Return a response in the form of the API's own errors: `error` and `message`."""
    return WebhookResponse(status, orjson.dumps({"error": code, "message": message}))


POST_ONLY: Final = error_response(405, "method_not_allowed", "webhooks are sent by POST")
FAILED: Final = error_response(500, "internal_error", "the event could not be handled")
_BUSY: Final = error_response(503, "busy", "this event is being handled")
_TIMED_OUT: Final = error_response(503, "timeout", "the event was not handled in time")
_BODY_READ: Final = (
    "the body is empty, but has a length: something else in this application, such as a middleware or a request "
    "parser, has read it before the receiver"
)
