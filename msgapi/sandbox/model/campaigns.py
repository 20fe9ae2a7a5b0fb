"""Runs: the campaigns that were built in the dashboard, and how far a run of each is.

Rules:
- The executions of a run are done one after the other, as long as it is running.
- A run sends nothing and costs nothing; the balance has to cover what is pending when it begins or goes on.
"""

from decimal import Decimal
from typing import Final, Literal, TypeAlias, final

from attrs import evolve, field, frozen
from attrs.validators import ge, gt

from .prices import check_amount

Status: TypeAlias = Literal["RUNNING", "PAUSED", "PAUSED_ERROR", "PAUSED_BALANCE", "COMPLETED", "COMPLETED_PARTIAL"]
Planned: TypeAlias = Literal["DRAFT", "SCHEDULED"]
OVER: Final = frozenset({"COMPLETED", "COMPLETED_PARTIAL"})
_FINEST: Final = 1e-6  # seconds; a moment in Unix seconds is no finer than that
PAUSED: Final = frozenset({"PAUSED", "PAUSED_ERROR", "PAUSED_BALANCE"})


@final
@frozen(kw_only=True)
class Campaign:
    """A campaign: how many *executions* a run has, how many seconds and EUR *each* of them takes.

    *status* is the one that it has before its first run.
    """

    campaign_id: str
    by_api: bool = True
    status: Planned = "SCHEDULED"
    executions: int = field(default=100, validator=ge(1))
    seconds: float = field(default=1.0, validator=gt(0))
    price: Decimal = field(default=Decimal("0.07"), validator=check_amount)


@final
@frozen(kw_only=True)
class Run:
    """One run of a *campaign*: *done* executions at *since*, in Unix seconds, and the others from then on.

    *failed* of those that are done have failed.
    """

    id: str
    campaign: Campaign
    since: float
    done: int = 0
    failed: int = 0
    status: Status = "RUNNING"

    def at(self, now: float) -> "Run":
        """Tell how far the run is at *now*."""
        if self.status != "RUNNING":
            return self
        done = self.done + int(max(now - self.since + _FINEST, 0.0) / self.campaign.seconds)
        if done >= self.campaign.executions:
            status: Status = "COMPLETED_PARTIAL" if self.failed else "COMPLETED"
            return evolve(self, done=self.campaign.executions, status=status)
        return evolve(self, done=done, since=self.since + (done - self.done) * self.campaign.seconds)

    def counts(self) -> dict[str, int]:
        """Tell how many executions there are, and how many of them are how far."""
        completed = self.done - self.failed
        total = self.campaign.executions
        return {"total": total, "completed": completed, "pending": self.pending, "failed": self.failed}

    @property
    def pending(self) -> int:
        """How many executions are still to be done."""
        return self.campaign.executions - self.done

    @property
    def needed(self) -> Decimal:
        """What those that are pending would cost, in EUR."""
        return self.pending * self.campaign.price


CAMPAIGNS: Final = (
    Campaign(campaign_id="6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e01"),
    Campaign(campaign_id="6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e02", by_api=False),
    Campaign(campaign_id="6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e03", executions=10_000, price=Decimal(1)),
)
"""The campaigns that a new sandbox has: one that the API triggers, one that it does not, and one that is dear."""
