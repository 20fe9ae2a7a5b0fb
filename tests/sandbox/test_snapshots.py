"""Snapshots: a sandbox that is restored answers as the one that the snapshot was taken of."""

import json
import zlib
from base64 import b64encode
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from math import inf, nan
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import Request, Response
from msgapi.sandbox import (
    AGENTS,
    CAMPAIGNS,
    Campaign,
    ControlError,
    EmailChannel,
    EmailTemplate,
    FaultShares,
    Sandbox,
    SandboxAgent,
    Timing,
    WebhookFaults,
)
from msgapi.sandbox.snapshots import STORED_FIELDS
from tests.support.sandbox_requests import KEY, NOW, TO, email, get, request, said, send, subscribe, text

Step = tuple[float, Callable[[Sandbox, float], object]]
"""The seconds that pass before it, and what is done then."""
EVENTS = ["message.queued", "message.delivered", "message.read", "contact.created", "email.bounced"]
LIVE = CAMPAIGNS[0].campaign_id


def call(method: str, target: str, body: object = None, key: str | None = None) -> Callable[[Sandbox, float], object]:
    asked = request(method, target, body=body, key=key)

    def run(box: Sandbox, now: float) -> object:
        found = box.account.handle(asked, now)
        return found.response.status, dict(found.response.headers), found.response.body, found.delay, found.lost

    return run


def control(name: str, *args: object) -> Callable[[Sandbox, float], object]:
    """Let a control act on the newest message, or with *args*."""

    def run(box: Sandbox, now: float) -> object:  # noqa: ARG001 - the clock has it
        ids = [one.id for one in box.messages]
        try:
            return repr(getattr(box, name)(*(args or (ids[-1] if ids else "none",))))
        except ControlError as error:
            return str(error)

    return run


def of_newest(method: str, suffix: str = "") -> Callable[[Sandbox, float], object]:
    def run(box: Sandbox, now: float) -> object:
        ids = [one.id for one in box.messages] or ["none"]
        return call(method, f"/v1/messages/{ids[-1]}{suffix}")(box, now)

    return run


def take_webhook(box: Sandbox, now: float) -> object:
    """Take a delivery as the sender does, and record that it failed."""
    queue = box.account.state.webhook_queue
    delivery = queue.take(now)
    return None if delivery is None else repr(queue.record_attempt(delivery, now, status=500))


def approve(box: Sandbox, now: float) -> object:
    submitted = call("POST", "/v1/rcs/agents/ag_draft_demo/submit", {})(box, now)
    return submitted, control("approve", "ag_draft_demo")(box, now)


KEYS = st.sampled_from([None, "key-1", "key-2"])
PEOPLE = st.sampled_from([TO, "+447700900501", "+447700900701", "+447700900600", "+4915112345679"])
KINDS = st.sampled_from(["MESSAGE", "CONVERSATION", "NEWSLETTER"])
PROFILE = {
    "description": "We sell shoes.",
    "color": "#101010",
    "logo_url": "https://shop.example/logo.png",
    "banner_url": "https://shop.example/banner.png",
    "privacy_policy_url": "https://shop.example/privacy",
    "terms_of_service_url": "https://shop.example/terms",
    "email": "info@shop.example",
}
SENDS = st.builds(
    lambda to, kind, key: call("POST", "/v1/messages", text(to=to, message_type=kind), key), PEOPLE, KINDS, KEYS
)
WRITES = st.sampled_from(
    [
        call("POST", "/v1/messages", email(), "key-3"),
        call("POST", "/v1/messages", email(to="bounce@ending.example")),
        call("POST", "/v1/messages", text(ttl="3s")),
        call("POST", "/v1/contacts", {"source": "API", "phone": TO, "custom_fields": {"size": [42, None, {"a": 0.5}]}}),
        call("POST", "/v1/contacts", {"source": "API", "email": "Ann@shop.example", "external_id": "7"}),
        call("POST", "/v1/webhooks", {"url": "https://shop.example/in", "events": EVENTS, "secret": "whsec_1"}),
        call("POST", f"/v1/campaigns/{LIVE}/trigger", {}),
        call("POST", f"/v1/campaigns/{LIVE}/pause", {}),
        call("PATCH", "/v1/rcs/agents/ag_draft_demo", PROFILE),
        approve,
        call("POST", "/v1/billing/payment-methods", {"type": "credit_card", "token": "card_declined"}),
        call("POST", "/v1/billing/payment-methods", {"type": "sepa", "token": "tok_1"}),
        call("PUT", "/v1/billing/auto-reload", {"enabled": True, "trigger_threshold": 999.9, "reload_amount": 20}),
        call("PUT", "/v1/billing/alerts", {"low_balance_threshold": 999.95}),
        call("POST", "/v1/test/register", {"phone": TO}),
        call("POST", "/v1/test/verify", {"phone": TO, "code": "000000"}),
        of_newest("DELETE"),
        control("deliver"),
        control("read"),
        control("fail"),
        control("reply_from", TO, "ag_live_demo"),
        control("halt", LIVE),
        take_webhook,
        lambda box, _: subscribe_quietly(box),
    ]
)
READS = st.sampled_from(
    [
        call("GET", f"/v1/{path}")
        for path in (
            "messages?limit=5",
            "contacts",
            "billing/transactions",
            "billing/usage",
            "billing/tier",
            "webhooks",
        )
    ]
    + [call("GET", f"/v1/campaigns/{LIVE}/status"), call("GET", "/v1/nothing"), of_newest("GET")]
)
WAITS = st.sampled_from([0.0, 0.0, 0.3, 2.0, 90.0, 90_000.0])
STEPS = st.lists(st.tuples(WAITS, st.one_of(SENDS, WRITES, READS)), max_size=12)


def subscribe_quietly(box: Sandbox) -> object:
    made = call("POST", "/v1/contacts", {"source": "API", "phone": TO})(box, box.clock.time())
    for contact in box.account.state.contacts:
        consent = {"channel_type": "RCS", "message_type": "NEWSLETTER", "source": "form"}
        _ = call("POST", f"/v1/contacts/{contact.id}/consent", consent)(box, box.clock.time())
    return made


class SetClock:
    """A clock that a test sets, and that nothing waits for."""

    def __init__(self, moment: float = NOW) -> None:
        self.moment = moment

    def time(self) -> float:
        return self.moment

    def now(self) -> float:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def run(box: Sandbox, clock: SetClock, steps: list[Step]) -> list[object]:
    found = []
    for wait, act in steps:
        clock.moment += wait
        found.append(act(box, clock.moment))
    return found


def through_json(box: Sandbox) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(box.snapshot(), allow_nan=False))
    return plain


def seen(box: Sandbox) -> object:
    return box.messages, box.messages.dropped, box.events, box.attempts, box.balance, box.requests, box.due_at


def test_the_schedule_of_a_restored_sandbox_stays_that_of_the_first() -> None:
    clock, send = SetClock(), call("POST", "/v1/messages", text(), None)
    box = Sandbox(clock=clock)
    _ = run(box, clock, [*[(0.0, send)] * 5, (2.0, send)])
    other = SetClock(clock.moment)
    restored = Sandbox.from_snapshot(through_json(box), clock=other)
    for one, its_clock in ((box, clock), (restored, other)):
        _ = run(one, its_clock, [(0.6, send)])
    assert through_json(restored) == through_json(box)


@settings(max_examples=100)
@given(before=STEPS, after=STEPS, faults=st.sampled_from([0.0, 0.3]), keep=st.sampled_from([2, 100]))
def test_a_restored_sandbox_answers_as_the_one_that_the_snapshot_was_taken_of(
    before: list[Step], after: list[Step], faults: float, keep: int
) -> None:
    clock = SetClock()
    box = Sandbox(
        clock=clock,
        faults=faults,
        keep_messages=keep,
        rate_limit=4,
        balance=Decimal("1000.05"),
        webhooks=WebhookFaults(late=0.3, repeated=0.3, reordered=0.3),
    )
    _ = run(box, clock, before)
    taken = through_json(box)
    other = SetClock(clock.moment)
    restored = Sandbox.from_snapshot(taken, clock=other)
    assert through_json(restored) == taken
    assert seen(restored) == seen(box)
    assert run(restored, other, after) == run(box, clock, after)
    assert seen(restored) == seen(box)
    assert through_json(restored) == through_json(box)


def test_a_snapshot_is_not_changed_by_what_follows() -> None:
    box = Sandbox(clock=SetClock())
    assert send(box).status == 200
    taken = box.snapshot()
    kept = deepcopy(taken)
    restored = Sandbox.from_snapshot(taken, clock=SetClock())
    assert send(restored).status == send(box).status == 200
    assert taken == kept


def test_every_field_of_the_state_is_in_a_snapshot_or_is_derived() -> None:
    state = Sandbox().account.state
    derived = {
        ("wallet", "reserved"),
        ("schedule", "_next_status"),
        ("log", "_final_ids"),
        ("webhook_queue", "_due"),
        ("webhook_queue", "_taken"),
        ("contacts", "_by_email"),
        ("contacts", "_by_external_id"),
        ("contacts", "_by_phone"),
        ("webhook_queue", "_records"),
    }
    options = {("faults", "_shares"), ("faults", "rate"), ("faults", "seed"), ("schedule", "timing"), ("log", "keep")}
    options |= {("webhook_queue", "faults")}
    options |= {(part, "changes") for part in ("wallet", "agents", "log", "contacts", "endpoints", "webhook_queue")}
    fields = {(part, one.name) for part in STORED_FIELDS for one in attrs.fields(type(getattr(state, part)))}
    assert fields - derived - options == {(part, one) for part, names in STORED_FIELDS.items() for one in names}
    parts = {one.name for one in attrs.fields(type(state))}
    others = {"owner", "prices", "slow", "_salt", "channels", "templates", "campaigns", "runs", "_random", "_volumes"}
    others |= {"changes", "requests", "conversations", "account"}  # are not part of what a response depends on
    assert parts - others == STORED_FIELDS.keys()


def test_messages_that_became_due_meanwhile_are_delivered_at_the_time_at_which_they_were_due() -> None:
    box = Sandbox(clock=SetClock())
    assert send(box).status == 200
    restored = Sandbox.from_snapshot(through_json(box), clock=SetClock(NOW + 3600))
    assert [name for name, _ in restored.messages[0].events] == ["queued", "sent", "delivered", "read"]
    assert restored.messages[0].events[-1][1] == NOW + 12
    assert restored.due_at is None


def test_a_webhook_in_flight_is_made_again() -> None:
    box = Sandbox(clock=SetClock(), timing=None)
    hook = {"url": "https://shop.example/in", "events": ["message.queued"], "secret": "whsec_1"}
    assert box.handle(request("POST", "/v1/webhooks", body=hook)).response.status == 201
    assert send(box).status == 200
    taken = box.account.state.webhook_queue.take(NOW)
    assert taken is not None
    restored = Sandbox.from_snapshot(through_json(box), clock=SetClock())
    assert restored.account.state.webhook_queue.take(NOW) == taken


def test_an_idempotency_key_still_stands_for_its_operation() -> None:
    box = Sandbox(clock=SetClock())
    first = send(box, key="k-1")
    restored = Sandbox.from_snapshot(through_json(box), clock=SetClock())
    assert send(restored, key="k-1").body == first.body
    assert len(restored.messages) == 1
    assert send(restored, text(to="+4915112345679"), key="k-1").status == 409


def test_the_options_are_restored_and_may_be_changed_before() -> None:
    box = Sandbox(clock=SetClock(), role="viewer", timing=Timing(delivered=inf), random_seed=7, api_key="sk_seven")
    taken = through_json(box)
    restored = Sandbox.from_snapshot(taken, clock=SetClock())
    assert restored.account.options.timing == Timing(delivered=inf)
    assert (restored.account.role, restored.api_key) == ("viewer", "sk_seven")
    changed = {**taken, "options": {**taken["options"], "role": "manager", "rate_limit": 1, "api_key": KEY}}
    other = Sandbox.from_snapshot(changed, clock=SetClock())
    assert [send(other).status, send(other).status] == [200, 429]


def test_what_a_test_adds_exists_and_replaces_nothing() -> None:
    box = Sandbox(clock=SetClock())
    box.add(SandboxAgent(agent_id="ag_new", channel_id="ch_new"))
    box.add(SandboxAgent(agent_id=AGENTS[0].agent_id, channel_id="ch_other", launched=False))
    box.add(EmailChannel(channel_id="ch_mail"))
    box.add(EmailChannel(channel_id="ch_unverified"))
    box.add(EmailTemplate(template_id="tpl_new", versions=("1",)))
    box.add(Campaign(campaign_id="6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e09"))
    assert send(box, text(agent_id="ag_new")).status == send(box).status == 200
    assert send(box, email(channel_id="ch_mail", template_id="tpl_new", content=None)).status == 200
    assert send(box, email(channel_id="ch_unverified")).status == 403
    assert get(box, "/v1/campaigns/6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e09/status").status == 200


# Snapshots that cannot be read.


def busy() -> Sandbox:
    box = Sandbox(clock=SetClock())
    hook = {"url": "https://shop.example/in", "events": EVENTS, "secret": "whsec_1"}
    assert box.handle(request("POST", "/v1/webhooks", body=hook)).response.status == 201
    assert subscribe(box)
    assert send(box, key="k-1").status == 200
    _ = box.deliver(box.messages[0].id)
    _ = box.reply_from(TO, "ag_live_demo")
    assert box.handle(request("POST", f"/v1/campaigns/{LIVE}/trigger", body={})).response.status < 300
    _ = take_webhook(box, NOW)
    return box


BUSY = through_json(busy())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 - JSON
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in items for place in places(part, (*path, key)))]


PLACES = [one for one in places(BUSY) if one]
WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        "",
        "x",
        -1,
        0.5,
        10**30,
        [],
        {},
        [[]],
        {"a": 1},
        True,
        "NaN",
        "1e999999",
        "\ud800",
        "inf",
        1e12,
        1e300,
        -1e12,
        2**62,
        "9" * 30,
        '{"content": [1]}',
        '{"content": {"rich_card": "x"}}',
    ]
)


SHOWN = [
    f"/_sandbox/{name}"
    for name in (
        "account",
        "agents",
        "campaigns",
        "contacts",
        "conversations",
        "deliveries",
        "messages",
        "requests",
        "snapshot",
        "transactions",
        "webhooks",
    )
]


@settings(max_examples=100)
@given(place=st.sampled_from(PLACES), wrong=WRONG, remove=st.booleans())
def test_a_damaged_snapshot_is_refused_with_its_place_or_is_read(
    place: tuple[Any, ...], wrong: object, *, remove: bool
) -> None:
    damaged = deepcopy(BUSY)
    owner: Any = damaged
    for key in place[:-1]:
        owner = owner[key]
    if remove:
        del owner[place[-1]]
    else:
        owner[place[-1]] = wrong
    try:
        read = Sandbox.from_snapshot(damaged, clock=SetClock())
    except ValueError as error:
        text = str(error)
        assert text.startswith(
            ("the snapshot is damaged at ", "this is not the snapshot", "the snapshot is of another")
        )
        assert TO not in text
        assert "whsec" not in text
    else:
        assert {get(read, path).status for path in SHOWN} <= {200, 401, 429}  # the key or the limit is another one


def in_base64(content: bytes) -> str:
    return b64encode(content).decode()


def idempotency(**changes: object) -> dict[str, Any]:
    return {"idempotency": {**BUSY["idempotency"], **changes}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "x"}, "this is not the snapshot of a sandbox"),
        ({"version": 1}, "the snapshot is of another version of msgapi-sdk: it must have the version 4 of the format"),
        ({"more": 1}, "the snapshot is damaged at the top: has an unknown field"),
        ({"time": "now"}, "the snapshot is damaged at time: is of another type"),
        ({"time": 10**400}, "the snapshot is damaged at time: OverflowError"),
        ({"time": nan}, "the snapshot is damaged at time: is not a number"),
        ({"time": inf}, "the snapshot is damaged at time: is not a number"),
        ({"time": "inf"}, "the snapshot is damaged at time: is of another type"),
        ({"time": 1e12}, "the snapshot is damaged at time: is out of range"),
        ({"clock": {"paused": False, "offset": -1e12}}, "the snapshot is damaged at clock.offset: is out of range"),
        ({"requests": 2**63}, "the snapshot is damaged at requests: is out of range"),
        ({"requests": f"{10**20}"}, "the snapshot is damaged at requests: is of another type"),
        ({"random": "\ud800"}, "the snapshot is damaged at random: is not valid Unicode"),
        ({"options": {**BUSY["options"], "rate_limit": 2**60}}, "the snapshot is damaged at options: ValueError"),
        ({"options": {**BUSY["options"], "window": 1e9}}, "the snapshot is damaged at options: ValueError"),
        ({"options": 5}, "the snapshot is damaged at options: must be an object"),
        ({"wallet": {**BUSY["wallet"], "free": "-1"}}, "the snapshot is damaged at wallet.free: ValueError"),
        ({"wallet": {**BUSY["wallet"], "free": "x"}}, "the snapshot is damaged at wallet.free: is not a number"),
        ({"wallet": {**BUSY["wallet"], "free": "NaN"}}, "the snapshot is damaged at wallet.free: is not a number"),
        ({"wallet": {**BUSY["wallet"], "free": "1E+18"}}, "the snapshot is damaged at wallet.free: is out of range"),
        ({"random": ""}, "the snapshot is damaged at random: is of another length"),
        ({"random": "ä"}, "the snapshot is damaged at random: ValueError"),
        ({"log": {**BUSY["log"], "final": [[0, "x"]]}}, "the snapshot is damaged at log: KeyError"),
        (
            {"schedule": {"order": 1, "items": [[1.0, 0, {"steps": {"message_id": "m", "steps": []}}]]}},
            "the snapshot is damaged at schedule.items[0][2].steps: has no step",
        ),
        (
            {"schedule": {"order": 1, "items": [[1.0, 0]]}},
            "the snapshot is damaged at schedule.items[0]: must be an array of 3",
        ),
        ({"schedule": {"order": 1, "items": 5}}, "the snapshot is damaged at schedule.items: must be an array"),
        ({"sessions": {"open": [[1, 2]]}}, "the snapshot is damaged at sessions.open[0][0]: must be an array of 2"),
        ({"faults": {"names": []}, "events": []}, "the snapshot is damaged at events: must be an object"),
        ({"faults": {}}, "the snapshot is damaged at faults.names: is required"),
        ({"webhook_queue": []}, "the snapshot is damaged at webhook_queue: must be an object"),
        (
            {"options": {**BUSY["options"], "role": "king"}},
            "the snapshot is damaged at options.role: is none of the known values",
        ),
        ({"options": {**BUSY["options"], "window": 0}}, "the snapshot is damaged at options: ValueError"),
        ({"runs": []}, "the snapshot is damaged at runs: must be an object"),
        (idempotency(lines=[]), "the snapshot is damaged at idempotency: ValueError"),
        (idempotency(lines=[in_base64(b"\xff")]), "the snapshot is damaged at idempotency: UnicodeDecodeError"),
        (idempotency(stored=[["", in_base64(b"short")]]), "the snapshot is damaged at idempotency: ValueError"),
        (idempotency(blocks=[[7, in_base64(b"no block")]]), "the snapshot is damaged at idempotency: error"),
        (
            idempotency(blocks=[[7, in_base64(zlib.compress(bytes(2**25)))]]),
            "the snapshot is damaged at idempotency: ValueError",
        ),
    ],
)
def test_a_snapshot_that_cannot_be_read_says_where(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="snapshot") as caught:
        _ = Sandbox.from_snapshot({**BUSY, **change})
    assert str(caught.value) == said


@pytest.mark.parametrize("body", ["5", "not JSON"])
def test_a_message_without_content_is_damaged(body: str) -> None:
    damaged = deepcopy(BUSY)
    next(iter(damaged["log"]["entries"].values()))["body"] = body
    with pytest.raises(ValueError, match=r"damaged at log\.entries\.\*\.body"):
        _ = Sandbox.from_snapshot(damaged)


def test_a_message_with_an_event_without_a_time_is_damaged() -> None:
    damaged = deepcopy(BUSY)
    next(iter(damaged["log"]["entries"].values()))["event_times"] = []
    with pytest.raises(ValueError, match="damaged at log: ValueError"):
        _ = Sandbox.from_snapshot(damaged)


def test_a_message_under_another_id_is_damaged() -> None:
    damaged = deepcopy(BUSY)
    entries = damaged["log"]["entries"]
    entries["other"] = next(iter(entries.values()))
    with pytest.raises(ValueError, match="damaged at log: ValueError"):
        _ = Sandbox.from_snapshot(damaged)


@pytest.mark.parametrize("value", [10**30, "\ud800"])
def test_an_event_with_a_value_that_cannot_be_sent_is_damaged(value: object) -> None:
    damaged = deepcopy(BUSY)
    damaged["events"]["events"][0]["data"]["more"] = value
    with pytest.raises(ValueError, match=r"damaged at events\.events\[0\]\.data"):
        _ = Sandbox.from_snapshot(damaged)


@pytest.mark.parametrize("secret", ["", "a\nb"])
def test_an_endpoint_with_a_secret_that_cannot_sign_is_damaged(secret: str) -> None:
    damaged = deepcopy(BUSY)
    next(iter(damaged["endpoints"]["by_id"].values()))["secret"] = secret
    with pytest.raises(ValueError, match=r"damaged at endpoints\.by_id\.\*: ValueError"):
        _ = Sandbox.from_snapshot(damaged)


@pytest.mark.parametrize(
    "body",
    [
        '{"content": [1], "subject": 5}',
        '{"content": {"rich_card": "x"}}',
        '{"content": {"rich_card": {"carousel": {"cards": 5}, "standalone": []}}}',
        '{"content": {"rich_card": {"carousel": {"cards": [5, {"title": 6}]}}}}',
    ],
)
def test_a_message_with_other_content_than_the_api_accepts_is_shown(body: str) -> None:
    changed = deepcopy(BUSY)
    for one in changed["log"]["entries"].values():
        one["body"] = body
    read = Sandbox.from_snapshot(changed, clock=SetClock())
    assert {get(read, path).status for path in SHOWN} == {200}


def test_a_reload_that_is_retried_is_scheduled_again() -> None:
    box = Sandbox(clock=SetClock(), balance=Decimal(1))
    for target, body in [
        ("payment-methods", {"type": "credit_card", "token": "card_declined"}),
        ("auto-reload", {"enabled": True, "trigger_threshold": 5, "reload_amount": 20}),
    ]:
        method = "PUT" if target == "auto-reload" else "POST"
        assert box.handle(request(method, f"/v1/billing/{target}", body=body)).response.status < 300
    assert send(box).status == 200
    taken = through_json(box)
    assert {"reload": True} in [item for _, _, item in taken["schedule"]["items"]]
    assert through_json(Sandbox.from_snapshot(taken, clock=SetClock())) == taken


@pytest.mark.parametrize("given", [None, [], {}, "x"])
def test_anything_else_is_not_a_snapshot(given: Any) -> None:  # noqa: ANN401 - what callers may pass
    with pytest.raises(ValueError, match="not the snapshot of a sandbox"):
        _ = Sandbox.from_snapshot(given)


@pytest.mark.parametrize("same", [1, 2], ids=["number", "message"])
def test_what_is_scheduled_twice_is_damaged(same: int) -> None:
    box = Sandbox(clock=SetClock())
    assert [send(box).status, send(box).status] == [200, 200]
    damaged = through_json(box)
    first, second = damaged["schedule"]["items"]
    if same == 1:
        second[1] = first[1]
    else:
        second[2] = first[2]
    with pytest.raises(ValueError, match=r"damaged at schedule\.items: has an item twice"):
        _ = Sandbox.from_snapshot(damaged)


@pytest.mark.anyio
async def test_a_restored_sandbox_is_a_transport() -> None:
    restored = Sandbox.from_snapshot(orjson.loads(orjson.dumps(busy().snapshot())), clock=SetClock())
    answer = await restored(Request("GET", "http://x/v1/billing/balance", {"Authorization": f"Bearer {KEY}"}))
    assert isinstance(answer, Response)
    assert said(answer)["total"] == 999.93


# A sandbox whose state is replaced.


def take(box: Sandbox) -> Any:  # noqa: ANN401 - JSON
    return said(box.handle(request("GET", "/_sandbox/snapshot")).response)


def put(box: Sandbox, snapshot: object) -> Response:
    return box.handle(request("PUT", "/_sandbox/snapshot", body=snapshot)).response


def test_a_state_is_taken_and_restored_over_http() -> None:
    box = busy()
    taken, found = take(box), seen(box)
    assert {**taken, "windows": {}} == {**through_json(box), "windows": {}}
    assert send(box).status == 200
    assert put(box, taken).status == 200
    assert seen(box) == found
    assert through_json(box) == taken


def test_a_restored_state_continues_as_the_one_that_was_taken() -> None:
    box = busy()
    other = Sandbox.from_snapshot(take(box), clock=SetClock())
    fresh = Sandbox(clock=SetClock())
    assert put(fresh, through_json(other)).status == 200
    assert send(fresh).body == send(other).body == send(box).body


def test_the_key_and_the_role_stay_when_a_state_is_restored() -> None:
    box = Sandbox(clock=SetClock(), api_key="sk_other", role="viewer")
    box.restore(BUSY)
    assert (box.api_key, box.account.api_key, box.account.role) == ("sk_other", "sk_other", "viewer")
    assert box.snapshot()["options"]["api_key"] == "sk_other"
    assert len(box.messages) == len(busy().messages)


def test_a_snapshot_that_cannot_be_read_changes_nothing_and_says_where() -> None:
    box = busy()
    before = seen(box)
    answer = put(box, {**BUSY, "options": {**BUSY["options"], "role": "king"}})
    assert (answer.status, said(answer)["details"]) == (
        400,
        [{"field": "options.role", "message": "is none of the known values"}],
    )
    assert said(put(box, {}))["details"] == [{"field": "", "message": "this is not the snapshot of a sandbox"}]
    with pytest.raises(ControlError, match=r"the snapshot is damaged at options.role: is none of the known values"):
        box.restore({**BUSY, "options": {**BUSY["options"], "role": "king"}})
    assert seen(box) == before


def test_a_reset_brings_back_what_the_sandbox_was_started_with() -> None:
    agents = (one for one in (SandboxAgent(agent_id="ag_own", channel_id="ch_own"),))
    box = Sandbox(clock=SetClock(), agents=agents, balance=Decimal(5), faults=0.0, keep_messages=7)
    first = box.snapshot()
    assert send(box, text(agent_id="ag_own"), key="k").status == 200
    box.add(SandboxAgent(agent_id="ag_other", channel_id="ch_other"))
    box.set_faults(FaultShares(lost=1))
    box.set_balance(Decimal(1))
    box.advance_clock(3600)
    box.pause_clock()
    account = box.account
    assert box.handle(request("POST", "/_sandbox/reset", body={})).response.status == 200
    assert box.snapshot() == first
    assert box.account is account
    assert send(box, text(agent_id="ag_own"), key="k").status == 200


def test_a_reset_brings_back_the_snapshot_that_the_sandbox_was_made_of() -> None:
    given = through_json(busy())
    box = Sandbox.from_snapshot(given, clock=SetClock())
    given["log"] = {}
    assert send(box).status == 200
    box.reset()
    assert through_json(box) == BUSY


def test_a_reset_with_an_idempotency_key_is_made_once() -> None:
    box = Sandbox(clock=SetClock())
    reset = request("POST", "/_sandbox/reset", key="k-1")
    assert box.handle(reset).response.status == 200
    assert send(box).status == 200
    assert box.handle(reset).replayed
    assert len(box.messages) == 1


def test_what_a_page_follows_ends_when_the_state_is_replaced() -> None:
    box = busy()
    feeds = [box.account.state.changes]
    box.reset()
    feeds.append(box.account.state.changes)
    box.restore(BUSY)
    assert [one.ended for one in (*feeds, box.account.state.changes)] == [True, True, False]


def test_a_clock_that_stands_still_stands_still_after_it_was_restored() -> None:
    clock = SetClock()
    box = Sandbox(clock=clock, timing=Timing(sent=1))
    assert send(box).status == 200
    box.pause_clock()
    taken = through_json(box)
    clock.moment += 3600
    for restored in (Sandbox.from_snapshot(taken, clock=clock), box):
        if restored is box:
            box.resume_clock()
            box.restore(taken)
        assert (restored.time(), restored.clock_state.paused) == (NOW, True)
        assert [name for name, _ in restored.messages[0].events] == ["queued"]
        restored.resume_clock()
        restored.advance_clock(1)
        assert [name for name, _ in restored.messages[0].events] == ["queued", "sent"]


def test_a_clock_that_is_ahead_is_ahead_after_it_was_restored() -> None:
    clock = SetClock()
    box = Sandbox(clock=clock)
    box.advance_clock(3600)
    taken = through_json(box)
    clock.moment += 5
    assert Sandbox.from_snapshot(taken, clock=clock).time() == NOW + 3605


def test_changed_faults_and_prices_are_in_a_snapshot() -> None:
    box = Sandbox(clock=SetClock(), seed={"prices": {"email": 0.5}})
    box.set_faults(FaultShares(slow=0.5), slow=9, webhooks=WebhookFaults(late=1))
    restored = Sandbox.from_snapshot(through_json(box), clock=SetClock())
    assert restored.faults == box.faults
    assert restored.account.state.prices == box.account.state.prices


def test_a_large_seed_of_random_numbers_is_kept_over_http() -> None:
    box = Sandbox(clock=SetClock(), random_seed=-(2**70))
    assert put(box, take(box)).status == 200
    assert box.account.options.random_seed == -(2**70)


def test_a_snapshot_that_json_cannot_have_is_refused() -> None:
    with pytest.raises(ValueError, match="must be of the types of JSON: TypeError"):
        _ = Sandbox.from_snapshot({**BUSY, "time": Decimal(5)})


# Any sequence of controls.

RANK = {"QUEUED": 0, "SENT": 1, "DELIVERED": 2, "READ": 3, "CLICKED": 4, "COMPLAINED": 5, "UNSUBSCRIBED": 5}


def newest_delivery(name: str, *args: object) -> Callable[[Sandbox, float], object]:
    """Let a control act on the newest webhook delivery."""

    def run(box: Sandbox, now: float) -> object:  # noqa: ARG001 - the clock has it
        record = next(box.account.state.webhook_queue.deliveries(), None)
        try:
            return getattr(box, name)(*(("none", "none") if record is None else record.id.split(".")), *args)
        except ControlError as error:
            return str(error)

    return run


def restore_first(box: Sandbox, now: float) -> None:  # noqa: ARG001 - the clock has it
    box.restore(BUSY)


HOOKS = [{"url": "https://shop.example/in", "events": EVENTS, "secret": "s"}]
STATUSES = st.sampled_from([control(name) for name in ("deliver", "deliver", "read", "fail", "expire")])
CONTROLS = st.sampled_from(
    [
        control("fail", "none", "full"),
        control("reply_from", TO, "ag_live_demo"),
        control("top_up", Decimal(5)),
        control("top_up", Decimal(10**9)),
        control("set_balance", Decimal(0)),
        control("set_balance", Decimal("7.25")),
        control("set_faults", 0.5),
        control("set_faults", FaultShares(slow=0.5, lost=0.5)),
        *(newest_delivery(name) for name in ("replay", "duplicate", "reorder")),
        newest_delivery("delay", 60),
        lambda box, _: box.pause_clock(),
        lambda box, _: box.resume_clock(),
        control("advance_clock", 3600),
        control("advance_clock", -1),
        control("seed", {"balance": 9, "messages": [{"send": text(), "ago": "2h"}], "webhooks": HOOKS}),
        control("seed", {"messages": [{"send": text(to="1")}]}),
        lambda box, _: box.reset(),
        restore_first,
        take_webhook,
    ]
)


def check_invariants(box: Sandbox) -> None:
    state = box.account.state
    assert state.wallet.reserved == sum(state.wallet.holds.values(), Decimal(0)) >= 0
    assert (state.wallet.total, state.wallet.free >= 0) == (state.wallet.free + state.wallet.reserved, True)
    for entry in box.messages:
        ranks = [RANK[name.upper()] for name, _ in entry.events if name.upper() in RANK]
        moments = [moment for _, moment in entry.events]
        assert (ranks, moments) == (sorted({*ranks}), sorted(moments)), "a status only moves forward"
        assert (entry.id in state.wallet.holds) <= (entry.status in {"QUEUED", "SENT"})
    assert state.owner is box
    assert state.account is box.account
    assert not state.changes.ended


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(WAITS, st.one_of(SENDS, WRITES, CONTROLS, STATUSES, STATUSES)), max_size=14))
def test_no_sequence_of_controls_breaks_the_account_or_a_snapshot(steps: list[Step]) -> None:
    clock = SetClock()
    seed = {"webhooks": HOOKS, "messages": [{"send": text(), "status": "QUEUED"}]}
    box = Sandbox(clock=clock, balance=Decimal(20), seed=seed)
    for wait, act in steps:
        clock.moment += wait
        _ = act(box, box.time())
        check_invariants(box)
    taken = through_json(box)
    restored = Sandbox.from_snapshot(taken, clock=SetClock(clock.moment))
    assert through_json(restored) == taken
    assert seen(restored) == seen(box)
