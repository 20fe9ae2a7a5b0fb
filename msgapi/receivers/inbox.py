"""Inbox: one delivery becomes an answer to the service, whatever the framework around it.

Rules:
- 2xx is answered only for what was handled, or was before: anything else comes again.
- What can never be read is answered 400 or 401, as the docs have it; it comes again all the same, and ends.
- The answer is there within the 5 seconds that the service waits.
"""

import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Final, TypeAlias, final

import anyio
import orjson
from attrs import define, field, frozen
from attrs.validators import gt

from .. import events
from ..events import Event, Refused
from .seen import Seen, Standing

Handle: TypeAlias = Callable[[Event], Awaitable[None]]
_CODES: Final = {401: "unauthorized", 400: "validation_error"}
_GRACE: Final = 0.4  # seconds for the store to take down what became of an event
_log: Final = logging.getLogger("msgapi")


@final
@frozen
class Answer:
    """What to answer: a status, and a body of JSON."""

    status: int
    body: bytes = b"{}"


@final
@define(eq=False)
class Inbox:
    """Takes deliveries for *handle*: verified with *secret*, each event once, in at most *timeout* seconds.

    A handler that raises, or is not done in time and so is cancelled, has not handled its event: it is
    answered 500 or 503, and comes again after a minute or more. So a handler should only put the event
    where it is safe, and may see one twice if it fails halfway. *seen* knows the events that were
    handled; asking it counts towards *timeout*, and one that fails is like a handler that fails. A body
    of more than *most* bytes is not read.
    """

    handle: Handle
    secret: tuple[str, ...] = field(repr=False, converter=events.secrets)
    seen: Seen
    most: int = field(validator=gt(0), kw_only=True)
    timeout: float = field(validator=gt(0), kw_only=True)

    async def take(self, headers: Mapping[str, str], parts: AsyncIterable[bytes]) -> Answer:
        """Take one delivery, whose body comes in *parts* (docs: /api/webhooks/retries)."""
        deadline = anyio.current_time() + self.timeout
        body = await self._read(parts, deadline)
        if isinstance(body, Answer):
            return body
        event = events.read(headers, body, secret=self.secret)
        if isinstance(event, Refused):
            return refusal(event.status, _CODES[event.status], event.reason)
        return await self._handle(event, deadline)

    async def _read(self, parts: AsyncIterable[bytes], deadline: float) -> bytes | Answer:
        body = bytearray()
        with anyio.CancelScope(deadline=deadline):
            async for part in parts:
                body += part
                if len(body) > self.most:
                    return refusal(413, "too_large", f"the body is larger than {self.most} bytes")
            return bytes(body)
        return refusal(408, "timeout", "the body did not come in time")

    async def _handle(self, event: Event, deadline: float) -> Answer:
        standing: Standing | None = None
        handled = False
        try:
            with anyio.CancelScope(deadline=deadline):
                standing = await self.seen.begin(event.id)
                if standing == "new":
                    await self.handle(event)
                    handled = True
        except Exception:  # noqa: BLE001 - it is logged whole, and the service sends the event again
            _log.exception("the handler of webhooks, or its store, raised for %s", event.id)
            return refusal(500, "internal_error", "the event could not be handled")
        finally:
            if standing == "new":
                await self._remember(event, deadline, handled=handled)
        if standing == "busy":
            return refusal(503, "busy", "this event is being handled")
        if handled or standing == "done":
            return Answer(200)
        _log.error("the handler of webhooks, or its store, took more than %s s for %s", self.timeout, event.id)
        return refusal(503, "timeout", "the event was not handled in time")

    async def _remember(self, event: Event, deadline: float, *, handled: bool) -> None:
        # What the store makes of it changes nothing about what happened, so it is no reason for another answer.
        within = max(deadline, anyio.current_time()) + _GRACE
        scope = anyio.CancelScope(deadline=within, shield=True)
        try:
            with scope:
                await (self.seen.done if handled else self.seen.forget)(event.id)
        except Exception:  # noqa: BLE001 - it is logged whole
            _log.exception("the store of webhooks raised for %s", event.id)
        if scope.cancelled_caught:
            _log.error("the store of webhooks took too long for %s", event.id)


def refusal(status: int, code: str, message: str) -> Answer:
    """Make an answer in the form of the API's own errors."""
    return Answer(status, orjson.dumps({"error": code, "message": message}))
