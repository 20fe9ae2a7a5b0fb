"""batch with a journal: whatever ends it, the same batch sent again finishes exactly the rest."""

import asyncio
import errno
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from uuid import UUID

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import (
    ApiError,
    Call,
    Client,
    Forbidden,
    InsufficientBalance,
    Invalid,
    NotSent,
    Ok,
    Result,
    Unanswered,
    Unauthorized,
    batch,
    journal,
)
from msgapi.clock import VirtualClock
from msgapi.journal import State, Unusable
from msgapi.journal.sqlite import JournalFile
from msgapi.messages import Accepted
from msgapi.sandbox import Sandbox
from tests.support.batch_calls import BACKENDS
from tests.support.journals import Service, drained, message, opened, rows, sent

T = TypeVar("T")
pytestmark = pytest.mark.anyio


def summary(directory: Path) -> dict[State, int]:
    with journal.open_readonly(str(directory / "run.db")) as read:
        return {state: read.summary().rows(state) for state in State if read.summary().rows(state)}


async def later(items: Iterator[T]) -> AsyncIterator[T]:
    for item in items:
        await anyio.lowlevel.checkpoint()
        yield item


@pytest.mark.parametrize("slowly", [False, True])
async def test_rows_go_out_under_the_keys_of_the_journal_and_only_once(tmp_path: Path, *, slowly: bool) -> None:
    api = Service()
    for run in range(2):
        async with opened(tmp_path) as record:
            found, outcomes = await sent(api, later(rows(300)) if slowly else rows(300), record)
        assert (len(found), outcomes.skipped) == ((0, 300) if run else (300, 0))
    assert sorted(api.keys, key=str) == sorted(journal.key_of("b1", str(row)) for row in range(300))
    assert summary(tmp_path) == {State.ACCEPTED: 300}


async def test_a_row_is_on_the_disk_before_it_leaves(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:

        async def api(call: Call[T]) -> Result[T]:
            started = {line.key or record.key(line.id) for line in journal.JournalReader(record._file).rows()}
            assert call.idempotency_key in started
            await anyio.lowlevel.checkpoint()
            return Forbidden()

        async with batch.send(api, rows(20), journal=record, concurrency=3) as outcomes:
            assert len([outcome async for outcome in outcomes]) == 20


async def test_refused_rows_do_not_go_again_and_those_held_up_do(tmp_path: Path) -> None:
    api = Service({2: Forbidden(), 5: InsufficientBalance()})
    async with opened(tmp_path) as record:
        found, outcomes = await sent(api, rows(20), record, concurrency=1)
    assert outcomes.stopped == batch.Stopped("balance", InsufficientBalance())
    assert len(found) == 5
    assert summary(tmp_path) == {State.ACCEPTED: 3, State.REFUSED: 1, State.NOT_SENT: 1}
    async with opened(tmp_path) as record:
        found, outcomes = await sent(api, rows(20), record)
    assert outcomes.skipped == 4
    assert set(found) == {str(row) for row in range(4, 20)}
    assert Counter(api.keys).most_common(2)[0] == (record.key("4"), 2)
    assert summary(tmp_path) == {State.ACCEPTED: 19, State.REFUSED: 1}


async def test_after_a_top_up_the_refused_row_goes_again_in_the_same_run(tmp_path: Path) -> None:
    api = Service({3: InsufficientBalance()})
    found: list[str] = []
    async with opened(tmp_path) as record, batch.send(api, rows(9), journal=record, concurrency=1) as outcomes:
        refused = [outcome async for outcome in outcomes][-1]
        outcomes.resume(refused)
        async for outcome in outcomes:
            assert isinstance(outcome.result, Ok)
            found.append(outcome.id)
    assert sorted(found) == [str(row) for row in range(2, 9)]
    assert summary(tmp_path) == {State.ACCEPTED: 9}


async def test_rows_that_are_not_fit_to_be_sent_are_told_and_kept(tmp_path: Path) -> None:
    items = [("1", message(1)), ("2", message(2, "")), ("1", message(3)), ("4", message(4))]
    for run in range(2):
        async with opened(tmp_path) as record:
            found, outcomes = await sent(Service(), items, record, concurrency=1)
        assert isinstance(found["2"], Invalid)
        assert (found["1"] if run else outcomes).__class__ is (Invalid if run else batch.Outcomes)
        assert outcomes.skipped == (2 if run else 0)
    assert summary(tmp_path) == {State.ACCEPTED: 2, State.INVALID: 1}


async def test_an_id_that_cannot_be_encoded_costs_its_row_only(tmp_path: Path) -> None:
    items = [(f"r{n}" if n != 10 else "r\udcff", message(n)) for n in range(20)]
    for run in range(2):
        api = Service()
        async with opened(tmp_path) as record:
            found, _ = await sent(api, items, record)
        bad = found["r\udcff"]
        assert isinstance(bad, Invalid)
        assert bad.code == "bad_id"
        assert len(api.keys) == (0 if run else 19)
    assert summary(tmp_path) == {State.ACCEPTED: 19}  # the journal cannot hold the id


@pytest.mark.parametrize("number", [7, UUID(int=7), None])
async def test_an_id_that_is_no_string_is_a_type_error_that_names_the_row(tmp_path: Path, number: Any) -> None:  # noqa: ANN401
    items = [("a", message(1)), (number, message(2))]
    async with opened(tmp_path) as record:
        with pytest.raises(TypeError, match=f"^the id of row 1 of the batch must be str, not {type(number).__name__}$"):
            _ = await sent(Service(), items, record)


async def test_what_was_begun_and_not_sent_is_released_when_the_batch_is_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as record:
        async with batch.send(Service(), rows(500), journal=record, concurrency=8) as outcomes:
            _ = await anext(outcomes)
            outcomes.stop()
            rest = [outcome async for outcome in outcomes]
        assert outcomes.in_flight == 0
    assert summary(tmp_path) == {State.ACCEPTED: len(rest) + 1}


async def test_rows_that_come_to_something_unsent_need_no_release(tmp_path: Path) -> None:
    items = ((str(at), message(at, "")) for at in range(20))
    async with opened(tmp_path) as record, batch.send(Service(), items, journal=record, concurrency=2) as outcomes:
        _ = await anext(outcomes)
    assert set(summary(tmp_path)) == {State.INVALID}


@pytest.mark.parametrize("concurrency", [1, 5])
async def test_rows_that_wait_for_money_or_their_turn_are_released_too(tmp_path: Path, concurrency: int) -> None:
    most = batch.SpendLimit(total=Decimal("0.35"), per_message=Decimal("0.10"))
    async with opened(tmp_path) as record:
        found, outcomes = await sent(Service(), rows(50), record, concurrency=concurrency, max_spend=most)
    assert outcomes.stopped == batch.Stopped("spend")
    assert len(found) == 4
    assert summary(tmp_path) == {State.ACCEPTED: len(found)}


async def test_what_is_cut_off_stays_in_doubt_and_goes_again_under_its_key(tmp_path: Path) -> None:
    async def never(call: Call[T]) -> Result[T]:
        keys.append(call.idempotency_key)
        await anyio.sleep_forever()
        raise AssertionError

    keys: list[str | None] = []
    async with opened(tmp_path) as record:
        with anyio.move_on_after(0.2):
            async with batch.send(never, rows(50), journal=record, concurrency=4) as outcomes:
                _ = await anext(outcomes)
    assert summary(tmp_path) == {State.STARTED: 4}
    api = Service()
    async with opened(tmp_path) as record:
        _ = await sent(api, rows(50), record)
    assert set(keys) <= set(api.keys)
    assert len(api.keys) == len(set(api.keys)) == 50


async def test_outcomes_are_written_while_nothing_new_begins(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with (
        clock.autojump(),
        opened(tmp_path, clock=clock) as record,
        batch.send(Service(), rows(3), journal=record, concurrency=3) as outcomes,
    ):
        _ = [outcome async for outcome in outcomes]
        with anyio.fail_after(5):  # for the disk
            while {line.state for line in journal.JournalReader(record._file).rows()} != {State.ACCEPTED}:  # noqa: ASYNC110 - a disk has no event
                await anyio.sleep(0.001)


class FullDisk:
    """A store that takes so many writes and no more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
        self.left, write = writes, JournalFile.write

        def wrapped(store: JournalFile, *rows: Any) -> bool:  # noqa: ANN401 - those of `write`
            self.left -= 1
            if self.left < 0:
                raise Unusable("unwritable", f"{store.path}: {errno.ENOSPC}")
            return write(store, *rows)

        monkeypatch.setattr(JournalFile, "write", wrapped)


@pytest.mark.parametrize("writes", [0, 1, 3])
async def test_a_full_disk_ends_the_batch_and_nothing_is_lost_or_sent_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    api, taken = Service(), list[str]()
    with monkeypatch.context() as patch:
        _ = FullDisk(patch, writes)
        with pytest.raises(Unusable) as caught:
            await drained(tmp_path, api, rows(200), taken)
    assert len(taken) == len(api.keys)
    assert any("the last outcomes" in note for note in getattr(caught.value, "__notes__", [])) or not taken
    async with opened(tmp_path) as record:
        _ = await sent(api, rows(200), record)
    assert len(set(api.keys)) == 200
    assert summary(tmp_path) == {State.ACCEPTED: 200}


async def test_a_disk_that_fills_between_two_rows_ends_the_batch_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, go = VirtualClock(), anyio.Event()

    async def slow() -> AsyncIterator[tuple[str, Call[Accepted]]]:
        yield "1", message(1)
        await go.wait()

    disk = FullDisk(monkeypatch, 1)
    async with clock.autojump():
        with pytest.raises(Unusable):
            await drained(tmp_path, Service(), slow(), [], clock)
    assert disk.left < 0


async def test_once_there_is_room_again_it_goes_on_with_what_was_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Service()
    async with opened(tmp_path) as record:
        disk = FullDisk(monkeypatch, 0)
        async with batch.send(api, rows(30), journal=record, concurrency=4) as outcomes:
            with pytest.raises(Unusable):
                _ = await anext(outcomes)
            disk.left = 10**6
            outcomes.resume()
            assert len([outcome async for outcome in outcomes]) == 30


async def test_what_the_source_raises_comes_out_after_the_outcomes_of_what_was_sent(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, Call[Accepted]]]:
        yield from rows(5)
        raise ValueError("row 6")

    taken: list[str] = []
    with pytest.raises(ValueError, match="row 6"):
        await drained(tmp_path, Service(), broken(), taken)
    assert len(taken) == 5
    assert summary(tmp_path) == {State.ACCEPTED: 5}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_source_that_is_cancelled_from_within_is_an_error_and_no_hang(tmp_path: Path) -> None:
    async def cancelled() -> AsyncIterator[tuple[str, Call[Accepted]]]:
        yield "1", message(1)
        future = asyncio.get_running_loop().create_future()
        _ = future.cancel()
        await future

    with pytest.raises(RuntimeError, match="the source was cancelled from within"):
        await drained(tmp_path, Service(), cancelled(), [])


async def test_what_the_body_raises_is_not_hidden_by_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with opened(tmp_path) as record:
            _ = await record.begin([("1", message(1))])
            record.settle("1", Forbidden())
            _ = FullDisk(monkeypatch, 0)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await body()


@BACKENDS
@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 40),
    concurrency=st.integers(1, 9),
    stops=st.lists(st.integers(0, 40), max_size=4),
    instead=st.dictionaries(st.integers(1, 80), st.sampled_from([Forbidden(), Unauthorized(), Unanswered("x")])),
)
def test_resumed_any_number_of_times_every_row_is_accepted_under_one_key_or_refused(
    backend: str, count: int, concurrency: int, stops: list[int], instead: dict[int, Result[Any]]
) -> None:
    async def scenario(directory: Path) -> None:
        box = Sandbox(clock=clock, timing=None, rate_limit=10**6)
        api = Service(instead)
        async with Client(api_key=box.api_key, transport=box, clock=clock) as client:

            async def both(call: Call[T]) -> Result[T]:
                said = await api(call)
                return await client(call) if isinstance(said, Ok | Unanswered) else said

            for stop in [*stops, None, None]:
                if stop is None:
                    api.instead = {}
                taken = 0
                async with (
                    opened(directory, clock=clock) as record,
                    batch.send(both, rows(count), journal=record, concurrency=concurrency) as outcomes,
                ):
                    async for _ in outcomes:
                        taken += 1
                        if taken == stop:
                            break
        assert len(box.messages) + summary(directory).get(State.REFUSED, 0) == count
        assert len({one.to for one in box.messages}) == len(box.messages)
        assert set(summary(directory)) <= {State.ACCEPTED, State.REFUSED}

    clock = VirtualClock()
    with TemporaryDirectory() as made:
        anyio.run(scenario, Path(made), backend=backend)


async def test_a_row_that_an_earlier_run_may_have_sent_is_still_in_doubt_when_it_is_held_up(tmp_path: Path) -> None:
    cases: list[tuple[ApiError, bool]] = [(Unanswered("x"), True), (NotSent("x"), False)]
    for first, doubt in cases:
        directory = tmp_path / first.code
        directory.mkdir()
        async with opened(directory) as record:
            _ = await sent(Service({1: first}), rows(1), record)
        async with opened(directory) as record:
            found, _ = await sent(Service({1: NotSent("y")}), rows(1), record)
        result = found["0"]
        assert isinstance(result, NotSent)
        assert result.may_have_happened is doubt
