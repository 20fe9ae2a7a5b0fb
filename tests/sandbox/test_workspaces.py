"""Workspaces: a key has access to its own sandbox, and to no other."""

from decimal import Decimal
from typing import Any

import pytest

import msgapi
from msgapi import (
    Call,
    Client,
    NotFound,
    Ok,
    Unanswered,
    Unauthorized,
    VirtualClock,
    agents,
    billing,
    campaigns,
    contacts,
    messages,
    webhooks,
)
from msgapi.sandbox import CAMPAIGNS, MAGIC_RECIPIENTS, Campaign, Sandbox, Workspaces, serve
from tests.support.sandbox_requests import NOW, TO, request, said, still, text

pytestmark = pytest.mark.anyio
TEXT = messages.Text(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", text="Hello")


def two() -> tuple[Sandbox, Sandbox, Workspaces]:
    one, other = Sandbox(api_key="sk_one", balance=Decimal(1)), Sandbox(api_key="sk_two", random_seed=2)
    return one, other, Workspaces([one, other])


async def test_a_key_sees_its_own_workspace_only() -> None:
    one, other, both = two()
    async with msgapi.Client(transport=both, api_key="sk_one") as api:
        sent = await api(messages.send(TEXT))
        assert isinstance(sent, Ok)
        assert isinstance(await api(messages.get(sent.value.message_id)), Ok)
    async with msgapi.Client(transport=both, api_key="sk_two") as api:
        assert isinstance(await api(messages.get(sent.value.message_id)), NotFound)
        listed, balance = await api(messages.list()), await api(billing.balance())
        assert isinstance(listed, Ok)
        assert isinstance(balance, Ok)
        assert listed.value.messages == ()
        assert balance.value.free == Decimal(1000)
    assert (len(one.messages), len(other.messages)) == (1, 0)


OWN = Campaign(campaign_id="6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e99")
AGENT = agents.NewAgent(display_name="S", region="EUROPE", billing_category="CONVERSATIONAL", use_case="OTP")
HOOK = webhooks.NewEndpoint(url="https://shop.example/hook", events=("message.read",), secret="whsec_1")
ADA = contacts.NewContact(source="API", phone=TO)


async def filled(api: Client) -> tuple[str, str, str, str]:
    message, agent = await api(messages.send(TEXT)), await api(agents.create(AGENT))
    hook, contact = await api(webhooks.create(HOOK)), await api(contacts.create(ADA))
    assert isinstance(message, Ok)
    assert isinstance(agent, Ok)
    assert isinstance(hook, Ok)
    assert isinstance(contact, Ok)
    return message.value.message_id, agent.value.agent_id, hook.value.id, contact.value.id


def by_id(message: str, agent: str, hook: str, contact: str) -> list[Call[object]]:
    return [
        messages.get(message),
        agents.get(agent),
        agents.update(agent, agents.AgentChanges(display_name="T")),
        webhooks.update(hook, webhooks.EndpointChanges(secret="whsec_2")),
        webhooks.test(hook),
        contacts.get(contact),
        contacts.update(contact, contacts.ContactChanges(first_name="Eve")),
        contacts.list_consents(contact),
        campaigns.status(OWN.campaign_id),
        campaigns.trigger(OWN.campaign_id),
        messages.revoke(message),
        webhooks.delete(hook),
        contacts.delete(contact),
    ]


async def test_a_key_finds_nothing_of_another_workspace_by_its_id() -> None:
    one, other = Sandbox(api_key="sk_one", campaigns=(*CAMPAIGNS, OWN)), Sandbox(api_key="sk_two")
    both = Workspaces([one, other])
    async with (
        msgapi.Client(transport=both, api_key="sk_one") as owner,
        msgapi.Client(transport=both, api_key="sk_two") as stranger,
    ):
        ids, others = await filled(owner), await filled(stranger)
        assert not {*ids} & {*others}
        strange = [await stranger(call) for call in by_id(*ids)]
        own = [await owner(call) for call in by_id(*ids)]
    assert [type(result) for result in strange] == [NotFound] * len(strange)
    assert [type(result) for result in own] == [Ok] * len(own)
    assert [entry.status for entry in other.messages] == ["QUEUED"]


def test_the_ids_of_a_sandbox_follow_from_its_seed_and_its_key() -> None:
    def first(**options: Any) -> str:  # noqa: ANN401 - those of `Sandbox`
        return Sandbox(**options).account.state.new_id("msg_")

    assert first() == first(random_seed=1)
    assert len({first(), first(random_seed=2), first(api_key="sk_two")}) == 3


@pytest.mark.parametrize("key", ["sk_three", ""])
async def test_an_unknown_key_is_refused(key: str) -> None:
    _, _, both = two()
    async with msgapi.Client(transport=both, api_key=key or "x") as api:
        assert isinstance(await api(messages.list()), Unauthorized)
    assert both.handle(request("GET", "/v1/messages", Authorization=key)).response.status == 401


async def test_a_lost_answer_is_lost_and_a_slow_one_slow() -> None:
    clock = VirtualClock()
    both = Workspaces([Sandbox(api_key="sk_one", clock=clock)])
    phone = {one.fault: one.phone for one in MAGIC_RECIPIENTS}
    body = {"agent_id": "ag_live_demo", "message_type": "MESSAGE", "traffic_type": "TRANSACTION"}
    asked = [
        request(
            "POST",
            "/v1/messages",
            body={**body, "to": phone[fault], "content": {"text": "x"}},
            Authorization="Bearer sk_one",
        )
        for fault in ("lost", "slow")
    ]
    async with clock.autojump():
        assert isinstance(await both(asked[0]), Unanswered)
        assert clock.now() == 0
        _ = await both(asked[1])
        assert clock.now() == 3


def test_each_workspace_has_a_key_of_its_own() -> None:
    for boxes in ([], [Sandbox(), Sandbox()]):
        with pytest.raises(ValueError, match="key of its own"):
            _ = Workspaces(boxes)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_workspaces_are_served_at_one_address() -> None:
    one, _, both = two()
    async with serve(both) as url, msgapi.Client(api_key="sk_one", base_url=url) as api:
        assert isinstance(await api(messages.send(TEXT)), Ok)
    assert len(one.messages) == 1


def test_two_workspaces_have_no_id_in_common() -> None:
    ids: list[set[str]] = []
    for key in ("sk_one", "sk_two"):
        box = still(api_key=key)

        def asked(method: str, target: str, body: object = None, box: Sandbox = box) -> Any:  # noqa: ANN401 - JSON
            wanted = request(method, target, body=body, Authorization=f"Bearer {box.api_key}")
            return said(box.account.handle(wanted, NOW).response)

        for _ in range(2):
            assert box.fail(asked("POST", "/v1/messages", text())["message_id"])
        messages = asked("GET", "/v1/messages")["messages"]
        transactions = asked("GET", "/v1/billing/transactions")["transactions"]
        ids.append(
            {one[name] for one in messages for name in ("id", "contact_id")} | {one["id"] for one in transactions}
        )
        assert len(ids[-1]) == 2 + 1 + 2
    assert ids[0] & ids[1] == set()


def test_a_malformed_request_is_answered_by_the_first_workspace() -> None:
    both = Workspaces([still(api_key="sk_one"), still(api_key="sk_two", read_limit=7)])
    answer = both.handle_malformed().response
    assert (answer.status, said(answer)["error"]) == (400, "validation_error")
    assert answer.headers["x-ratelimit-remaining"] == "50000"
