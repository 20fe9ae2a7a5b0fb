"""The clock of a sandbox: paused, resumed and moved forward, and what happens in it then."""

from decimal import Decimal
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from msgapi import Response, VirtualClock
from msgapi.sandbox import ControlError, Sandbox, Timing, Workspaces
from msgapi.sandbox.clock import SandboxClock
from msgapi.sandbox.model.state import ClockState
from tests.support.sandbox_requests import NOW, TO, ask, refusal, refused, request, said, send, settled, text

DAY = 86_400.0
SLOW = "+447700900601"  # its response is slow


def set_clock(box: Sandbox, **fields: object) -> Any:  # noqa: ANN401 - JSON
    answer = box.handle(request("POST", "/_sandbox/clock", body=fields)).response
    assert answer.status == 200
    return said(answer)


def test_the_time_is_that_of_the_given_clock_until_it_is_changed() -> None:
    clock = VirtualClock(NOW)
    box = Sandbox(clock=clock)
    assert (box.time(), box.clock_state) == (NOW, ClockState(time=NOW))
    clock.advance(7)
    assert (box.time(), box.clock) == (NOW + 7, clock)


def test_a_paused_clock_stands_still_and_continues_from_there() -> None:
    clock = VirtualClock(NOW)
    box = Sandbox(clock=clock)
    box.pause_clock()
    clock.advance(100)
    box.pause_clock()
    assert box.clock_state == ClockState(time=NOW, paused=True, offset=-100)
    box.resume_clock()
    clock.advance(5)
    box.resume_clock()
    assert box.clock_state == ClockState(time=NOW + 5, paused=False, offset=-100)


def test_a_clock_that_is_moved_forward_keeps_running_or_standing() -> None:
    clock = VirtualClock(NOW)
    box = Sandbox(clock=clock)
    box.advance_clock(3600)
    clock.advance(1)
    assert box.time() == NOW + 3601
    box.pause_clock()
    box.advance_clock(DAY)
    clock.advance(1)
    assert box.clock_state == ClockState(time=NOW + 3601 + DAY, paused=True, offset=3599 + DAY)


def test_what_is_due_happens_at_its_own_time_when_the_clock_is_moved() -> None:
    box = Sandbox(clock=VirtualClock(NOW), timing=Timing(sent=1, delivered=2, read=30))
    assert box.handle(request("POST", "/v1/messages", body=text())).response.status == 200
    box.pause_clock()
    box.advance_clock(3600)
    assert box.messages[0].events == (("queued", NOW), ("sent", NOW + 1), ("delivered", NOW + 3), ("read", NOW + 33))
    assert [one.at for one in box.events] == [NOW, NOW + 3, NOW + 33]


def test_nothing_becomes_due_while_the_clock_is_paused() -> None:
    clock = VirtualClock(NOW)
    box = Sandbox(clock=clock)
    assert box.handle(request("POST", "/v1/messages", body=text())).response.status == 200
    box.pause_clock()
    clock.advance(DAY)
    assert len(box.messages[0].events) == 1
    box.resume_clock()
    assert len(box.messages[0].events) == 1
    clock.advance(60)
    assert box.messages[0].status == "READ"


def test_a_session_ends_when_a_day_is_skipped() -> None:
    box = Sandbox(clock=VirtualClock(NOW), timing=None)
    _ = box.reply_from(TO, "ag_live_demo")
    talk = text(message_type="CONVERSATION")
    assert send(box, talk, now=box.time()).status == 200
    box.advance_clock(DAY)
    assert refusal(send(box, talk, now=box.time())) == (422, "no_active_session")


def test_the_clock_is_set_and_read_over_http() -> None:
    box = Sandbox(clock=VirtualClock(NOW))
    assert set_clock(box, paused=True, advance=60) == {
        "time": "2026-05-04T00:01:00.000Z",
        "paused": True,
        "offset": 60.0,
    }
    assert set_clock(box) == said(ask(box, request("GET", "/_sandbox/clock"), now=box.time()))
    assert set_clock(box, paused=False)["paused"] is False
    overview = said(box.handle(request("GET", "/_sandbox/account")).response)
    assert overview["clock"] == {"time": "2026-05-04T00:01:00.000Z", "paused": False, "offset": 60.0}


@pytest.mark.parametrize("seconds", [-1, 400_000_000, 1e300])
def test_the_clock_is_moved_forward_by_at_most_ten_years(seconds: float) -> None:
    box = Sandbox(clock=VirtualClock(NOW))
    answer = ask(box, request("POST", "/_sandbox/clock", body={"paused": True, "advance": seconds}))
    assert said(answer)["details"] == [
        {"field": "advance", "message": "must be from 0 to 315576000 seconds, which are ten years"}
    ]
    assert refused(box.advance_clock, seconds)
    assert refused(box.advance_clock, float("nan"))
    assert box.clock_state == ClockState(time=NOW)


def test_the_clock_is_not_moved_beyond_the_year_2999() -> None:
    box = Sandbox(clock=VirtualClock(32_503_680_000.0 - 10))
    with pytest.raises(ControlError, match="advance must not go beyond the year 2999"):
        box.advance_clock(11)
    box.advance_clock(10)
    assert box.handle(request("GET", "/_sandbox/clock")).response.status == 200


def test_an_account_without_a_sandbox_has_no_clock_to_set() -> None:
    account = Sandbox().account
    account.state.owner = None
    answer = account.handle(request("POST", "/_sandbox/clock", body={"paused": True}), NOW).response
    assert (answer.status, said(answer)["error"]) == (404, "not_found")
    assert said(account.handle(request("GET", "/_sandbox/account"), NOW).response)["clock"]["offset"] == 0


# Tasks that wait on the clock.


async def ask_slowly(sandbox: Sandbox | Workspaces, answers: list[object]) -> None:
    """Send a message whose response is slow, and add the response to *answers*."""
    answers.append(await sandbox(request("POST", "/v1/messages", body=text(to=SLOW))))


@pytest.mark.anyio
async def test_a_slow_response_comes_when_the_clock_is_moved_forward() -> None:
    clock = VirtualClock(NOW)
    box, answers = Sandbox(clock=clock, slow=30), list[object]()

    async with anyio.create_task_group() as tasks:
        _ = tasks.start_soon(ask_slowly, box, answers)
        await settled()
        box.advance_clock(29)
        await settled()
        assert answers == []
        box.advance_clock(1)
    assert isinstance(answers[0], Response)


@pytest.mark.anyio
async def test_a_slow_response_waits_while_the_clock_is_paused() -> None:
    clock = VirtualClock(NOW)
    box, answers = Sandbox(clock=clock, slow=30), list[object]()

    async with anyio.create_task_group() as tasks:
        _ = tasks.start_soon(ask_slowly, box, answers)
        await settled()
        clock.advance(10)
        box.pause_clock()
        await settled()
        clock.advance(1000)
        await settled()
        assert answers == []
        box.resume_clock()
        await settled()
        clock.advance(19)
        await settled()
        assert answers == []
        clock.advance(1)
    assert isinstance(answers[0], Response)


@pytest.mark.anyio
async def test_a_slow_response_of_one_workspace_waits_on_its_own_clock() -> None:
    clock = VirtualClock(NOW)
    first, second = Sandbox(clock=clock, api_key="sk_first"), Sandbox(clock=clock, slow=30)
    answers = list[object]()
    both = Workspaces([first, second])

    async with anyio.create_task_group() as tasks:
        _ = tasks.start_soon(ask_slowly, both, answers)
        await settled()
        first.advance_clock(60)
        await settled()
        assert answers == []
        second.advance_clock(60)
    assert len(second.messages) == 1


@pytest.mark.anyio
async def test_a_sleep_of_nothing_and_a_cancelled_sleep_leave_nothing_behind() -> None:
    clock = SandboxClock(VirtualClock(NOW))
    await clock.sleep(0)
    await clock.sleep(-1)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            _ = tasks.start_soon(clock.sleep, 5)
            await settled()
            scope.cancel()
    clock.advance(10)
    assert clock.now() == 10


class Standing:
    """A clock whose time stands still, also while someone sleeps on it."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return 0.0

    def time(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
async def test_a_sleep_on_a_clock_that_stands_still_ends() -> None:
    given = Standing()
    await SandboxClock(given).sleep(5)
    assert given.slept == [5]


def test_now_never_decreases_when_a_clock_is_restored() -> None:
    clock = SandboxClock(VirtualClock(NOW))
    clock.advance(100)
    clock.restore(ClockState(time=NOW - 50, paused=True))
    assert (clock.time(), clock.now(), clock.paused) == (NOW - 50, 100, True)
    clock.restore(ClockState(time=NOW, offset=7))
    assert (clock.time(), clock.now(), clock.paused) == (NOW + 7, 100, False)


def test_a_sandbox_with_its_own_balance_is_charged_at_the_time_of_its_clock() -> None:
    box = Sandbox(clock=VirtualClock(NOW), balance=Decimal(1))
    box.advance_clock(DAY)
    box.top_up(Decimal(1))
    assert box.account.state.wallet.ledger[0].at == NOW + DAY
