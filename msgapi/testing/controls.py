"""Controls: the calls of the sandbox's control plane, for tests: `await client(testing.controls.deliver(message_id))`.

They are calls as those of the API: pass them to a `Client` or a `BlockingClient` of a sandbox, in memory or over HTTP,
also of one that another program has started. `Sandbox` has methods of the same names.

Rules:
- A read may be repeated. A change has no idempotency key, so it is not repeated automatically once a byte may have
  been sent.
- A control that is not possible is `NotFound`, and changes nothing: what it refers to does not exist, or is in another
  state.
- A server that is not a sandbox answers every one of them with `NotFound`, with the code `not_a_sandbox`.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Any, Final, TypeVar, Unpack

from attrs import asdict

from ..calls import Call, Caller
from ..http import CONTROL_PREFIX
from ..messages import Direction
from ..results import ApiError, Balance, Detail
from ..sandbox import FaultShares, WebhookFaults
from ..sandbox.model.agents import Carrier, CarrierStatus
from ..sandbox.model.billing import amount_problem
from ..sandbox.model.inspection import MessageFilters
from ..sandbox.model.messages import ChannelName, MessageStatus
from ..sandbox.rules.controls import HaltStatus, check_seconds
from ..schema.cursor_pages import follow_pages, iterate_rows
from ..schema.requests import Query, build_call, make_invalid
from ..schema.validators import (
    any_string,
    boolean,
    integer,
    non_empty,
    one_of,
    optional,
    phone_number,
    problems_of,
    type_of,
)
from ..webhooks import Confirmation
from .models import (
    WEBHOOK_FAULTS,
    AgentLaunch,
    Arrival,
    ClockReading,
    ConfirmedConsent,
    FailedExecutions,
    HaltedCampaign,
    Order,
    ReceivedReply,
    RecordedRequests,
    ReviewedAgent,
    SandboxAccount,
    SandboxFaults,
    SandboxHealth,
    SandboxMessage,
    SandboxMessages,
    SeedSummary,
    StatusChange,
    WebhookDeliveries,
    WebhookDelivery,
)

T = TypeVar("T")
MAX_WAIT: Final = 60  # seconds for which the sandbox waits for a message
_ROOT: Final = CONTROL_PREFIX.removesuffix("/")
_MESSAGE: Final = f"{_ROOT}/messages/{{message_id}}"
_LIMIT: Final = integer(1, 200)
_NUMBER: Final = integer(0, 2**63 - 1)


# The sandbox as a whole.


def health() -> Call[SandboxHealth]:
    """Return the call that reads whether the sandbox answers, its version and its time. It needs no API key."""
    return build_call("GET", f"{_ROOT}/health", SandboxHealth)


def account() -> Call[SandboxAccount]:
    """Return the call that reads the account: the balance, prices, rate limits, clock, faults and counts."""
    return build_call("GET", f"{_ROOT}/account", SandboxAccount)


def reset() -> Call[Confirmation]:
    """Return the call that makes the sandbox as it was when it was started: its options, agents and balance.

    Messages, contacts, webhook endpoints and the request log are empty, and the clock runs without an offset.
    """
    return _change("/reset", Confirmation)


def seed(content: Mapping[str, object]) -> Call[SeedSummary]:
    """Return the call that adds *content* to the sandbox: the JSON object of a file for `msgapi sandbox --seed FILE`.

    It may have agents, contacts with their consents, a balance, prices, webhook endpoints, messages and more. The page
    "Sandbox controls" documents the format. If a part of it is not valid, the call returns `Invalid` with details, and
    nothing is added.
    """
    return _post("/seed", SeedSummary, content, (), {})


def snapshot() -> Call[dict[str, object]]:
    """Return the call that reads the whole state of the sandbox, for `restore`.

    It contains the API key, recipients, the content of the messages, and the secrets of the webhook endpoints.
    """
    return Call("GET", f"{_ROOT}/snapshot", dict[str, object])


def restore(content: Mapping[str, object]) -> Call[Confirmation]:
    """Return the call that replaces the state of the sandbox by *content*, which `snapshot` has returned.

    The API key and the role stay. If it is not valid, the call returns `Invalid`, and nothing changes.
    """
    return build_call("PUT", f"{_ROOT}/snapshot", Confirmation, body=content)


# Messages.


def list_messages(
    *,
    limit: int | None = None,
    cursor: str | None = None,
    order: Order | None = None,
    **filters: Unpack[MessageFilters],
) -> Call[SandboxMessages]:
    """Return the call that reads one page of the message log, with the content of the messages.

    *limit* is 1 to 200, 50 by default; *order* is `newest` (the default) or `oldest` first. *cursor* is the
    `next_cursor` of the page before. Only messages that match all *filters* are listed:

    - *to*: the user of a message or a reply, *sender*: the id of the agent or of the email channel.
    - *status*, *direction* and *channel*, such as `DELIVERED`, `INBOUND` and `RCS`.
    - *contains*: a part of the content or of the subject. *idempotency_key*: the key of its request.
    - *after*, *before*: message numbers, which do not match themselves.
    """
    query: Query = {
        **_filters(**filters),
        "limit": (_LIMIT, limit),
        "cursor": (non_empty, cursor),
        "order": (one_of(Order), order),
    }
    return build_call("GET", f"{_ROOT}/messages", SandboxMessages, query=query)


async def iterate_messages(
    api: Caller, *, order: Order | None = None, **filters: Unpack[MessageFilters]
) -> AsyncGenerator[SandboxMessage | ApiError, None]:
    """Yield the messages of the log one by one: `async for item in testing.controls.iterate_messages(client)`.

    *order* and *filters* are those of `list_messages`. The item is a `SandboxMessage`, or an error as in
    `contacts.iterate`: an `Unreadable` with the code `unreadable_row` for one message that could not be read, or any
    other error, which is the last item.
    """
    pages = follow_pages(api, lambda at: list_messages(cursor=at, limit=200, order=order, **filters), "messages")
    rows = iterate_rows(pages, lambda page: page.messages, "messages")
    async with aclosing(rows):
        async for row in rows:
            yield row


def get_message(message_id: str) -> Call[SandboxMessage]:
    """Return the call that reads one message of the log, with its content."""
    return build_call("GET", _MESSAGE, SandboxMessage, path_params={"message_id": message_id})


def wait_for_message(*, timeout: int = 20, **filters: Unpack[MessageFilters]) -> Call[Arrival]:
    """Return the call that waits until the log has a message that matches all *filters*; its `message` is that one.

    A message that is there already matches, too. With *after*, the number of a message, only later ones match, and the
    first of them is returned; without it, the newest one. If none has arrived after *timeout* seconds, which are a
    whole number from 0 to 60, `message` is None.

    The client must wait for longer than that: its own timeout is 30 seconds. So a *timeout* of 30 or more needs a
    longer one there, too, as in `client(wait_for_message(timeout=50, to=number), timeout=60)`.
    """
    query: Query = {**_filters(**filters), "timeout": (integer(0, MAX_WAIT), timeout)}
    return build_call("GET", f"{_ROOT}/messages/wait", Arrival, query=query)


def deliver(message_id: str) -> Call[StatusChange]:
    """Return the call that delivers a queued or sent message, and debits its hold."""
    return _change("/messages/{message_id}/deliver", StatusChange, message_id=message_id)


def read(message_id: str) -> Call[StatusChange]:
    """Return the call by which a delivered message is read, or an email is opened."""
    return _change("/messages/{message_id}/read", StatusChange, message_id=message_id)


def fail(message_id: str, reason: str | None = None) -> Call[StatusChange]:
    """Return the call that lets the delivery of a message fail for *reason*, and releases its hold.

    The reason is `UNKNOWN_RCS_USER` by default; `account` lists the others in `extra["fail_reasons"]`. An email
    bounces: permanently (`bounce`, the default), which suppresses the contact, or because the mailbox is `full`.
    """
    fields: Query = {"reason": (non_empty, reason)}
    return _change("/messages/{message_id}/fail", StatusChange, fields, message_id=message_id)


def expire(message_id: str) -> Call[StatusChange]:
    """Return the call that lets a message that is not delivered expire, as if its `ttl` had passed."""
    return _change("/messages/{message_id}/expire", StatusChange, message_id=message_id)


def reply_from(to: str, agent_id: str, *, text: str = "Hello") -> Call[ReceivedReply]:
    """Return the call by which the user *to*, a phone number, writes *text* to an agent.

    It opens a session, or extends it to 24 hours from now.
    """
    fields: Query = {"agent_id": (non_empty, agent_id), "user": (phone_number, to), "text": (any_string, text)}
    return _change("/replies", ReceivedReply, fields)


def tap(message_id: str, text: str) -> Call[ReceivedReply]:
    """Return the call by which the recipient of a message taps its suggestion with this *text*."""
    return _change("/taps", ReceivedReply, {"message_id": (non_empty, message_id), "text": (non_empty, text)})


# Money, time and faults.


def top_up(amount: Decimal) -> Call[Balance]:
    """Return the call that adds *amount* in EUR to the balance, as the dashboard does."""
    return _change("/topup", Balance, {"amount": (amount_problem, amount)})


def set_balance(free: Decimal) -> Call[Balance]:
    """Return the call that sets the free balance, in EUR. What is reserved for messages stays reserved."""
    return _change("/balance", Balance, {"free": (amount_problem, free)})


def clock() -> Call[ClockReading]:
    """Return the call that reads the clock of the sandbox."""
    return build_call("GET", f"{_ROOT}/clock", ClockReading)


def pause_clock() -> Call[ClockReading]:
    """Return the call that stops the clock: nothing becomes due until it is advanced or resumed."""
    return _change("/clock", ClockReading, {"paused": (boolean, True)})


def resume_clock() -> Call[ClockReading]:
    """Return the call that lets the clock run again, from the time at which it is."""
    return _change("/clock", ClockReading, {"paused": (boolean, False)})


def advance_clock(seconds: float) -> Call[ClockReading]:
    """Return the call that moves the clock forward by *seconds*, from 0 to ten years. A paused clock stays paused.

    What becomes due happens at once, each with the time at which it is due.
    """
    return _change("/clock", ClockReading, {"advance": (check_seconds, seconds)})


def faults() -> Call[SandboxFaults]:
    """Return the call that reads the faults that the sandbox simulates."""
    return build_call("GET", f"{_ROOT}/faults", SandboxFaults)


def set_faults(
    shares: float | FaultShares | None = None, *, slow: float | None = None, webhooks: WebhookFaults | None = None
) -> Call[SandboxFaults]:
    """Return the call that changes the faults that the sandbox simulates from now on. What is None stays as it is.

    *shares* is the share of the requests that have a fault, or a `sandbox.FaultShares` with a share for each fault;
    *slow* the delay of a slow answer in seconds; *webhooks* a `sandbox.WebhookFaults`, for the deliveries that are
    scheduled from now on. The requests of the control plane have no faults.
    """
    details = [
        *problems_of("shares", optional(_check_shares), shares),
        *problems_of("slow", optional(check_seconds), slow),
        *problems_of("webhooks", optional(_check_webhook_faults), webhooks),
    ]
    body: dict[str, object] = {}
    if not details:
        given = FaultShares.spread(shares) if isinstance(shares, int | float) else shares
        body |= {} if given is None else {name.removeprefix("status_"): one for name, one in asdict(given).items()}
        body |= {} if slow is None else {"slow_seconds": slow}
        body |= {} if webhooks is None else {"webhooks": {name: getattr(webhooks, name) for name in WEBHOOK_FAULTS}}
    return _post("/faults", SandboxFaults, body, details, {})


# Agents, campaigns and consents.


def approve(agent_id: str) -> Call[ReviewedAgent]:
    """Return the call that approves an agent that is under review; the answer has its new id."""
    return _change("/agents/{agent_id}/approve", ReviewedAgent, agent_id=agent_id)


def reject(agent_id: str, reason: str) -> Call[ReviewedAgent]:
    """Return the call that rejects an agent that is under review, for a *reason*."""
    return _change("/agents/{agent_id}/reject", ReviewedAgent, {"reason": (non_empty, reason)}, agent_id=agent_id)


def launch(
    agent_id: str,
    carrier: str = "vodafone_de",
    *,
    status: CarrierStatus = "LAUNCHED",
    reason: str | None = None,
) -> Call[AgentLaunch]:
    """Return the call that sets the launch status of an approved agent on a *carrier*.

    The agent can send while one carrier has launched it. The status may also be `PENDING`, `REJECTED` for a *reason*,
    or, once it was launched, `SUSPENDED`.
    """
    fields: Query = {
        "carrier": (one_of(Carrier), carrier),
        "status": (one_of(CarrierStatus), status),
        "reason": (non_empty, reason),
    }
    return _change("/agents/{agent_id}/launch", AgentLaunch, fields, agent_id=agent_id)


def halt(campaign_id: str, status: HaltStatus = "PAUSED_ERROR") -> Call[HaltedCampaign]:
    """Return the call that pauses a running campaign, as the service does."""
    fields: Query = {"status": (one_of(HaltStatus), status)}
    return _change("/campaigns/{campaign_id}/halt", HaltedCampaign, fields, campaign_id=campaign_id)


def fail_executions(campaign_id: str, count: int = 1) -> Call[FailedExecutions]:
    """Return the call that lets *count* of the pending executions of a running campaign fail.

    The campaign ends as `COMPLETED_PARTIAL`.
    """
    fields: Query = {"executions": (integer(1, 2**31 - 1), count)}
    return _change("/campaigns/{campaign_id}/fail", FailedExecutions, fields, campaign_id=campaign_id)


def confirm(consent_id: str) -> Call[ConfirmedConsent]:
    """Return the call that confirms a consent that is pending, as the contact does in a double opt-in."""
    return _change("/consents/{consent_id}/confirm", ConfirmedConsent, consent_id=consent_id)


# Webhook deliveries and the request log.


def list_deliveries(
    *, webhook_id: str | None = None, event: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[WebhookDeliveries]:
    """Return the call that reads one page of the webhook deliveries, newest first, with their attempts and bodies.

    *event* is such as `message.delivered`. *limit* and *cursor* are as in `list_messages`.
    """
    query: Query = {
        "webhook_id": (non_empty, webhook_id),
        "event": (non_empty, event),
        "limit": (_LIMIT, limit),
        "cursor": (non_empty, cursor),
    }
    return build_call("GET", f"{_ROOT}/deliveries", WebhookDeliveries, query=query)


def replay(delivery_id: str) -> Call[WebhookDelivery]:
    """Return the call that makes a delivery now: the next attempt of a pending one, or the first one again."""
    return _change("/deliveries/{delivery_id}/replay", WebhookDelivery, delivery_id=delivery_id)


def duplicate(delivery_id: str) -> Call[WebhookDelivery]:
    """Return the call that makes a delivery once more: at the time of the pending one, or now."""
    return _change("/deliveries/{delivery_id}/duplicate", WebhookDelivery, delivery_id=delivery_id)


def delay(delivery_id: str, seconds: float) -> Call[WebhookDelivery]:
    """Return the call that delays a pending delivery by *seconds*, or makes another one again after so long."""
    fields: Query = {"seconds": (check_seconds, seconds)}
    return _change("/deliveries/{delivery_id}/delay", WebhookDelivery, fields, delivery_id=delivery_id)


def reorder(delivery_id: str) -> Call[WebhookDelivery]:
    """Return the call that makes a delivery now, and a second later that of the event before it."""
    return _change("/deliveries/{delivery_id}/reorder", WebhookDelivery, delivery_id=delivery_id)


def list_requests(
    *, status: str | None = None, path: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[RecordedRequests]:
    """Return the call that reads one page of the last 1,000 requests to the API, newest first, with their answers.

    *status* is a status such as `404`, or a class such as `4xx`; *path* is a part of the path. The control plane's own
    requests are not listed.
    """
    query: Query = {
        "status": (non_empty, status),
        "path": (non_empty, path),
        "limit": (_LIMIT, limit),
        "cursor": (non_empty, cursor),
    }
    return build_call("GET", f"{_ROOT}/requests", RecordedRequests, query=query)


# Validators, and the making of calls.


def _check_shares(value: Any) -> str | None:  # noqa: ANN401 - compared only once it is known to be a number
    valid = isinstance(value, FaultShares) or (type(value) in {int, float} and 0 <= value <= 1)
    return None if valid else "must be a number from 0 to 1, or a FaultShares"


def _check_webhook_faults(value: object) -> str | None:
    return None if isinstance(value, WebhookFaults) else f"must be a WebhookFaults, not {type_of(value)}"


def _filters(
    *,
    to: str | None = None,
    sender: str | None = None,
    status: MessageStatus | None = None,
    direction: Direction | None = None,
    channel: ChannelName | None = None,
    contains: str | None = None,
    idempotency_key: str | None = None,
    after: int | None = None,
    before: int | None = None,
) -> Query:
    return {
        "to": (non_empty, to),
        "sender": (non_empty, sender),
        "status": (one_of(MessageStatus), status),
        "direction": (one_of(Direction), direction),
        "channel": (one_of(ChannelName), channel),
        "contains": (non_empty, contains),
        "idempotency_key": (non_empty, idempotency_key),
        "after": (_NUMBER, after),
        "before": (_NUMBER, before),
    }


def _change(path: str, returns: type[T], fields: Query | None = None, **path_params: str) -> Call[T]:
    # The call of a POST whose JSON object has the *fields* that are not None.
    given = {name: pair for name, pair in (fields or {}).items() if pair[1] is not None}
    details = [one for name, (validate, value) in given.items() for one in problems_of(name, validate, value)]
    body = {name: value for name, (_, value) in given.items()}
    return _post(path, returns, {} if details else body, details, path_params)


def _post(
    path: str, returns: type[T], body: Mapping[str, object], details: Sequence[Detail], path_params: Mapping[str, str]
) -> Call[T]:
    call = build_call("POST", f"{_ROOT}{path}", returns, path_params=path_params, body=body)
    if not details:
        return call
    others = () if call.invalid is None else call.invalid.details
    return Call("POST", call.path, returns, invalid=make_invalid((*others, *details)))
