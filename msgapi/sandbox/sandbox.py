"""Sandbox: an account in memory, with a clock, that a client uses as its transport; and several behind one address.

The sender of its webhooks is here, too: it signs the deliveries, and sends them over a transport when they are due.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Any, ClassVar, Concatenate, Final, ParamSpec, TypeVar, Unpack, assert_never, final
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel
from attrs import define, field

from .. import webhooks
from ..clock import SYSTEM_CLOCK, Clock
from ..concurrency import background
from ..http import Request, Response
from ..results import Balance, Unanswered
from ..transports import Answer, Transport
from . import waiting
from .account import Account
from .http.requests import bearer_token
from .http.responses import SimulatedResponse
from .model.agents import CARRIER_REASON, CarrierDecision, CarrierStatus, SandboxAgent, create_record
from .model.billing import PriceList
from .model.campaigns import Campaign
from .model.faults import Timing
from .model.inspection import MessageFilter, MessageFilters, find_messages
from .model.messages import EmailChannel, EmailTemplate, KeptMessages, LogEntry
from .model.state import AccountOptions, AccountState, Role
from .model.webhooks import Attempt, EmittedEvent, PendingDelivery, WebhookFaults
from .rules import controls
from .rules.controls import HaltStatus
from .rules.lifecycle import advance
from .snapshots import restore_account, take_snapshot

P = ParamSpec("P")
T = TypeVar("T")
ENDPOINT_TIMEOUT: Final = 5.0  # seconds in which an endpoint has to respond
_DEFAULTS: Final = AccountOptions()
_MAX_CONCURRENT: Final = 64  # deliveries to one endpoint


@final
@define(eq=False, init=False, repr=False)
class Sandbox:
    """The API in memory: `msgapi.Client(transport=sandbox, api_key=sandbox.api_key)`. It sends no real messages.

    The keyword arguments are:

    - *api_key*: the key of the account; `"sk_sandbox"` by default.
    - *role*: the role of the key, `"viewer"`, `"editor"` or `"manager"` (the default).
    - *balance*: the free balance in EUR; 1000 by default.
    - *prices*: what the units cost in EUR; illustrative by default.
    - *rate_limit*: how many sends are accepted in each window; 10,000 by default.
    - *read_limit*: how many requests of each other endpoint class are accepted in each window; 50,000 by default.
    - *window*: the length of a window in seconds; 1 by default.
    - *faults*: the share of the requests, from 0 (the default) to 1, that have a random fault of the server or the
      network, once for each idempotency key.
    - *seed*: determines the random faults, and with *api_key* the ids; 1 by default.
    - *slow*: the delay of a slow response in seconds; 3 by default.
    - *timing*: after how many seconds messages are sent (0.5), delivered (1.5 later) and read (10 later). If it is
      None, they stay queued until `deliver` or `fail` is called, or until their `ttl` has passed.
    - *keep_messages*: how many messages in a final state are kept in the log; 100,000 by default. Older ones are
      dropped, and `messages.dropped` counts them. Idempotency keys, transactions and usage stay.
    - *webhooks*: which shares of the webhook deliveries are late, repeated or reordered; none by default.
    - *agents*, *channels*, *templates*, *campaigns*: what exists at the start; `AGENTS`, `CHANNELS`, `TEMPLATES` and
      `CAMPAIGNS` by default.
    - *clock*: the source of the time; the system clock by default.

    Webhooks are sent inside `deliver_webhooks`, or while the sandbox is served. `DECISIONS` lists what the docs of
    the API leave open and what the sandbox does, `MAGIC_RECIPIENTS` and `DELIVERY_OUTCOMES` the recipients with a
    fixed effect.

    `snapshot` returns the whole state as JSON values, and `restore` makes a sandbox from them.

    A method that controls the account, such as `approve` or `deliver`, raises ControlError, a ValueError, if it is
    not possible: if what it refers to does not exist, or is in another state.
    """

    is_sandbox: ClassVar[bool] = True
    """Shows that a client over it sends no real messages."""

    api_key: str
    clock: Clock
    account: Account
    _wake_sender: Callable[[], None]

    def __init__(
        self,
        *,
        api_key: str = _DEFAULTS.api_key,
        role: Role = _DEFAULTS.role,
        balance: Decimal = _DEFAULTS.balance,
        prices: PriceList = _DEFAULTS.prices,
        rate_limit: int = _DEFAULTS.rate_limit,
        read_limit: int = _DEFAULTS.read_limit,
        window: float = _DEFAULTS.window,
        faults: float = _DEFAULTS.faults,
        seed: int = _DEFAULTS.seed,
        slow: float = _DEFAULTS.slow,
        timing: Timing | None = _DEFAULTS.timing,
        keep_messages: int = _DEFAULTS.keep_messages,
        webhooks: WebhookFaults = _DEFAULTS.webhooks,
        agents: Iterable[SandboxAgent] = _DEFAULTS.agents,
        channels: Iterable[EmailChannel] = _DEFAULTS.channels,
        templates: Iterable[EmailTemplate] = _DEFAULTS.templates,
        campaigns: Iterable[Campaign] = _DEFAULTS.campaigns,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Create an account. Raises ValueError if an option is invalid."""
        options = AccountOptions(
            api_key=api_key,
            role=role,
            balance=balance,
            prices=prices,
            rate_limit=rate_limit,
            read_limit=read_limit,
            window=window,
            faults=faults,
            seed=seed,
            slow=slow,
            timing=timing,
            keep_messages=keep_messages,
            webhooks=webhooks,
            agents=agents,
            channels=channels,
            templates=templates,
            campaigns=campaigns,
        )
        self.api_key = api_key
        self.clock = clock
        self.account = Account(options)
        self._wake_sender = _do_nothing

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any], *, clock: Clock = SYSTEM_CLOCK) -> "Sandbox":
        """Return a new sandbox in the state of a *snapshot*, which `snapshot` has returned.

        It answers further requests as the other one would. What became due since, on *clock*, happens at once, each
        with the time at which it was due. The webhook deliveries that were in flight are made again.

        The options of the sandbox are in `snapshot["options"]`, and may be changed there before. Raise ValueError if
        *snapshot* is not one, is damaged, or is of another version of the format. The message says where, and quotes
        no value.
        """
        restored = cls(clock=clock)
        restored.account = restore_account(snapshot)
        restored.api_key = restored.account.api_key
        return restored

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the sandbox as the types of JSON, for `restore`.

        It has the options, the account, the messages and events, the idempotency keys, the webhook endpoints and their
        pending deliveries, what is scheduled, and the generator of the ids; not the clock, but its `time` in Unix
        seconds. It contains recipients, the content of the messages, and the secrets of the endpoints.
        """
        now = self.clock.time()
        advance(self.account.state, now)
        return take_snapshot(self.account, now)

    def add(self, one: SandboxAgent | EmailChannel | EmailTemplate | Campaign) -> None:
        """Add an agent, an email channel, an email template or a campaign, unless there is one with its id."""
        state = self._state
        match one:
            case SandboxAgent():
                if state.agents.find(one.agent_id) is None:
                    state.agents.put(create_record(one))
            case EmailChannel():
                state.channels = {one.channel_id: one, **state.channels}
            case EmailTemplate():
                state.templates = {one.template_id: one, **state.templates}
            case Campaign():
                state.campaigns = {one.campaign_id: one, **state.campaigns}
            case _:
                assert_never(one)

    def __repr__(self) -> str:
        """Return the number of messages and requests, without the key."""
        return f"Sandbox({self.account.state.log.accepted} messages, {self.requests} requests)"

    async def __call__(self, request: Request, /) -> Answer:
        """Respond to *request* as a transport does, with the delay or the loss of a simulated fault."""
        return await respond(self.answer, request, self.clock)

    def handle(self, request: Request) -> SimulatedResponse:
        """Return the response to *request* at once. The caller applies its delay and its loss."""
        response = self.account.handle(request, self.clock.time())
        self._wake_sender()
        return response

    async def answer(self, request: Request) -> SimulatedResponse:
        """Return the response to *request*; one that waits for a message is answered when that has come."""
        return await waiting.answer(self, request)

    def time(self) -> float:
        """Return the time of the sandbox, in Unix seconds."""
        return self.clock.time()

    async def sleep(self, seconds: float) -> None:
        """Wait until *seconds* of the time of the sandbox have passed."""
        await self.clock.sleep(seconds)

    def select(self, request: Request) -> "Sandbox":  # noqa: ARG002 - as that of `Workspaces`
        """Return the sandbox that answers *request*: this one."""
        return self

    def refuse_key(self, request: Request) -> SimulatedResponse | None:
        """Return the response to a *request* without the API key; None if it has it."""
        return self.account.check_key({name.lower(): value for name, value in request.headers.items()})

    def handle_malformed(self) -> SimulatedResponse:
        """Return the response to bytes that are not a valid HTTP request."""
        return self.account.handle_malformed(self.clock.time())

    @asynccontextmanager
    async def deliver_webhooks(self, transport: Transport) -> AsyncIterator[None]:
        """Send webhooks over *transport*, as they become due on the clock, for the duration of an `async with`.

        For real HTTP use `transports.aiohttp.open(timeout=5)`: the service waits 5 seconds for a response.
        """
        async with deliver_webhooks(self.account.state, self.clock, transport) as wake:
            self._wake_sender = wake
            try:
                yield
            finally:
                self._wake_sender = _do_nothing

    @property
    def messages(self) -> KeptMessages:
        """Every message that was accepted, and every reply, oldest first; `messages.dropped` counts those not kept."""
        return self._state.log.entries()

    def find_messages(self, **wanted: Unpack[MessageFilters]) -> tuple[LogEntry, ...]:
        """Return the messages and replies that match everything that is *wanted*, oldest first.

        For example: `sandbox.find_messages(to="+4915112345678", contains="code")`. Raises ValueError if a status, a
        direction or a channel is not one.
        """
        state = self._state
        return tuple(find_messages(state.log, state.conversations, MessageFilter(**wanted), newest_first=False))

    async def wait_for_message(self, *, timeout: float = 30.0, **wanted: Unpack[MessageFilters]) -> LogEntry:  # noqa: ASYNC109
        """Return a message that matches everything that is *wanted*, when it has come, or has changed so that it does.

        It is the first one after the number *after*, and without that the newest of all. *timeout* is in seconds of
        the given clock; after it, TimeoutError is raised. Raises ValueError as `find_messages` does.
        """
        return await waiting.wait_for_message(self, MessageFilter(**wanted), timeout)

    @property
    def events(self) -> tuple[EmittedEvent, ...]:
        """Every event to which a webhook can subscribe, oldest first."""
        return tuple(self._state.events)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt to deliver an event to an endpoint, oldest first."""
        return self.account.state.webhook_queue.attempts

    @property
    def balance(self) -> Balance:
        """The current balance."""
        return self._state.wallet.balance

    @property
    def requests(self) -> int:
        """The number of requests, whatever their responses."""
        return self.account.requests

    @property
    def due_at(self) -> float | None:
        """When something next happens by itself, in Unix seconds on the clock; None if nothing is scheduled."""
        return self._state.schedule.next_at()

    @property
    def _state(self) -> AccountState:
        advance(self.account.state, self.clock.time())
        return self.account.state

    def top_up(self, amount: Decimal) -> None:
        """Add *amount* in EUR to the balance, as the dashboard does. Raises ValueError if it is not a valid amount."""
        self._state.wallet.add(amount, self.clock.time())

    def deliver(self, message_id: str) -> LogEntry:
        """Deliver a queued or sent message, and debit its hold; return the message."""
        return self._control(controls.set_status, message_id, "DELIVERED", self.clock.time())

    def read(self, message_id: str) -> LogEntry:
        """Let a delivered message be read, or an email be opened; return the message."""
        return self._control(controls.set_status, message_id, "READ", self.clock.time())

    def fail(self, message_id: str, reason: str = "UNKNOWN_RCS_USER") -> LogEntry:
        """Let the delivery of a message fail for *reason*, and release its hold; return the message.

        An email bounces, permanently unless *reason* is `full`. A hard bounce suppresses the contact.
        """
        return self._control(controls.fail, message_id, reason, self.clock.time())

    def reply_from(self, to: str, agent_id: str, *, text: str = "Hello") -> LogEntry:
        """Let the user *to* write *text* to an agent, which opens a session or extends it to 24 hours from now.

        Raises ControlError if *to* is not a phone number, or if there is no such agent that is launched.
        """
        return self._control(controls.reply, to, agent_id, text, self.clock.time())

    def tap(self, message_id: str, text: str) -> LogEntry:
        """Let the recipient of a message tap its suggestion with this *text*, which is a reply or an action."""
        return self._control(controls.tap, message_id, text, self.clock.time())

    def approve(self, agent_id: str) -> str:
        """Approve an agent that is under review; return its new id."""
        return self._control(controls.approve, agent_id, self.clock.time())

    def reject(self, agent_id: str, reason: str) -> None:
        """Reject an agent that is under review, for a *reason*."""
        self._control(controls.reject, agent_id, reason, self.clock.time())

    def launch(
        self,
        agent_id: str,
        carrier: str = "vodafone_de",
        *,
        status: CarrierStatus = "LAUNCHED",
        reason: str = CARRIER_REASON,
    ) -> None:
        """Set the launch status of an approved agent on a *carrier*; it can send while one carrier has launched it.

        The status may also be `PENDING`, `REJECTED` for a *reason*, or, once it was launched, `SUSPENDED`.
        """
        decision = CarrierDecision(carrier=carrier, status=status, reason=reason)
        self._control(controls.launch, agent_id, decision, self.clock.time())

    def confirm(self, consent_id: str) -> None:
        """Confirm a consent that is pending, as the contact does in a double opt-in."""
        self._control(controls.confirm, consent_id, self.clock.time())

    def halt(self, campaign_id: str, status: HaltStatus = "PAUSED_ERROR") -> None:
        """Pause a running campaign, as the service does."""
        self._control(controls.halt, campaign_id, status, self.clock.time())

    def fail_executions(self, campaign_id: str, count: int = 1) -> None:
        """Let *count* of the pending executions of a running campaign fail; it ends as `COMPLETED_PARTIAL`."""
        self._control(controls.fail_executions, campaign_id, count, self.clock.time())

    def _control(self, control: Callable[Concatenate[AccountState, P], T], *args: P.args, **named: P.kwargs) -> T:
        result = control(self._state, *args, **named)
        self._wake_sender()
        return result


async def respond(answer: Callable[[Request], Awaitable[SimulatedResponse]], request: Request, clock: Clock) -> Answer:
    """Return the response of *answer* to *request* after its delay, or Unanswered if it is lost."""
    await anyio.lowlevel.checkpoint()
    simulated = await answer(request)
    if simulated.delay:
        await clock.sleep(simulated.delay)
    return Unanswered("the sandbox lost the answer") if simulated.lost else simulated.response


def _do_nothing() -> None:
    """Wake no sender."""


@final
class Workspaces:
    """Routes each request to the sandbox with its key. A request without a valid key is refused by the first one.

    Each sandbox must have its own key. A key gives no access to the other sandboxes.
    """

    def __init__(self, sandboxes: Iterable[Sandbox]) -> None:
        """Serve *sandboxes* at one address. Raises ValueError if there is none, or if two have the same key."""
        self._all = tuple(sandboxes)
        self._by_key = {one.api_key: one for one in self._all}
        if not self._all or len(self._by_key) != len(self._all):
            raise ValueError("there must be at least one workspace, and each must have a key of its own")

    @property
    def clock(self) -> Clock:
        """The clock of the first sandbox."""
        return self._all[0].clock

    def handle(self, request: Request) -> SimulatedResponse:
        """Return the response to *request* at once. The caller applies its delay and its loss."""
        return self.select(request).handle(request)

    async def answer(self, request: Request) -> SimulatedResponse:
        """Return the response to *request*; one that waits for a message is answered when that has come."""
        return await self.select(request).answer(request)

    def select(self, request: Request) -> Sandbox:
        """Return the sandbox that answers *request*: that with its key, else the first one."""
        given = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
        return self._by_key.get(bearer_token(given) or "", self._all[0])

    def handle_malformed(self) -> SimulatedResponse:
        """Return the response of the first sandbox to bytes that are not a valid HTTP request."""
        return self._all[0].handle_malformed()

    async def __call__(self, request: Request, /) -> Answer:
        """Respond to *request* as a transport does, with the delay or the loss of a simulated fault."""
        return await respond(self.answer, request, self.clock)

    @asynccontextmanager
    async def deliver_webhooks(self, transport: Transport) -> AsyncIterator[None]:
        """Send the webhooks of all sandboxes over *transport* for the duration of an `async with`."""
        async with AsyncExitStack() as stack:
            for one in self._all:
                await stack.enter_async_context(one.deliver_webhooks(transport))
            yield


@final
@define(eq=False)
class WebhookSender:
    """Sends what is due, until it is cancelled; `wake` makes it look for new deliveries.

    An attempt is made when it is due, or when the sender starts if that is later.
    """

    state: AccountState
    clock: Clock
    transport: Transport
    _woken: anyio.Event = field(factory=anyio.Event, init=False)
    _started: float = field(default=0.0, init=False)
    _taken: dict[int, PendingDelivery] = field(factory=dict, init=False)
    _limiters: WeakValueDictionary[str, anyio.CapacityLimiter] = field(factory=WeakValueDictionary, init=False)

    def wake(self) -> None:
        """Look for deliveries that are due."""
        self._woken.set()

    async def run(self) -> None:
        """Send the deliveries when they are due; those that are cancelled return to the queue."""
        self._started = self.clock.time()
        try:
            async with anyio.create_task_group() as tasks:
                while True:
                    self._woken = anyio.Event()
                    now = self.clock.time()
                    advance(self.state, now)
                    while (delivery := self.state.webhook_queue.take(now)) is not None:
                        self._taken[delivery.number] = delivery
                        _ = tasks.start_soon(self._send, delivery, self._limiter(delivery.webhook_id))
                    await self._wait(self._next_at(), now)
        finally:
            self.state.webhook_queue.put_back(self._taken.values())

    def _limiter(self, webhook_id: str) -> anyio.CapacityLimiter:
        # One for each endpoint, so that a slow endpoint does not delay the others. It exists while it is in use.
        return self._limiters.setdefault(webhook_id, anyio.CapacityLimiter(_MAX_CONCURRENT))

    def _next_at(self) -> float | None:
        times = (self.state.webhook_queue.next_at(), self.state.schedule.next_at())
        return min((one for one in times if one is not None), default=None)

    async def _wait(self, until: float | None, now: float) -> None:
        async with anyio.create_task_group() as tasks:
            if until is not None:
                _ = tasks.start_soon(self._wake_after, until - now)
            await self._woken.wait()
            tasks.cancel_scope.cancel()

    async def _wake_after(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self._woken.set()

    async def _send(self, delivery: PendingDelivery, limiter: anyio.CapacityLimiter) -> None:
        async with limiter:
            answer = await self._attempt(delivery)
        del self._taken[delivery.number]
        if answer is None:
            return
        status, reason = (answer.status, "") if isinstance(answer, Response) else (None, answer.reason)
        at = max(delivery.due, self._started)
        _ = self.state.webhook_queue.record_attempt(delivery, at, status=status, reason=reason)
        self.wake()

    async def _attempt(self, delivery: PendingDelivery) -> Answer | None:
        endpoint = self.state.endpoints.find(delivery.webhook_id)
        if endpoint is None:
            return None  # deleted since, so nothing more is sent to it
        body = delivery.event.body()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "msgapi-sandbox",
            webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret=endpoint.secret),
        }
        return await self.transport(Request("POST", endpoint.url, headers, body))


@asynccontextmanager
async def deliver_webhooks(
    state: AccountState, clock: Clock, transport: Transport
) -> AsyncIterator[Callable[[], None]]:
    """Send webhooks over *transport* for the duration of an `async with`; yields the sender's `wake`."""
    sender = WebhookSender(state, clock, transport)
    async with background(sender.run):
        yield sender.wake
