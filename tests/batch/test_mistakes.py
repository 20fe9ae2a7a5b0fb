"""Whatever is raised between the start and the result of a row ends the iteration, and comes out as itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from msgapi import Call, Forbidden, Invalid, Ok, Result, Unavailable, VirtualClock, batch, journal
from msgapi.journal import State
from msgapi.observe import Observer
from tests.support.journals import Service, message, opened, rows, sent

pytestmark = pytest.mark.anyio


async def all_of(client: Any, calls: Any, **options: Any) -> list[batch.Outcome[Any]]:  # noqa: ANN401 - also wrong ones
    with anyio.fail_after(5):
        async with batch.send(client, calls, outage_timeout=0, **options) as outcomes:
            return [outcome async for outcome in outcomes]


def broken(good: int, bad: object) -> Iterator[object]:
    yield from (message(number) for number in range(good))
    yield bad


@pytest.mark.parametrize("bad", [None, "text", ("1", message(1))])
async def test_a_row_that_is_no_call_is_named(bad: object) -> None:
    with pytest.raises(TypeError, match=f"row 3 of the batch must be a Call, not {type(bad).__name__}"):
        _ = await all_of(Service(), broken(3, bad))


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (("1", None), "row 0 of the batch must be a Call, not NoneType"),
        ((1, message(1)), "the id of row 0 of the batch must be str, not int"),
        (("1", message(1), 2), "row 0 of the batch must be a pair of an id and a Call, not tuple"),
        ("1", "row 0 of the batch must be a pair of an id and a Call, not str"),
    ],
)
async def test_a_row_that_is_no_pair_of_an_id_and_a_call_is_named(tmp_path: Path, bad: object, said: str) -> None:
    async with opened(tmp_path) as record:
        with pytest.raises(TypeError, match=said):
            _ = await all_of(Service(), [bad], journal=record)


async def test_one_id_that_is_not_unicode_costs_one_row(tmp_path: Path) -> None:
    items = [(f"r{at}" if at != 2 else "r\udcff", message(at)) for at in range(5)]
    items.append(("s\udcff", message(5, "")))
    async with opened(tmp_path) as record:
        found, _ = await sent(Service(), items, record)
    bad = found.pop("r\udcff"), found.pop("s\udcff")
    assert all(isinstance(result, Invalid) and result.code == "bad_id" for result in bad)
    assert all(isinstance(result, Ok) for result in found.values())
    assert len(found) == 4


@pytest.mark.parametrize("given", [None, "Ok", Ok])
async def test_a_client_that_returns_no_result_is_an_error_that_names_the_row(given: object) -> None:
    async def double(_: Call[Any], /) -> object:
        return given

    with pytest.raises(
        TypeError, match=f"the client returned {type(given).__name__} for call 0, not a result"
    ) as caught:
        _ = await all_of(double, [message(1)], concurrency=1)
    assert caught.value.__notes__ == ["msgapi: raised for call 0 of the batch, which therefore has no outcome"]


@pytest.mark.parametrize("budget", [False, True])
async def test_a_row_for_which_the_client_raised_stays_begun_and_goes_again_under_its_key(
    tmp_path: Path, *, budget: bool
) -> None:
    from decimal import Decimal

    async def double(_: Call[Any], /) -> Any:  # noqa: ANN401 - none at all
        return None

    limit = batch.SpendLimit(total=Decimal(1), per_message=Decimal("0.1")) if budget else None
    async with opened(tmp_path) as record:
        with pytest.raises(TypeError, match="not a result"):
            _ = await all_of(double, rows(1), journal=record, max_spend=limit)
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        assert [row.state for row in read.rows()] == [State.STARTED]
    service = Service()
    async with opened(tmp_path) as record:
        _ = await sent(service, rows(1), record)
        assert service.keys == [record.key("0")]


async def test_an_error_while_a_result_is_recorded_comes_out_as_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settle(*_: object) -> None:
        raise ZeroDivisionError

    async with opened(tmp_path) as record:
        monkeypatch.setattr("msgapi.journal.journal.Journal.settle", settle)
        with pytest.raises(ZeroDivisionError):
            _ = await all_of(Service(), rows(1), journal=record)


class Raising(Observer):
    """An observer that raises."""

    def batch(self) -> Any:  # noqa: ANN401 - it returns nothing
        raise ZeroDivisionError


async def test_an_observer_that_raises_does_not_stop_the_batch() -> None:
    outcomes = await all_of(Service(), [message(1), message(2)], observer=Raising())
    assert len(outcomes) == 2


async def test_rows_without_a_result_are_known_after_the_batch_was_left() -> None:
    async def client(call: Call[Any], /) -> Result[Any]:
        if call is calls[2]:
            await anyio.sleep_forever()
        return Forbidden() if call is calls[1] else Ok(1)

    calls = [message(number) for number in range(6)]
    async with batch.send(client, calls, concurrency=3, outage_timeout=0) as outcomes:
        taken = [(await anext(outcomes)).index]
    assert outcomes.unsettled == {2}
    rest = [outcome.index for outcome in outcomes.take_ended()]
    assert outcomes.take_ended() == []
    assert sorted([*taken, *rest, 2])[:3] == [0, 1, 2]
    assert 2 not in rest


async def test_a_row_that_waits_for_the_service_is_without_a_result_until_the_batch_stops() -> None:
    clock = VirtualClock()

    async def client(_: Call[Any], /) -> Result[Any]:
        await anyio.lowlevel.checkpoint()
        return Unavailable()

    async with (
        clock.autojump(),
        batch.send(client, [message(1)], concurrency=1, outage_timeout=5, clock=clock) as outcomes,
    ):
        (outcome,) = [outcome async for outcome in outcomes]
        assert isinstance(outcome.result, Unavailable)
        assert outcomes.unsettled == frozenset()
        assert outcomes.in_flight == 0
