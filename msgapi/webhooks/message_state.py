"""The state of a message, merged from events in any order, more than once or not at all; and `fallback_due`.

The service promises no order of its events (docs: /api/webhooks/retries), so the last one to arrive does not say what
the state is. Here a state has a rank, and of two states the one with the higher rank stays. So the result depends on
which events have arrived, and not on their order.

Rules:
- What is known later in the life of a message ranks higher: queued, dispatched, then how it ended, then what the
  recipient did with it (docs: /api/rcs/track-delivery).
- Of two ends that contradict each other, the one stays that says that the message arrived: a revocation or an expiry
  can cross with a delivery. Only a permanent bounce outranks the delivery of an email, as the mail server of the
  recipient accepts some emails before it rejects them; and an email that was opened has arrived.
- Of two events for the same status, the earlier time stays.

Rules of `fallback_due`, which says whether the next leg of a fallback is due after an event, once for each message:
- A message has failed for good only after `message.failed` or `message.expired`. Any other event leads to nothing.
- Several events of one message, and several deliveries of one event, lead to one message. The claim in the store is
  that of the message, not of the event.
- A claim whose block raised, or whose process died, can be claimed again, so that the message is not lost. What is sent
  then must have the same idempotency key as before, as the legs of a `fallback` have, so that it is not sent twice.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Final, final, overload

import anyio
from attrs import field, frozen

from ..clock import SYSTEM_CLOCK, Clock
from ..codegen import in_utc
from ..concurrency import background
from .events import Event, UnknownEvent
from .message_events import (
    EmailBounced,
    EmailClicked,
    EmailComplained,
    EmailDelivered,
    EmailOpened,
    EmailUnsubscribed,
    MessageDelivered,
    MessageExpired,
    MessageFailed,
    MessageQueued,
    MessageRead,
    MessageRevoked,
)
from .receivers.event_store import EventStore

_STATUSES: Final = (
    "queued",
    "dispatched",
    "soft_bounced",
    "failed",
    "revoked",
    "expired",
    "delivered",
    "bounced",
    "read",
    "opened",
    "clicked",
    "unsubscribed",
    "complained",
)
_RANKS: Final = {status: rank for rank, status in enumerate(_STATUSES)}
_ALIASES: Final = {"sent": "dispatched"}  # the message log has another word
_NOT_DELIVERED: Final = frozenset({"failed", "revoked", "expired", "bounced"})
_KINDS: Final[Mapping[type, tuple[str, str]]] = {  # the status, and the field with its time
    MessageQueued: ("queued", "queued_at"),
    MessageDelivered: ("delivered", "delivered_at"),
    MessageRead: ("read", "read_at"),
    MessageFailed: ("failed", "failed_at"),
    MessageExpired: ("expired", "expired_at"),
    MessageRevoked: ("revoked", "revoked_at"),
    EmailDelivered: ("delivered", "delivered_at"),
    EmailBounced: ("bounced", "bounced_at"),
    EmailOpened: ("opened", "opened_at"),
    EmailClicked: ("clicked", "clicked_at"),
    EmailComplained: ("complained", "complained_at"),
    EmailUnsubscribed: ("unsubscribed", "unsubscribed_at"),
}
_FROM_UNKNOWN: Final = frozenset({"message.queued", "message.dispatched", "message.sent"})
UNREACHABLE: Final = frozenset({"UNKNOWN_RCS_USER", "CARRIER_NOT_LAUNCHED", "MESSAGE_EXPIRED"})
"""The documented reasons of a failure that concern the channel, so that another channel can reach the recipient."""
_RELEASE_TIMEOUT: Final = 5.0  # seconds for the store to release the claim of a block that has failed
_RENEWALS: Final = 3  # of a claim within its lease
_log: Final = logging.getLogger("msgapi")


def _status(text: str) -> str:
    lower = text.lower()
    return _ALIASES.get(lower, lower)


def _time(at: datetime | None) -> datetime | None:
    return None if at is None else in_utc(at)


@final
@frozen
class MessageState:
    """The state of a message: its *status*, and the time *at* which it was reached, if that is known.

    *status* is one of `queued`, `dispatched`, `delivered`, `read`, `failed`, `expired`, `revoked` for RCS, and
    `queued`, `dispatched`, `delivered`, `soft_bounced`, `bounced`, `opened`, `clicked`, `unsubscribed`, `complained`
    for email, in lower case; the words of the message log are converted (`SENT` is `dispatched`). Any other status is
    kept, and ranks below these. *reason* is the code of a failure or a bounce. A time without a time zone is in UTC.

    Store the four values, and make a state of them to merge the next event.
    """

    message_id: str
    status: str = field(converter=_status)
    at: datetime | None = field(default=None, converter=_time)
    reason: str | None = None

    @property
    def is_undelivered(self) -> bool:
        """Whether the message will not arrive, as far as is known."""
        return self.status in _NOT_DELIVERED


@overload
def merge_status(known: MessageState, news: Event | MessageState) -> MessageState: ...
@overload
def merge_status(known: None, news: Event | MessageState) -> MessageState | None: ...
@overload
def merge_status(known: MessageState | None, news: Event | MessageState) -> MessageState | None: ...
def merge_status(known: MessageState | None, news: Event | MessageState) -> MessageState | None:
    """Return the state of a message after an event, or after another state: whichever of both is further on.

    The result is the same in whatever order the events of a message are merged, and however often each of them.
    *known* is None for a message that is not known yet. An event that is not about the status of a message changes
    nothing; if *known* is None too, return None.

    It is a function of its arguments, and changes nothing. Where two processes may merge events of one message at the
    same time, read and write the state in one transaction. Raise ValueError if *news* are about another message.
    """
    found = news if isinstance(news, MessageState) else _state_of(news)
    if known is None or found is None:
        return known or found
    if known.message_id != found.message_id:
        raise ValueError("the event is about another message than the known state: compare message_id before")
    return max(known, found, key=_rank)


def _rank(state: MessageState) -> tuple[int, str, float, bool, str]:
    # A total order: two states that rank the same are equal.
    earlier = float("-inf") if state.at is None else -state.at.timestamp()
    return _RANKS.get(state.status, -1), state.status, earlier, state.reason is not None, state.reason or ""


def _state_of(event: Event) -> MessageState | None:
    if isinstance(event, UnknownEvent):
        return _state_of_unknown(event)
    if type(event) not in _KINDS:
        return None
    about: Any = event
    status, time = _KINDS[type(event)]
    if isinstance(event, EmailBounced) and event.bounce_type == "soft":
        status = "soft_bounced"
    reason = getattr(event, "failure_reason", getattr(event, "bounce_code", None))
    return MessageState(about.message_id, status, getattr(event, time) or event.timestamp, reason)


def _state_of_unknown(event: UnknownEvent) -> MessageState | None:
    # The docs name the status `dispatched`, and no event for it.
    name = event.data.get("message_id")
    if event.event not in _FROM_UNKNOWN or not isinstance(name, str):
        return None
    return MessageState(name, event.event.partition(".")[2], event.timestamp)


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
