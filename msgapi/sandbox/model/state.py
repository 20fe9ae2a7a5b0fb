"""The state of an account between two requests, the options it is created with, and what is scheduled in it."""

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from hashlib import blake2b
from itertools import chain
from operator import itemgetter
from random import Random
from typing import Any, Final, Literal, Protocol, TypeAlias, final
from uuid import UUID

from attrs import define, field, frozen

from ...messages import Tier
from ..http.requests import IdempotencyStore
from .agents import AGENTS, AgentRecords, SandboxAgent, TestAgentState, create_records
from .billing import Pair, PaymentSettings, PriceList, Wallet
from .campaigns import CAMPAIGNS, Campaign, CampaignExecution
from .changes import ChangeFeed
from .contacts import ContactRecords
from .faults import DeliverySteps, FaultShares, RandomFaults, Timing
from .inspection import AccountView, Conversations, RequestLog
from .messages import CHANNELS, TEMPLATES, EmailChannel, EmailTemplate, MessageLog, MessageStatus
from .sessions import Newsletters, Sessions
from .webhooks import Endpoints, EventData, EventLog, WebhookFaults, WebhookQueue, event_of

Role: TypeAlias = Literal["viewer", "editor", "manager"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "editor", "manager")
"""The roles of a key. Each one may do what those before it may do."""


CURRENT_TIER: Final = "tier_1"
_PRICES: Final = PriceList()
_TIMING: Final = Timing()
_NO_FAULTS: Final = FaultShares()
_NO_WEBHOOK_FAULTS: Final = WebhookFaults()


@final
@frozen(kw_only=True)
class AccountOptions:
    """The options of a new account. `Sandbox` documents each of them."""

    api_key: str = field(default="sk_sandbox", repr=False)
    role: Role = "manager"
    balance: Decimal = Decimal(1000)
    prices: PriceList = _PRICES
    rate_limit: int = 10_000
    read_limit: int = 50_000
    window: float = 1.0
    faults: FaultShares = _NO_FAULTS
    random_seed: int = 1
    slow: float = 3.0
    timing: Timing | None = _TIMING
    keep_messages: int = 100_000
    webhooks: WebhookFaults = _NO_WEBHOOK_FAULTS
    agents: Iterable[SandboxAgent] = AGENTS
    channels: Iterable[EmailChannel] = CHANNELS
    templates: Iterable[EmailTemplate] = TEMPLATES
    campaigns: Iterable[Campaign] = CAMPAIGNS


@final
@frozen(kw_only=True)
class ClockState:
    """The *time* of a sandbox in Unix seconds, whether it stands still, and its *offset* from the given clock."""

    time: float
    paused: bool = False
    offset: float = 0.0


class StateOwner(Protocol):
    """The owner of the state and its clock, which can replace the state: the sandbox. Some controls need it.

    A method that is not possible raises ValueError, and changes nothing.
    """

    @property
    def clock_state(self) -> ClockState:
        """The time."""
        ...  # pragma: no cover

    def set_clock(self, *, paused: bool | None = None, advance: float = 0.0) -> ClockState:
        """Pause the clock, or let it run, and move it forward by *advance* seconds; return its state."""
        ...  # pragma: no cover

    def snapshot(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        ...  # pragma: no cover

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Replace the state by that of a *snapshot*."""
        ...  # pragma: no cover

    def seed(self, seed: Mapping[str, Any]) -> dict[str, int]:
        """Add what a *seed* has to the state; return the number of things of each kind."""
        ...  # pragma: no cover

    def reset(self) -> None:
        """Replace the state by that with which the sandbox was started."""
        ...  # pragma: no cover


@final
@frozen
class NextStep:
    """The next of the *steps* of a message."""

    message_id: str
    steps: DeliverySteps


@final
@frozen
class ReloadRetry:
    """The retry of a failed reload."""


ScheduledItem: TypeAlias = NextStep | ReloadRetry | Pair
"""A step of a message, the retry of a reload, or the pair whose session may have ended."""


ScheduleRow: TypeAlias = tuple[float, int, ScheduledItem]
"""When an item is due, its number, and the item."""
StoredRow: TypeAlias = tuple[float, int, str | ReloadRetry | Pair]
"""The same with the id of a message in place of its step.

Such a row is of text and numbers, and costs the garbage collector nothing, however many there are.
"""
DueItem: TypeAlias = tuple[float, str | ReloadRetry | Pair, DeliverySteps]
"""When an item was due, the item, which is an id for the step of a message, and the steps of the message."""


@final
@define(eq=False, repr=False)
class ScheduledItems:
    """The items that are scheduled; those that are due at once are in the order of their numbers.

    *steps* has the steps of each message. The rows of steps to the same status are a queue, if each is due after the
    one before, as with a fixed delay: then a row costs the same, however many there are. The other rows are a heap.
    *first* is the row that is due first.
    """

    first: StoredRow | None = field(default=None, init=False)
    _steps: dict[str, DeliverySteps] = field(factory=dict, init=False)
    _queues: dict[MessageStatus, deque[StoredRow]] = field(factory=dict, init=False)
    _heap: list[StoredRow] = field(factory=list, init=False)
    _first_queue: deque[StoredRow] | None = field(default=None, init=False)  # that has the first row; None for the heap

    @property
    def rows(self) -> list[ScheduleRow]:
        """All items, in the order in which they are due."""
        stored = sorted(chain(self._heap, *self._queues.values()), key=itemgetter(0, 1))
        return [(at, number, self._find(item)) for at, number, item in stored]

    def push(self, at: float, number: int, item: ScheduledItem) -> None:
        """Add an item."""
        if isinstance(item, NextStep):
            self.push_steps(at, number, item.message_id, item.steps)
        else:
            self._push((at, number, item))

    def push_steps(self, at: float, number: int, message_id: str, steps: DeliverySteps) -> None:
        """Add the next step of a message, the first of *steps*."""
        self._steps[message_id] = steps
        queue, row = self._queues.get(steps[0].status), (at, number, message_id)
        if queue is None:
            queue = self._queues[steps[0].status] = deque()
        if queue and row < queue[-1]:
            self._push(row)
            return
        queue.append(row)
        if self.first is None or row < self.first:
            self.first, self._first_queue = row, queue

    def pop(self) -> DueItem:
        """Remove and return the first item, which there must be."""
        queue = self._first_queue
        at, _, item = heapq.heappop(self._heap) if queue is None else queue.popleft()
        self.first, self._first_queue = self._heap[0] if self._heap else None, None
        for queue in self._queues.values():
            if queue and (self.first is None or queue[0] < self.first):
                self.first, self._first_queue = queue[0], queue
        return at, item, self._steps.pop(item) if isinstance(item, str) else ()

    def next_status(self, message_id: str) -> MessageStatus | None:
        """Return the status to which a message is scheduled to change next; None if nothing is scheduled for it."""
        steps = self._steps.get(message_id)
        return None if steps is None else steps[0].status

    def _push(self, row: StoredRow) -> None:
        heapq.heappush(self._heap, row)
        if self.first is None or row < self.first:
            self.first, self._first_queue = row, None

    def _find(self, item: str | ReloadRetry | Pair) -> ScheduledItem:
        return NextStep(item, self._steps[item]) if isinstance(item, str) else item


@final
@define(eq=False, repr=False)
class Schedule:
    """What happens next, and when. Without a *timing*, messages stay queued until a control changes their status.

    A message has at most one step in it: the next one, which carries the others with it.
    """

    timing: Timing | None
    _items: ScheduledItems = field(factory=ScheduledItems, init=False)
    _order: int = field(default=0, init=False)  # of the next item: those that are due at once keep their order

    def next_at(self) -> float | None:
        """Return when the next item is due, in Unix seconds."""
        first = self._items.first
        return None if first is None else first[0]

    def add(self, item: ScheduledItem, at: float) -> None:
        """Schedule an item."""
        self._items.push(at, self._order, item)
        self._order += 1

    def add_steps(self, message_id: str, steps: DeliverySteps, now: float) -> None:
        """Schedule the first of *steps*, counted from *now*; it carries the others with it."""
        if steps:
            self._items.push_steps(now + steps[0].after, self._order, message_id, steps)
            self._order += 1

    def next_status(self, message_id: str) -> MessageStatus | None:
        """Return the status to which a message is scheduled to change next; None if nothing is scheduled for it."""
        return self._items.next_status(message_id)

    def take(self, now: float) -> DueItem | None:
        """Remove and return the earliest item that is due by *now*; None if there is none."""
        first = self._items.first
        return self._items.pop() if first is not None and first[0] <= now else None


@final
@define(eq=False, init=False, repr=False)
class AccountState:
    """The state of an account. The current time is passed in; ids follow from the seed and the key."""

    wallet: Wallet
    prices: PriceList
    faults: RandomFaults
    agents: AgentRecords
    channels: Mapping[str, EmailChannel]
    templates: Mapping[str, EmailTemplate]
    campaigns: Mapping[str, Campaign]
    slow: float
    schedule: Schedule
    webhook_queue: WebhookQueue
    log: MessageLog
    idempotency: IdempotencyStore
    sessions: Sessions
    newsletters: Newsletters
    events: EventLog
    contacts: ContactRecords
    endpoints: Endpoints
    payments: PaymentSettings
    test_agent: TestAgentState
    runs: dict[str, CampaignExecution]
    owner: StateOwner | None
    changes: ChangeFeed
    requests: RequestLog
    conversations: Conversations
    account: AccountView
    _random: Random
    _salt: bytes
    _volumes: dict[tuple[str, str], int]

    def __init__(self, options: AccountOptions) -> None:
        """Create the state of a new account."""
        self.changes = ChangeFeed()
        self.requests = RequestLog(self.changes)
        self.wallet = Wallet(options.balance, self.changes)
        self.prices = options.prices
        self.faults = RandomFaults(options.faults, options.random_seed)
        self.agents = create_records(options.agents, self.changes)
        self.channels = {channel.channel_id: channel for channel in options.channels}
        self.templates = {template.template_id: template for template in options.templates}
        self.campaigns = {campaign.campaign_id: campaign for campaign in options.campaigns}
        self.slow = options.slow
        self.schedule = Schedule(options.timing)
        self.webhook_queue = WebhookQueue(options.webhooks, self.changes)
        self.log = MessageLog(options.keep_messages, self.changes)
        self.conversations = Conversations(self.log)
        self.idempotency = IdempotencyStore()
        self.sessions = Sessions()
        self.newsletters = Newsletters()
        self.events = EventLog()
        self.contacts = ContactRecords(self.changes)
        self.endpoints = Endpoints(self.changes)
        self.payments = PaymentSettings()
        self.test_agent = TestAgentState()
        self.runs = {}
        self.owner = None
        name = f"{options.random_seed} {options.api_key}"
        self._random = Random(name)  # noqa: S311 - predictable ids are intended
        self._salt = blake2b(name.encode()).digest()
        self._volumes = {}

    def new_id(self, prefix: str) -> str:
        """Return a new id: *prefix*, such as `msg_`, and 16 hex digits."""
        return f"{prefix}{self._random.getrandbits(64):016x}"

    def new_uuid(self) -> str:
        """Return a new UUID."""
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def derive_id(self, prefix: str, name: str) -> str:
        """Return the id for *name*, which is always the same in this account."""
        return f"{prefix}{blake2b(name.encode(errors='replace'), digest_size=8, key=self._salt).hexdigest()}"

    def contact_id_of(self, to: str) -> str:
        """Return the id of the contact with this address; without one, an id derived from the address."""
        found = self.contacts.find_by_recipient(to)
        return found[0].id if found else self.derive_id("c_", to)

    def emit_event(self, event: str, now: float, data: EventData) -> None:
        """Log *event*, and schedule its delivery to the endpoints that subscribe to it."""
        row = self.events.add(self.new_id("evt_"), event, now, data)
        subscribed = self.endpoints.subscribed_to(event)
        if subscribed:
            self.webhook_queue.schedule(event_of(row), [one.id for one in subscribed], now)

    def run_of(self, campaign_id: str, now: float) -> CampaignExecution | None:
        """Return the last run of a campaign, as it is at *now*; None before its first run."""
        run = self.runs.get(campaign_id)
        return None if run is None else run.at(now)

    def set_run(self, run: CampaignExecution) -> None:
        """Set the last run of its campaign."""
        self.runs[run.campaign.campaign_id] = run
        self.changes.add("campaigns")

    def count_volume(self, channel: str, month: str) -> None:
        """Count one more message of *channel* for the tier of a *month* such as `2026-05`."""
        self._volumes[channel, month] = self.volume(channel, month) + 1

    def volume(self, channel: str, month: str) -> int:
        """Return how many messages of *channel* count for the tier of a *month*."""
        return self._volumes.get((channel, month), 0)

    def tier(self, channel: str, month: str) -> Tier:
        """Return the tier of *channel* in a *month*."""
        return Tier(channel=channel, current=CURRENT_TIER, volume_used=self.volume(channel, month))
