"""Simulated faults of the sandbox: magic recipients and random faults."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import msgapi
from msgapi import Ok, Retry, ServerFault, Throttled, Unanswered, Unavailable, VirtualClock, messages
from msgapi.sandbox import MAGIC_RECIPIENTS, MagicRecipient, Sandbox
from msgapi.sandbox.model import faults as module
from tests.support.sandbox_requests import email, refusal, reply, request, said, send, text

BY_FAULT = {recipient.fault: recipient for recipient in MAGIC_RECIPIENTS}
REFUSED = {
    "402": (402, "insufficient_balance"),
    "403": (403, "forbidden"),
    "404": (404, "not_rcs_capable"),
    "422": (422, "recipient_suppressed"),
    "429": (429, "rate_limit_exceeded"),
    "430": (429, "newsletter_daily_cap"),
    "500": (500, "internal_error"),
    "503": (503, "service_unavailable"),
}


def test_every_magic_recipient_has_its_own_valid_number_and_address() -> None:
    assert len(
        {recipient.phone for recipient in MAGIC_RECIPIENTS} | {recipient.email for recipient in MAGIC_RECIPIENTS}
    ) == 2 * len(MAGIC_RECIPIENTS)
    for recipient in MAGIC_RECIPIENTS:
        assert re.fullmatch(r"\+[1-9]\d{6,14}", recipient.phone)
        assert not messages.check(messages.Email(channel_id="ch_demo", to=recipient.email, subject="s", text="t"))


@pytest.mark.parametrize("fault", REFUSED)
def test_a_recipient_that_is_refused_is_refused_every_time_and_costs_nothing(fault: str) -> None:
    box = Sandbox()
    recipient = next(recipient for recipient in MAGIC_RECIPIENTS if recipient.fault == fault)
    answers = [send(box, text(to=recipient.phone), key="k1") for _ in range(3)]
    assert [refusal(answer) for answer in answers] == [REFUSED[fault]] * 3
    by_mail = refusal(send(box, email(to=recipient.email)))
    assert by_mail == ((404, "not_found") if fault == "404" else REFUSED[fault])
    assert box.messages == ()
    assert box.balance.reserved == 0


def test_a_simulated_402_has_the_price_and_nothing_free() -> None:
    body = said(send(Sandbox(), text(to=BY_FAULT["402"].phone)))
    assert (body["required_amount"], body["balance"]) == (0.07, {"free": 0.0, "reserved": 0.0, "total": 0.0})


def test_a_fault_does_not_hide_an_invalid_request() -> None:
    box = Sandbox()
    assert send(box, text(to=BY_FAULT["500"].phone, content={"text": ""})).status == 400
    assert send(box, text(to=BY_FAULT["500"].phone, agent_id="ag_live_none")).status == 404


def test_the_page_of_a_proxy_is_html_without_the_headers_of_the_api() -> None:
    answer = send(Sandbox(), text(to=BY_FAULT["502"].phone))
    assert (answer.status, answer.body[:6]) == (502, b"<html>")
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


@pytest.mark.parametrize("fault", ["500-once", "503-once", "429-once"])
def test_a_recipient_that_fails_once_works_under_the_same_key(fault: str) -> None:
    box = Sandbox()
    recipient = next(recipient for recipient in MAGIC_RECIPIENTS if recipient.fault == fault)
    body = text(to=recipient.phone)
    assert refusal(send(box, body, key="k1")) == REFUSED[fault[:3]]
    assert send(box, body, key="k1").status == 200
    assert refusal(send(box, body, key="k2")) == REFUSED[fault[:3]]
    assert len(box.messages) == 1


def test_a_message_with_a_lost_response_is_accepted_and_a_retry_gets_the_response() -> None:
    box = Sandbox()
    asked = request("POST", "/v1/messages", body=text(to=BY_FAULT["lost"].phone), key="k1")
    first, again = reply(box, asked), reply(box, asked)
    assert (first.lost, again.lost) == (True, False)
    assert first.response.body == again.response.body
    assert len(box.messages) == 1


def test_a_slow_response_is_slow_once() -> None:
    box = Sandbox(slow=7)
    asked = request("POST", "/v1/messages", body=text(to=BY_FAULT["slow"].phone), key="k1")
    assert [reply(box, asked).delay for _ in range(2)] == [7, 0]


def message(recipient: MagicRecipient) -> messages.Text:
    return messages.Text(agent_id="ag_live_demo", to=recipient.phone, traffic_type="TRANSACTION", text="Hello")


@pytest.mark.anyio
async def test_over_the_transport_a_slow_response_waits_and_a_lost_one_is_unanswered() -> None:
    clock = VirtualClock()
    box = Sandbox(clock=clock, slow=30)
    async with (
        clock.autojump(),
        msgapi.Client(transport=box, api_key=box.api_key, clock=clock, retry=Retry(attempts=1)) as api,
    ):
        slow = await api(messages.send(message(BY_FAULT["slow"])))
        lost = await api(messages.send(message(BY_FAULT["lost"])))
        page = await api(messages.send(message(BY_FAULT["502"])))
    assert isinstance(slow, Ok)
    assert clock.now() == 30
    assert isinstance(lost, Unanswered)
    assert lost.may_have_happened
    assert isinstance(page, ServerFault)
    assert len(box.messages) == 2


@pytest.mark.anyio
async def test_a_client_that_retries_succeeds_after_any_single_fault() -> None:
    clock = VirtualClock()
    box = Sandbox(clock=clock)
    faults = ("500-once", "503-once", "429-once", "lost")
    async with clock.autojump(), msgapi.Client(transport=box, api_key=box.api_key, clock=clock) as api:
        results = [
            await api(messages.send(message(recipient))) for recipient in MAGIC_RECIPIENTS if recipient.fault in faults
        ]
    assert [result.meta.attempts for result in results if isinstance(result, Ok)] == [2] * 4
    assert len(box.messages) == 4


def faulted(box: Sandbox, key: str) -> str:
    got = reply(box, request("POST", "/v1/messages", body=text(), key=key))
    return "lost" if got.lost else str(got.response.status)


def test_the_share_of_random_faults_is_about_the_configured_one_with_every_kind() -> None:
    box = Sandbox(faults=0.2, random_seed=3)
    first = [faulted(box, f"k{number}") for number in range(1000)]
    struck = [one for one in first if one != "200"]
    assert 150 <= len(struck) <= 250
    assert {*struck} == {"500", "503", "429", "502", "lost"}
    assert [faulted(box, f"k{number}") for number in range(1000)] == ["200"] * 1000
    assert len(box.messages) == 1000
    assert len({entry.idempotency_key for entry in box.messages}) == 1000


def test_which_requests_have_a_random_fault_does_not_depend_on_their_order() -> None:
    keys = [f"k{number}" for number in range(200)]
    one, other = Sandbox(faults=0.3, random_seed=5), Sandbox(faults=0.3, random_seed=5)
    forward = {key: faulted(one, key) for key in keys}
    backward = {key: faulted(other, key) for key in reversed(keys)}
    assert forward == backward
    assert forward != {key: faulted(Sandbox(faults=0.3, random_seed=6), key) for key in keys}


def test_reads_and_requests_without_a_key_have_random_faults_too() -> None:
    box = Sandbox(faults=0.5, random_seed=1)
    reads = [reply(box, request("GET", "/v1/billing/balance")) for _ in range(50)]
    sends = [reply(box, request("POST", "/v1/messages", body=text(content={"text": f"{n}"}))) for n in range(50)]
    for got in (reads, sends):
        struck = [one for one in got if one.lost or one.response.status != 200]
        assert 10 <= len(struck) <= 40


def test_a_random_429_has_a_short_retry_after() -> None:
    box = Sandbox(faults=1)
    answers = [reply(box, request("GET", "/v1/messages")).response for _ in range(50)]
    waits = {said(answer)["retry_after"] for answer in answers if answer.status == 429}
    assert waits == {0.05}


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_share_of_faults_outside_zero_to_one_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="share of the faults"):
        _ = Sandbox(faults=rate)


_METHODS = st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD", ""]) | st.text(max_size=5)
_TARGETS = st.sampled_from(["/v1/messages", "/v1/messages/msg_1", "/v1/billing/balance"]) | st.text(max_size=30)
_HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "Idempotency-Key", "authorization", "X-Other"]),
    st.sampled_from(["application/json", "Bearer sk_sandbox", "k1"]) | st.text(max_size=20),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = [*text(), *email(), "template_id", "template_data", "ttl", "idempotency_key"]
_BODIES = (
    st.none()
    | st.binary(max_size=60)
    | _JSON
    | st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=4).map(lambda some: {**text(), **some})
    | st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=4).map(lambda some: {**email(), **some})
)


@given(_METHODS, _TARGETS, st.text(max_size=20), _HEADERS, _BODIES)
def test_every_request_gets_a_documented_response_below_500(
    method: str, target: str, query: str, headers: dict[str, str], body: object
) -> None:
    asked = request(method, f"{target}?{query}", body=body, **headers)
    box = Sandbox()
    for _ in range(2):
        answer = reply(box, asked)
        assert not answer.lost
        assert answer.response.status < 500
    for entry in box.messages:
        assert entry.to_json()["id"] == entry.id


@pytest.mark.anyio
async def test_a_client_distinguishes_the_kinds_of_faults() -> None:
    box = Sandbox(faults=1, clock=VirtualClock())
    async with msgapi.Client(transport=box, api_key=box.api_key, retry=Retry(attempts=1)) as api:
        kinds = {type(await api(messages.list(offset=number))) for number in range(40)}
    assert kinds == {ServerFault, Unavailable, Unanswered, Throttled}


def test_the_number_of_remembered_faults_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NAMES", 3)
    chance = module.RandomFaults(module.FaultShares.spread(1.0), 1)
    assert all(chance.draw(b"%d" % number) for number in range(4))
    assert [chance.draw(b"%d" % number) is None for number in (1, 2, 3, 0)] == [True, True, True, False]
