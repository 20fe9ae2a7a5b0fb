"""The routes of campaigns: trigger, pause and resume a run, and show its progress (docs: /api/campaigns)."""

from typing import final

from attrs import evolve, frozen

from ..http.requests import RouteRequest
from ..http.responses import SimulatedResponse, error_response, json_response, not_found
from ..model.campaigns import COMPLETED, PAUSED, Campaign, CampaignExecution
from ..model.state import AccountState
from ..rules.acceptance import insufficient_balance


@final
@frozen(kw_only=True)
class Executions:
    """The number of executions of a run, and how many of them have succeeded, are pending, or have failed."""

    total: int
    completed: int
    pending: int
    failed: int


@final
@frozen(kw_only=True)
class CampaignStatusResponse:
    """The progress of a campaign; *run_id* is None before its first run."""

    campaign_id: str
    status: str
    run_id: str | None
    executions: Executions


def trigger(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Start a run."""
    campaign = state.campaigns.get(request.id)
    if campaign is None:
        return not_found("campaign")
    if not campaign.by_api:
        return error_response(409, "not_api_triggered", "This campaign is not triggered over the API.")
    before = state.run_of(request.id, request.now)
    if before is not None and before.status not in COMPLETED:
        return _wrong_state(before.status, "A run of this campaign is under way.")
    run = CampaignExecution(id=state.new_id("run_"), campaign=campaign, since=request.now)
    if run.pending_cost > state.wallet.free:
        return insufficient_balance(state.wallet.to_json(), run.pending_cost)
    state.set_run(run)
    return json_response({"run_id": run.id, "status": run.status}, 202)


def pause(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Pause the run; its pending executions wait."""
    campaign = state.campaigns.get(request.id)
    if campaign is None:
        return not_found("campaign")
    run = state.run_of(request.id, request.now)
    if run is None or run.status != "RUNNING":
        return _wrong_state(_status(campaign, run), "The campaign is not running.")
    state.set_run(evolve(run, status="PAUSED"))
    return json_response({"status": "PAUSED"})


def resume(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Resume a paused run, if the balance covers its pending executions."""
    campaign = state.campaigns.get(request.id)
    if campaign is None:
        return not_found("campaign")
    run = state.run_of(request.id, request.now)
    if run is None or run.status not in PAUSED:
        return _wrong_state(_status(campaign, run), "The campaign is not paused.")
    if run.pending_cost > state.wallet.free:
        return insufficient_balance(state.wallet.to_json(), run.pending_cost)
    state.set_run(evolve(run, status="RUNNING", since=request.now))
    return json_response({"status": "RUNNING"})


def show_status(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Return the status of a campaign, and the progress of its run."""
    campaign = state.campaigns.get(request.id)
    if campaign is None:
        return not_found("campaign")
    run = state.run_of(request.id, request.now)
    body = CampaignStatusResponse(
        campaign_id=campaign.campaign_id,
        status=_status(campaign, run),
        run_id=None if run is None else run.id,
        executions=_executions(run),
    )
    return json_response(body)


def _executions(run: CampaignExecution | None) -> Executions:
    if run is None:
        return Executions(total=0, completed=0, pending=0, failed=0)
    return Executions(total=run.campaign.executions, completed=run.completed, pending=run.pending, failed=run.failed)


def _status(campaign: Campaign, run: CampaignExecution | None) -> str:
    return campaign.status if run is None else run.status


def _wrong_state(status: str, message: str) -> SimulatedResponse:
    return error_response(409, "wrong_state", message, campaign_status=status)
