"""Faulty: what each fault does, and that every run has the same faults."""

from collections import Counter
from typing import get_args

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

import msgapi
from msgapi import Call, NotSent, Ok, Request, Response, Throttled, Unanswered, VirtualClock
from msgapi.decode import decode
from msgapi.messages import Accepted
from msgapi.transports import Answer, Fault, Faulty

ASK = Request("POST", "https://api.test/v1/messages", {}, b"{}")
SEND = Call("POST", "/v1/messages", Accepted, body=b"{}", idempotency_key="k")
FAULTS: tuple[Fault, ...] = get_args(Fault)
PINNED = ["html", None, None, "html", "html", "html", "lost", "html", None, None, "lost", None]


@define(eq=False)
class Server:
    """Answers the n-th request with its number."""

    answers: list[Answer] = field(factory=list)

    async def __call__(self, _: Request, /) -> Answer:
        self.answers.append(Response(200, {"x-n": str(len(self.answers))}, b"0123456789"))
        return self.answers[-1]


async def struck_by(fault: Fault, **options: object) -> tuple[Answer, Server]:
    server = Server()
    return await Faulty(server, plan=[fault], **options)(ASK), server  # type: ignore[arg-type]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "kind", "requests"),
    [
        ("not_sent", NotSent, 0),
        ("reset", Unanswered, 0),
        ("lost", Unanswered, 1),
        ("truncated", Response, 1),
        ("slow", Response, 1),
        ("twice", Response, 2),
        ("throttled", Response, 0),
        ("unavailable", Response, 0),
        ("fault", Response, 0),
        ("html", Response, 0),
    ],
)
async def test_each_fault_gives_its_answer_and_lets_through_what_it_says(
    fault: Fault, kind: type, requests: int
) -> None:
    answer, server = await struck_by(fault, slow=0.0)
    assert isinstance(answer, kind)
    assert len(server.answers) == requests


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("throttled", 429, "rate_limit_exceeded"),
        ("unavailable", 503, "service_unavailable"),
        ("fault", 500, "internal_error"),
    ],
)
async def test_what_a_server_says_is_the_documented_envelope(fault: Fault, status: int, code: str) -> None:
    answer, _ = await struck_by(fault)
    assert isinstance(answer, Response)
    result = decode(SEND, answer)
    assert not isinstance(result, Ok)
    assert (result.meta.status, result.code, result.extra) == (status, code, {})


@pytest.mark.anyio
async def test_a_page_is_the_page_of_a_proxy() -> None:
    answer, _ = await struck_by("html")
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert answer.body.startswith(b"<html>")


@pytest.mark.anyio
@pytest.mark.parametrize("limit_headers", [True, False])
async def test_a_throttled_response_says_when_to_retry(limit_headers: bool) -> None:
    clock = VirtualClock(start=1000.0)
    answer, _ = await struck_by("throttled", retry_after=2.5, limit_headers=limit_headers, clock=clock)
    assert isinstance(answer, Response)
    result = decode(SEND, answer)
    assert isinstance(result, Throttled)
    assert result.retry_after == 2.5
    assert result.rate_limited
    figures = result.meta.rate_limit
    assert (figures and (figures.limit, figures.remaining, figures.reset)) == (
        (10, 0, 1003.0) if limit_headers else None
    )


@pytest.mark.anyio
async def test_a_truncated_answer_has_half_of_its_body() -> None:
    answer, server = await struck_by("truncated")
    assert answer == Response(200, {"x-n": "0"}, b"01234")
    assert len(server.answers) == 1


@pytest.mark.anyio
async def test_what_is_no_answer_cannot_be_truncated() -> None:
    async def refusing(_: Request, /) -> Answer:
        return NotSent("refused")

    assert await Faulty(refusing, plan=["truncated"])(ASK) == NotSent("refused")


@pytest.mark.anyio
async def test_a_request_that_gets_through_twice_is_answered_the_second_time() -> None:
    answer, _ = await struck_by("twice")
    assert isinstance(answer, Response)
    assert answer.headers["x-n"] == "1"


@pytest.mark.anyio
async def test_a_slow_response_is_delayed_on_the_clock() -> None:
    clock = VirtualClock()
    async with clock.autojump():
        answer, _ = await struck_by("slow", slow=3600.0, clock=clock)
    assert isinstance(answer, Response)
    assert clock.now() == 3600.0


@pytest.mark.anyio
async def test_a_plan_is_carried_out_in_order_and_then_it_is_over() -> None:
    server = Server()
    faulty = Faulty(server, plan=["lost", None, "fault"])
    for _ in range(4):
        _ = await faulty(ASK)
    assert faulty.struck == ["lost", None, "fault", None]
    assert len(server.answers) == 3


async def strikes(count: int, **options: object) -> list[Fault | None]:
    faulty = Faulty(Server(), slow=0.0, **options)  # type: ignore[arg-type]
    for _ in range(count):
        _ = await faulty(ASK)
    return faulty.struck


@pytest.mark.anyio
async def test_the_same_seed_strikes_the_same_and_another_another() -> None:
    rates = {"lost": 0.3, "fault": 0.3}
    again = {"fault": 0.3, "lost": 0.3}
    assert await strikes(50, seed=1, rates=rates) == await strikes(50, seed=1, rates=again)
    assert await strikes(50, seed=1, rates=rates) != await strikes(50, seed=2, rates=rates)


@pytest.mark.anyio
async def test_which_fault_strikes_stays_the_same_from_release_to_release() -> None:
    assert await strikes(12, seed=7, rates={"lost": 0.25, "html": 0.25}) == PINNED


@pytest.mark.anyio
async def test_what_a_request_is_struck_by_does_not_depend_on_the_plan_before_it() -> None:
    rates = {"lost": 0.5}
    planned = await strikes(20, seed=1, rates=rates, plan=["html"] * 5)
    assert planned[5:] == (await strikes(20, seed=1, rates=rates))[5:]


@pytest.mark.anyio
async def test_faults_strike_at_about_their_rates() -> None:
    counts = Counter(await strikes(2000, seed=1, rates={"lost": 0.1, "html": 0.3}))
    assert counts.keys() == {None, "lost", "html"}
    assert 150 < counts["lost"] < 250
    assert 520 < counts["html"] < 680


@pytest.mark.anyio
async def test_a_rate_of_one_strikes_every_time() -> None:
    assert set(await strikes(100, seed=1, rates={"lost": 1.0})) == {"lost"}


@given(st.dictionaries(st.sampled_from(FAULTS), st.floats(0, 0.1)), st.integers())
def test_rates_that_come_to_no_more_than_one_are_taken(rates: dict[Fault, float], seed: int) -> None:
    assert Faulty(Server(), seed=seed, rates=rates).struck == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"rates": {"lots": 0.1}}, "no such fault: lots; there are not_sent, reset, "),
        ({"plan": ["lost", "lots"]}, "no such fault: lots"),
        ({"rates": {"lost": -0.1}}, "from 0 to 1"),
        ({"rates": {"lost": 1.1}}, "from 0 to 1"),
        ({"rates": {"lost": float("nan")}}, "from 0 to 1"),
        ({"rates": {"lost": 0.6, "html": 0.6}}, "more than 1"),
        ({"slow": -1.0}, "slow must be"),
        ({"retry_after": float("inf")}, "retry_after must be"),
    ],
)
def test_a_plan_that_makes_no_sense_is_a_value_error(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        _ = Faulty(Server(), **options)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_client_gets_through_a_storm_of_faults() -> None:
    clock = VirtualClock()
    sandbox = msgapi.sandbox.Sandbox(clock=clock)
    plan: list[Fault | None] = ["not_sent", "lost", None]
    faulty = Faulty(sandbox, plan=plan, clock=clock)
    text = msgapi.messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
    async with clock.autojump(), msgapi.Client(transport=faulty, api_key=sandbox.api_key, clock=clock) as api:
        assert isinstance(await api(msgapi.messages.send(text)), Ok)
    assert faulty.struck == plan
    assert len(sandbox.messages) == 1
