"""sandbox.workspaces: a key sees its own workspace, and nothing of another."""

from decimal import Decimal

import pytest
from sandboxing import TO, request

import msgapi
from msgapi import NotFound, Ok, Unanswered, Unauthorized, VirtualClock, billing, messages
from msgapi.sandbox import LUCK, Sandbox, Workspaces
from msgapi.sandbox.server import serving

pytestmark = pytest.mark.anyio
TEXT = messages.Text(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", text="Hello")


def two() -> tuple[Sandbox, Sandbox, Workspaces]:
    one, other = Sandbox(api_key="sk_one", balance=Decimal(1)), Sandbox(api_key="sk_two", seed=2)
    return one, other, Workspaces([one, other])


async def test_a_key_sees_its_own_workspace_only() -> None:
    one, other, both = two()
    async with msgapi.connect(transport=both, api_key="sk_one") as api:
        sent = await api(messages.send(TEXT))
        assert isinstance(sent, Ok)
        assert isinstance(await api(messages.get(sent.value.message_id)), Ok)
    async with msgapi.connect(transport=both, api_key="sk_two") as api:
        assert isinstance(await api(messages.get(sent.value.message_id)), NotFound)
        listed, balance = await api(messages.list()), await api(billing.balance())
        assert isinstance(listed, Ok)
        assert isinstance(balance, Ok)
        assert listed.value.messages == ()
        assert balance.value.free == Decimal(1000)
    assert (len(one.messages), len(other.messages)) == (1, 0)


@pytest.mark.parametrize("key", ["sk_three", ""])
async def test_a_key_of_none_is_refused(key: str) -> None:
    _, _, both = two()
    async with msgapi.connect(transport=both, api_key=key or "x") as api:
        assert isinstance(await api(messages.list()), Unauthorized)
    assert both.handle(request("GET", "/v1/messages", Authorization=key)).response.status == 401


async def test_a_lost_answer_is_lost_and_a_slow_one_slow() -> None:
    clock = VirtualClock()
    both = Workspaces([Sandbox(api_key="sk_one", clock=clock)])
    phone = {one.fate: one.phone for one in LUCK}
    body = {"agent_id": "ag_live_demo", "message_type": "MESSAGE", "traffic_type": "TRANSACTION"}
    asked = [
        request(
            "POST",
            "/v1/messages",
            body={**body, "to": phone[fate], "content": {"text": "x"}},
            Authorization="Bearer sk_one",
        )
        for fate in ("lost", "slow")
    ]
    async with clock.running():
        assert isinstance(await both(asked[0]), Unanswered)
        assert clock.now() == 0
        _ = await both(asked[1])
        assert clock.now() == 3


def test_each_workspace_has_a_key_of_its_own() -> None:
    for boxes in ([], [Sandbox(), Sandbox()]):
        with pytest.raises(ValueError, match="key of its own"):
            _ = Workspaces(boxes)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_they_are_served_behind_one_address() -> None:
    one, _, both = two()
    async with serving(both) as url, msgapi.connect(api_key="sk_one", base_url=url) as api:
        assert isinstance(await api(messages.send(TEXT)), Ok)
    assert len(one.messages) == 1
