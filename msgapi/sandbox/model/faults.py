"""Simulated faults: magic recipients, random faults, and how messages to other recipients are delivered.

Rules:
- A magic recipient has the same effect every time. The numbers are from a range reserved for fiction.
- Random faults depend on the seed and the request, not on the order of the requests.
- A request that had a random fault has none again under the same idempotency key.
- The delivery of a message depends on the message alone.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from math import fsum
from typing import Final, Literal, TypeAlias, final

from attrs import define, field, frozen
from attrs.validators import and_, ge, le

from ...http import Response
from ...transports.faults import PROXY_PAGE
from ..http.responses import SimulatedResponse, error_response
from .messages import LogEntry, MessageStatus

Fault: TypeAlias = Literal[
    "402", "403", "404", "422", "429", "430", "500", "502", "503", "500-once", "503-once", "429-once", "lost", "slow"
]
"""What happens to a request."""
MAX_NAMES: Final = 100_000  # requests whose fault is remembered; beyond it the oldest are forgotten
_PHONE_PREFIX: Final = "+447700900"
_SPREAD_OVER: Final = ("status_500", "status_503", "status_429", "lost", "status_502")
_ROUNDING: Final = 1e-9  # of a sum of shares
_ERRORS: Final = {
    "403": ("forbidden", "A policy forbids this message."),
    "404": ("not_found", "There is no such recipient."),
    "422": ("recipient_suppressed", "The recipient is suppressed or has not consented."),
    "429": ("rate_limit_exceeded", "Too many requests."),
    "500": ("internal_error", "Something went wrong on our side."),
    "503": ("service_unavailable", "A service behind this one is down."),
}


@final
@frozen
class MagicRecipient:
    """A recipient to whom every send has a *fault*; *digits* are the last three of its phone number."""

    fault: Fault
    digits: str
    effect: str

    @property
    def phone(self) -> str:
        """The phone number of the recipient."""
        return f"{_PHONE_PREFIX}{self.digits}"

    @property
    def email(self) -> str:
        """The email address of the recipient."""
        return f"{self.fault}@magic.example"


MAGIC_RECIPIENTS: Final = (
    MagicRecipient("402", "402", "402 insufficient_balance, whatever the balance is"),
    MagicRecipient("403", "403", "403 forbidden by a policy"),
    MagicRecipient("404", "404", "404 not_rcs_capable; by email 404 not_found"),
    MagicRecipient("422", "422", "422 recipient_suppressed: no consent, or suppressed"),
    MagicRecipient("429", "429", "429 rate_limit_exceeded with retry_after 1, every time"),
    MagicRecipient("430", "430", "429 newsletter_daily_cap with retry_after up to a day, every time"),
    MagicRecipient("500", "500", "500 internal_error before acceptance, every time"),
    MagicRecipient("502", "502", "an HTML page of a proxy with status 502, every time"),
    MagicRecipient("503", "503", "503 service_unavailable before acceptance, every time"),
    MagicRecipient("500-once", "501", "500 internal_error once for each idempotency key, then accepted"),
    MagicRecipient("503-once", "504", "503 service_unavailable once for each idempotency key, then accepted"),
    MagicRecipient("429-once", "428", "429 rate_limit_exceeded once for each idempotency key, then accepted"),
    MagicRecipient("lost", "600", "accepted, but the response is lost; a retry with the same key gets it"),
    MagicRecipient("slow", "601", "accepted, but the response is slow; a retry with the same key is fast"),
)
"""Every recipient for which a send has a fault."""

_FAULTS: Final[Mapping[str, Fault]] = {to: one.fault for one in MAGIC_RECIPIENTS for to in (one.phone, one.email)}


def find_fault(to: str) -> Fault | None:
    """Return the fault of the recipient *to*, or None."""
    return _FAULTS.get(to)


def fault_response(fault: Fault, *, retry_after: float = 1.0) -> SimulatedResponse | None:
    """Return the response of a *fault*; None if the request is accepted, or if the response needs the account.

    *retry_after* is that of a 429, in seconds.
    """
    name = fault.removesuffix("-once")
    if name == "502":
        headers = {"content-type": "text/html; charset=utf-8", "server": "proxy"}
        return SimulatedResponse(Response(502, headers, PROXY_PAGE))
    if name not in _ERRORS:
        return None
    code, message = _ERRORS[name]
    fields: Mapping[str, Mapping[str, object]] = {"429": {"retry_after": retry_after}, "422": {"details": []}}
    return error_response(int(name), code, message, **fields.get(name, {}))


@final
@frozen(kw_only=True)
class FaultShares:
    """The share of the requests, from 0 (the default) to 1, that have each random fault; together at most 1.

    *status_429*, *status_500*, *status_502* and *status_503* are refused with this status. Those that are *lost* or
    *slow* are carried out: their response is lost, or delayed by the `slow` of the sandbox.
    """

    status_429: float = field(default=0.0, validator=and_(ge(0), le(1)))
    status_500: float = field(default=0.0, validator=and_(ge(0), le(1)))
    status_502: float = field(default=0.0, validator=and_(ge(0), le(1)))
    status_503: float = field(default=0.0, validator=and_(ge(0), le(1)))
    lost: float = field(default=0.0, validator=and_(ge(0), le(1)))
    slow: float = field(default=0.0, validator=and_(ge(0), le(1)))

    def __attrs_post_init__(self) -> None:
        """Raise ValueError if the shares are more than 1 together."""
        if self.total > 1 + _ROUNDING:
            raise ValueError("the shares of the faults are more than 1 together")

    @classmethod
    def spread(cls, share: float) -> "FaultShares":
        """Return shares of *share* together, in equal parts for each fault except a slow response.

        Raises ValueError if *share* is not from 0 to 1.
        """
        if not 0 <= share <= 1:
            raise ValueError("the share of the faults must be from 0 to 1")
        return cls(**dict.fromkeys(_SPREAD_OVER, share / len(_SPREAD_OVER)))

    @property
    def total(self) -> float:
        """The share of the requests that have any fault."""
        return fsum(share for _, share in self.items())

    def items(self) -> tuple[tuple[Fault, float], ...]:
        """Return each fault with its share."""
        return (
            ("500", self.status_500),
            ("503", self.status_503),
            ("429", self.status_429),
            ("lost", self.lost),
            ("502", self.status_502),
            ("slow", self.slow),
        )

    def choose(self, drawn: float) -> Fault | None:
        """Return the fault of a request for which *drawn*, a random number from 0 to 1, was drawn; None for none."""
        bound = 0.0
        for fault, share in self.items():
            bound += share
            if drawn < bound:
                return fault
        return None


@final
@define(eq=False, repr=False)
class RandomFaults:
    """Random faults of requests; which ones have one depends on *seed*. The shares can be changed at any time."""

    _shares: FaultShares
    seed: int
    rate: float = field(init=False)  # of the requests that have a fault
    _names: dict[bytes, None] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Derive the rate."""
        self.rate = self._shares.total

    @property
    def shares(self) -> FaultShares:
        """The share of each fault."""
        return self._shares

    @shares.setter
    def shares(self, shares: FaultShares) -> None:
        self._shares, self.rate = shares, shares.total

    def draw(self, name: bytes) -> Fault | None:
        """Return the fault of the request called *name*; None for none, or if it had one before."""
        drawn = int.from_bytes(blake2b(name, digest_size=8, key=str(self.seed).encode()[:64]).digest(), "big")
        fault = self._shares.choose(drawn / 2**64)
        return fault if fault is not None and self.is_first(name) else None

    def is_first(self, name: bytes) -> bool:
        """Return whether *name* is new, and remember it."""
        if name in self._names:
            return False
        self._names[name] = None
        if len(self._names) > MAX_NAMES:
            del self._names[next(iter(self._names))]
        return True


@final
@frozen(kw_only=True)
class Timing:
    """After how many seconds a message is sent, delivered and read, each counted from the step before.

    The defaults are 0.5, 1.5 and 10 seconds.
    """

    sent: float = field(default=0.5, validator=ge(0))
    delivered: float = field(default=1.5, validator=ge(0))
    read: float = field(default=10.0, validator=ge(0))


@final
@frozen(cache_hash=True)
class DeliveryStep:
    """A status that a message gets *after* so many seconds; *reason* is why it failed or bounced."""

    after: float
    status: MessageStatus
    reason: str = ""


DeliverySteps: TypeAlias = tuple[DeliveryStep, ...]


@final
@frozen
class DeliveryOutcome:
    """A recipient for whom the delivery of every message has the same *effect*.

    It has a phone number that ends in *digits*, or without them an email address.
    """

    name: str
    effect: str
    digits: str = ""

    @property
    def phone(self) -> str:
        """The phone number of the recipient; empty if it has an email address."""
        return f"{_PHONE_PREFIX}{self.digits}" if self.digits else ""

    @property
    def email(self) -> str:
        """The email address of the recipient; empty if it has a phone number."""
        return "" if self.digits else f"{self.name}@ending.example"


_MAX_TTL: Final = 1e9  # seconds; so that every time is a valid date
FAIL_REASONS: Final = (
    "UNKNOWN_RCS_USER",
    "CARRIER_NOT_LAUNCHED",
    "MESSAGE_EXPIRED",
    "REJECTED_SPAM",
    "ACCOUNT_SUSPENDED",
)
"""Why the delivery of an RCS message fails."""
BOUNCE_REASONS: Final = ("bounce", "full")
"""Why an email bounces: permanently, or because the mailbox is full."""
DELIVERY_OUTCOMES: Final = (
    *(DeliveryOutcome(reason, f"fails with {reason}", f"{701 + at}") for at, reason in enumerate(FAIL_REASONS)),
    DeliveryOutcome("offline", "is sent and never delivered; expires with its ttl", "710"),
    DeliveryOutcome("unread", "is delivered and never read", "711"),
    DeliveryOutcome("bounce", "bounces permanently: hard, 550"),
    DeliveryOutcome("full", "bounces temporarily: soft, 452"),
    DeliveryOutcome("unread", "is delivered and never opened"),
    DeliveryOutcome("click", "is opened, and its link is clicked"),
    DeliveryOutcome("complain", "is opened, and reported as spam"),
    DeliveryOutcome("unsubscribe", "is opened, and unsubscribed from"),
)
"""Every recipient whose messages are accepted, and do not simply end as read."""

_OUTCOMES: Final[Mapping[str, str]] = {to: one.name for one in DELIVERY_OUTCOMES for to in (one.phone, one.email) if to}


def plan_delivery(entry: LogEntry, timing: Timing, ttl: float | None) -> DeliverySteps:
    """Return the steps of a queued message, which expires *ttl* seconds from now unless it is delivered."""
    steps = _plan(_OUTCOMES.get(entry.to, ""), timing)
    return steps if ttl is None else _expire(steps, ttl)


@lru_cache(maxsize=256)
def following(steps: DeliverySteps) -> DeliverySteps:
    """Return the steps after the first one: the same tuple for each message that has them, which saves memory."""
    return steps[1:]


@lru_cache(maxsize=64)
def _plan(outcome: str, timing: Timing) -> DeliverySteps:
    sent, delivered, read = (
        DeliveryStep(timing.sent, "SENT"),
        DeliveryStep(timing.delivered, "DELIVERED"),
        DeliveryStep(timing.read, "READ"),
    )
    if outcome in FAIL_REASONS:
        return (sent, DeliveryStep(timing.delivered, "FAILED", outcome))
    if outcome == "offline":
        return (sent,)
    if outcome in BOUNCE_REASONS:
        return (sent, DeliveryStep(timing.delivered, "BOUNCED", outcome))
    if outcome == "unread":
        return (sent, delivered)
    last: Mapping[str, MessageStatus] = {"click": "CLICKED", "complain": "COMPLAINED", "unsubscribe": "UNSUBSCRIBED"}
    return (sent, delivered, read, *([DeliveryStep(timing.read, last[outcome])] if outcome in last else ()))


def parse_ttl(ttl: str | None) -> float | None:
    """Return the seconds of a duration such as `900s` or `24h`, at most 10**9; None if it is None."""
    if ttl is None:
        return None
    return min(float(ttl[:-1]) * (3600 if ttl.endswith("h") else 1), _MAX_TTL)


def _expire(steps: DeliverySteps, ttl: float) -> DeliverySteps:
    # A message that is not delivered within its time to live expires instead.
    kept: list[DeliveryStep] = []
    elapsed = 0.0
    for step in steps:
        if elapsed + step.after >= ttl:
            break
        elapsed += step.after
        kept.append(step)
        if step.status == "DELIVERED":
            return steps
    return (*kept, DeliveryStep(ttl - elapsed, "EXPIRED"))
