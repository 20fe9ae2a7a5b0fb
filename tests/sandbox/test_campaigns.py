"""Campaigns of the sandbox: trigger, pause and resume a run, and its progress."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import Conflict, InsufficientBalance, NotFound, campaigns
from msgapi.sandbox.model.campaigns import CAMPAIGNS, Campaign, CampaignExecution
from msgapi.sandbox.rules.controls import halt
from tests.support.sandbox_calls import call, done, post
from tests.support.sandbox_requests import NOW, fields_of, get, refusal, refused, said, still

ONE, NOT_BY_API, DEAR = (campaign.campaign_id for campaign in CAMPAIGNS)
DAY = 86_400.0


def counts(box: Any, *, now: float) -> tuple[str | None, int, int]:  # noqa: ANN401 - a sandbox
    found = done(box, campaigns.status(ONE), now=now)
    executions: Any = found.extra["executions"]
    assert executions["total"] == executions["completed"] + executions["pending"] + executions["failed"]
    return found.status, executions["completed"], executions["pending"]


def test_a_campaign_is_triggered_and_runs_to_its_end() -> None:
    box = still()
    assert counts(box, now=NOW) == ("SCHEDULED", 0, 0)
    answer = post(box, f"/v1/campaigns/{ONE}/trigger")
    assert answer.status == 202
    run = said(answer)
    assert run == {"run_id": run["run_id"], "status": "RUNNING"}
    assert said(get(box, f"/v1/campaigns/{ONE}/status", now=NOW + 10.5)) == {
        "campaign_id": ONE,
        "status": "RUNNING",
        "run_id": run["run_id"],
        "executions": {"total": 100, "completed": 10, "pending": 90, "failed": 0},
    }
    assert counts(box, now=NOW + 99.9) == ("RUNNING", 99, 1)
    assert counts(box, now=NOW + 100) == ("COMPLETED", 100, 0)
    assert counts(box, now=NOW - 100) == ("RUNNING", 0, 100)
    again = done(box, campaigns.trigger(ONE), now=NOW + 100)
    assert again.run_id != run["run_id"]
    assert counts(box, now=NOW + 100) == ("RUNNING", 0, 100)


def test_the_same_key_in_header_or_body_is_the_same_run_for_a_day() -> None:
    box = still()
    target = f"/v1/campaigns/{ONE}/trigger"
    ways: list[tuple[Any, str | None]] = [(None, "spring"), ({}, "spring"), ({"idempotency_key": "spring"}, None)]
    runs = {said(post(box, target, body, key=key, now=NOW + 60))["run_id"] for body, key in ways * 2}
    assert len(runs) == 1
    assert said(post(box, target, key="spring", now=NOW + DAY))["run_id"] in runs
    assert said(post(box, target, key="spring", now=NOW + 60 + DAY))["run_id"] not in runs


def test_the_same_key_on_two_campaigns_is_two_operations() -> None:
    box = still(balance=Decimal(20_000))
    runs = {said(post(box, f"/v1/campaigns/{one}/trigger", key="k"))["run_id"] for one in (ONE, DEAR)}
    assert len(runs) == 2


def test_a_campaign_that_runs_or_is_paused_is_not_triggered_again() -> None:
    box = still()
    _ = done(box, campaigns.trigger(ONE))
    assert refusal(post(box, f"/v1/campaigns/{ONE}/trigger")) == (409, "wrong_state")
    assert done(box, campaigns.pause(ONE)).status == "PAUSED"
    assert refusal(post(box, f"/v1/campaigns/{ONE}/trigger")) == (409, "wrong_state")


def test_a_campaign_that_the_api_does_not_trigger_is_refused() -> None:
    box = still()
    assert refusal(post(box, f"/v1/campaigns/{NOT_BY_API}/trigger")) == (409, "not_api_triggered")
    assert isinstance(call(box, campaigns.pause(NOT_BY_API)), Conflict)


def test_an_unknown_campaign_is_not_found() -> None:
    box = still()
    for made in (campaigns.trigger("x"), campaigns.pause("x"), campaigns.resume("x"), campaigns.status("x")):
        assert isinstance(call(box, made), NotFound)
    assert refused(halt, box.account.state, "x", "PAUSED_ERROR", NOW)


def test_a_paused_run_waits_and_resumes_where_it_was() -> None:
    box = still()
    _ = done(box, campaigns.trigger(ONE))
    assert said(post(box, f"/v1/campaigns/{ONE}/pause", {}, now=NOW + 40)) == {"status": "PAUSED"}
    assert counts(box, now=NOW + 1000) == ("PAUSED", 40, 60)
    refused = call(box, campaigns.pause(ONE), now=NOW + 1000)
    assert isinstance(refused, Conflict)
    assert (refused.code, refused.extra) == ("wrong_state", {"campaign_status": "PAUSED"})
    assert done(box, campaigns.resume(ONE), now=NOW + 1000).status == "RUNNING"
    assert counts(box, now=NOW + 1059) == ("RUNNING", 99, 1)
    assert counts(box, now=NOW + 1060) == ("COMPLETED", 100, 0)
    for made in (campaigns.pause(ONE), campaigns.resume(ONE)):
        late = call(box, made, now=NOW + 1060)
        assert isinstance(late, Conflict)
        assert late.extra == {"campaign_status": "COMPLETED"}


def test_only_a_paused_campaign_is_resumed() -> None:
    box = still()
    assert isinstance(call(box, campaigns.resume(ONE)), Conflict)
    _ = done(box, campaigns.trigger(ONE))
    assert isinstance(call(box, campaigns.resume(ONE)), Conflict)


def test_the_balance_must_cover_the_pending_executions_when_a_run_starts_or_resumes() -> None:
    box = still(balance=Decimal(7))
    refused = call(box, campaigns.trigger(DEAR))
    assert isinstance(refused, InsufficientBalance)
    assert refused.required_amount == 10_000
    assert refused.balance is not None
    assert refused.balance.free == 7
    _ = done(box, campaigns.trigger(ONE))
    _ = done(box, campaigns.pause(ONE), now=NOW + 50)
    box.account.state.wallet.free = Decimal("3.49")
    short = call(box, campaigns.resume(ONE), now=NOW + 60)
    assert isinstance(short, InsufficientBalance)
    assert short.required_amount == Decimal("3.5")
    box.top_up(Decimal("0.01"))
    assert done(box, campaigns.resume(ONE), now=NOW + 60).status == "RUNNING"


@pytest.mark.parametrize("status", ["PAUSED_ERROR", "PAUSED_BALANCE"])
def test_a_run_that_the_service_has_stopped_can_be_resumed(status: Any) -> None:  # noqa: ANN401
    box = still()
    _ = done(box, campaigns.trigger(ONE))
    halt(box.account.state, ONE, status, NOW + 5)
    assert refused(halt, box.account.state, ONE, status, NOW + 5)
    assert counts(box, now=NOW + 9) == (status, 5, 95)
    assert done(box, campaigns.resume(ONE), now=NOW + 9).status == "RUNNING"


def test_the_problems_of_a_trigger_are_returned() -> None:
    box = still()
    target = f"/v1/campaigns/{ONE}/trigger"
    assert fields_of(post(box, target, {"contact_id": "c_1"})) == ["contact_id"]
    assert fields_of(post(box, target, {"idempotency_key": 7})) == ["idempotency_key"]
    assert fields_of(post(box, target, {"idempotency_key": "a"}, key="b")) == ["idempotency_key"]
    assert fields_of(post(box, target, b"[]")) == [""]


_STEPS = st.lists(st.tuples(st.sampled_from(["trigger", "pause", "resume", "status"]), st.integers(0, 70)), max_size=30)


@given(_STEPS)
def test_the_progress_of_a_run_never_decreases_and_never_exceeds_its_executions(steps: list[tuple[str, int]]) -> None:
    box, now, before = still(), NOW, 0
    for verb, seconds in steps:
        now += seconds / 2
        begun = post(box, f"/v1/campaigns/{ONE}/{verb}", now=now).status == 202 if verb != "status" else False
        status, completed, pending = counts(box, now=now)
        assert completed >= (0 if begun else before)
        assert (status == "COMPLETED") == (completed == 100)
        assert pending >= 0
        before = completed


@pytest.mark.parametrize("seconds", [0.1, 0.3, 1.0, 7.0])
def test_an_execution_is_complete_when_its_time_has_passed(seconds: float) -> None:
    campaign = Campaign(campaign_id="c", executions=10, seconds=seconds)
    run = CampaignExecution(id="run_1", campaign=campaign, since=NOW + 0.7)
    for count in range(1, 11):
        assert run.at(NOW + 0.7 + count * seconds).done == count
        assert run.at(NOW + 0.7 + count * seconds - seconds / 2).done == count - 1
    assert run.at(NOW + 0.7 + 10 * seconds).status == "COMPLETED"
