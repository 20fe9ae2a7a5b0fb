"""Campaigns, and the progress of their runs.

Rules:
- The executions of a run are carried out one after the other, while it is running.
- A run sends nothing and costs nothing. The balance must cover its pending executions when it starts or resumes.
"""

from decimal import Decimal
from typing import Final, Literal, TypeAlias, final

from attrs import evolve, field, frozen
from attrs.validators import ge, gt

from .billing import check_amount

RunStatus: TypeAlias = Literal["RUNNING", "PAUSED", "PAUSED_ERROR", "PAUSED_BALANCE", "COMPLETED", "COMPLETED_PARTIAL"]
COMPLETED: Final = frozenset({"COMPLETED", "COMPLETED_PARTIAL"})
PAUSED: Final = frozenset({"PAUSED", "PAUSED_ERROR", "PAUSED_BALANCE"})
_RESOLUTION: Final = 1e-6  # seconds; a float of Unix seconds is no more precise


@final
@frozen(kw_only=True)
class Campaign:
    """A campaign of *executions* per run, each of which takes *seconds* and costs *price* in EUR.

    The defaults are 100 executions of 1 second and 0.07 EUR. *status* is its status before its first run. If
    *by_api* is False, the API does not trigger it.
    """

    campaign_id: str
    by_api: bool = True
    status: Literal["DRAFT", "SCHEDULED"] = "SCHEDULED"
    executions: int = field(default=100, validator=ge(1))
    seconds: float = field(default=1.0, validator=gt(0))
    price: Decimal = field(default=Decimal("0.07"), validator=check_amount)


@final
@frozen(kw_only=True)
class CampaignExecution:
    """One run of a *campaign*: *done* executions at the time *since*, of which *failed* have failed."""

    id: str
    campaign: Campaign
    since: float
    done: int = 0
    failed: int = 0
    status: RunStatus = "RUNNING"

    def at(self, now: float) -> "CampaignExecution":
        """Return the run as it is at *now*."""
        if self.status != "RUNNING":
            return self
        done = self.done + int(max(now - self.since + _RESOLUTION, 0.0) / self.campaign.seconds)
        if done >= self.campaign.executions:
            status: RunStatus = "COMPLETED_PARTIAL" if self.failed else "COMPLETED"
            return evolve(self, done=self.campaign.executions, status=status)
        return evolve(self, done=done, since=self.since + (done - self.done) * self.campaign.seconds)

    @property
    def completed(self) -> int:
        """The number of executions that have succeeded."""
        return self.done - self.failed

    @property
    def pending(self) -> int:
        """The number of executions that are not carried out yet."""
        return self.campaign.executions - self.done

    @property
    def pending_cost(self) -> Decimal:
        """The cost of the pending executions, in EUR."""
        return self.pending * self.campaign.price


CAMPAIGNS: Final = (
    Campaign(campaign_id="6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e01"),
    Campaign(campaign_id="6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e02", by_api=False),
    Campaign(campaign_id="6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e03", executions=10_000, price=Decimal(1)),
)
"""The campaigns of a new sandbox: one that the API triggers, one that it does not trigger, and an expensive one."""
