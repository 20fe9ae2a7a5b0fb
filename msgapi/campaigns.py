"""Campaigns: running those that were built in the dashboard (docs: /api/campaigns).

The docs show no route that lists or makes campaigns.
"""

from collections.abc import Mapping
from typing import Final, final

from attrs import field, frozen

from .calls import Call, new_key
from .schema.requests import build_call
from .schema.undocumented import allow_undocumented

__all__ = [
    "CampaignProgress",
    "CampaignRun",
    "pause",
    "resume",
    "status",
    "trigger",
]

_ONE: Final = "/v1/campaigns/{campaign_id}"


@final
@frozen(kw_only=True)
class CampaignRun:
    """One run of a campaign was accepted."""

    run_id: str
    status: str = "RUNNING"


@final
@frozen(kw_only=True)
class CampaignProgress:
    """The *status* of a campaign, if the answer has it, and in *extra* what else came, such as counts.

    The status is `DRAFT`, `SCHEDULED`, `RUNNING`, `PAUSED`, `PAUSED_ERROR`, `PAUSED_BALANCE`, `COMPLETED` or
    `COMPLETED_PARTIAL`; more may come. The docs don't show the names of the counts.
    """

    status: str | None = None
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class _Trigger:
    idempotency_key: str


def trigger(campaign_id: str, *, idempotency_key: str | None = None) -> Call[CampaignRun]:
    """Make the call that starts a run of a campaign.

    The *idempotency_key*, a fresh UUID if none is given, goes into the header and into the body,
    where the docs show it: for 24 hours the same key gives the same run. So it may be repeated.
    """
    name = new_key() if idempotency_key is None else idempotency_key
    body = _Trigger(idempotency_key=name)
    return build_call(
        "POST", f"{_ONE}/trigger", CampaignRun, ids={"campaign_id": campaign_id}, body=body, idempotency_key=name
    )


def pause(campaign_id: str) -> Call[CampaignProgress]:
    """Make the call that pauses a campaign; `Conflict` if it is paused or finished. Never repeated by itself."""
    return build_call("POST", f"{_ONE}/pause", CampaignProgress, ids={"campaign_id": campaign_id})


def resume(campaign_id: str) -> Call[CampaignProgress]:
    """Make the call that lets a paused campaign go on with what is pending; nothing is sent a second time.

    The balance is checked again first. Never repeated by itself.
    """
    return build_call("POST", f"{_ONE}/resume", CampaignProgress, ids={"campaign_id": campaign_id})


def status(campaign_id: str) -> Call[CampaignProgress]:
    """Make the call that reads how far a campaign is."""
    return build_call("GET", f"{_ONE}/status", CampaignProgress, ids={"campaign_id": campaign_id})


allow_undocumented(CampaignProgress, same={"state": "status"})
