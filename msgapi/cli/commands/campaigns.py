"""The commands `msgapi campaigns status`, `trigger`, `pause` and `resume`."""

import click

from ... import campaigns, codec
from ...campaigns import CampaignStatus
from ..connection import run_call
from ..options import json_option, key_option, sandbox_option
from ..output import outline


@click.command
@click.argument("campaign_id")
@json_option
@sandbox_option
def status(*, campaign_id: str, json: bool, sandbox: bool) -> int:
    """Show the status of a campaign and its counts."""
    return run_call(campaigns.status(campaign_id), _lines, json=json, sandbox=sandbox)


@click.command
@click.argument("campaign_id")
@key_option
@json_option
@sandbox_option
def trigger(*, campaign_id: str, idempotency_key: str | None, json: bool, sandbox: bool) -> int:
    """Start a run of a campaign.

    The campaign must be one that is triggered over the API. A command that is repeated with its --idempotency-key
    within 24 hours starts no second run.
    """
    call = campaigns.trigger(campaign_id, idempotency_key=idempotency_key)
    return run_call(call, lambda run: f"{run.status.lower()}: run {run.run_id}", json=json, sandbox=sandbox)


@click.command
@click.argument("campaign_id")
@json_option
@sandbox_option
def pause(*, campaign_id: str, json: bool, sandbox: bool) -> int:
    """Pause a running campaign."""
    return run_call(campaigns.pause(campaign_id), _lines, json=json, sandbox=sandbox)


@click.command
@click.argument("campaign_id")
@json_option
@sandbox_option
def resume(*, campaign_id: str, json: bool, sandbox: bool) -> int:
    """Resume a paused campaign.

    The service checks the balance first, and sends only what is pending.
    """
    return run_call(campaigns.resume(campaign_id), _lines, json=json, sandbox=sandbox)


def _lines(found: CampaignStatus) -> str:
    return outline(codec.to_dict(found)) or "done"
