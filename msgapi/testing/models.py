"""Models: the answers of the sandbox's control plane.

Times are in UTC, amounts in EUR. Unknown fields are in `extra`.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, final

from attrs import field, fields

from ..messages import MessageEvent
from ..models import frozen
from ..redact import hidden
from ..results import Balance, Detail
from ..schema.mapping import map_answer, map_answer_by

Order: TypeAlias = Literal["newest", "oldest"]
_FAULTS: Final[Mapping[str, str]] = {f"status_{status}": status for status in ("429", "500", "502", "503")}
WEBHOOK_FAULTS: Final = ("late", "late_by", "repeated", "reordered")
"""The faults of webhook deliveries, which are in an object of their own in a request or an answer."""


@final
@frozen(kw_only=True)
class SandboxHealth:
    """The sandbox answers: its *version*, and the *time* on its clock."""

    status: str
    version: str | None = None
    time: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class ClockReading:
    """The clock of the sandbox: its *time*, whether it is *paused*, and its *offset* to the system clock in seconds."""

    time: datetime
    paused: bool = False
    offset: float = 0.0
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class SandboxFaults:
    """The faults that the sandbox simulates.

    The first six are shares of the requests, from 0 to 1: those that fail with the status 429, 500, 502 or 503, with
    an answer that is *lost*, or *slow* by *slow_seconds*. *late* (by *late_by* seconds), *repeated* and *reordered* are
    shares of the webhook deliveries.
    """

    status_429: float = 0.0
    status_500: float = 0.0
    status_502: float = 0.0
    status_503: float = 0.0
    lost: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 0.0
    late: float = 0.0
    late_by: float = 0.0
    repeated: float = 0.0
    reordered: float = 0.0
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class SeedSummary:
    """How many things of each kind a seed has added."""

    agents: int = 0
    channels: int = 0
    templates: int = 0
    campaigns: int = 0
    contacts: int = 0
    webhooks: int = 0
    messages: int = 0
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class SandboxAccount:
    """The account of the sandbox: its balance, its prices, how much it has kept, its clock and its faults.

    *counts* has `messages`, `dropped`, `requests`, `events` and `contacts`. Other figures are in *extra*.
    """

    balance: Balance
    prices: Mapping[str, object] = field(factory=dict, hash=False)
    role: str | None = None
    counts: Mapping[str, object] = field(factory=dict, hash=False)
    clock: ClockReading | None = None
    faults: SandboxFaults | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class SandboxMessage:
    """One message in the log of the sandbox, outbound or inbound, with its content.

    *number* counts the messages from 0. *sender* is the id of the agent or of the email channel. *content* is the
    content as it was sent: of an RCS message its `content`, of an email its parts or its template, of a reply its
    `text` and, if a suggestion was tapped, its `postback_data`. *taps* are the texts that `tap` accepts.
    """

    id: str
    number: int | None = None
    direction: str | None = None
    channel: str | None = None
    to: str | None = field(default=None, repr=hidden)
    sender: str | None = None
    sender_name: str | None = None
    message_type: str | None = None
    content_type: str | None = None
    status: str | None = None
    cost: Decimal | None = None
    hold: Decimal | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    events: tuple[MessageEvent, ...] = ()
    error_code: str | None = None
    error_message: str | None = field(default=None, repr=hidden)
    campaign_id: str | None = None
    contact_id: str | None = None
    idempotency_key: str | None = None
    content: Mapping[str, Any] = field(factory=dict, repr=hidden, hash=False)
    subject: str | None = field(default=None, repr=hidden)
    has_html: bool = False
    revocable: bool = False
    taps: tuple[str, ...] = field(default=(), repr=hidden)
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class SandboxMessages:
    """One page of the message log. *next_cursor* is the cursor of the next page, or None on the last one."""

    messages: tuple[SandboxMessage, ...]
    next_cursor: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Arrival:
    """The result of `wait_for_message`: the *message*, or None if none has arrived in time."""

    message: SandboxMessage | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class StatusChange:
    """The new *status* of a message."""

    message_id: str
    status: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class ReceivedReply:
    """A message from a user: its id in the log."""

    message_id: str
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class ReviewedAgent:
    """An agent that was reviewed. *agent_id* is its new id if it was approved."""

    agent_id: str
    status: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class AgentLaunch:
    """The launch *status* of an agent on a *carrier*."""

    agent_id: str
    carrier: str | None = None
    status: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class HaltedCampaign:
    """A campaign that the service has paused."""

    campaign_id: str
    status: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class FailedExecutions:
    """How many more executions of a campaign have *failed*."""

    campaign_id: str
    failed: int | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class ConfirmedConsent:
    """A consent that the contact has confirmed."""

    id: str
    status: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class DeliveryAttempt:
    """One attempt to deliver an event. *status* is None if the endpoint did not answer; *reason* then says why."""

    number: int | None = None
    at: datetime | None = None
    status: int | None = None
    reason: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class WebhookDelivery:
    """The delivery of an event to an endpoint. *state* is `pending`, `delivered` or `failed`.

    *body* is the exact text that is sent, and *signature* its signature with the secret of the endpoint.
    """

    id: str
    event_id: str | None = None
    event: str | None = None
    webhook_id: str | None = None
    url: str | None = field(default=None, repr=hidden)
    at: datetime | None = None
    body: str | None = field(default=None, repr=hidden)
    signature: str | None = field(default=None, repr=hidden)
    state: str | None = None
    next_attempt_at: datetime | None = None
    attempts: tuple[DeliveryAttempt, ...] = ()
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class WebhookDeliveries:
    """One page of deliveries. *next_cursor* is the cursor of the next page, or None on the last one."""

    deliveries: tuple[WebhookDelivery, ...]
    next_cursor: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class RecordedRequest:
    """One request that the sandbox has answered. *code*, *message* and *details* are those of a refusal.

    *replayed* is whether the answer is that of an earlier request with the same idempotency key; *fault* is the fault
    that was simulated. *curl* and *python* are commands that repeat the request; they do not contain the API key.
    """

    number: int
    at: datetime | None = None
    method: str | None = None
    path: str | None = field(default=None, repr=hidden)
    query: str | None = field(default=None, repr=hidden)
    status: int | None = None
    idempotency_key: str | None = None
    replayed: bool = False
    code: str | None = None
    message: str | None = field(default=None, repr=hidden)
    details: tuple[Detail, ...] = ()
    fault: str | None = None
    body: str | None = field(default=None, repr=hidden)
    response: str | None = field(default=None, repr=hidden)
    curl: str | None = field(default=None, repr=hidden)
    python: str | None = field(default=None, repr=hidden)
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class RecordedRequests:
    """One page of the request log. *next_cursor* is the cursor of the next page, or None on the last one."""

    requests: tuple[RecordedRequest, ...]
    next_cursor: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


def _name_faults(value: dict[str, Any]) -> dict[str, Any]:
    found = dict(value)
    for name, wire in _FAULTS.items():
        if wire in found:
            found[name] = found.pop(wire)
    webhooks = found.get("webhooks")
    if isinstance(webhooks, dict):
        found |= {name: webhooks[name] for name in WEBHOOK_FAULTS if name in webhooks}
        found["webhooks"] = {name: part for name, part in webhooks.items() if name not in WEBHOOK_FAULTS}
        if not found["webhooks"]:
            del found["webhooks"]
    known = {one.name for one in fields(SandboxFaults)}
    extra = {name: found.pop(name) for name in found.keys() - known}
    return {**found, "extra": extra}


map_answer(SandboxMessages, array="messages", aliases={"data": "messages"})
map_answer(WebhookDeliveries, array="deliveries", aliases={"data": "deliveries"})
map_answer(RecordedRequests, array="requests", aliases={"data": "requests"})
map_answer_by(_name_faults, SandboxFaults, names=frozenset({*_FAULTS.values(), "webhooks"}))
