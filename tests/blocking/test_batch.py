"""BlockingClient.batch: rows are pulled and outcomes yielded in one thread, whatever ends the iteration."""

import gc
import inspect
import sqlite3
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, nullcontext
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import cast, get_overloads

import anyio
import pytest

from msgapi import BlockingClient, Call, NotFound, Ok, Request, Response, batch, journal, messages
from msgapi.batch import Outcome, SpendLimit, Stopped
from msgapi.blocking import BlockingOutcomes
from msgapi.journal import State
from msgapi.messages import Accepted
from msgapi.sandbox import Sandbox
from msgapi.transports import Transport
from tests.blocking.conftest import SoftTimeLimit

REFUSED = Response(404, {}, b'{"error":"not_found","message":"unknown"}')


def send(number: int) -> Call[Accepted]:
    text = messages.Text(agent_id="ag_live_demo", to=f"+49151{number:08}", traffic_type="TRANSACTION", text="Hi")
    return messages.send(text)


def rows(count: int) -> Iterator[tuple[str, Call[Accepted]]]:
    for number in range(count):
        yield f"row-{number}", send(number)


def client_of(sandbox: Sandbox) -> BlockingClient:
    return BlockingClient(transport=sandbox, api_key=sandbox.api_key)


def over(transport: Transport) -> BlockingClient:
    return BlockingClient(api_key="k", base_url="http://127.0.0.1:9", transport=transport)


async def refuse(_: Request, /) -> Response:
    await anyio.lowlevel.checkpoint()
    return REFUSED


async def never(_: Request, /) -> Response:
    await anyio.sleep_forever()
    return REFUSED


def accepted_in(path: Path) -> int:
    with journal.open_readonly(str(path)) as record:
        return record.summary().rows(State.ACCEPTED)


def test_its_overloads_have_the_options_of_those_of_batch_send() -> None:
    mine, theirs = get_overloads(BlockingClient.batch), get_overloads(batch.send)
    for one, other in zip(mine, theirs, strict=True):
        options = [[*inspect.signature(function).parameters.values()][2:] for function in (one, other)]
        assert [(option.name, option.default) for option in options[0]] == [
            (option.name, option.default) for option in options[1]
        ]


def test_every_call_has_one_outcome() -> None:
    sandbox = Sandbox()
    with client_of(sandbox) as client:
        outcomes = [*client.batch(send(number) for number in range(500))]
    assert sorted(outcome.index for outcome in outcomes) == [*range(500)]
    assert all(isinstance(outcome.result, Ok) for outcome in outcomes)
    assert len({message.to for message in sandbox.messages}) == 500


@pytest.mark.parametrize("concurrency", [1, 3, 64])
def test_rows_are_pulled_in_the_thread_that_iterates_and_not_far_ahead(concurrency: int) -> None:
    pulled, threads = [], set()

    def source() -> Iterator[Call[Accepted]]:
        for number in range(400):
            pulled.append(number)
            threads.add(threading.current_thread())
            yield send(number)

    taken, ahead = 0, 0
    with over(refuse) as client, client.batch(source(), concurrency=concurrency, breaker=None) as outcomes:
        for _ in outcomes:
            taken += 1
            ahead = max(ahead, len(pulled) - taken)
    assert (taken, threads) == (400, {threading.current_thread()})
    assert ahead <= 6 * concurrency  # pulled ahead, in flight, and the outcomes that are ready


def test_nothing_is_pulled_before_the_iteration() -> None:
    pulled = []

    def source() -> Iterator[Call[Accepted]]:
        pulled.append(1)
        yield send(1)

    with over(refuse) as client, client.batch(source()) as outcomes:
        assert (pulled, outcomes.started) == ([], 0)


def test_a_cursor_of_the_thread_is_a_source() -> None:
    with closing(sqlite3.connect(":memory:")) as database, client_of(Sandbox()) as client:
        _ = database.executescript("CREATE TABLE people (number); INSERT INTO people VALUES (1), (2), (3);")
        source = (send(number) for (number,) in database.execute("SELECT number FROM people"))
        assert len([*client.batch(source)]) == 3


@pytest.mark.parametrize("with_block", [True, False])
def test_an_exception_of_the_source_follows_the_outcomes_of_the_calls_before_it(with_block: bool) -> None:
    def source() -> Iterator[Call[Accepted]]:
        for number in range(5):
            yield send(number)
        raise LookupError("the cursor was closed")

    taken: list[Outcome[Accepted]] = []
    with client_of(Sandbox()) as client:
        outcomes = client.batch(source())
        with outcomes if with_block else nullcontext():
            with pytest.raises(LookupError, match="the cursor was closed"):
                taken.extend(outcome for outcome in outcomes)  # keeps those before the exception
            assert outcomes.stopped is not None
            assert outcomes.stopped.reason == "exception"
    assert len(taken) == 5


def test_what_is_not_a_call_is_a_type_error() -> None:
    with client_of(Sandbox()) as client, pytest.raises(TypeError, match="row 1 of the batch must be a Call, not int"):
        _ = [*client.batch([send(1), 2])]  # type: ignore[arg-type]


async def async_rows() -> object:
    yield send(1)


@pytest.mark.parametrize("calls", [async_rows(), 3, send(1)])
def test_what_is_not_an_iterable_is_a_type_error(calls: object) -> None:
    with client_of(Sandbox()) as client, pytest.raises(TypeError, match="a blocking batch takes an iterable of calls"):
        _ = client.batch(calls)  # type: ignore[call-overload]


def test_wrong_options_raise_at_once() -> None:
    with client_of(Sandbox()) as client:
        with pytest.raises(ValueError, match="concurrency must be at least 1, not 0"):
            _ = client.batch([send(1)], concurrency=0)
        with pytest.raises(TypeError, match="unexpected keyword argument 'at_once'"):
            _ = client.batch([send(1)], at_once=3)  # type: ignore[call-overload]


def test_a_journal_is_opened_and_closed_with_the_batch(tmp_path: Path) -> None:
    sandbox, path = Sandbox(), tmp_path / "b.journal"
    threads, skipped = set(), []

    def on_skip(index: int, row: str) -> None:
        threads.add(threading.current_thread())
        skipped.append((index, row))

    with client_of(sandbox) as client:
        for count in (200, 300):
            opening = journal.open(str(path), batch="b")
            outcomes = client.batch(rows(count), journal=opening, on_skip=on_skip)
            assert all(isinstance(outcome.result, Ok) for outcome in outcomes)
            assert accepted_in(path) == count
            assert "settled=" in repr(outcomes)
    assert (outcomes.skipped, outcomes.started, outcomes.settled) == (200, 100, 100)
    assert len(sandbox.messages) == 300
    assert skipped == [(number, f"row-{number}") for number in range(200)]
    assert threads == {threading.current_thread()}


def test_a_journal_that_is_open_is_used_as_it_is() -> None:
    class Settled:
        has_accepted = True
        earlier_refusals: Mapping[tuple[str, str], int] = MappingProxyType({})

        def row_id(self, call: Call[object]) -> str:
            return repr(call)

        async def begin(self, begun: list[tuple[str, Call[object]]]) -> list[object]:
            await anyio.lowlevel.checkpoint()
            return [journal.SETTLED] * len(begun)

        async def keep(self) -> None:
            await anyio.sleep_forever()

    with client_of(Sandbox()) as client:
        outcomes = client.batch(rows(5), journal=Settled())  # type: ignore[call-overload]
        assert [*outcomes] == []
        assert outcomes.skipped == 5


def test_a_journal_that_cannot_be_opened_raises_at_once(tmp_path: Path) -> None:
    with client_of(Sandbox()) as client, pytest.raises(journal.Unusable):
        _ = client.batch(rows(3), journal=journal.open(str(tmp_path / "none" / "b.journal"), batch="b"))


def test_an_exception_of_on_skip_leaves_the_iteration(tmp_path: Path) -> None:
    def on_skip(index: int, row: str) -> None:
        raise LookupError(f"{index} {row}")

    def opening() -> object:
        return journal.open(str(tmp_path / "b.journal"), batch="b")

    with client_of(Sandbox()) as client:
        assert len([*client.batch(rows(1), journal=opening())]) == 1  # type: ignore[call-overload]
        with pytest.raises(LookupError, match="0 row-0"):
            _ = [*client.batch(rows(1), journal=opening(), on_skip=on_skip)]  # type: ignore[call-overload]


def test_a_row_that_is_skipped_just_before_the_end_is_reported(tmp_path: Path) -> None:
    skipped: list[str] = []

    class Late(deque[Outcome[Accepted]]):
        # The event loop goes on, to the end of the batch, while the consumer looks at this.
        def __len__(self) -> int:
            while rows_were_pulled and outcomes._task.end is None:
                pass
            return super().__len__()

    def source() -> Iterator[tuple[str, Call[Accepted]]]:
        yield from rows(1)
        rows_were_pulled.append(True)

    def opening() -> object:
        return journal.open(str(tmp_path / "b.journal"), batch="b")

    rows_were_pulled: list[bool] = []
    with client_of(Sandbox()) as client:
        assert len([*client.batch(rows(1), journal=opening())]) == 1  # type: ignore[call-overload]
        outcomes = client.batch(source(), journal=opening(), on_skip=lambda _, row: skipped.append(row))  # type: ignore[call-overload]
        outcomes._task.ready = Late()
        assert [*outcomes] == []
    assert skipped == ["row-0"]


class Left(BaseException):
    """Leaves a loop as Ctrl-C does."""


@pytest.mark.parametrize("how", ["break", "exception", "with"])
def test_a_loop_that_is_left_early_loses_nothing(tmp_path: Path, how: str) -> None:
    sandbox, path = Sandbox(), tmp_path / "b.journal"

    def leave_early(client: BlockingClient) -> None:
        opening = journal.open(str(path), batch="b")
        if how == "with":
            with client.batch(rows(300), journal=opening) as outcomes:
                for taken, _ in enumerate(outcomes):
                    if taken == 49:
                        raise Left
        for taken, _ in enumerate(client.batch(rows(300), journal=opening)):
            if taken == 49 and how == "break":
                break
            if taken == 49:
                raise Left

    with client_of(sandbox) as client:
        with nullcontext() if how == "break" else pytest.raises(Left):
            leave_early(client)
        before = len(sandbox.messages)
        assert 50 <= accepted_in(path) == before < 300
        rest = client.batch(rows(300), journal=journal.open(str(path), batch="b"))
        assert len([*rest]) == 300 - before
    assert len({message.to for message in sandbox.messages}) == len(sandbox.messages) == 300


def test_outcomes_that_were_not_yielded_can_be_taken_after_the_batch_was_left() -> None:
    with client_of(Sandbox()) as client:
        with client.batch(send(number) for number in range(300)) as outcomes:
            first = next(outcomes)
            ended = [first, *outcomes.take_ended()]
            _ = next(outcomes)
        after = [*ended, *outcomes.take_ended()]
    assert len(after) == len({outcome.index for outcome in after}) == outcomes.settled - 1
    assert outcomes.unsettled.isdisjoint(outcome.index for outcome in after)
    assert outcomes.unsettled_calls.keys() == outcomes.unsettled


def test_a_batch_stops_at_an_empty_balance_and_can_be_resumed() -> None:
    sandbox, taken = Sandbox(balance=Decimal("2.80")), 0
    again: list[Outcome[Accepted]] = []
    client = client_of(sandbox)
    with client.batch([send(number) for number in range(60)], concurrency=4) as outcomes:
        for outcome in outcomes:
            taken += isinstance(outcome.result, Ok)
            again += [] if isinstance(outcome.result, Ok) else [outcome]
        assert outcomes.stopped is not None
        assert (outcomes.stopped.reason, taken) == ("balance", 40)
        sandbox.top_up(Decimal(100))
        outcomes.resume(*again)
        assert getattr(outcomes, "stopped") is None  # noqa: B009 - mypy keeps what was asserted above
        taken += sum(isinstance(outcome.result, Ok) for outcome in outcomes)
        assert not outcomes.in_outage
        assert outcomes.in_flight == 0
    assert taken == 60
    with pytest.raises(RuntimeError, match="this batch is over"):
        outcomes.resume()
    with pytest.raises(RuntimeError, match="this batch is over"):
        _ = next(outcomes)
    client.close()


def test_a_limit_of_spending_holds() -> None:
    with client_of(Sandbox()) as client:
        limit = SpendLimit(total=Decimal("0.70"), per_message=Decimal("0.07"))
        outcomes = client.batch([send(number) for number in range(60)], max_spend=limit)
        assert len([*outcomes]) == 10
        assert outcomes.stopped is not None
        assert outcomes.stopped.reason == "spend"


def test_stop_lets_the_calls_in_flight_end() -> None:
    taken = 0
    with client_of(Sandbox()) as client:
        outcomes = client.batch(send(number) for number in range(10_000))
        for _ in outcomes:
            taken += 1
            if taken == 5:
                outcomes.stop()
        assert outcomes.stopped == Stopped("asked")
        assert taken == outcomes.settled == outcomes.started < 10_000


def test_a_client_that_is_closed_ends_its_batches(tmp_path: Path) -> None:
    sandbox, path = Sandbox(), tmp_path / "b.journal"
    client = client_of(sandbox)
    with client.batch(rows(300), journal=journal.open(str(path), batch="b")) as outcomes:
        _ = next(outcomes)
        client.close()
        with pytest.raises(RuntimeError, match="this client is closed"):
            for _ in outcomes:
                pass
    assert accepted_in(path) == len(sandbox.messages) > 0


def test_only_one_thread_may_iterate() -> None:
    raised: list[BaseException] = []

    def source() -> Iterator[Call[Accepted]]:
        yield send(1)

        def iterate() -> None:
            try:
                _ = next(outcomes)
            except RuntimeError as error:
                raised.append(error)

        thread = threading.Thread(target=iterate)
        thread.start()
        thread.join()

    with client_of(Sandbox()) as client, client.batch(source()) as outcomes:
        assert len([*outcomes]) == 1
    assert "another thread iterates over this batch already" in str(raised[0])


def test_an_interrupt_while_it_waits_cancels_the_calls(alarm: Callable[[], None]) -> None:
    arrived = threading.Event()
    cancelled = []

    async def transport(_: Request, /) -> Response:
        arrived.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(1)
        return REFUSED

    def interrupt() -> None:
        assert arrived.wait(10)
        alarm()

    with over(transport) as client:
        thread = threading.Thread(target=interrupt)
        thread.start()
        outcomes = client.batch([send(1)])
        with pytest.raises(SoftTimeLimit):
            _ = next(outcomes)
        assert cancelled == [1]
        thread.join()


def test_an_interrupt_while_it_opens_leaves_the_journal_closed(alarm: Callable[[], None]) -> None:
    closed = threading.Event()

    @asynccontextmanager
    async def opening() -> AsyncIterator[journal.Journal]:
        try:
            alarm()
            await anyio.sleep_forever()
            yield cast("journal.Journal", None)
        finally:
            closed.set()

    with over(refuse) as client:
        with pytest.raises(SoftTimeLimit):
            _ = client.batch(rows(1), journal=opening())
        assert closed.wait(10)


def test_one_that_is_collected_in_the_event_loop_does_not_wait_for_itself() -> None:
    held: list[BlockingOutcomes[Accepted]] = []

    def drop() -> bool:
        held.clear()
        return True

    with over(refuse) as client:
        held.append(client.batch(iter([send(1)])))
        result = client(send(2), only_while=drop)
        assert isinstance(result, NotFound)
        assert held == []


def test_one_that_is_held_by_a_cycle_ends_when_it_is_collected(tmp_path: Path) -> None:
    path = tmp_path / "b.journal"
    with client_of(Sandbox()) as client:
        cycle: list[object] = [client.batch(rows(300), journal=journal.open(str(path), batch="b"))]
        cycle.append(cycle)
        del cycle
        _ = gc.collect()
        assert accepted_in(path) == 0


def test_a_system_exit_of_the_transport_ends_the_batch_and_the_client() -> None:
    async def transport(_: Request, /) -> Response:
        await anyio.lowlevel.checkpoint()
        raise SystemExit(3)

    client = over(transport)
    with pytest.raises(SystemExit):
        _ = [*client.batch([send(1)])]
    with pytest.raises(RuntimeError, match="this client is closed"):
        _ = client(send(1))
    with pytest.raises(SystemExit):
        client.close()
