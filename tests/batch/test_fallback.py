"""batch with fallbacks: one outcome a row, one message a person, and the right leg after any end."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
from attrs import define, evolve, field

from msgapi import (
    ApiError,
    Call,
    Client,
    Forbidden,
    InsufficientBalance,
    Invalid,
    Meta,
    NotFound,
    NotSent,
    Ok,
    Result,
    Unanswered,
    Unauthorized,
    Unprocessable,
    VirtualClock,
    batch,
    fallback,
    journal,
    messages,
)
from msgapi.batch import Outcome, SpendLimit
from msgapi.fallback import AnyCall, Fallback, leg_key
from msgapi.journal import State, Unusable, key_of
from msgapi.journal.sqlite import JournalFile
from msgapi.messages import Accepted, Billing
from msgapi.sandbox import Sandbox
from tests.support.journals import edited, message, opened

T = TypeVar("T")
pytestmark = pytest.mark.anyio
NOT_CAPABLE = NotFound(code="not_rcs_capable", meta=Meta(status=404, attempts=1))
HOUR = 3600.0


def mail(number: int) -> Call[Accepted]:
    return messages.send(messages.Email(channel_id="ch_demo", to=f"p{number}@example.org", subject="P", html="<p>"))


def both(number: int, **how: Any) -> Fallback[Accepted]:  # noqa: ANN401 - those of `chain`
    return fallback.chain(message(number), mail(number), **how)


def rows(count: int) -> Iterator[tuple[str, Fallback[Accepted]]]:
    return ((f"{number}", both(number)) for number in range(count))


def accepted(price: str = "0.07") -> Ok[Any]:
    billing = Billing(message_price=Decimal(price), hold_amount=Decimal(price))
    return Ok(Accepted(message_id="msg_1", billing=billing), meta=Meta(status=200, attempts=1))


def is_mail(call: Call[Any]) -> bool:
    return b'"channel_id"' in (call.body or b"")


@define
class Service:
    """An api that answers RCS with *rcs* and email with *email*: results, or functions that return one."""

    rcs: Any = NOT_CAPABLE
    email: Any = field(factory=accepted)
    calls: list[Call[Any]] = field(factory=list)

    async def __call__(self, call: Call[T], /) -> Result[T]:
        await anyio.lowlevel.checkpoint()
        if call.invalid is not None:
            return call.invalid
        self.calls.append(call)
        answer = self.email if is_mail(call) else self.rcs
        result: Result[T] = answer() if callable(answer) else answer
        return result

    @property
    def channels(self) -> str:
        return "".join("m" if is_mail(call) else "r" for call in self.calls)

    @property
    def keys(self) -> list[str | None]:
        return [call.idempotency_key for call in self.calls]


async def run(api: Any, items: Any, **how: Any) -> tuple[list[Outcome[Accepted]], batch.Outcomes[Accepted]]:  # noqa: ANN401
    async with batch.send(api, items, **{"concurrency": 4, "outage_timeout": 0, **how}) as outcomes:
        return [outcome async for outcome in outcomes], outcomes


async def journalled(folder: Path, api: Any, count: int = 1, **how: Any) -> list[Outcome[Accepted]]:  # noqa: ANN401
    async with opened(folder, **how) as record:
        found, _ = await run(api, rows(count), journal=record)
    return found


def lines(folder: Path) -> dict[str, journal.JournalRow]:
    with journal.open_readonly(str(folder / "run.db")) as read:
        return {line.id: line for line in read.rows()}


async def test_a_row_has_one_outcome_which_says_which_leg_was_accepted() -> None:
    api = Service()
    (outcome,), outcomes = await run(api, [both(1)])
    assert outcome.result == evolve(accepted(), meta=Meta(status=200, attempts=1, leg=2, refused=(NOT_CAPABLE,)))
    assert api.channels == "rm"
    assert outcome.call == api.calls[1]
    assert isinstance(outcome.fallback, Fallback)
    assert outcome.fallback.leg == 2
    assert (outcomes.started, outcomes.settled, outcomes.in_flight, outcomes.stopped) == (1, 1, 0, None)


async def test_calls_and_fallbacks_can_be_mixed() -> None:
    items: list[AnyCall[Accepted]] = [message(1), both(2), both(3)]
    found, _ = await run(Service(), items)
    assert sorted((one.index, one.result.meta.leg, isinstance(one.result, Ok)) for one in found) == [
        (0, 1, False),
        (1, 2, True),
        (2, 2, True),
    ]
    assert [one.fallback is None for one in sorted(found, key=lambda one: one.index)] == [True, False, False]


async def test_through_a_client_each_person_gets_one_message(tmp_path: Path) -> None:
    clock = VirtualClock()
    box = Sandbox(clock=clock, timing=None)
    no_rcs = messages.Text(agent_id="ag_live_demo", to="+447700900404", traffic_type="TRANSACTION", text="Hi")
    items = [(f"{at}", fallback.chain(messages.send(no_rcs), mail(at)) if at % 2 else both(at)) for at in range(20)]
    for run_number in range(2):
        async with (
            clock.autojump(),
            Client(api_key=box.api_key, transport=box, clock=clock) as client,
            opened(tmp_path, clock=clock) as record,
        ):
            found, outcomes = await run(client, items, journal=record, clock=clock)
        assert (len(found), outcomes.skipped) == ((20, 0), (0, 20))[run_number]
    assert sorted(entry.channel for entry in box.messages) == ["EMAIL"] * 10 + ["RCS"] * 10
    with journal.open_readonly(str(tmp_path / "run.db")) as read:
        counts = {(count.leg, count.rows, count.hold) for count in read.summary().counts}
    assert counts == {(1, 10, Decimal("0.70")), (2, 10, Decimal("0.05"))}
    assert box.balance.reserved == Decimal("0.75")


async def test_a_refusal_that_leads_to_the_second_leg_is_not_counted_by_the_breaker() -> None:
    found, outcomes = await run(Service(), [both(at) for at in range(80)], breaker=25)
    assert (len(found), outcomes.stopped) == (80, None)


async def test_refusals_of_the_last_leg_stop_the_batch() -> None:
    api = Service(email=Unprocessable(code="recipient_suppressed", meta=Meta(status=422, attempts=1)))
    found, outcomes = await run(api, [both(at) for at in range(80)], breaker=25, concurrency=1)
    assert outcomes.stopped is not None
    assert outcomes.stopped.reason == "refusals"
    assert len(found) == 25


async def test_a_leg_that_is_refused_by_the_service_ends_a_run_of_foreign_answers() -> None:
    foreign = Forbidden(from_service=False, meta=Meta(status=403, attempts=1))
    answers = iter([foreign] * 9 + [NOT_CAPABLE] + [foreign] * 9 + [NOT_CAPABLE])
    api = Service(rcs=lambda: next(answers))
    _, outcomes = await run(api, [both(at) for at in range(20)], concurrency=1)
    assert outcomes.stopped is None


async def test_a_401_of_the_first_leg_ends_the_batch_without_a_second_leg() -> None:
    api = Service(rcs=Unauthorized())
    found, outcomes = await run(api, [both(at) for at in range(9)], concurrency=1)
    assert (len(found), api.channels) == (1, "r")
    assert outcomes.stopped is not None
    assert outcomes.stopped.reason == "unauthorized"


@pytest.mark.parametrize("leg", ["rcs", "email"])
async def test_an_unknown_outcome_of_a_leg_is_the_result_of_the_row(leg: str) -> None:
    api = Service(Unanswered("reset")) if leg == "rcs" else Service(email=Unanswered("reset"))
    (outcome,), _ = await run(api, [both(1)])
    assert isinstance(outcome.result, Unanswered)
    assert outcome.result.meta.leg == 1 + (leg == "email")
    assert api.channels == ("r" if leg == "rcs" else "rm")


async def test_a_404_after_an_unknown_attempt_of_this_run_leads_to_no_second_leg() -> None:
    clock = VirtualClock()
    answers = iter([Unanswered("reset"), NOT_CAPABLE])
    api = Service(rcs=lambda: next(answers))
    async with clock.autojump():
        (outcome,), _ = await run(api, [both(1)], outage_timeout=900.0, clock=clock)
    assert isinstance(outcome.result, NotFound)
    assert outcome.result.may_have_happened
    assert api.channels == "rr"


async def test_a_404_after_an_unknown_attempt_leads_to_the_second_leg_in_the_next_run(tmp_path: Path) -> None:
    unsure = evolve(NOT_CAPABLE, may_have_happened=True)  # an attempt without an answer, then a 404 under the same key
    api = Service(rcs=unsure)
    (outcome,) = await journalled(tmp_path, api)
    assert (outcome.result, api.channels) == (unsure, "r")
    assert lines(tmp_path)["0"].state is State.UNKNOWN
    api = Service()
    (outcome,) = await journalled(tmp_path, api)
    assert (outcome.result.meta.leg, api.channels) == (2, "rm")
    assert api.keys[0] == key_of("b1", "0")


async def test_an_outage_of_the_second_leg_is_waited_out_at_the_second_leg() -> None:
    clock = VirtualClock()
    answers = iter([NotSent("refused"), accepted()])
    api = Service(email=lambda: next(answers))
    async with clock.autojump():
        (outcome,), _ = await run(api, [both(1)], outage_timeout=900.0, clock=clock)
    assert isinstance(outcome.result, Ok)
    assert (outcome.result.meta.leg, outcome.result.meta.refused) == (2, (NOT_CAPABLE,))
    assert api.channels == "rmm"


async def test_an_invalid_leg_costs_the_row_and_nothing_is_sent(tmp_path: Path) -> None:
    bad = messages.send(messages.Email(channel_id="ch_demo", to="p@example.org", subject="", html="<p>"))
    api = Service()
    async with opened(tmp_path) as record:
        (outcome,), _ = await run(api, [("1", fallback.chain(message(1), bad))], journal=record)
    assert isinstance(outcome.result, Invalid)
    assert [detail.field for detail in outcome.result.details] == ["fallback.subject"]
    assert api.calls == []
    assert lines(tmp_path)["1"].state is State.INVALID
    (outcome,), _ = await run(api, [fallback.chain(message(1), bad)])
    assert isinstance(outcome.result, Invalid)
    assert api.calls == []


async def test_an_exception_of_when_leaves_the_iteration_and_the_row_begins_again(tmp_path: Path) -> None:
    def mistaken(_: ApiError) -> bool:
        raise LookupError("a mistake")

    api = Service()
    with pytest.raises(LookupError, match="a mistake"):
        async with opened(tmp_path) as record:
            _ = await run(api, [("1", both(1, when=mistaken))], journal=record)
    assert lines(tmp_path)["1"].leg == 1
    (outcome,) = await _second(tmp_path, api)
    assert isinstance(outcome.result, Ok)
    assert api.channels == "rrm"


async def _second(folder: Path, api: Service, **how: Any) -> list[Outcome[Accepted]]:  # noqa: ANN401
    async with opened(folder, **how) as record:
        found, _ = await run(api, [("1", both(1))], journal=record)
    return found


async def test_the_legs_share_one_reservation_of_money() -> None:
    api = Service(email=accepted("0.10"))
    limit = SpendLimit(total=Decimal("0.35"), per_message=Decimal("0.10"))
    found, outcomes = await run(api, [both(at) for at in range(9)], max_spend=limit, concurrency=8)
    assert [isinstance(one.result, Ok) for one in found] == [True] * 3
    assert outcomes.stopped is not None
    assert outcomes.stopped.reason == "spend"
    assert api.channels.count("r") == 3


async def test_a_402_of_the_second_leg_is_repeated_at_the_second_leg() -> None:
    answers = iter([InsufficientBalance(), accepted()])
    api = Service(email=lambda: next(answers))
    async with batch.send(api, [both(1)]) as outcomes:
        (first,) = [outcome async for outcome in outcomes]
        assert isinstance(first.result, InsufficientBalance)
        outcomes.resume(first)
        (second,) = [outcome async for outcome in outcomes]
    assert isinstance(second.result, Ok)
    assert (second.result.meta.leg, second.result.meta.refused) == (2, (NOT_CAPABLE,))
    assert api.channels == "rmm"


async def test_a_402_of_the_second_leg_is_repeated_at_the_second_leg_with_a_journal(tmp_path: Path) -> None:
    answers = iter([InsufficientBalance(), accepted()])
    api = Service(email=lambda: next(answers))
    async with opened(tmp_path) as record, batch.send(api, rows(1), journal=record) as outcomes:
        (first,) = [outcome async for outcome in outcomes]
        outcomes.resume(first)
        (second,) = [outcome async for outcome in outcomes]
    assert isinstance(second.result, Ok)
    assert second.result.meta.leg == 2
    assert api.channels == "rmm"
    assert second.result.meta.refused == first.result.meta.refused == (NOT_CAPABLE,)
    assert api.keys[1] == api.keys[2] == leg_key(key_of("b1", "0"), 2)


async def test_a_stop_between_the_legs_holds_the_second_leg_back(tmp_path: Path) -> None:
    stopping: list[Callable[[], None]] = []

    def refuse() -> Result[Any]:
        stopping[0]()
        return NOT_CAPABLE

    api = Service(rcs=refuse)
    async with opened(tmp_path) as record, batch.send(api, rows(1), journal=record) as outcomes:
        stopping.append(outcomes.stop)
        assert [outcome async for outcome in outcomes] == []
        assert (outcomes.started, outcomes.in_flight) == (0, 0)
    assert api.channels == "r"
    assert (lines(tmp_path)["0"].state, lines(tmp_path)["0"].leg) == (State.NOT_SENT, 2)
    (outcome,) = await journalled(tmp_path, api)
    assert (api.channels, outcome.result.meta.leg) == ("rm", 2)
    assert lines(tmp_path)["0"].state is State.ACCEPTED


async def test_a_stop_between_the_legs_can_be_resumed_at_the_second_leg() -> None:
    stopping: list[Callable[[], None]] = []

    def refuse() -> Result[Any]:
        stopping[0]()
        return NOT_CAPABLE

    api = Service(rcs=refuse)
    limit = SpendLimit(total=Decimal(1), per_message=Decimal("0.10"))
    async with batch.send(api, [both(1)], max_spend=limit) as outcomes:
        stopping.append(outcomes.stop)
        assert [outcome async for outcome in outcomes] == []
        outcomes.resume()
        (found,) = [outcome async for outcome in outcomes]
    assert (api.channels, found.result.meta.leg, found.result.meta.refused) == ("rm", 2, (NOT_CAPABLE,))


async def test_the_leg_is_on_the_disk_before_it_leaves(tmp_path: Path) -> None:
    copies: list[tuple[int, int]] = []

    def look() -> Result[Any]:
        with closing(sqlite3.connect(":memory:")) as copy:
            for suffix in ("", "-wal"):  # as a crash would leave them
                data = (tmp_path / f"run.db{suffix}").read_bytes()
                _ = (tmp_path / f"copy.db{suffix}").write_bytes(data)
            copy.execute("ATTACH ? AS c", (str(tmp_path / "copy.db"),))
            copies.extend(copy.execute("SELECT leg, state FROM c.rows"))
        return accepted()

    (outcome,) = await journalled(tmp_path, Service(email=look))
    assert isinstance(outcome.result, Ok)
    assert copies == [(2, State.STARTED)]


@pytest.mark.parametrize("at", ["first", "second"])
async def test_a_row_in_flight_at_the_end_of_a_run_continues_with_the_same_leg_and_key(tmp_path: Path, at: str) -> None:
    def fail() -> Result[Any]:
        raise ConnectionError("the program is wrong")

    with pytest.raises(ConnectionError):
        _ = await journalled(tmp_path, Service(fail) if at == "first" else Service(email=fail))
    line = lines(tmp_path)["0"]
    assert (line.state, line.leg) == (State.STARTED, 1 if at == "first" else 2)
    api = Service()
    (outcome,) = await journalled(tmp_path, api)
    assert isinstance(outcome.result, Ok)
    key = key_of("b1", "0")
    assert api.keys == ([key] if at == "first" else []) + [leg_key(key, 2)]


async def test_the_key_of_the_second_leg_is_remembered_from_when_that_leg_was_begun(tmp_path: Path) -> None:
    clock = VirtualClock()
    _ = await journalled(tmp_path, Service(rcs=NotSent("refused")), clock=clock)
    clock.advance(30 * HOUR)
    _ = await journalled(tmp_path, Service(email=Unanswered("reset")), clock=clock)
    clock.advance(20 * HOUR)
    api = Service()
    (outcome,) = await journalled(tmp_path, api, clock=clock)
    assert isinstance(outcome.result, Ok)
    assert (api.channels, outcome.result.meta.leg) == ("m", 2)


async def test_a_second_leg_whose_key_may_be_forgotten_is_an_unknown_outcome(tmp_path: Path) -> None:
    clock = VirtualClock()
    _ = await journalled(tmp_path, Service(email=Unanswered("reset")), clock=clock)
    clock.advance(24 * HOUR)
    api = Service()
    (outcome,) = await journalled(tmp_path, api, clock=clock)
    assert (outcome.result.meta.leg, api.calls) == (2, [])
    assert not isinstance(outcome.result, Ok)
    assert outcome.result.code == "outcome_unknown"
    (outcome,) = await journalled(tmp_path, api, clock=clock, unknown="resend")
    assert isinstance(outcome.result, Ok)
    assert api.channels == "m"


@pytest.mark.parametrize("email", [NotSent("refused"), Unanswered("reset")])
async def test_without_the_wal_a_later_leg_may_have_been_sent_by_the_run_before(
    tmp_path: Path, email: Result[Any]
) -> None:
    clock = VirtualClock()
    begun, copied = clock.time(), tmp_path / "copied"
    async with opened(tmp_path, clock=clock) as record:
        _, _ = await run(Service(), rows(1), journal=record)  # the email was accepted
        _ = shutil.copytree(tmp_path, copied, ignore=shutil.ignore_patterns("*-wal"))
    clock.advance(20 * HOUR)
    async with opened(copied, clock=clock) as record:
        ((outcome,), _) = await run(Service(email=email), rows(1), journal=record)
        await record.confirm_complete()
    assert not isinstance(outcome.result, Ok)
    assert (outcome.result.meta.leg, outcome.result.may_have_happened) == (2, True)
    line = lines(copied)["0"]
    assert (line.state, line.leg, line.started) == (State.UNKNOWN, 2, begun)
    clock.advance(4 * HOUR)
    api = Service()
    (outcome,) = await journalled(copied, api, clock=clock)
    assert not isinstance(outcome.result, Ok)
    assert (outcome.result.code, api.calls) == ("outcome_unknown", [])


async def test_a_later_leg_that_is_sent_again_on_request_counts_from_then(tmp_path: Path) -> None:
    clock, copied = VirtualClock(), tmp_path / "copied"
    async with opened(tmp_path, clock=clock):
        _ = shutil.copytree(tmp_path, copied, ignore=shutil.ignore_patterns("*-wal"))
    clock.advance(30 * HOUR)
    api = Service(email=Unanswered("reset"))
    _ = await journalled(copied, api, clock=clock, unknown="resend")
    assert (api.channels, lines(copied)["0"].started) == ("rm", clock.time())


async def test_another_request_of_a_row_that_was_not_sent_begins_at_the_first_leg(tmp_path: Path) -> None:
    _ = await journalled(tmp_path, Service(email=NotSent("refused")))
    assert lines(tmp_path)["0"].leg == 2
    api = Service()
    async with opened(tmp_path) as record:
        _, _ = await run(api, [("0", fallback.chain(message(0, "Ho"), mail(0)))], journal=record)
    assert api.channels == "rm"
    assert api.keys[1] == leg_key(api.keys[0] or "", 2)
    assert api.keys[0] != key_of("b1", "0")


async def test_a_row_is_identified_by_all_legs(tmp_path: Path) -> None:
    api = Service()
    items = [both(1), both(1), fallback.chain(message(1), mail(2)), message(1), mail(1)]
    async with opened(tmp_path) as record:
        found, _ = await run(api, items, journal=record, concurrency=1)
    codes = [
        None if isinstance(one.result, Ok) else one.result.code for one in sorted(found, key=lambda one: one.index)
    ]
    assert codes == [None, "row_repeated", None, "not_rcs_capable", None]
    assert len(lines(tmp_path)) == 4


async def test_a_fallback_keeps_its_own_key_if_the_journal_says_so(tmp_path: Path) -> None:
    api = Service()
    value = both(1).under("order-17")
    async with opened(tmp_path, keys="own") as record:
        ((outcome),), _ = await run(api, [value], journal=record)
    assert outcome.id == "order-17"
    assert api.keys == ["order-17", leg_key("order-17", 2)]


async def test_many_rows_that_advance_at_once_share_a_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = JournalFile.write

    def counted(file: JournalFile, starts: Any, results: Any) -> bool:  # noqa: ANN401 - those of `write`
        written.append(len(results.advanced))
        return write(file, starts, results)

    monkeypatch.setattr(JournalFile, "write", counted)
    async with opened(tmp_path) as record:
        found, _ = await run(Service(), rows(64), journal=record, concurrency=64)
    assert all(isinstance(one.result, Ok) for one in found)
    assert sum(written) == 64
    assert len([rows for rows in written if rows]) < 20


async def test_a_full_disk_between_the_legs_ends_the_batch_and_the_second_leg_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = JournalFile.write

    def full(file: JournalFile, starts: Any, results: Any) -> bool:  # noqa: ANN401 - those of `write`
        if results.advanced:
            raise Unusable("unwritable", "the disk is full")
        return write(file, starts, results)

    api = Service()
    with monkeypatch.context() as patch:
        patch.setattr(JournalFile, "write", full)
        with pytest.raises(Unusable, match="the disk is full"):
            _ = await journalled(tmp_path, api, 3)
    assert "m" not in api.channels
    found = await journalled(tmp_path, api, 3)
    assert [isinstance(one.result, Ok) for one in found] == [True] * 3
    assert api.channels.count("m") == 3


async def test_a_leg_that_the_row_does_not_have_is_a_damaged_journal(tmp_path: Path) -> None:
    _ = await journalled(tmp_path, Service(email=NotSent("refused")))
    with edited(tmp_path / "run.db") as connection:
        connection.execute("UPDATE rows SET leg = 3")
    with pytest.raises(Unusable, match="is damaged"):
        _ = await journalled(tmp_path, Service())
    with edited(tmp_path / "run.db") as connection:
        connection.execute("UPDATE rows SET leg = 0")
    with pytest.raises(Unusable, match="is damaged"):
        _ = lines(tmp_path)


@pytest.mark.parametrize("value", [3, "x", None])
async def test_what_is_no_call_is_named(value: Any) -> None:  # noqa: ANN401
    with pytest.raises(TypeError, match="row 0 of the batch must be a Call"):
        _ = await run(Service(), [value])
