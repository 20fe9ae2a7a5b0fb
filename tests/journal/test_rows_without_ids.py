"""Calls without ids in a journal: what they say identifies them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from msgapi import Call, Forbidden, Invalid, Ok, batch, journal, messages
from msgapi.journal import State
from msgapi.journal.resumption import content_id, request_digest
from msgapi.messages import Accepted, Text
from tests.support.journals import Service, edited, message, opened

pytestmark = pytest.mark.anyio


def calls(count: int) -> Iterator[Call[Accepted]]:
    return (message(number) for number in range(count))


async def send(directory: Path, service: Service, items: Iterator[Call[Accepted]], keys: str = "derived") -> list[str]:
    found: list[str] = []
    async with (
        opened(directory, keys=keys) as record,
        batch.send(service, items, journal=record, concurrency=1) as outcomes,
    ):
        async for outcome in outcomes:
            result = outcome.result
            found.append("Ok" if isinstance(result, Ok) else result.code)
    return found


async def test_the_same_calls_are_the_same_rows_in_any_order(tmp_path: Path) -> None:
    service = Service({3: Forbidden(code="forbidden")})
    assert await send(tmp_path, service, calls(4)) == ["Ok", "Ok", "forbidden", "Ok"]
    assert await send(tmp_path, service, reversed(list(calls(5)))) == ["Ok"]
    with journal.open_readonly(str(tmp_path / "run.db")) as record:
        assert {row.id for row in record.rows()} == {content_id(request_digest(one)) for one in calls(5)}
        assert set(service.keys) == {journal.key_of("b1", row.id) for row in record.rows()}


async def test_the_second_of_two_equal_calls_is_repeated_also_once_the_first_is_settled(tmp_path: Path) -> None:
    service = Service()
    found = await send(tmp_path, service, iter([message(1), *calls(200), message(150), message(1)]))
    assert found.count("Ok") == 200
    assert found.count(journal.REPEATED) == 3
    assert len(service.keys) == 200


async def test_an_edited_call_is_a_new_row(tmp_path: Path) -> None:
    service = Service()
    assert await send(tmp_path, service, iter([message(1)])) == ["Ok"]
    assert await send(tmp_path, service, iter([message(1, "Ho")])) == ["Ok"]


async def test_calls_with_different_keys_of_their_own_are_different_rows(tmp_path: Path) -> None:
    text = Text(agent_id="ag_live_demo", to="+4915100000001", traffic_type="TRANSACTION", text="Hi")
    service = Service()

    def keyed(*keys: str) -> Iterator[Call[Accepted]]:
        return (messages.send(text, idempotency_key=key) for key in keys)

    assert await send(tmp_path, service, keyed("k1", "k2", "k1"), "own") == ["Ok", "Ok", journal.REPEATED]
    assert await send(tmp_path, service, keyed("k2", "k3"), "own") == ["Ok"]
    assert service.keys == ["k1", "k2", "k3"]


async def test_another_call_under_a_key_of_the_same_run_is_repeated(tmp_path: Path) -> None:
    calls = [message(1).under("k1"), *(message(at).under(f"n{at}") for at in range(200)), message(1, "Ho").under("k1")]
    service = Service()
    assert (await send(tmp_path, service, iter(calls), "own"))[-1] == journal.REPEATED
    assert len(service.keys) == 201


async def test_a_damaged_number_of_runs_is_not_relied_on(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with edited(tmp_path / "run.db") as there:
        _ = there.execute("UPDATE about SET value = 'x' WHERE name = 'run'")
    with pytest.raises(journal.Unusable) as caught:
        async with opened(tmp_path):
            pass
    assert caught.value.reason == "damaged"


async def test_a_known_id_that_was_refused_is_sent_with_another_request_under_another_key(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        _ = await record.begin([("1", message(1))])
        record.settle("1", Forbidden())
    async with opened(tmp_path) as record:
        (found,) = await record.begin([("1", message(1, "Ho"))])
        assert isinstance(found, journal.Send)
        assert found.key != record.key("1")
        record.release("1")
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        assert [(row.state, row.key) for row in read.rows()] == [(State.NOT_SENT, found.key)]
    async with opened(tmp_path) as record:
        assert [one.key for one in await record.begin([("1", message(1, "Ho"))]) if isinstance(one, journal.Send)] == [
            found.key
        ]


async def test_a_known_id_with_another_request_keeps_its_own_key_only_if_that_is_new(tmp_path: Path) -> None:
    def keyed(text: str, key: str) -> Call[Accepted]:
        return message(1, text).under(key)

    async with opened(tmp_path, keys="own") as record:
        _ = await record.begin([("1", keyed("Hi", "k1"))])
        record.settle("1", Forbidden())
    async with opened(tmp_path, keys="own") as record:
        (found,) = await record.begin([("1", keyed("Ho", "k1"))])
        assert isinstance(found, Invalid)
        assert found.code == "key_used"
    async with opened(tmp_path, keys="own") as record:
        (found,) = await record.begin([("1", keyed("Ho", "k2"))])
        assert isinstance(found, journal.Send)
        assert found.key == "k2"
