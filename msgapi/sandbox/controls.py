"""The controls of a sandbox in Python: the same as the routes below `/_sandbox`, each as a method.

Rules:
- A control that is not possible raises ControlError, a ValueError, and changes nothing.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Concatenate, ParamSpec, TypeVar

from attrs import define, field

from .account import Account
from .clock import SandboxClock
from .model.agents import CARRIER_REASON, CarrierDecision, CarrierStatus
from .model.faults import FaultShares
from .model.messages import LogEntry
from .model.state import AccountState, ClockState
from .model.webhooks import WebhookFaults
from .rules import controls
from .rules.controls import FaultSettings, HaltStatus
from .rules.lifecycle import advance

P = ParamSpec("P")
T = TypeVar("T")


@define(eq=False, init=False, repr=False)
class SandboxControls:
    """What can be done to a sandbox from outside; `Sandbox` is one."""

    account: Account = field(init=False)
    _clock: SandboxClock = field(init=False)
    _wake_sender: Callable[[], None] = field(init=False)

    @property
    def _state(self) -> AccountState:
        advance(self.account.state, self._clock.time())
        return self.account.state

    def time(self) -> float:
        """Return the time of the sandbox in Unix seconds."""
        return self._clock.time()

    @property
    def clock_state(self) -> ClockState:
        """The time of the sandbox, whether it stands still, and its offset from `clock` in seconds."""
        return self._clock.state

    def pause_clock(self) -> None:
        """Let the time of the sandbox stand still. Nothing becomes due, and no delay of a response ends."""
        _ = self.set_clock(paused=True)

    def resume_clock(self) -> None:
        """Let the time of the sandbox continue from where it stands still."""
        _ = self.set_clock(paused=False)

    def advance_clock(self, seconds: float) -> None:
        """Move the time of the sandbox forward, by at most ten years. What becomes due happens at its own time.

        So do the attempts of the webhooks, if they are sent. A paused clock stays paused.
        """
        _ = self.set_clock(advance=seconds)

    def set_clock(self, *, paused: bool | None = None, advance: float = 0.0) -> ClockState:
        """Pause the clock, or let it run, and move it forward by *advance* seconds; return its state.

        If *paused* is None, the clock stays as it is.
        """
        controls.check_advance(advance, self.time())
        if paused is not None:
            (self._clock.pause if paused else self._clock.resume)()
        if advance:
            self._clock.advance(advance)
        self._state.changes.add("clock")  # also, what is due happens now
        self._wake_sender()
        return self._clock.state

    @property
    def faults(self) -> FaultSettings:
        """The random faults of requests and of webhook deliveries."""
        return controls.faults(self._state)

    def set_faults(
        self,
        shares: float | FaultShares | None = None,
        *,
        slow: float | None = None,
        webhooks: WebhookFaults | None = None,
    ) -> None:
        """Change the random faults. What is None stays as it is.

        *shares* is the share of the requests that have a fault, or a share for each fault; *slow* the delay of a slow
        response in seconds; *webhooks* the faults of the deliveries that are scheduled from now on.
        """
        before = self.faults
        if shares is not None and not isinstance(shares, FaultShares):
            shares = FaultShares.spread(shares)
        settings = FaultSettings(
            shares=before.shares if shares is None else shares,
            slow_seconds=before.slow_seconds if slow is None else slow,
            webhooks=before.webhooks if webhooks is None else webhooks,
        )
        self._control(controls.set_faults, settings)

    def top_up(self, amount: Decimal) -> None:
        """Add *amount* in EUR to the balance, as the dashboard does. Raises ControlError if it is not an amount."""
        self._control(controls.top_up, amount, self.time())

    def set_balance(self, free: Decimal) -> None:
        """Set the free balance to *free* in EUR, without a transaction. What is reserved stays reserved.

        `billing.balance_low` is emitted and the balance reloaded as after a send. Raises ControlError if it is not an
        amount.
        """
        self._control(controls.set_balance, free, self.time())

    def deliver(self, message_id: str) -> LogEntry:
        """Deliver a queued or sent message, and debit its hold; return the message."""
        return self._control(controls.set_status, message_id, "DELIVERED", self.time())

    def read(self, message_id: str) -> LogEntry:
        """Let a delivered message be read, or an email be opened; return the message."""
        return self._control(controls.set_status, message_id, "READ", self.time())

    def fail(self, message_id: str, reason: str | None = None) -> LogEntry:
        """Let the delivery of a message fail for *reason*, and release its hold; return the message.

        The reasons are those of the API; `UNKNOWN_RCS_USER` by default. An email bounces: permanently (`bounce`, the
        default), which suppresses the contact, or because the mailbox is `full`.
        """
        return self._control(controls.fail, message_id, reason, self.time())

    def expire(self, message_id: str) -> LogEntry:
        """Let a queued or sent message expire, and release its hold; return the message."""
        return self._control(controls.set_status, message_id, "EXPIRED", self.time())

    def replay(self, event_id: str, webhook_id: str) -> None:
        """Deliver an event to an endpoint now: the next attempt of a pending delivery, or the first one again."""
        self._delivery(controls.replay, event_id, webhook_id)

    def duplicate(self, event_id: str, webhook_id: str) -> None:
        """Deliver an event to an endpoint once more: at the time of the pending delivery, or now."""
        self._delivery(controls.duplicate, event_id, webhook_id)

    def delay(self, event_id: str, webhook_id: str, seconds: float) -> None:
        """Delay a pending delivery of an event by *seconds*, or make another one again after so long."""
        _ = self._control(controls.delay, f"{event_id}.{webhook_id}", seconds, self.time())

    def reorder(self, event_id: str, webhook_id: str) -> None:
        """Deliver an event to an endpoint now, and a second later the event before it."""
        self._delivery(controls.reorder, event_id, webhook_id)

    def reply_from(self, to: str, agent_id: str, *, text: str = "Hello") -> LogEntry:
        """Let the user *to* write *text* to an agent, which opens a session or extends it to 24 hours from now.

        Raises ControlError if *to* is not a phone number, or if there is no such agent that is launched.
        """
        return self._control(controls.reply, to, agent_id, text, self.time())

    def tap(self, message_id: str, text: str) -> LogEntry:
        """Let the recipient of a message tap its suggestion with this *text*, which is a reply or an action."""
        return self._control(controls.tap, message_id, text, self.time())

    def approve(self, agent_id: str) -> str:
        """Approve an agent that is under review; return its new id."""
        return self._control(controls.approve, agent_id, self.time())

    def reject(self, agent_id: str, reason: str) -> None:
        """Reject an agent that is under review, for a *reason*."""
        self._control(controls.reject, agent_id, reason, self.time())

    def launch(
        self,
        agent_id: str,
        carrier: str = "vodafone_de",
        *,
        status: CarrierStatus = "LAUNCHED",
        reason: str = CARRIER_REASON,
    ) -> None:
        """Set the launch status of an approved agent on a *carrier*; it can send while one carrier has launched it.

        *status* is `LAUNCHED` by default. It may also be `PENDING`, `REJECTED` for a *reason*, or, once it was launched,
        `SUSPENDED`.
        """
        decision = CarrierDecision(carrier=carrier, status=status, reason=reason)
        self._control(controls.launch, agent_id, decision, self.time())

    def confirm(self, consent_id: str) -> None:
        """Confirm a consent that is pending, as the contact does in a double opt-in."""
        self._control(controls.confirm, consent_id, self.time())

    def halt(self, campaign_id: str, status: HaltStatus = "PAUSED_ERROR") -> None:
        """Pause a running campaign, as the service does; its *status* is `PAUSED_ERROR`, or `PAUSED_BALANCE`."""
        self._control(controls.halt, campaign_id, status, self.time())

    def fail_executions(self, campaign_id: str, count: int = 1) -> None:
        """Let *count* of the pending executions of a running campaign fail; it ends as `COMPLETED_PARTIAL`."""
        self._control(controls.fail_executions, campaign_id, count, self.time())

    def _delivery(self, control: Callable[[AccountState, str, float], float], event_id: str, webhook_id: str) -> None:
        _ = self._control(control, f"{event_id}.{webhook_id}", self.time())

    def _control(self, control: Callable[Concatenate[AccountState, P], T], *args: P.args, **named: P.kwargs) -> T:
        result = control(self._state, *args, **named)
        self._wake_sender()
        return result
