"""fallback: the next leg is sent after a refusal of the service, and after nothing else."""

import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import anyio
import pytest
from attrs import define, evolve, field

from msgapi import (
    ApiError,
    BlockingClient,
    Call,
    Client,
    Conflict,
    Detail,
    Forbidden,
    InsufficientBalance,
    Invalid,
    Meta,
    NotFound,
    NotSent,
    Ok,
    Request,
    Response,
    Result,
    Retry,
    ServerFault,
    Throttled,
    Unanswered,
    Unauthorized,
    Unavailable,
    Unexpected,
    Unprocessable,
    Unreadable,
    VirtualClock,
    codec,
    fallback,
    messages,
)
from msgapi.codec.json import error_from_json
from msgapi.fallback import leg_key
from msgapi.messages import Accepted
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer
from tests.support.observers import Notes

pytestmark = pytest.mark.anyio

KEY = "0b8f7c0e-8a52-4b0e-9f57-6a1f7a0c9e11"
NO_RCS, WITH_RCS = "+447700900404", "+4915112345678"


def rcs(to: str = NO_RCS, key: str | None = KEY) -> Call[Accepted]:
    text = messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text="Your parcel is here")
    return messages.send(text, idempotency_key=key)


def email(to: str = "ada@example.org", subject: str = "Parcel") -> Call[Accepted]:
    return messages.send(messages.Email(channel_id="ch_demo", to=to, subject=subject, html="<p>It is here</p>"))


@define
class Answers:
    """A caller that answers one call after another, and keeps the calls."""

    results: list[Any]
    calls: list[Call[Any]] = field(factory=list)

    async def __call__(self, call: Call[Any], /) -> Result[Any]:
        self.calls.append(call)
        await anyio.lowlevel.checkpoint()
        result: Result[Any] = self.results.pop(0)
        return result

    @property
    def targets(self) -> list[str]:
        return [call.path for call in self.calls]


def leg(number: int, key: str | None = KEY) -> Call[int]:
    return Call("POST", f"/v1/legs/{number}", int, idempotency_key=key)


@asynccontextmanager
async def sandboxed() -> AsyncIterator[tuple[Client, Sandbox]]:
    clock = VirtualClock()
    box = Sandbox(clock=clock, timing=None)
    async with clock.autojump(), Client(api_key=box.api_key, transport=box, clock=clock) as client:
        yield client, box


async def test_a_client_sends_the_second_leg_when_the_service_refuses_the_first_with_404() -> None:
    async with sandboxed() as (client, box):
        result = await client(fallback.chain(rcs(), email()))
    assert isinstance(result, Ok)
    assert result.value.billing is not None
    assert result.value.billing.channel == "EMAIL"
    assert result.meta.leg == 2
    (refusal,) = result.meta.refused
    assert isinstance(refusal, NotFound)
    assert refusal.code == "not_rcs_capable"
    assert [entry.idempotency_key for entry in box.messages] == [leg_key(KEY, 2)]
    assert result.meta.idempotency_key == leg_key(KEY, 2)


async def test_a_client_sends_no_second_leg_when_the_first_is_accepted() -> None:
    async with sandboxed() as (client, box):
        result = await client(fallback.chain(rcs(WITH_RCS), email()))
    assert isinstance(result, Ok)
    assert (result.meta.leg, result.meta.refused) == (1, ())
    assert [entry.idempotency_key for entry in box.messages] == [KEY]
    assert box.requests == 1


async def test_the_result_of_the_last_leg_is_the_result_with_the_errors_of_all_legs_before_it() -> None:
    first, second = NotFound(code="a"), Unprocessable(code="b")
    api = Answers([first, second, Forbidden(code="c")])
    result = await fallback.send(api, fallback.chain(leg(1), leg(2), leg(3), when=(NotFound, Unprocessable, Forbidden)))
    assert isinstance(result, Forbidden)
    assert (result.code, result.meta.leg, result.meta.refused) == ("c", 3, (first, second))
    assert api.targets == ["/v1/legs/1", "/v1/legs/2", "/v1/legs/3"]


async def test_a_third_leg_is_accepted_after_two_refusals() -> None:
    async with sandboxed() as (client, _):
        value = fallback.chain(rcs(), email("404@magic.example"), email("ada@example.org"))
        result = await client(value)
    assert isinstance(result, Ok)
    assert result.meta.leg == 3
    assert [type(error) for error in result.meta.refused] == [NotFound, NotFound]


STATUS = Meta(status=404)


@pytest.mark.parametrize(
    "error",
    [
        NotFound(from_service=False, meta=STATUS),
        NotFound(may_have_happened=True),
        Invalid(),
        Invalid(meta=Meta(status=400), from_service=False),
        Forbidden(from_service=False, meta=Meta(status=403)),
        Unprocessable(may_have_happened=True),
        Conflict(code="idempotency_conflict"),
        Unauthorized(),
        InsufficientBalance(),
        Throttled(code="rate_limit_exceeded"),
        Throttled(code="newsletter_daily_cap", from_service=False),
        ServerFault(),
        ServerFault(may_have_happened=False),
        Unavailable(),
        Unexpected(meta=Meta(status=410)),
        Unexpected(meta=Meta(status=408)),
        Unexpected(may_have_happened=False),
        Unreadable(),
        Unreadable(from_service=False),
        NotSent("refused"),
        NotSent("x", from_service=True),
        Unanswered("reset"),
        Unanswered("reset", from_service=True, may_have_happened=False),
    ],
    ids=repr,
)
async def test_nothing_but_a_definite_refusal_of_the_service_leads_to_the_second_leg(error: ApiError) -> None:
    asked: list[ApiError] = []

    def when(error: ApiError) -> bool:
        asked.append(error)
        return True

    api = Answers([error])
    result = await fallback.send(api, fallback.chain(leg(1), leg(2), when=when))
    assert result is error
    assert api.targets == ["/v1/legs/1"]
    assert asked == []


@pytest.mark.parametrize(
    "error",
    [
        NotFound(),
        Invalid(meta=Meta(status=400)),
        Forbidden(),
        Unprocessable(code="recipient_suppressed"),
        Throttled(code="newsletter_daily_cap"),
    ],
    ids=repr,
)
async def test_when_chooses_among_the_refusals_of_the_service(error: ApiError) -> None:
    kind = type(error)
    for when in (kind, (Forbidden, kind), lambda error: error.from_service):
        result = await fallback.send(Answers([error, Ok(1)]), fallback.chain(leg(1), leg(2), when=when))
        assert result == Ok(1, meta=Meta(leg=2, refused=(error,)))
    api = Answers([error])
    assert await fallback.send(api, fallback.chain(leg(1), leg(2), when=lambda _: False)) is error
    default = fallback.chain(leg(1), leg(2)).after(error)
    assert (default is not None) == (kind is NotFound)


async def test_a_404_of_a_proxy_leads_to_no_second_leg() -> None:
    asked: list[Request] = []

    async def proxy(request: Request) -> Answer:
        asked.append(request)
        return Response(404, {"content-type": "text/html"}, b"<h1>Not Found</h1>")

    async with Client(api_key="sk", transport=proxy, retry=Retry(attempts=1)) as client:
        result = await client(fallback.chain(rcs(), email()))
    assert isinstance(result, NotFound)
    assert not result.from_service
    assert len(asked) == 1


async def test_a_404_after_a_lost_answer_leads_to_no_second_leg() -> None:
    clock = VirtualClock()
    answers: list[Answer] = [Unanswered("reset"), Response(404, {}, b'{"error":"not_found","message":"m"}')]

    async def transport(_: Request) -> Answer:
        return answers.pop(0)

    async with clock.autojump(), Client(api_key="sk", transport=transport, clock=clock) as client:
        result = await client(fallback.chain(rcs(), email()))
    assert isinstance(result, NotFound)
    assert result.may_have_happened
    assert result.meta.leg == 1
    assert answers == []


async def test_an_unknown_outcome_of_the_second_leg_is_repeated_from_the_second_leg() -> None:
    value = fallback.chain(leg(1), leg(2))
    first = await fallback.send(Answers([NotFound(), Unanswered("reset")]), value)
    assert isinstance(first, Unanswered)
    assert (first.meta.leg, first.meta.refused) == (2, (NotFound(),))
    api = Answers([Ok(1)])
    again = await fallback.send(api, value.start_at(first.meta.leg))
    assert api.calls == [value.legs[1]]
    assert again == Ok(1, meta=Meta(leg=2))


async def test_only_while_is_asked_before_the_second_leg_too() -> None:
    async with sandboxed() as (client, box):
        result = await client(fallback.chain(rcs(), email()), only_while=lambda: box.requests == 0)
    assert isinstance(result, NotSent)
    assert (result.code, result.meta.leg) == ("called_off", 2)
    assert isinstance(result.meta.refused[0], NotFound)
    assert box.requests == 1


async def test_a_total_timeout_is_that_of_all_legs() -> None:
    clock, asked = VirtualClock(), list[Request]()

    async def transport(request: Request) -> Answer:
        asked.append(request)
        await clock.sleep(6)
        return Response(404, {}, b'{"error":"not_found","message":"m"}')

    value = fallback.chain(rcs(), email(), email("bob@example.org"))
    async with clock.autojump(), Client(api_key="sk", transport=transport, clock=clock) as client:
        result = await client(value, total_timeout=10)
        assert isinstance(result, Unanswered)
        assert (result.meta.leg, len(result.meta.refused), len(asked)) == (2, 1, 2)
        assert clock.now() == pytest.approx(10)
        result = await client.with_options(total_timeout=6)(value)
        assert isinstance(result, NotSent | Unanswered)
        assert len(asked) <= 4
        assert isinstance(await client(value, timeout=20), NotFound)
        with pytest.raises(ValueError, match="total_timeout"):
            _ = client(value, total_timeout=-1)


async def test_an_observer_sees_each_leg_as_a_call() -> None:
    seen = Notes()
    box = Sandbox(timing=None)
    async with Client(api_key=box.api_key, transport=box, observer=seen) as client:
        _ = await client(fallback.chain(rcs(), email()))
    assert [note for note in seen.recorded if note.startswith("result")] == ["result NotFound", "result Ok"]


async def test_an_invalid_leg_is_found_before_any_leg_is_sent() -> None:
    async with sandboxed() as (client, box):
        second = await client(fallback.chain(rcs(), email("ada@example.org", "")))
        both = await client(fallback.chain(rcs("12"), email(), email("", "")))
        assert box.requests == 0
    assert isinstance(second, Invalid)
    assert [detail.field for detail in second.details] == ["fallback.subject"]
    assert isinstance(both, Invalid)
    assert [detail.field for detail in both.details] == ["to", "fallback[2].to", "fallback[2].subject"]


async def test_a_problem_of_the_first_leg_alone_is_that_of_the_call() -> None:
    assert fallback.chain(rcs("12"), email()).invalid == rcs("12").invalid
    value = fallback.chain(rcs(), email("x", ""))
    assert value.invalid is not None
    assert value.invalid.message.startswith("fallback.to must be")
    assert "; fallback.subject " in value.invalid.message


async def test_a_problem_without_a_field_names_the_leg() -> None:
    value = fallback.chain(leg(1), evolve(leg(2), invalid=Invalid(details=(Detail("", "must be something else"),))))
    assert value.invalid is not None
    assert [detail.field for detail in value.invalid.details] == ["fallback"]


async def test_two_tasks_that_send_one_fallback_send_each_leg_once() -> None:
    value = fallback.chain(rcs(), email())
    async with sandboxed() as (client, box), anyio.create_task_group() as tasks:
        for _ in range(2):
            _ = tasks.start_soon(client, value)
    assert len(box.messages) == 1


async def test_a_cancelled_fallback_sends_no_second_leg() -> None:
    asked: list[Call[Any]] = []
    with anyio.CancelScope() as scope:

        async def api(call: Call[Any], /) -> Result[Any]:
            asked.append(call)
            scope.cancel()
            await anyio.lowlevel.checkpoint()
            return NotFound()  # pragma: no cover

        _ = await fallback.send(api, fallback.chain(leg(1), leg(2)))
    assert scope.cancelled_caught
    assert asked == [leg(1)]


async def test_an_exception_of_when_leaves_the_call_and_no_second_leg_is_sent() -> None:
    def when(_: ApiError) -> bool:
        raise LookupError("a mistake")

    api = Answers([NotFound()])
    with pytest.raises(LookupError, match="a mistake"):
        _ = await fallback.send(api, fallback.chain(leg(1), leg(2), when=when))
    assert len(api.calls) == 1


async def test_the_money_is_that_of_the_accepted_leg() -> None:
    async with sandboxed() as (client, box):
        result = await client(fallback.chain(rcs(), email()))
    assert isinstance(result, Ok)
    assert result.value.billing is not None
    assert box.balance.reserved == result.value.billing.hold_amount
    assert box.balance.reserved is not None
    assert box.balance.reserved > Decimal(0)


def test_the_keys_of_all_legs_derive_from_that_of_the_first() -> None:
    value = fallback.chain(rcs(key="order-17"), email(), email())
    keys = [call.idempotency_key for call in value.legs]
    # Stored in journals and known to the service: another derivation would send a second message.
    assert keys == ["order-17", "05b4f029-8b58-58a9-8d82-676ab198f0a5", "1dcfdbdf-5220-533a-ab04-745251db5f28"]


def test_a_fallback_without_a_key_has_no_key_on_any_leg() -> None:
    value = fallback.chain(leg(1, None), leg(2))
    assert [call.idempotency_key for call in value.legs] == [None, None]
    assert value.idempotency_key is None
    assert not value.repeatable
    assert fallback.chain(leg(1), leg(2, None)).repeatable


def test_under_gives_all_legs_other_keys() -> None:
    value = fallback.chain(leg(1), leg(2)).start_at(2).under("k")
    assert [call.idempotency_key for call in value.legs] == ["k", leg_key("k", 2)]
    assert value.leg == 2
    assert value.call is value.legs[1]
    assert value.under(None).call.idempotency_key is None


@pytest.mark.parametrize("number", [0, -1, 3])
def test_a_leg_that_does_not_exist_is_a_value_error(number: int) -> None:
    with pytest.raises(ValueError, match=r"has the legs 1 to 2, and no leg"):
        _ = fallback.chain(leg(1), leg(2)).start_at(number)


def test_the_repr_shows_no_recipient_and_no_content() -> None:
    value = fallback.chain(rcs(), email())
    assert repr(value) == f"Fallback({value.legs[0]!r}, {value.legs[1]!r})"
    assert repr(value.start_at(2)).endswith(", leg=2)")
    assert "ada" not in repr(value)
    assert NO_RCS not in repr(value)


def test_a_fallback_and_its_result_can_be_pickled() -> None:
    value = fallback.chain(rcs(), email())
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301
    result = Ok(1, meta=Meta(leg=2, refused=(NotFound(),)))
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301


async def asynchronous(_: ApiError) -> bool:
    return True  # pragma: no cover


def test_the_errors_of_earlier_legs_are_written_and_read_with_a_result() -> None:
    meta = Meta(leg=2, refused=(NotFound(code="x", meta=Meta(status=404)),))
    error = Forbidden(meta=meta)
    assert codec.from_json(codec.to_json(meta), Meta) == meta
    assert error_from_json(codec.to_json(error)) == error
    assert b'"refused":[{"kind":"NotFound"' in codec.to_json(error)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"refused":3}', "must be an array, not a number @ $.refused"),
        (b'{"refused":[{"kind":"Ok"}]}', "must be an object with the kind of an error @ $.refused[0]"),
    ],
)
def test_errors_of_earlier_legs_that_cannot_be_read_are_a_problem(body: bytes, problem: str) -> None:
    assert str(codec.from_json(body, Meta)) == problem


chain: Any = fallback.chain


@pytest.mark.parametrize(
    ("build", "kind", "text"),
    [
        (lambda: chain(leg(1), messages.Text), TypeError, "a leg of a fallback is a call"),
        (lambda: chain(chain(leg(1), leg(2)), leg(3)), TypeError, "not Fallback"),
        (lambda: chain(leg(1), leg(2), when=Unanswered), ValueError, "when=Unanswered never leads"),
        (lambda: chain(leg(1), leg(2), when=(NotFound, ServerFault)), ValueError, "when=ServerFault never"),
        (lambda: chain(leg(1), leg(2), when=Conflict), ValueError, "when=Conflict never leads"),
        (lambda: chain(leg(1), leg(2), when=(404,)), ValueError, "when=404 never leads"),
        (lambda: chain(leg(1), leg(2), when=()), ValueError, "leave it out for NotFound"),
        (lambda: chain(leg(1), leg(2), when="404"), TypeError, "when is a class of errors.*not str"),
        (lambda: chain(leg(1), leg(2), when=asynchronous), TypeError, "a plain function, not function"),
    ],
)
def test_wrong_arguments_are_named(build: Callable[[], object], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        _ = build()


async def test_a_client_still_refuses_what_is_no_call() -> None:
    async with sandboxed() as (client, _):
        with pytest.raises(TypeError, match="a client takes a call"):
            _ = client((rcs(), email()))  # type: ignore[arg-type]


def test_a_blocking_client_sends_a_fallback_as_it_sends_a_call() -> None:
    box = Sandbox(timing=None)
    with BlockingClient(api_key=box.api_key, transport=box) as client:
        result = client(fallback.chain(rcs(), email()))
        (outcome,) = client.batch([fallback.chain(rcs(key="another"), email())])
    assert isinstance(result, Ok)
    assert isinstance(outcome.result, Ok)
    assert (result.meta.leg, outcome.result.meta.leg) == (2, 2)
    assert [entry.channel for entry in box.messages] == ["EMAIL", "EMAIL"]
