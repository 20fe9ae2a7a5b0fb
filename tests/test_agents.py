"""agents: what is sent, what is refused before it is sent, and what is returned."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import Call, agents
from msgapi.agents import AgentChanges, NewAgent
from tests.support.call_bodies import answered, route, sent, wrong

NEW = NewAgent(display_name="Shop", region="EUROPE", billing_category="CONVERSATIONAL", use_case="OTP")


def test_an_agent_is_created() -> None:
    call = agents.create(NEW)
    assert route(call) == ("POST", "/v1/rcs/agents")
    assert sent(call) == {
        "display_name": "Shop",
        "region": "EUROPE",
        "billing_category": "CONVERSATIONAL",
        "use_case": "OTP",
        "newsletter_enabled": False,
    }
    assert not call.repeatable


def test_every_field_of_a_new_agent_is_checked() -> None:
    bad: Any = {
        "display_name": "",
        "region": "MOON",
        "billing_category": "FREE",
        "use_case": "SPAM",
        "newsletter_enabled": "yes",
    }
    assert set(wrong(agents.create(NewAgent(**bad)))) == set(bad)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (agents.get("ag_1"), ("GET", "/v1/rcs/agents/ag_1")),
        (agents.update("ag_1", AgentChanges(color="#1a2b3c")), ("PATCH", "/v1/rcs/agents/ag_1")),
        (agents.submit("ag_1"), ("POST", "/v1/rcs/agents/ag_1/submit")),
        (agents.launch_status("ag_1"), ("GET", "/v1/rcs/agents/ag_1/launch")),
    ],
)
def test_the_id_is_in_the_path(call: Call[object], expected: tuple[str, str]) -> None:
    assert route(call) == expected


def test_every_change_is_checked() -> None:
    bad: Any = {
        "display_name": "",
        "description": "<b>",
        "color": "blue",
        "logo_url": "http://shop.example/logo.png",
        "banner_url": "ftp://shop.example",
        "phone": "0151",
        "email": "nobody",
        "website": "shop",
        "privacy_policy_url": "shop",
        "terms_of_service_url": "shop",
    }
    assert set(wrong(agents.update("ag_1", AgentChanges(**bad)))) == set(bad)
    assert wrong(agents.update("ag_1", AgentChanges())) == {"": "must change something"}


UNSAFE = (
    *("<b>", "</p", "<!-- x", "<script>x</script>", "<IMG src=x>", "&lt;b", "&#60;", "&#x3C;b"),
    *('{"a":1}', "[1,2]", "{}", 'say {"a": 1}', '[ "x" ]'),
    *("javascript:alert(1)", "JavaScript :x", "data:text/html,x", "eval(x)"),
    *("a%2fb", "100%2f", "%EC", "a%C3%A4", "a\\nb", "a\\u0041", "a\\x41"),
    *("`ls`", "$(ls)", "${HOME}", "a; rm -rf /", "a && ls", "a | sh", "sudo reboot", "rm -rf x", "see /etc/passwd"),
    *("curl http://x", cast("str", 7), "\ud800"),
)


@pytest.mark.parametrize("text", UNSAFE)
def test_a_description_with_markup_or_code_is_invalid(text: str) -> None:
    assert set(wrong(agents.update("ag_1", AgentChanges(description=text)))) == {"description"}


PROSE = (
    *("Parcels, 24/7: 100% yours (no $)", "Grüße & mehr", "", "100%ecological", "we <3 parcels", "a < b > c", "5 > 3"),
    *("Hello {name}", "[new] parcels", "Cats; dogs & cat food", "R&D; more", "Shell | Gas", "2026", "true", "C\\D"),
    *("JavaScript courses", "Order at shop.example/a?b=c", 'It\'s "ours"', "50% fair", "dogs; cat food | hair; curl"),
)


@pytest.mark.parametrize("text", PROSE)
def test_a_description_in_prose_is_valid(text: str) -> None:
    assert sent(agents.update("ag_1", AgentChanges(description=text))) == {"description": text}


@pytest.mark.parametrize(
    ("color", "contrast"), [("#000000", 21.0), ("#ffffff", 1.0), ("#767676", 4.54), ("#777777", 4.48)]
)
def test_the_contrast_to_white_is_computed_as_in_wcag(color: str, contrast: float) -> None:
    assert agents.contrast(color) == pytest.approx(contrast, abs=0.01)
    assert (agents.update("ag_1", AgentChanges(color=color)).invalid is None) == (contrast >= 4.5)


@given(st.integers(0, 0xFFFFFF))
def test_every_color_has_a_contrast_between_one_and_twenty_one(number: int) -> None:
    assert 1 <= agents.contrast(f"#{number:06x}") <= 21.0000001


def test_the_answers_are_read() -> None:
    agent = answered(agents.get("ag_1"), {"id": "ag_1", "status": "REJECTED", "rejection_reason": "logo", "new": 1})
    assert (agent.agent_id, agent.rejection_reason, agent.extra) == ("ag_1", "logo", {"new": 1})
    submitted = {"agent_id": "ag_1", "status": "PENDING_REVIEW", "estimated_review_days": "5-10"}
    assert answered(agents.submit("ag_1"), submitted, 202).estimated_review_days == "5-10"
    carriers = [{"carrier": "vodafone_de", "status": "LAUNCHED", "launched_at": "2026-05-04T07:30:00Z"}]
    launch = answered(
        agents.launch_status("ag_1"), {"agent_id": "ag_1", "agent_status": "APPROVED", "carriers": carriers}
    )
    assert [(one.carrier, one.status) for one in launch.carriers] == [("vodafone_de", "LAUNCHED")]


@pytest.mark.parametrize(("color", "has"), [("#777777", "4.478"), ("#808080", "3.949")])
def test_a_contrast_that_is_too_low_is_not_shown_rounded_up(color: str, has: str) -> None:
    said = wrong(agents.update("ag_1", AgentChanges(color=color)))["color"]
    assert said == f"must have a contrast to white of 4.5 to 1, and has {has}"
