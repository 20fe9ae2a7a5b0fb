"""Agents of the sandbox: from the draft and the review to the launch, and their sends."""

from typing import Any

import pytest

from msgapi import Conflict, NotFound, Unprocessable, agents
from msgapi.agents import AgentChanges, NewAgent
from msgapi.sandbox import Sandbox, SandboxAgent
from msgapi.sandbox.model.agents import CarrierDecision
from msgapi.sandbox.rules.controls import approve, launch, reject
from tests.support.sandbox_calls import call, done, emitted, post
from tests.support.sandbox_requests import (
    NOW,
    TO,
    delete,
    fields_of,
    get,
    refusal,
    refused,
    said,
    send,
    still,
    subscribe,
    text,
)

VODAFONE = CarrierDecision(carrier="vodafone_de")

MOMENT = "2026-05-04T00:00:00.000Z"
NEW = NewAgent(
    display_name="Shop",
    region="EUROPE",
    billing_category="CONVERSATIONAL",
    use_case="MULTI_USE",
    newsletter_enabled=True,
)
PROFILE: dict[str, Any] = {
    "description": "A shop",
    "color": "#000000",
    "logo_url": "https://shop.example/logo.png",
    "banner_url": "https://shop.example/banner.png",
    "website": "https://shop.example",
    "privacy_policy_url": "https://shop.example/privacy",
    "terms_of_service_url": "https://shop.example/terms",
}


def draft(box: Sandbox, made: NewAgent = NEW, **profile: Any) -> str:  # noqa: ANN401 - those of `AgentChanges`
    name = done(box, agents.create(made)).agent_id
    return done(box, agents.update(name, AgentChanges(**{**PROFILE, **profile}))).agent_id


def pending(box: Sandbox, made: NewAgent = NEW) -> str:
    return done(box, agents.submit(draft(box, made))).agent_id


def approved(box: Sandbox, made: NewAgent = NEW) -> str:
    name = approve(box.account.state, pending(box, made), NOW)
    assert name is not None
    return name


def test_a_new_agent_is_a_draft() -> None:
    box = still()
    body = {"display_name": "Shop", "region": "EUROPE", "billing_category": "CONVERSATIONAL", "use_case": "OTP"}
    answer = post(box, "/v1/rcs/agents", body)
    assert answer.status == 201
    agent = said(answer)
    assert agent == {
        "agent_id": agent["agent_id"],
        "status": "DRAFT",
        **body,
        "newsletter_enabled": False,
        "created_at": MOMENT,
    }
    assert agent["agent_id"].startswith("ag_draft_")
    assert said(get(box, answer.headers["location"])) == {
        "agent_id": agent["agent_id"],
        "status": "DRAFT",
        "created_at": MOMENT,
    }


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["display_name", "region", "billing_category", "use_case"]),
        (
            {
                "display_name": "",
                "region": "ASIA",
                "billing_category": "x",
                "use_case": "NONE",
                "newsletter_enabled": True,
            },
            ["display_name", "region", "billing_category", "use_case"],
        ),
        (
            {
                "display_name": "A",
                "region": "EUROPE",
                "billing_category": "CONVERSATIONAL",
                "use_case": "OTP",
                "color": "",
            },
            ["color"],
        ),
    ],
)
def test_the_problems_of_a_new_agent_are_returned(body: object, fields: list[str]) -> None:
    assert fields_of(post(still(), "/v1/rcs/agents", body)) == fields


def test_a_draft_is_changed_field_by_field() -> None:
    box = still()
    name = draft(box)
    changed = done(box, agents.update(name, AgentChanges(display_name="Other", color="#111111")))
    assert (changed.display_name, changed.color, changed.website) == ("Other", "#111111", "https://shop.example")
    answer = post(box, f"/v1/rcs/agents/{name}", {"color": "#ffffff", "use_case": "OTP"}, method="PATCH")
    assert fields_of(answer) == ["use_case", "color"]
    assert fields_of(post(box, f"/v1/rcs/agents/{name}", {}, method="PATCH")) == [""]


@pytest.mark.parametrize("body", [None, b"", {}])
def test_a_complete_draft_goes_under_review(body: object) -> None:
    box = still()
    name = draft(box)
    answer = post(box, f"/v1/rcs/agents/{name}/submit", body)
    assert answer.status == 202
    assert said(answer) == {
        "agent_id": name,
        "status": "PENDING_REVIEW",
        "submitted_at": MOMENT,
        "estimated_review_days": "5–10",  # noqa: RUF001 - the docs have this dash
    }
    assert said(get(box, f"/v1/rcs/agents/{name}")) == {
        "agent_id": name,
        "status": "PENDING_REVIEW",
        "submitted_at": MOMENT,
    }


def test_a_submission_has_no_fields() -> None:
    box = still()
    assert fields_of(post(box, f"/v1/rcs/agents/{draft(box)}/submit", {"now": True})) == ["now"]


def test_the_fields_that_a_draft_lacks_for_its_review_are_returned() -> None:
    box = still()
    name = done(box, agents.create(NEW)).agent_id
    refused = call(box, agents.submit(name))
    assert isinstance(refused, Unprocessable)
    assert refused.code == "agent_incomplete"
    missing = {"description", "color", "logo_url", "banner_url", "privacy_policy_url", "terms_of_service_url", "phone"}
    assert {detail.field for detail in refused.details} == missing
    _ = done(box, agents.update(name, AgentChanges(**{**PROFILE, "website": None, "email": "a@shop.example"})))
    assert done(box, agents.submit(name)).status == "PENDING_REVIEW"


def test_only_a_draft_or_a_rejected_agent_is_changed_or_submitted() -> None:
    box = still()
    live, waiting = approved(box), pending(box)
    for name, status in ((live, "APPROVED"), (waiting, "PENDING_REVIEW"), ("ag_live_demo", "APPROVED")):
        for made in (agents.update(name, AgentChanges(display_name="x")), agents.submit(name)):
            refused = call(box, made)
            assert isinstance(refused, Conflict)
            assert (refused.code, refused.extra) == ("wrong_state", {"agent_status": status})


def test_an_unknown_agent_is_not_found() -> None:
    box = still()
    for made in (
        agents.get("ag_none"),
        agents.update("ag_none", AgentChanges(color="#000000")),
        agents.submit("ag_none"),
        agents.launch_status("ag_none"),
    ):
        assert isinstance(call(box, made), NotFound)
    state = box.account.state
    assert refused(approve, state, "ag_none", NOW)
    assert refused(reject, state, "ag_none", "x", NOW)
    assert refused(launch, state, "ag_none", VODAFONE, NOW)


def test_a_rejected_agent_keeps_its_id_and_may_be_submitted_again() -> None:
    box = still()
    name = pending(box)
    reject(box.account.state, name, "The logo is blurred.", NOW + 5)
    moment = "2026-05-04T00:00:05.000Z"
    assert said(get(box, f"/v1/rcs/agents/{name}")) == {
        "agent_id": name,
        "status": "REJECTED",
        "rejection_reason": "The logo is blurred.",
        "rejected_at": moment,
    }
    assert emitted(box, "agent.rejected") == [
        {"agent_id": name, "display_name": "Shop", "rejected_at": moment, "reason": "The logo is blurred."}
    ]
    assert refused(reject, box.account.state, name, "x", NOW)
    assert refused(approve, box.account.state, name, NOW)
    changed = done(box, agents.update(name, AgentChanges(logo_url="https://shop.example/sharp.png")))
    assert changed.rejection_reason == "The logo is blurred."
    assert done(box, agents.submit(name)).status == "PENDING_REVIEW"
    live = approve(box.account.state, name, NOW)
    assert "rejection_reason" not in said(get(box, f"/v1/rcs/agents/{live}"))


def test_an_approved_agent_has_a_new_id_and_the_old_one_refers_to_it() -> None:
    box = still()
    name = pending(box)
    live = approve(box.account.state, name, NOW)
    assert live.startswith("ag_live_")
    expected = {
        "agent_id": live,
        "status": "APPROVED",
        "display_name": "Shop",
        "description": "A shop",
        "logo_url": "https://shop.example/logo.png",
        "website": "https://shop.example",
        "region": "EUROPE",
        "use_case": "MULTI_USE",
        "billing_category": "CONVERSATIONAL",
        "newsletter_enabled": True,
        "approved_at": MOMENT,
        "created_at": MOMENT,
    }
    assert [said(get(box, f"/v1/rcs/agents/{one}")) for one in (live, name)] == [expected, expected]
    assert emitted(box, "agent.approved") == [{"agent_id": live, "display_name": "Shop", "approved_at": MOMENT}]


def test_an_agent_is_launched_carrier_by_carrier() -> None:
    box = still()
    waiting, live = pending(box), approved(box)
    assert isinstance(call(box, agents.launch_status(waiting)), Conflict)
    assert refused(launch, box.account.state, waiting, CarrierDecision(carrier="telekom_de"), NOW)
    before = done(box, agents.launch_status(live))
    assert [(one.carrier, one.status, one.launched_at) for one in before.carriers] == [
        ("vodafone_de", "UNLAUNCHED", None),
        ("telekom_de", "UNLAUNCHED", None),
        ("telefonica_de", "UNLAUNCHED", None),
    ]
    assert refused(launch, box.account.state, live, CarrierDecision(carrier="nobody_de"), NOW)
    for later in (0, 9):
        launch(box.account.state, live, CarrierDecision(carrier="telekom_de"), NOW + later)
    assert said(get(box, f"/v1/rcs/agents/{live}/launch")) == {
        "agent_id": live,
        "agent_status": "APPROVED",
        "carriers": [
            {"carrier": "vodafone_de", "status": "UNLAUNCHED", "launched_at": None},
            {"carrier": "telekom_de", "status": "LAUNCHED", "launched_at": MOMENT},
            {"carrier": "telefonica_de", "status": "UNLAUNCHED", "launched_at": None},
        ],
    }


def test_an_agent_created_over_the_api_sends_after_approval_and_launch() -> None:
    box = still()
    name = draft(box)
    assert refusal(send(box, text(agent_id=name))) == (403, "agent_not_approved")
    assert done(box, agents.submit(name)).agent_id == name
    assert said(send(box, text(agent_id=name)))["agent_status"] == "PENDING_REVIEW"
    live = approve(box.account.state, name, NOW)
    assert refusal(send(box, text(agent_id=live))) == (403, "agent_not_launched")
    launch(box.account.state, live, VODAFONE, NOW)
    newsletter = text(agent_id=live, message_type="NEWSLETTER", traffic_type="PROMOTION")
    _ = subscribe(box)
    assert [send(box, text(agent_id=live)).status, send(box, newsletter).status] == [200, 200]
    assert {entry.sender for entry in box.messages} == {live}
    assert refusal(send(box, {**newsletter, "agent_id": name})) == (429, "newsletter_daily_cap")
    assert said(send(box, text(agent_id=name)))["status"] == "queued"
    assert {entry.sender for entry in box.messages} == {live}
    assert delete(box, box.messages[0].id).status == 200


def test_the_use_case_of_an_agent_limits_what_it_sends() -> None:
    box = still()
    made = NewAgent(display_name="P", region="EUROPE", billing_category="NON_CONVERSATIONAL", use_case="PROMOTIONAL")
    live = approved(box, made)
    launch(box.account.state, live, VODAFONE, NOW)
    assert refusal(send(box, text(agent_id=live))) == (422, "traffic_type_not_allowed")
    newsletter = text(agent_id=live, message_type="NEWSLETTER", traffic_type="PROMOTION")
    assert refusal(send(box, newsletter)) == (403, "newsletter_not_enabled")
    assert send(box, {**newsletter, "message_type": "MESSAGE"}).status == 200


@pytest.mark.parametrize("status", ["DRAFT", "PENDING_REVIEW", "APPROVED", "REJECTED"])
def test_an_agent_that_a_sandbox_starts_with_has_the_fields_of_its_status(status: Any) -> None:  # noqa: ANN401
    box = still(agents=[SandboxAgent(agent_id="ag_mine", channel_id="ch_mine", status=status, launched=False)])
    agent = done(box, agents.get("ag_mine"))
    moments = {
        "DRAFT": "created_at",
        "PENDING_REVIEW": "submitted_at",
        "APPROVED": "approved_at",
        "REJECTED": "rejected_at",
    }
    assert getattr(agent, moments[status]) is not None
    assert agent.status == status
    assert (agent.rejection_reason is None) == (status != "REJECTED")
    assert done(box, agents.get("ag_mine")) == agent


def test_the_agents_of_a_new_sandbox_are_launched_on_all_carriers_or_on_none() -> None:
    box = still()
    assert {one.status for one in done(box, agents.launch_status("ag_live_demo")).carriers} == {"LAUNCHED"}
    assert {one.status for one in done(box, agents.launch_status("ag_live_unlaunched")).carriers} == {"UNLAUNCHED"}
    assert send(box, text(to=TO)).status == 200
