"""Sandbox: an account in memory, with a clock, that a client uses as its transport; and several behind one address.

Rules:
- A reset and a restored snapshot replace the state of `account`, so nothing keeps a state in between.
- The API key and the role stay when the state is replaced: programs use them.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar, Final, ParamSpec, TypeVar, Unpack, assert_never, final

import anyio.lowlevel
from attrs import define, field

from ..clock import SYSTEM_CLOCK, Clock
from ..http import Request
from ..results import Balance, Detail, Unanswered
from ..transports import Answer, Transport
from . import waiting
from .account import Account
from .clock import SandboxClock
from .controls import SandboxControls
from .http.requests import bearer_token
from .http.responses import SimulatedResponse
from .model.agents import SandboxAgent, create_record
from .model.billing import PriceList
from .model.campaigns import Campaign
from .model.faults import FaultShares, Timing
from .model.inspection import MessageFilter, MessageFilters, find_messages
from .model.messages import EmailChannel, EmailTemplate, KeptMessages, LogEntry
from .model.state import AccountOptions, ClockState, Role
from .model.webhooks import Attempt, EmittedEvent, WebhookFaults
from .rules.controls import ControlError
from .seeding import apply_seed
from .snapshots import RestoredSandbox, SnapshotError, restore_account, take_snapshot
from .webhook_sender import send_webhooks

P = ParamSpec("P")
T = TypeVar("T")
_DEFAULTS: Final = AccountOptions()


@final
@define(eq=False, init=False, repr=False)
class Sandbox(SandboxControls):
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
      network, once for each idempotency key; or `FaultShares`, with a share for each fault. `set_faults` changes it.
    - *random_seed*: determines the random faults, and with *api_key* the ids; 1 by default.
    - *slow*: the delay of a slow response in seconds; 3 by default.
    - *timing*: after how many seconds messages are sent (0.5), delivered (1.5 later) and read (10 later). If it is
      None, they stay queued until `deliver` or `fail` is called, or until their `ttl` has passed.
    - *keep_messages*: how many messages in a final state are kept in the log; 100,000 by default. Older ones are
      dropped, and `messages.dropped` counts them. Idempotency keys, transactions and usage stay.
    - *webhooks*: which shares of the webhook deliveries are late, repeated or reordered; none by default.
    - *agents*, *channels*, *templates*, *campaigns*: what exists at the start; `AGENTS`, `CHANNELS`, `TEMPLATES` and
      `CAMPAIGNS` by default.
    - *seed*: contacts, messages and more that exist at the start, as `msgapi sandbox --seed FILE` reads them; none by
      default. The page "Sandbox controls" documents the format.
    - *clock*: the source of the time; the system clock by default. The sandbox does not change it: `pause_clock` and
      `advance_clock` move the time of the sandbox, which `time` returns.

    Webhooks are sent inside `deliver_webhooks`, or while the sandbox is served. `DECISIONS` lists what the docs of
    the API leave open and what the sandbox does, `MAGIC_RECIPIENTS` and `DELIVERY_OUTCOMES` the recipients with a
    fixed effect.

    `snapshot` returns the whole state as JSON values. `restore` sets the state to one, and `from_snapshot` makes a
    sandbox of it. `reset` sets the state to that of the start.

    A method that controls the account, such as `approve` or `deliver`, raises ControlError, a ValueError, if it is
    not possible: if what it refers to does not exist, or is in another state.
    """

    is_sandbox: ClassVar[bool] = True
    """Shows that a client over it sends no real messages."""

    account: Account = field(init=False)
    api_key: str = field(init=False)
    clock: Clock = field(init=False)
    _start: Callable[[], RestoredSandbox] = field(init=False)
    _notify_sender: Callable[[], None] = field(init=False)

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
        faults: float | FaultShares = _DEFAULTS.faults,
        random_seed: int = _DEFAULTS.random_seed,
        slow: float = _DEFAULTS.slow,
        timing: Timing | None = _DEFAULTS.timing,
        keep_messages: int = _DEFAULTS.keep_messages,
        webhooks: WebhookFaults = _DEFAULTS.webhooks,
        agents: Iterable[SandboxAgent] = _DEFAULTS.agents,
        channels: Iterable[EmailChannel] = _DEFAULTS.channels,
        templates: Iterable[EmailTemplate] = _DEFAULTS.templates,
        campaigns: Iterable[Campaign] = _DEFAULTS.campaigns,
        seed: Mapping[str, Any] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Create an account. Raises ValueError if an option is invalid, and ControlError if the seed is."""
        options = AccountOptions(
            api_key=api_key,
            role=role,
            balance=balance,
            prices=prices,
            rate_limit=rate_limit,
            read_limit=read_limit,
            window=window,
            faults=faults if isinstance(faults, FaultShares) else FaultShares.spread(faults),
            random_seed=random_seed,
            slow=slow,
            timing=timing,
            keep_messages=keep_messages,
            webhooks=webhooks,
            agents=tuple(agents),
            channels=tuple(channels),
            templates=tuple(templates),
            campaigns=tuple(campaigns),
        )
        self._open(partial(_create, options, None if seed is None else _dump(seed)), clock)

    def _open(self, start: Callable[[float], RestoredSandbox], clock: Clock) -> None:
        self.clock = clock
        self._clock = SandboxClock(clock)
        self._start = lambda: start(clock.time())
        self._wake_sender = self._notify_sender = _do_nothing
        opened = self._start()
        self.account, self.api_key = opened.account, opened.account.api_key
        self.account.state.owner = self
        self._clock.restore(opened.clock)

    @classmethod
    def from_snapshot(cls, snapshot: Mapping[str, Any], *, clock: Clock = SYSTEM_CLOCK) -> "Sandbox":
        """Return a new sandbox in the state of a *snapshot*, which `snapshot` has returned.

        It answers further requests as the other one would. What became due since, on *clock*, happens at once, each
        with the time at which it was due. The webhook deliveries that were in flight are made again.

        The options of the sandbox are in `snapshot["options"]`, and may be changed there before. Raise ValueError if
        *snapshot* is not one, is damaged, or is of another version of the format. The message says where, and quotes
        no value.
        """
        kept = _dump(snapshot)
        restored = cls.__new__(cls)
        restored._open(lambda _: restore_account(json.loads(kept)), clock)  # noqa: SLF001 - of this class
        return restored

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the sandbox as the types of JSON, for `restore` and `from_snapshot`.

        It has the options, the account, the messages and events, the idempotency keys, the webhook endpoints and their
        pending deliveries, what is scheduled, and the generator of the ids; the time in Unix seconds, and whether it
        stands still. It contains the API key, recipients, the content of the messages, and the secrets of the
        endpoints.
        """
        _ = self._state
        return take_snapshot(self.account, self._clock.state)

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Set the state to that of a *snapshot*, which `snapshot` has returned. The API key and the role stay.

        What became due since the snapshot was taken happens at once, unless its time stood still. The webhook
        deliveries that were in flight then are made again. One that is in flight now is not made again, and its attempt
        is not recorded. Raise ControlError if it cannot be read, as `from_snapshot` does; nothing has changed then.
        """
        try:
            other = restore_account(snapshot, {"api_key": self.api_key, "role": self.account.role})
        except SnapshotError as error:
            raise ControlError(str(error), [Detail(error.field, error.problem)]) from None
        self._replace(other)

    def reset(self) -> None:
        """Set the state, the clock and the faults to those with which the sandbox was started, with its seed.

        A webhook delivery that is in flight is not made again, and its attempt is not recorded.
        """
        self._replace(self._start())

    def seed(self, seed: Mapping[str, Any]) -> dict[str, int]:
        """Add what *seed* has, in the format of `msgapi sandbox --seed FILE`; return the number of things by kind.

        Raise ControlError with all problems if something of it is not valid; nothing is added then.
        """
        now, trial = self.time(), restore_account(self.snapshot()).account
        _ = apply_seed(trial, seed, now)
        added = apply_seed(self.account, seed, now)
        self._wake_sender()
        return added

    def _replace(self, other: RestoredSandbox) -> None:
        before = self.account.state
        self.account.adopt(other.account)
        self.account.state.owner = self
        self._clock.restore(other.clock)
        before.owner = None
        before.changes.end()  # so that the page, and a request that waits for a message, notice it
        self._wake_sender()

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
        return await respond(self, request)

    def select(self, request: Request) -> "Sandbox":  # noqa: ARG002 - as that of `Workspaces`
        """Return the sandbox that answers *request*: this one."""
        return self

    def handle(self, request: Request) -> SimulatedResponse:
        """Return the response to *request* at once. The caller applies its delay, by `sleep`, and its loss."""
        response = self.account.handle(request, self._clock.time())
        self._notify_sender()
        return response

    async def answer(self, request: Request) -> SimulatedResponse:
        """Return the response to *request*; one that waits for a message is answered when that has come."""
        return await waiting.answer(self, request)

    def refuse_key(self, request: Request) -> SimulatedResponse | None:
        """Return the response to a *request* without the API key; None if it has it."""
        return self.account.check_key({name.lower(): value for name, value in request.headers.items()})

    def handle_malformed(self) -> SimulatedResponse:
        """Return the response to bytes that are not a valid HTTP request."""
        return self.account.handle_malformed(self._clock.time())

    async def sleep(self, seconds: float) -> None:
        """Wait until *seconds* have passed in the sandbox; longer while its clock is paused."""
        await self._clock.sleep(seconds)

    @asynccontextmanager
    async def deliver_webhooks(self, transport: Transport) -> AsyncIterator[None]:
        """Send webhooks over *transport*, as they become due on the clock, for the duration of an `async with`.

        For real HTTP use `transports.aiohttp.open(timeout=5)`: the service waits 5 seconds for a response.
        """
        async with send_webhooks(lambda: self.account.state, self._clock, transport) as sender:
            self._wake_sender, self._notify_sender = sender.wake, sender.notify
            try:
                yield
            finally:
                self._wake_sender = self._notify_sender = _do_nothing

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


async def respond(sandboxes: "Sandbox | Workspaces", request: Request) -> Answer:
    """Return the response to *request* after its delay, or Unanswered if it is lost."""
    await anyio.lowlevel.checkpoint()
    sandbox = sandboxes.select(request)
    simulated = await sandbox.answer(request)
    if simulated.delay:
        await sandbox.sleep(simulated.delay)
    return Unanswered("the sandbox lost the answer") if simulated.lost else simulated.response


def _dump(value: object) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"a snapshot or a seed must be of the types of JSON: {type(error).__name__}") from None


def _create(options: AccountOptions, seed: str | None, now: float) -> RestoredSandbox:
    account = Account(options)
    if seed is not None:
        _ = apply_seed(account, json.loads(seed), now)
    return RestoredSandbox(account, ClockState(time=now))


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

    def select(self, request: Request) -> Sandbox:
        """Return the sandbox that responds to *request*."""
        given = next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")
        return self._by_key.get(bearer_token(given) or "", self._all[0])

    def handle(self, request: Request) -> SimulatedResponse:
        """Return the response to *request* at once. The caller applies its delay and its loss."""
        return self.select(request).handle(request)

    async def answer(self, request: Request) -> SimulatedResponse:
        """Return the response to *request*; one that waits for a message is answered when that has come."""
        return await self.select(request).answer(request)

    def handle_malformed(self) -> SimulatedResponse:
        """Return the response of the first sandbox to bytes that are not a valid HTTP request."""
        return self._all[0].handle_malformed()

    async def __call__(self, request: Request, /) -> Answer:
        """Respond to *request* as a transport does, with the delay or the loss of a simulated fault."""
        return await respond(self, request)

    @asynccontextmanager
    async def deliver_webhooks(self, transport: Transport) -> AsyncIterator[None]:
        """Send the webhooks of all sandboxes over *transport* for the duration of an `async with`."""
        async with AsyncExitStack() as stack:
            for one in self._all:
                await stack.enter_async_context(one.deliver_webhooks(transport))
            yield
