"""Sandbox: an account behind the transport protocol, with a clock."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from hashlib import blake2b
from random import Random
from typing import Literal, final

import anyio.lowlevel
from attrs import define, field

from ..clock import Clock, SystemClock
from ..http import Request
from ..results import Balance, Unanswered
from ..rules import number
from ..transports import Answer, Transport
from .account import Account
from .http.rate_limit import Limit
from .http.responses import Reply
from .model.agents import FAULT, Launched, Settled
from .model.campaigns import CAMPAIGNS, Campaign
from .model.deliveries import Deliveries
from .model.email_channels import AGENTS, CHANNELS, TEMPLATES, Agent, Channel, Template
from .model.endings import Timing
from .model.faults import Chance
from .model.messages import Entry, Status
from .model.outbox import Happening
from .model.prices import Prices
from .model.purse import Purse
from .model.state import State
from .model.webhooks import Attempt, Couriers, Mischief
from .routes import agents as agency
from .routes import consents
from .routes.campaigns import fail_some, halt
from .routes.table import Role
from .rules.controls import reply, suggestion
from .rules.lifecycle import advance, fail, move
from .webhook_sender import posting

_PRICES = Prices()
_TIMING = Timing()
_NO_MISCHIEF = Mischief()
_SYSTEM_CLOCK = SystemClock()
_PLENTY = Decimal(1000)


@final
@define(eq=False, init=False, repr=False)
class Sandbox:
    """The API in memory: `msgapi.connect(transport=sandbox, api_key=sandbox.api_key)`.

    *balance* is in EUR; the key has a *role*. *rate_limit* sends, and *read_limit* requests of each other kind, are let
    through in every *window* seconds. *faults* is the share of the requests that are struck by a
    fault of the server or the network, once for each idempotency key; which ones follows from
    *seed*. *slow* is how many seconds a slow answer takes. Messages are sent, delivered and read as
    time passes on *clock*, as *timing* says; with None they stay queued until `deliver` or `fail`.
    *webhooks* says what happens to deliveries on their way; they go out inside `posting`, or where
    the sandbox is served. Ids follow from *seed* and *api_key*, so two workspaces have no id in common,
    but for the *agents*, *channels*, *templates* and *campaigns* that each begins with.

    It sends no message anywhere. Every rule that the docs leave open stands in `DECISIONS`, and the
    recipients to which things happen in `LUCK`.
    """

    api_key: str
    clock: Clock
    account: Account = field(repr=False)
    _ring: Callable[[], None] = field(repr=False)

    def __init__(
        self,
        *,
        api_key: str = "sk_sandbox",
        role: Role = "manager",
        balance: Decimal = _PLENTY,
        prices: Prices = _PRICES,
        rate_limit: int = 10_000,
        read_limit: int = 50_000,
        window: float = 1.0,
        faults: float = 0.0,
        seed: int = 1,
        slow: float = 3.0,
        timing: Timing | None = _TIMING,
        webhooks: Mischief = _NO_MISCHIEF,
        agents: Iterable[Agent] = AGENTS,
        channels: Iterable[Channel] = CHANNELS,
        templates: Iterable[Template] = TEMPLATES,
        campaigns: Iterable[Campaign] = CAMPAIGNS,
        clock: Clock = _SYSTEM_CLOCK,
    ) -> None:
        """Open an account."""
        state = State(
            purse=Purse(balance),
            prices=prices,
            chance=Chance(faults, seed),
            agents={agent.agent_id: agent for agent in agents},
            channels={channel.channel_id: channel for channel in channels},
            templates={template.template_id: template for template in templates},
            campaigns={campaign.campaign_id: campaign for campaign in campaigns},
            slow=slow,
            deliveries=Deliveries(timing),
            couriers=Couriers(webhooks),
            random=Random(f"{seed} {api_key}"),  # noqa: S311 - ids that can be foretold are the point
            salt=blake2b(f"{seed} {api_key}".encode()).digest(),
        )
        self._ring = _nobody
        self.api_key = api_key
        self.clock = clock
        self.account = Account(
            api_key=api_key,
            role=role,
            state=state,
            sends=Limit(rate_limit, window),
            reads=Limit(read_limit, window),
        )

    def __repr__(self) -> str:
        """Show how much has happened; never the key."""
        return f"Sandbox({len(self.account.state.log)} messages, {self.requests} requests)"

    async def __call__(self, request: Request, /) -> Answer:
        """Answer *request*, after a while or never where that is its lot."""
        return await carried_out(self.handle, request, self.clock)

    def handle(self, request: Request) -> Reply:
        """Answer *request* at once, by the sandbox's clock; the caller acts on delay and loss."""
        reply = self.account.handle(request, self.clock.time())
        self._ring()
        return reply

    def unreadable(self) -> Reply:
        """Answer what is no request that can be read."""
        return self.account.unreadable(self.clock.time())

    @property
    def messages(self) -> tuple[Entry, ...]:
        """Every message that was accepted, and every reply, the oldest first."""
        return self._state.log.entries()

    @property
    def events(self) -> tuple[Happening, ...]:
        """Everything that has happened and that a webhook may ask for, the oldest first."""
        return tuple(self._state.outbox)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt to bring an event to an endpoint, the oldest first."""
        return self.account.state.couriers.made

    @asynccontextmanager
    async def posting(self, transport: Transport) -> AsyncIterator[None]:
        """Let webhooks go out over *transport* for the time of an `async with`, as they become due on the clock.

        For real HTTP take `transports.aiohttp.opened(timeout=5)`: 5 seconds is what the service waits.
        """
        async with posting(self.account.state, self.clock, transport) as ring:
            self._ring = ring
            try:
                yield
            finally:
                self._ring = _nobody

    @property
    def due_at(self) -> float | None:
        """When something happens next by itself, in Unix seconds by its clock; None if nothing is to come."""
        return self._state.deliveries.next_at()

    @property
    def _state(self) -> State:
        # As it is by now.
        advance(self.account.state, self.clock.time())
        return self.account.state

    @property
    def balance(self) -> Balance:
        """The balance as it is now."""
        return self._state.purse.balance

    @property
    def requests(self) -> int:
        """How many requests came, whatever their answer."""
        return self.account.requests

    def top_up(self, amount: Decimal) -> None:
        """Add *amount* in EUR to the balance, as the dashboard would."""
        self._state.purse.add(amount, self.clock.time())

    def reply_from(self, to: str, agent_id: str, *, text: str = "Hello") -> Entry:
        """Let the user *to* write *text* to *agent_id*: opens a session, or keeps it open for 24 hours more.

        ValueError if there is no such agent that is launched, or if *to* is no phone number.
        """
        wrong = number(to)
        if wrong is not None:
            raise ValueError(f"to {wrong}")
        return self._reply(to, agent_id, {"type": "text", "text": text})

    def tap(self, message_id: str, text: str) -> Entry:
        """Let the recipient of a message tap its suggestion with this *text*, be it a reply or an action.

        ValueError if there is no such message that was sent, or no such suggestion in it.
        """
        entry = self._state.log.find(message_id)
        found = None if entry is None else suggestion(entry, text)
        if entry is None or found is None:
            raise ValueError("there is no such message that was sent, or no suggestion with this text in it")
        return self._reply(entry.to, entry.sender, found)

    def approve(self, agent_id: str) -> str | None:
        """Let an agent that is under review pass it; gives the id that it has from then on, None if there is none."""
        live = agency.approve(self._state, agent_id, self.clock.time())
        self._ring()
        return live

    def reject(self, agent_id: str, reason: str) -> bool:
        """Let an agent that is under review not pass it, for a *reason*. False if there is none."""
        done = agency.reject(self._state, agent_id, reason, self.clock.time())
        self._ring()
        return done

    def launch(
        self, agent_id: str, carrier: str = "vodafone_de", *, status: Settled = "LAUNCHED", reason: str = FAULT
    ) -> bool:
        """Let a *carrier* launch an approved agent, which can send while one carrier has launched it.

        The launch may also be `PENDING`, `REJECTED` for a *reason*, or, once it was there, `SUSPENDED`.
        False if there is no such agent or carrier, or no way from its status to this one.
        """
        settled = Launched(carrier=carrier, status=status, reason=reason)
        return agency.launch(self._state, agent_id, settled, self.clock.time())

    def confirm(self, record_id: str) -> bool:
        """Let a contact confirm a consent that waits for it (double opt-in). False if there is none."""
        done = consents.confirm(self._state, record_id, self.clock.time())
        self._ring()
        return done

    def halt(self, campaign_id: str, status: Literal["PAUSED_ERROR", "PAUSED_BALANCE"] = "PAUSED_ERROR") -> bool:
        """Let a campaign stop by itself in the middle of its run. False if none runs."""
        return halt(self._state, campaign_id, status, self.clock.time())

    def fail_executions(self, campaign_id: str, count: int = 1) -> bool:
        """Let *count* of the pending executions of a campaign that runs fail; it ends as `COMPLETED_PARTIAL`.

        False if none runs, or if fewer are pending.
        """
        return fail_some(self._state, campaign_id, count, self.clock.time())

    def _reply(self, to: str, agent_id: str, message: dict[str, object]) -> Entry:
        state, now = self._state, self.clock.time()
        entry = reply(state, to, agent_id, now, message)
        if entry is None:
            raise ValueError("there is no such agent that is approved and launched")
        self._ring()
        return entry

    def _move(self, message_id: str, status: Status) -> bool:
        moved = move(self._state, message_id, status, self.clock.time())
        self._ring()
        return moved is not None

    def deliver(self, message_id: str) -> bool:
        """Deliver a queued message: its hold is debited. False if it can't be, or is unknown."""
        return self._move(message_id, "DELIVERED")

    def read(self, message_id: str) -> bool:
        """Let a delivered message be read, or an email be opened. False if it can't be, or is unknown."""
        return self._move(message_id, "READ")

    def fail(self, message_id: str, reason: str = "UNKNOWN_RCS_USER") -> bool:
        """Let the delivery of a message fail: its hold is released. False if it can't, or is unknown.

        An email bounces, for good unless *reason* is `full`; a hard bounce suppresses the contact.
        """
        failed = fail(self._state, message_id, reason, self.clock.time())
        self._ring()
        return failed is not None


async def carried_out(handle: Callable[[Request], Reply], request: Request, clock: Clock) -> Answer:
    """Have *request* handled, and act on the delay and the loss of its answer."""
    await anyio.lowlevel.checkpoint()
    reply = handle(request)
    if reply.delay:
        await clock.sleep(reply.delay)
    return Unanswered("the sandbox lost the answer") if reply.lost else reply.response


def _nobody() -> None:
    """Ring where nobody listens."""
