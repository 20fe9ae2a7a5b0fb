"""Campaigns: the routes that trigger, pause and resume a run, and tell how far it is (docs: /api/campaigns)."""

from typing import Literal

from attrs import evolve

from ..http.responses import Reply, refuse, say
from ..model.campaigns import OVER, PAUSED, Campaign, Run
from ..model.state import Ask, State
from ..rules.billing import short


def trigger(state: State, ask: Ask) -> Reply:
    """Begin a run."""
    campaign = state.campaigns.get(ask.id)
    if campaign is None:
        return _unknown()
    if not campaign.by_api:
        return refuse(409, "not_api_triggered", "This campaign is not triggered over the API.")
    before = _run(state, campaign, ask.now)
    if before is not None and before.status not in OVER:
        return _wrong_state(before.status, "A run of this campaign is under way.")
    run = Run(id=state.new_id("run_"), campaign=campaign, since=ask.now)
    if run.needed > state.purse.free:
        return short(state.purse.figures(), run.needed)
    state.runs[campaign.campaign_id] = run
    return say({"run_id": run.id, "status": run.status}, 202)


def pause(state: State, ask: Ask) -> Reply:
    """Pause the run; what is pending waits."""
    campaign = state.campaigns.get(ask.id)
    if campaign is None:
        return _unknown()
    if not halt(state, ask.id, "PAUSED", ask.now):
        return _wrong_state(_status(state, campaign, ask.now), "The campaign is not running.")
    return say({"status": "PAUSED"})


def resume(state: State, ask: Ask) -> Reply:
    """Let a paused run go on with what is pending, if the balance covers it."""
    campaign = state.campaigns.get(ask.id)
    if campaign is None:
        return _unknown()
    run = _run(state, campaign, ask.now)
    if run is None or run.status not in PAUSED:
        return _wrong_state(_status(state, campaign, ask.now), "The campaign is not paused.")
    if run.needed > state.purse.free:
        return short(state.purse.figures(), run.needed)
    state.runs[ask.id] = evolve(run, status="RUNNING", since=ask.now)
    return say({"status": "RUNNING"})


def status(state: State, ask: Ask) -> Reply:
    """Tell the state of a campaign, and how many executions its run has and has done."""
    campaign = state.campaigns.get(ask.id)
    if campaign is None:
        return _unknown()
    run = _run(state, campaign, ask.now)
    counts = dict.fromkeys(("total", "completed", "pending", "failed"), 0) if run is None else run.counts()
    run_id = None if run is None else run.id
    said = {"campaign_id": campaign.campaign_id, "status": _status(state, campaign, ask.now), "run_id": run_id}
    return say({**said, "executions": counts})


def halt(
    state: State, campaign_id: str, status: Literal["PAUSED", "PAUSED_ERROR", "PAUSED_BALANCE"], now: float
) -> bool:
    """Let a run stop for the reason that *status* tells, as the service itself may; False if none is running."""
    run = _running(state, campaign_id, now)
    if run is None:
        return False
    state.runs[campaign_id] = evolve(run, status=status)
    return True


def fail_some(state: State, campaign_id: str, count: int, now: float) -> bool:
    """Let *count* of the pending executions of a run fail; False if none is running, or fewer are pending."""
    run = _running(state, campaign_id, now)
    if run is None or not 1 <= count <= run.pending:
        return False
    state.runs[campaign_id] = evolve(run, done=run.done + count, failed=run.failed + count)
    return True


def _running(state: State, campaign_id: str, now: float) -> Run | None:
    campaign = state.campaigns.get(campaign_id)
    run = None if campaign is None else _run(state, campaign, now)
    return run if run is not None and run.status == "RUNNING" else None


def _run(state: State, campaign: Campaign, now: float) -> Run | None:
    run = state.runs.get(campaign.campaign_id)
    return None if run is None else run.at(now)


def _status(state: State, campaign: Campaign, now: float) -> str:
    run = _run(state, campaign, now)
    return campaign.status if run is None else run.status


def _unknown() -> Reply:
    return refuse(404, "not_found", "There is no such campaign.")


def _wrong_state(status: str, message: str) -> Reply:
    return refuse(409, "wrong_state", message, campaign_status=status)
