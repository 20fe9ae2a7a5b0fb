"""Failed messages: whether the next leg of a fallback is due after an event, once for each message.

Rules:
- A message has failed for good only after `message.failed` or `message.expired`. Any other event leads to nothing.
- Several events of one message, and several deliveries of one event, lead to one message. The claim in the store is
  that of the message, not of the event.
- A claim whose block raised, or whose process died, can be claimed again, so that the message is not lost. What is sent
  then must have the same idempotency key as before, as the legs of a `fallback` have, so that it is not sent twice.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import anyio

from ..clock import SYSTEM_CLOCK, Clock
from ..concurrency import background
from .events import Event, MessageExpired, MessageFailed
from .receivers.event_store import EventStore

UNREACHABLE: Final = frozenset({"UNKNOWN_RCS_USER", "CARRIER_NOT_LAUNCHED", "MESSAGE_EXPIRED"})
"""The documented reasons of a failure that concern the channel, so that another channel can reach the recipient."""

_RELEASE_TIMEOUT: Final = 5.0  # seconds for the store to release the claim of a block that has failed
_RENEWALS: Final = 3  # of a claim within its lease
_log: Final = logging.getLogger("msgapi")


@asynccontextmanager
async def fallback_due(
    event: Event,
    store: EventStore,
    *,
    reasons: Collection[str] | None = UNREACHABLE,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator[bool]:
    """Enter a block in which the next leg of a message is to be sent, if it is due after *event*.

        async def handle(event: webhooks.Event) -> None:
            async with webhooks.fallback_due(event, store) as due:
                if due:
                    result = await client(fallback_of(event.message_id).start_at(2))
                    result.unwrap()

    *due* is True after a `MessageFailed` for one of *reasons*, or for any reason if that is None, and after a
    `MessageExpired` (docs: /api/webhooks/message-failed, /api/webhooks/message-expired). It is True once for each
    message, as far as *store* reaches: once a block has ended without an exception, it is False for every event of
    that message. While another block for the message runs, it is False too.

    If the block raises, or the process dies, the next event or delivery has *due* again. So raise if the leg was not
    accepted, as `unwrap` does: the service then delivers the event again. Send the leg under the key that derives from
    that of the first: the service takes both for one message.

    *store* can be that of the receiver. Its errors are raised. Its lease must be shorter than the minute after which
    the service delivers again, as the default of 30 seconds is: while the claim of a process that died lasts, *due* is
    False, and a handler that returns then has handled its event. *clock* is for the renewal of the claim while the
    block runs.
    """
    message = _failed_message(event, reasons)
    claim, owner = f"fallback/{message}", secrets.token_hex(8)
    if message is None or await store.claim(claim, owner) != "new":
        yield False
        return
    try:
        async with background(partial(_renew, store, claim, owner, clock)):
            yield True
    except BaseException:
        await _release(store, claim, owner)
        raise
    await store.complete(claim, owner)


async def _release(store: EventStore, claim: str, owner: str) -> None:
    try:
        with anyio.move_on_after(_RELEASE_TIMEOUT, shield=True):
            await store.release(claim, owner)
    except Exception:  # noqa: BLE001 - the exception of the block is raised; the claim ends with its lease
        _log.exception("the claim of a fallback could not be released")


def _failed_message(event: Event, reasons: Collection[str] | None) -> str | None:
    match event:
        case MessageExpired():
            return event.message_id
        case MessageFailed() if reasons is None or event.failure_reason in reasons:
            return event.message_id
        case _:
            return None


async def _renew(store: EventStore, claim: str, owner: str, clock: Clock) -> None:
    while True:
        await clock.sleep(store.lease / _RENEWALS)
        try:
            _ = await store.claim(claim, owner)
        except Exception:  # noqa: BLE001 - it is logged with its traceback, and tried again
            _log.exception("the claim of a fallback could not be renewed")
