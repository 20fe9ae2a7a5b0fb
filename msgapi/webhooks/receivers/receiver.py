"""Inbox: one delivery becomes an answer to the service, whatever the framework around it.

Rules:
- 2xx is answered only for what was handled, or was before: anything else comes again.
- What can never be read is answered 400 or 401, as the docs have it; it comes again all the same, and ends.
- The answer is there within the 5 seconds that the service waits, whatever the handler and the store do.
- An event is `busy` until its handler has really ended, so no two handlers have it at once.
"""

import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Final, TypeAlias, final, get_args

import anyio
import orjson
from attrs import define, evolve, field, frozen
from attrs.validators import gt

from ..delivery import Refused, read, secrets
from ..events import Event
from .event_store import Seen, Standing

Handle: TypeAlias = Callable[[Event], Awaitable[None]]
_CODES: Final = {401: "unauthorized", 400: "validation_error"}
_GRACE: Final = 0.4  # seconds for the store to take down what became of an event that was called off
_LINGER: Final = 55.0  # seconds; the service comes again after a minute
_log: Final = logging.getLogger("msgapi")


@final
@frozen
class Answer:
    """What to answer: a status, and a body of JSON; the connection is to *close* if the work goes on behind it."""

    status: int
    body: bytes = b"{}"
    close: bool = False


Say: TypeAlias = Callable[[Answer], Awaitable[None]]


@final
@define(eq=False)
class Inbox:
    """Takes deliveries for *handle*: verified with *secret*, each event once, answered within *timeout* seconds.

    A handler that raises has not handled its event: it is answered 500, and comes again after a minute
    or more. One that is not done in time is answered 503 and goes on: if it ends well within a minute,
    the event counts as handled, and the repeat of it is acknowledged. After that it is cancelled, and
    gets the event again. So a handler should only put the event where it is safe, and may see one twice
    if it fails halfway. *seen* knows the events that were handled; asking it counts towards *timeout*,
    and one that fails is like a handler that fails. A body of more than *most* bytes is not read.
    """

    handle: Handle
    secret: tuple[str, ...] = field(repr=False, converter=secrets)
    seen: Seen
    most: int = field(validator=gt(0), kw_only=True)
    timeout: float = field(validator=gt(0), kw_only=True)

    async def take(self, headers: Mapping[str, str], parts: AsyncIterable[bytes], say: Say) -> None:
        """Take one delivery, whose body comes in *parts*, and *say* the answer to it (docs: /api/webhooks/retries).

        It may return long after that: when the handler has ended.
        """
        deadline = anyio.current_time() + self.timeout
        body = await self._read(parts, deadline)
        if isinstance(body, Answer):
            await say(body)
            return
        event = read(headers, body, secret=self.secret)
        if isinstance(event, Refused):
            await say(refusal(event.status, _CODES[event.status], event.reason))
            return
        await self._handle(event, deadline, say)

    async def _read(self, parts: AsyncIterable[bytes], deadline: float) -> bytes | Answer:
        body = bytearray()
        with anyio.CancelScope(deadline=deadline):
            async for part in parts:
                body += part
                if len(body) > self.most:
                    return refusal(413, "too_large", f"the body is larger than {self.most} bytes")
            return bytes(body)
        return refusal(408, "timeout", "the body did not come in time")

    async def _handle(self, event: Event, deadline: float, say: Say) -> None:
        # The work is a task of its own, since neither a thread nor a shielded cleanup ends when it is told to.
        work = _Work(self.handle, self.seen, event)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(work.run)
            with anyio.CancelScope(deadline=deadline):
                await work.ended.wait()
            try:
                await say(self._answer(work))
            except Exception as error:  # noqa: BLE001 - raised below, as itself and not in a group
                failure = error
            work.scope.deadline = anyio.current_time() + _LINGER
        for raised in (failure, work.fatal):
            if raised is not None:
                raise raised

    def _answer(self, work: "_Work") -> Answer:
        if work.answer is not None:  # if the store is late, that is no reason for another
            return evolve(work.answer, close=not work.ended.is_set())
        _log.error("the handler of webhooks, or its store, took more than %s s for %s", self.timeout, work.event.id)
        return evolve(refusal(503, "timeout", "the event was not handled in time"), close=True)


@final
@define(eq=False)
class _Work:
    # One event being handled, and the store told of it.
    handle: Handle
    seen: Seen
    event: Event
    handled: bool = field(default=False, init=False)
    answer: Answer | None = field(default=None, init=False)
    fatal: BaseException | None = field(default=None, init=False)
    ended: anyio.Event = field(factory=anyio.Event, init=False)
    scope: anyio.CancelScope = field(factory=anyio.CancelScope, init=False)

    async def run(self) -> None:
        standing: Standing | None = None
        patience = _LINGER
        try:
            with self.scope:
                standing = await self.seen.begin(self.event.id)
                self.answer = await self._go_on(standing)
        except Exception:  # noqa: BLE001 - it is logged whole, and the service sends the event again
            _log.exception("the handler of webhooks, or its store, raised for %s", self.event.id)
            self.answer = _FAILED
        except anyio.get_cancelled_exc_class():
            self.answer, patience = _FAILED, _GRACE
            raise
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits, and not in a group
            self.answer, self.fatal = _FAILED, error
        finally:
            if standing == "new":
                await self._remember(patience)
            self.ended.set()

    async def _go_on(self, standing: Standing) -> Answer:
        if standing == "busy":
            return refusal(503, "busy", "this event is being handled")
        if standing == "new":
            await self.handle(self.event)
            if self.scope.cancel_called:  # a handler that takes no notice of that has still not done its work
                return refusal(503, "timeout", "the event was not handled in time")
            self.handled = True
        elif standing not in get_args(Standing):
            raise TypeError(f"a store of webhooks must say new, busy or done, not {standing!r}")
        return Answer(200)

    async def _remember(self, patience: float) -> None:
        # What the store makes of it changes nothing about what happened, so it is no reason for another answer.
        scope = anyio.CancelScope(deadline=anyio.current_time() + patience, shield=True)
        try:
            with scope:
                await (self.seen.done if self.handled else self.seen.forget)(self.event.id)
        except Exception:  # noqa: BLE001 - it is logged whole
            _log.exception("the store of webhooks raised for %s", self.event.id)
        if scope.cancelled_caught:
            _log.error("the store of webhooks took too long for %s", self.event.id)


def refusal(status: int, code: str, message: str) -> Answer:
    """Make an answer in the form of the API's own errors."""
    return Answer(status, orjson.dumps({"error": code, "message": message}))


_FAILED: Final = refusal(500, "internal_error", "the event could not be handled")
