"""observe: which hooks an observer gets for a call, in which order, and that it can do no harm."""

import logging
from collections.abc import Mapping
from typing import Any

import anyio
import attrs
import pytest

import msgapi
from msgapi import Call, Invalid, Ok, Pace, Request, Retry, Throttled, VirtualClock, observe
from msgapi.observe import Observer, Watch
from msgapi.observe.hooks import kind_of, route_of
from msgapi.results import CALLED_OFF
from msgapi.sandbox.openapi.operations import OPERATIONS
from tests.support.observers import ACCEPTED, DOWN, LOST, REFUSED, SEND, Notes, Script, limited, observed

pytestmark = pytest.mark.anyio


async def test_a_good_call_is_an_attempt_its_answer_and_a_result() -> None:
    notes = Notes()
    async with observed(notes, ACCEPTED) as (api, _):
        assert isinstance(await api(SEND), Ok)
    assert notes.recorded == ["call /v1/messages", "attempt POST", "answer Ok 1", "result Ok"]


async def test_a_repeated_call_tells_of_each_attempt_and_of_the_rest_between() -> None:
    notes = Notes()
    async with observed(notes, DOWN, REFUSED, LOST, ACCEPTED, retry=Retry(attempts=4)) as (api, _):
        assert isinstance(await api(SEND), Ok)
    attempts = [line for line in notes.recorded if not line.startswith("retry")]
    assert attempts == [
        "call /v1/messages",
        *("attempt POST", "answer Unavailable 1"),
        *("attempt POST", "answer NotSent 2"),
        *("attempt POST", "answer Unanswered 3"),
        *("attempt POST", "answer Ok 4"),
        "result Ok",
    ]
    rests = [at for at, line in enumerate(notes.recorded) if line.startswith("retry")]
    assert rests == [3, 6, 9]


async def test_no_wait_is_observed_after_the_last_attempt() -> None:
    notes = Notes()
    async with observed(notes, DOWN, retry=Retry(attempts=1)) as (api, _):
        assert not isinstance(await api(SEND), Ok)
    assert notes.recorded[-2:] == ["answer Unavailable 1", "result Unavailable"]


async def test_a_throttled_call_tells_of_its_rest() -> None:
    notes = Notes()
    async with observed(notes, limited(30), ACCEPTED) as (api, _):
        assert isinstance(await api(SEND), Ok)
    assert notes.recorded[3].startswith("retry Throttled 3")
    assert notes.recorded[-1] == "result Ok"


async def test_a_wait_for_a_turn_is_observed_before_the_attempt() -> None:
    notes = Notes()
    async with observed(notes, ACCEPTED, pace=Pace(per_second=0.5)) as (api, _):
        assert isinstance(await api(SEND), Ok)
        notes.recorded.clear()
        assert isinstance(await api(SEND), Ok)
    assert notes.recorded[0] == "call /v1/messages"
    assert notes.recorded[1].startswith(("wait 1.9", "wait 2.0"))
    assert notes.recorded[2:] == ["attempt POST", "answer Ok 1", "result Ok"]


async def test_a_call_that_is_kept_back_has_no_attempt() -> None:
    notes = Notes()
    async with observed(notes, limited(3000), ACCEPTED) as (api, script):
        assert isinstance(await api(SEND), Throttled)
        notes.recorded.clear()
        assert isinstance(await api(SEND), Throttled)
    assert notes.recorded == ["call /v1/messages", "result Throttled"]
    assert len(script.asked) == 1


async def test_bad_input_is_a_result_alone() -> None:
    notes = Notes()
    async with observed(notes, ACCEPTED) as (api, _):
        assert isinstance(await api(attrs.evolve(SEND, invalid=Invalid())), Invalid)
    assert notes.recorded == ["call /v1/messages", "result Invalid"]


async def test_a_call_that_is_called_off_has_a_result() -> None:
    notes = Notes()
    async with observed(notes, ACCEPTED) as (api, _):
        result = await api(SEND, only_while=lambda: False)
    assert not isinstance(result, Ok)
    assert result.code == CALLED_OFF
    assert notes.recorded == ["call /v1/messages", "result NotSent"]


@pytest.mark.parametrize(
    ("answer", "when", "recorded"),
    [
        (ACCEPTED, 0.5, ["attempt POST", "result None"]),
        (DOWN, 1.5, ["attempt POST", "answer Unavailable 1", "retry Unavailable 1000", "result None"]),
    ],
)
async def test_a_cancelled_call_ends_without_a_result(answer: Any, when: float, recorded: list[str]) -> None:  # noqa: ANN401
    notes = Notes()
    patient = Retry(longest_wait=4000)
    late = attrs.evolve(answer, headers={"Retry-After": "1000"})
    async with observed(notes, late, retry=patient) as (api, script):
        script.latency = 1.0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(api, SEND)
            await script.clock.sleep(when)
            tasks.cancel_scope.cancel()
    assert notes.recorded[1:] == recorded


async def test_a_transport_that_raises_ends_the_call_without_a_result() -> None:
    kinds: list[str] = []

    class Kinds(Observer, Watch):
        def call(self, call: Call[object], /) -> Watch:
            del call
            return self

        def result(self, result: msgapi.Result[object] | None, /) -> None:
            kinds.append(kind_of(result))

    async with observed(Kinds(), LookupError("a bug")) as (api, _):
        with pytest.raises(LookupError, match="a bug"):
            await api(SEND)
    assert kinds == ["Raised"]


HOOKS = ["call", "attempt", "answer", "wait", "retry", "result"]


@pytest.mark.parametrize("hook", HOOKS)
async def test_an_observer_that_raises_changes_nothing_and_gets_no_more_hooks_of_the_call(
    hook: str, caplog: pytest.LogCaptureFixture
) -> None:
    notes, other = Notes(frozenset({hook})), Notes()
    async with observed(observe.combine(notes, other), limited(3), ACCEPTED, pace=Pace(per_second=0.1)) as (
        api,
        script,
    ):
        assert isinstance(await api(SEND), Ok)
    at = next(at for at, line in enumerate(other.recorded) if line.split()[0] == hook)
    assert notes.recorded == other.recorded[: at + 1]
    assert {line.split()[0] for line in other.recorded} == set(HOOKS)
    assert [request.body for request in script.asked] == [SEND.body, SEND.body]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("msgapi", logging.ERROR)
    assert "the observer Notes raised LookupError at " in record.getMessage()
    assert "49151" not in record.getMessage()


async def test_an_observer_that_raised_gets_the_hooks_of_the_next_call() -> None:
    notes = Notes(frozenset({"attempt"}))
    async with observed(notes, ACCEPTED) as (api, _):
        assert isinstance(await api(SEND), Ok)
        assert isinstance(await api(SEND), Ok)
    assert notes.recorded == ["call /v1/messages", "attempt POST"] * 2


async def test_headers_of_an_observer_leave_with_each_attempt() -> None:
    many = observe.combine(Notes(headers={"traceparent": "00-1", "X-A": "1"}), Notes(headers={"X-a": "2", "X-B": "3"}))
    async with observed(many, DOWN, ACCEPTED) as (api, script):
        assert isinstance(await api(SEND), Ok)
    async with observed(None, ACCEPTED) as (api, plain):
        assert isinstance(await api(SEND), Ok)
    for request in script.asked:
        more = {"traceparent": "00-1", "X-A": "1", "X-B": "3"}
        assert request == attrs.evolve(plain.asked[0], headers={**plain.asked[0].headers, **more})


@pytest.mark.parametrize(
    "headers",
    [
        {"x": "a\r\nb: c"},
        {"x": "ä"},
        {"x y": "1"},
        {"": "1"},
        {"Content-Length": "0"},
        {"host": "other.example"},
        {"Content-Type": "text/plain"},
        {"x": b"1"},
        {1: "1"},
    ],
)
async def test_a_header_that_would_change_the_request_is_not_sent(
    headers: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    notes = Notes(headers={"fine": "1", **headers})
    bare = attrs.evolve(SEND, body=None)
    async with observed(notes, ACCEPTED) as (api, script):
        assert isinstance(await api(bare), Ok)
    assert "fine" not in script.asked[0].headers
    assert len(caplog.records) == 1


@pytest.mark.parametrize("name", ["Authorization", "authorization", "idempotency-key"])
async def test_a_header_of_the_request_stays_as_it_is(name: str) -> None:
    async with observed(Notes(headers={name: "mine"}), ACCEPTED) as (api, script):
        assert isinstance(await api(SEND), Ok)
    assert "mine" not in script.asked[0].headers.values()


async def test_an_observer_without_hooks_of_a_call_gets_none() -> None:
    async with observed(observe.combine(Observer(), Observer()), DOWN, ACCEPTED) as (api, _):
        assert isinstance(await api(SEND), Ok)


async def test_every_hook_does_nothing_by_default() -> None:
    class Plain(Observer):
        def call(self, call: Call[object], /) -> Watch:
            del call
            return Watch()

    async with observed(Plain(), limited(3), ACCEPTED, pace=Pace(per_second=0.1)) as (api, script):
        assert isinstance(await api(SEND), Ok)
    assert script.asked[0] == script.asked[1]


async def test_what_hooks_get_shows_no_key_no_recipient_and_no_content() -> None:
    shown: list[str] = []

    class Shown(Notes):
        def note(self, hook: str, *what: object) -> None:
            del hook, what

        def call(self, call: Call[object], /) -> Watch:
            shown.append(repr(call))
            return self

        def attempt(self, request: Request, /) -> None:
            shown.append(repr(request))

        def answer(self, result: msgapi.Result[object], /) -> None:
            shown.append(repr(result))

    secret = attrs.evolve(SEND, path="/v1/contacts/%2B4915112345678", query=(("q", "words"),), body=b"words")
    async with observed(Shown(), DOWN, ACCEPTED, api_key="sk_secret") as (api, _):
        assert isinstance(await api(secret), Ok)
    assert len(shown) == 5
    for part in ("sk_secret", "49151", "words"):
        assert part not in "".join(shown)


async def test_a_closed_client_tells_nobody() -> None:
    notes = Notes()
    async with msgapi.Client(api_key="sk", transport=Script([ACCEPTED], VirtualClock()), observer=notes) as api:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await api(SEND)
    assert notes.recorded == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_route_has_its_own_name(anyio_backend: str, operation: Any) -> None:  # noqa: ANN401
    del anyio_backend
    path = operation.path.replace("{id}", "%2B4915112345678")
    assert route_of(Call(operation.method, path, object)) == f"{operation.method} {operation.path}"


def test_what_is_no_route_of_the_api_has_no_name_of_its_own() -> None:
    assert route_of(Call("BREW", "/v1/pot/+4915112345678/", object)) == "_OTHER /v1/{id}/{id}/"
