"""Endings: what becomes of a message after it was accepted, and when; the recipients that bring a bad one.

Rules:
- A recipient has the same ending every time; the numbers are from a range that is kept for fiction.
- The steps of a message follow from the message alone.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias, final

from attrs import field, frozen
from attrs.validators import ge

from .messages import Entry, Status


@final
@frozen(kw_only=True)
class Timing:
    """After how many seconds a message is sent, delivered and read, each counted from the step before."""

    sent: float = field(default=0.5, validator=ge(0))
    delivered: float = field(default=1.5, validator=ge(0))
    read: float = field(default=10.0, validator=ge(0))


@final
@frozen
class Step:
    """One step in the life of a message, *after* so many seconds; *reason* says why it failed or bounced."""

    after: float
    status: Status
    reason: str = ""


@final
@frozen
class Ending:
    """One kind of ending: the last three digits of its phone number, or the name of its email address."""

    name: str
    happens: str
    digits: str = ""

    @property
    def phone(self) -> str:
        """The phone number that has it; empty for an ending of email only."""
        return f"+447700900{self.digits}" if self.digits else ""

    @property
    def email(self) -> str:
        """The email address that has it; empty for an ending of RCS only."""
        return "" if self.digits else f"{self.name}@ending.example"


_LONGEST: Final = 1e9  # seconds; so that no moment is beyond the calendar
_REASONS: Final = ("UNKNOWN_RCS_USER", "CARRIER_NOT_LAUNCHED", "MESSAGE_EXPIRED", "REJECTED_SPAM", "ACCOUNT_SUSPENDED")
ENDINGS: Final = (
    *(Ending(reason, f"fails with {reason}", f"{701 + at}") for at, reason in enumerate(_REASONS)),
    Ending("offline", "is sent and never delivered; expires with its ttl", "710"),
    Ending("unread", "is delivered and never read", "711"),
    Ending("bounce", "bounces for good: hard, 550"),
    Ending("full", "bounces for now: soft, 452"),
    Ending("unread", "is delivered and never opened"),
    Ending("click", "is opened, and its link is clicked"),
    Ending("complain", "is opened, and reported as spam"),
    Ending("unsubscribe", "is opened, and unsubscribed from"),
)
"""Every recipient whose messages do not simply end as read."""

_BY_ADDRESS: Final[Mapping[str, str]] = {to: one.name for one in ENDINGS for to in (one.phone, one.email) if to}
Plan: TypeAlias = tuple[Step, ...]


def plan(entry: Entry, timing: Timing, ttl: float | None) -> Plan:
    """Tell the steps of a message that was just queued, which lapses *ttl* seconds from now unless delivered."""
    ending = _BY_ADDRESS.get(entry.to, "")
    sent, delivered, read = (
        Step(timing.sent, "SENT"),
        Step(timing.delivered, "DELIVERED"),
        Step(timing.read, "READ"),
    )
    if ending in _REASONS:
        steps: Plan = (sent, Step(timing.delivered, "FAILED", ending))
    elif ending == "offline":
        steps = (sent,)
    elif ending in {"bounce", "full"}:
        steps = (sent, Step(timing.delivered, "BOUNCED", ending))
    elif ending == "unread":
        steps = (sent, delivered)
    else:
        last: Mapping[str, Status] = {"click": "CLICKED", "complain": "COMPLAINED", "unsubscribe": "UNSUBSCRIBED"}
        steps = (sent, delivered, read, *([Step(timing.read, last[ending])] if ending in last else ()))
    return steps if ttl is None else _lapsing(steps, ttl)


def seconds(ttl: str | None) -> float | None:
    """Read a duration such as `900s` or `24h`, up to some thirty years; None if there is none."""
    if ttl is None:
        return None
    return min(float(ttl[:-1]) * (3600 if ttl.endswith("h") else 1), _LONGEST)


def _lapsing(steps: Plan, ttl: float) -> Plan:
    # What would come after the time to live, before the message is delivered, does not come.
    kept: list[Step] = []
    passed = 0.0
    for step in steps:
        if passed + step.after >= ttl:
            break
        passed += step.after
        kept.append(step)
        if step.status == "DELIVERED":
            return steps
    return (*kept, Step(ttl - passed, "EXPIRED"))
