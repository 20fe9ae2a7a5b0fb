"""Campaigns: run campaigns that were built in the dashboard (docs: /api/campaigns).

The docs show no route that lists or creates campaigns.
"""

from collections.abc import Mapping
from typing import Final, final

from attrs import field

from .calls import Call, new_key
from .models import frozen
from .schema.mapping import map_answer
from .schema.requests import build_call

__all__ = [
    "CampaignRun",
    "CampaignStatus",
    "pause",
    "resume",
    "status",
    "trigger",
]

_ONE: Final = "/v1/campaigns/{campaign_id}"


@final
@frozen(kw_only=True)
class CampaignRun:
    """An accepted run of a campaign."""

    run_id: str
    status: str = "RUNNING"
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class CampaignStatus:
    """The *status* of a campaign. Other fields of the answer, such as counts, are in *extra*.

    *status* is `DRAFT`, `SCHEDULED`, `RUNNING`, `PAUSED`, `PAUSED_ERROR`, `PAUSED_BALANCE`, `COMPLETED` or
    `COMPLETED_PARTIAL`; the service may add more. It is None if the answer has none. The docs do not show the names
    of the counts.
    """

    status: str | None = None
    extra: Mapping[str, object] = field(factory=dict, hash=False)


@final
@frozen(kw_only=True)
class _Trigger:
    idempotency_key: str


def trigger(campaign_id: str, *, idempotency_key: str | None = None) -> Call[CampaignRun]:
    """Return the call that starts a run of a campaign (docs: /api/campaigns). It may be repeated.

    *idempotency_key* defaults to a new UUID. It is sent in the header and in the body, where the docs show it. For
    24 hours, the same key returns the same run. If the key is not valid, the call returns `Invalid` with details
    and is not sent. A balance that is too low is `InsufficientBalance`; a campaign that is running, or that is not
    triggered through the API, is `Conflict`; an unknown id is `NotFound`.
    """
    key = new_key() if idempotency_key is None else idempotency_key
    params, body = {"campaign_id": campaign_id}, _Trigger(idempotency_key=key)
    return build_call("POST", f"{_ONE}/trigger", CampaignRun, path_params=params, body=body, idempotency_key=key)


def pause(campaign_id: str) -> Call[CampaignStatus]:
    """Return the call that pauses a campaign (docs: /api/campaigns).

    A campaign that is paused or finished is `Conflict`. The call is not repeated automatically once a byte may have
    been sent.
    """
    return build_call("POST", f"{_ONE}/pause", CampaignStatus, path_params={"campaign_id": campaign_id})


def resume(campaign_id: str) -> Call[CampaignStatus]:
    """Return the call that resumes a paused campaign (docs: /api/campaigns).

    The service checks the balance again, then continues with pending executions only; nothing is sent twice. The
    call is not repeated automatically once a byte may have been sent.
    """
    return build_call("POST", f"{_ONE}/resume", CampaignStatus, path_params={"campaign_id": campaign_id})


def status(campaign_id: str) -> Call[CampaignStatus]:
    """Return the call that reads the status of a campaign (docs: /api/campaigns).

    It may be repeated. An unknown id is `NotFound`.
    """
    return build_call("GET", f"{_ONE}/status", CampaignStatus, path_params={"campaign_id": campaign_id})


map_answer(CampaignStatus, aliases={"state": "status"})
