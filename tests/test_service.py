"""The contract of the service: the same conversation with the sandbox, whichever way it goes, comes to the same."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

import msgapi
from msgapi import Client, Ok, Request, Retry, VirtualClock, billing, messages
from msgapi.sandbox import Sandbox, serve
from msgapi.transports import Answer, Faulty, Recording, Replay, Transport

Staging = Callable[[Path], AbstractAsyncContextManager[tuple[str, Transport | None]]]
KEY = "sk_sandbox"
LONELY = "http://127.0.0.1:1"

pytestmark = pytest.mark.anyio


def sandbox() -> Sandbox:
    return Sandbox(api_key=KEY, clock=VirtualClock(), slow=0.0)


@asynccontextmanager
async def in_memory(_: Path) -> AsyncIterator[tuple[str, Transport | None]]:
    yield LONELY, sandbox()


@asynccontextmanager
async def over_a_socket(_: Path) -> AsyncIterator[tuple[str, Transport | None]]:
    async with serve(sandbox(), host="127.0.0.1", port=0) as url:
        yield url, None


@asynccontextmanager
async def without_faults(_: Path) -> AsyncIterator[tuple[str, Transport | None]]:
    yield LONELY, Faulty(sandbox())


@asynccontextmanager
async def replayed(folder: Path) -> AsyncIterator[tuple[str, Transport | None]]:
    path = folder / "conversation.jsonl"
    with Recording(sandbox(), path, unmasked=True) as recording:
        async with msgapi.Client(api_key=KEY, base_url=LONELY, transport=recording, retry=Retry(attempts=1)) as api:
            _ = await converse(api)
    yield LONELY, Replay(path)


def text(to: str, said: str = "Your parcel is here") -> messages.Text:
    return messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text=said)


def told(result: msgapi.Result[object]) -> object:
    """What a result says, without how long it took and under which key."""
    if isinstance(result, Ok):
        return result.value
    details = result.details if isinstance(result, msgapi.Invalid | msgapi.Unprocessable) else ()
    return type(result).__name__, result.code, result.may_have_happened, result.meta.status, details


async def converse(api: Client) -> list[object]:
    first = messages.send(text("+4915112345678"), idempotency_key="first")
    accepted = await api(first)
    assert isinstance(accepted, Ok)
    number = accepted.value.message_id
    calls: list[msgapi.Call[object]] = [
        first,
        messages.send(text("+4915112345678", "another body"), idempotency_key="first"),
        billing.balance(),
        messages.get(number),
        messages.get("msg_unknown"),
        messages.get("a/b?c=d&e"),
        messages.list(limit=5),
        messages.revoke(number),
        messages.revoke(number),
        msgapi.Call("GET", "/v1/nothing", object),
        msgapi.Call("POST", "/v1/messages", object, body=b'{"to":7}', idempotency_key="bad"),
        msgapi.Call("POST", "/v1/messages", object, body=b"<html>", idempotency_key="worse"),
    ]
    calls += [
        messages.send(text(f"+447700900{digits}"), idempotency_key=digits)
        for digits in ("402", "403", "404", "422", "430", "500", "501", "502", "503", "429")
    ]
    return [told(accepted), *[told(await api(call)) for call in calls]]


STAGINGS = [
    pytest.param(in_memory, "asyncio", id="in memory, asyncio"),
    pytest.param(in_memory, "trio", id="in memory, trio"),
    pytest.param(over_a_socket, "asyncio", id="over a socket"),
    pytest.param(without_faults, "trio", id="without faults"),
    pytest.param(replayed, "asyncio", id="replayed, asyncio"),
    pytest.param(replayed, "trio", id="replayed, trio"),
]


@pytest.mark.parametrize(("staging", "anyio_backend"), STAGINGS)
async def test_a_conversation_comes_to_the_same_whichever_way_it_goes(staging: Staging, tmp_path: Path) -> None:
    expected = ["Accepted", "Accepted", "Conflict", "Balance", "MessageRecord", "NotFound", "NotFound", "Page"]
    expected += ["Revoked"]
    expected += ["Conflict", "NotFound", "Invalid", "Invalid", "InsufficientBalance", "Forbidden", "NotFound"]
    expected += ["Unprocessable", "Throttled", "ServerFault", "ServerFault", "ServerFault", "Unavailable", "Throttled"]
    async with (
        staging(tmp_path) as (url, transport),
        msgapi.Client(api_key=KEY, base_url=url, transport=transport, retry=Retry(attempts=1)) as api,
    ):
        found = await converse(api)
    assert [one[0] if isinstance(one, tuple) else type(one).__name__ for one in found] == expected
    async with msgapi.Client(api_key=KEY, base_url=LONELY, transport=sandbox(), retry=Retry(attempts=1)) as api:
        assert found == await converse(api)


@pytest.mark.parametrize(("staging", "anyio_backend"), STAGINGS[:3])
async def test_a_wrong_key_is_unauthorized_whichever_way_it_goes(staging: Staging, tmp_path: Path) -> None:
    async with (
        staging(tmp_path) as (url, transport),
        msgapi.Client(api_key="sk_wrong", base_url=url, transport=transport) as api,
    ):
        assert isinstance(await api(billing.balance()), msgapi.Unauthorized)


@pytest.mark.parametrize(("staging", "anyio_backend"), STAGINGS[:3])
async def test_an_answer_lost_after_acceptance_is_found_again_under_its_key(staging: Staging, tmp_path: Path) -> None:
    magic = next(one for one in msgapi.sandbox.MAGIC_RECIPIENTS if one.fault == "lost")
    call = messages.send(text(magic.phone))
    async with (
        staging(tmp_path) as (url, transport),
        msgapi.Client(api_key=KEY, base_url=url, transport=transport, retry=Retry(attempts=1)) as api,
    ):
        first, second = await api(call), await api(call)
        page = await api(messages.list())
    assert isinstance(first, msgapi.Unanswered)
    assert first.may_have_happened
    assert isinstance(second, Ok)
    assert isinstance(page, Ok)
    assert [one.id for one in page.value.messages] == [second.value.message_id]


async def test_a_three_line_function_is_a_transport() -> None:
    async def transport(_: Request) -> Answer:
        return msgapi.Response(200, {}, b'{"free": 1.5}')

    async with msgapi.Client(api_key=KEY, transport=transport) as api:
        assert told(await api(billing.balance())) == msgapi.Balance(free=Decimal("1.5"))
