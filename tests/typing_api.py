"""What a type checker must see: this file is never executed, only checked."""

# pyright: reportUnusedCallResult=false

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import assert_never, assert_type

import msgapi
from msgapi import (
    ApiError,
    Call,
    Client,
    NotFound,
    Ok,
    Request,
    Response,
    Result,
    Unprocessable,
    batch,
    billing,
    codec,
    fallback,
    journal,
    messages,
    observe,
    telemetry,
)
from msgapi.transports import Answer, Transport


async def every_outcome_is_told_apart(api: Client, call: Call[messages.Accepted]) -> str:  # noqa: PLR0911
    match await api(call):
        case Ok(accepted):
            assert_type(accepted, messages.Accepted)
            return accepted.message_id
        case msgapi.Invalid(details=details) | msgapi.Unprocessable(details=details):
            assert_type(details, tuple[msgapi.Detail, ...])
            return "mend the input"
        case msgapi.InsufficientBalance(required_amount=amount):
            assert_type(amount, Decimal | None)
            return "top up"
        case msgapi.Unauthorized() | msgapi.Forbidden():
            return "not allowed"
        case msgapi.NotFound() | msgapi.Conflict():
            return "not there"
        case msgapi.Throttled(retry_after=seconds):
            assert_type(seconds, float | None)
            return "later"
        case msgapi.ServerFault() | msgapi.Unavailable() | msgapi.Unexpected() | msgapi.Unreadable():
            return "theirs"
        case msgapi.NotSent(reason) | msgapi.Unanswered(reason):
            return reason
        case never:
            assert_never(never)


async def a_forgotten_outcome_is_named(api: Client, call: Call[messages.Accepted]) -> None:
    match await api(call):
        case Ok():
            pass
        case msgapi.Throttled():
            pass
        case forgotten:
            assert_never(forgotten)  # type: ignore[arg-type]


async def calls_know_what_comes_back(api: Client) -> None:
    assert_type(await api(messages.list()), Result[messages.Page])
    assert_type(await api(messages.get("msg_1")), Result[messages.MessageRecord])
    assert_type(await api(messages.revoke("msg_1")), Result[messages.Revoked])
    assert_type(await api(billing.balance()), Result[msgapi.Balance])


async def every_error_has_what_all_errors_have(error: ApiError) -> None:
    assert_type(error.code, str)
    assert_type(error.message, str)
    assert_type(error.may_have_happened, bool)


async def a_plain_function_is_a_transport(request: Request) -> Answer:
    return Response(200, {}, request.body or b"")


async def it_can_be_connected() -> None:
    transport: Transport = a_plain_function_is_a_transport
    async with msgapi.Client(transport=transport) as api:
        assert_type(api, Client)


class Counting(observe.Observer, observe.Watch):
    def call(self, call: Call[object], /) -> observe.Watch:
        assert_type(call, Call[object])
        return self

    def answer(self, result: Result[object], /) -> None:
        assert_type(result, Result[object])


async def it_can_be_watched(call: Call[messages.Accepted]) -> None:
    async with msgapi.Client(observer=observe.combine(Counting(), observe.log(), telemetry.observer())) as api:
        assert_type(await api(call), Result[messages.Accepted])
    batch.send(api, [call], observer=Counting())


async def a_batch_knows_its_calls(api: Client, calls: AsyncIterator[Call[messages.Accepted]]) -> None:
    async with batch.send(api, calls, concurrency=3) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome.call, Call[messages.Accepted])
            assert_type(outcome.result, Result[messages.Accepted])


async def a_fallback_has_the_result_of_its_calls(api: Client, rcs: messages.Text, email: messages.Email) -> None:
    one = fallback.chain(messages.send(rcs), messages.send(email))
    assert_type(one, fallback.Fallback[messages.Accepted])
    result = await api(one)
    assert_type(result, Result[messages.Accepted])
    assert_type(result.meta.leg, int)
    assert_type(result.meta.refused, tuple[ApiError, ...])
    assert_type(await fallback.send(api, one), Result[messages.Accepted])
    _ = fallback.chain(messages.send(rcs), messages.send(email), when=(NotFound, Unprocessable))
    _ = fallback.chain(messages.send(rcs), messages.send(email), when=lambda error: error.code == "not_rcs_capable")
    _ = fallback.chain(messages.send(rcs))  # type: ignore[call-arg]


def a_blocking_client_has_the_options_and_results_of_the_async_one(calls: list[Call[messages.Accepted]]) -> None:
    with msgapi.BlockingClient(timeout=3.0, app_name="shop/1.0") as client:
        assert_type(client, msgapi.BlockingClient)
        assert_type(client(messages.get("msg_1")), Result[messages.MessageRecord])
        assert_type(client(messages.list(), total_timeout=3.0), Result[messages.Page])
        assert_type(client.with_options(headers={"X-Tenant": "a"}), msgapi.BlockingClient)
        for page in client.iterate(messages.pages, limit=3, status="FAILED"):
            assert_type(page, Result[messages.Page])
        for outcome in client.batch(calls, concurrency=3):
            assert_type(outcome.result, Result[messages.Accepted])
        rows = [("row-1", call) for call in calls]
        with client.batch(rows, journal=journal.open("b.journal", batch="b")) as outcomes:
            for outcome in outcomes:
                assert_type(outcome.call, Call[messages.Accepted])


def the_options_of_a_blocking_client_are_checked(client: msgapi.BlockingClient, call: Call[messages.Accepted]) -> None:
    msgapi.BlockingClient(apikey="k")  # type: ignore[call-arg]
    client(call, total_time=3.0)  # type: ignore[call-arg]
    client(3)  # type: ignore[arg-type]
    client.iterate(messages.pages, limt=3)  # type: ignore[call-arg]
    client.batch([call], at_once=3)  # type: ignore[call-overload]


async def a_value_is_unwrapped_and_options_keep_the_type(api: Client, call: Call[messages.Accepted]) -> None:
    result = await api(call, timeout=1.0, total_timeout=2.0, headers={"X-A": "a"})
    assert_type(result, Result[messages.Accepted])
    assert_type(result.unwrap(), messages.Accepted)
    assert_type(api.with_options(keep_raw=True), Client)


def a_model_is_read_from_a_dict_or_json(value: object, body: bytes) -> None:
    assert_type(codec.from_dict(value, messages.Text), messages.Text | codec.Problems)
    assert_type(codec.from_json(body, messages.Accepted), messages.Accepted | codec.Problems)
    assert_type(codec.result_from_dict(value, messages.Accepted), Result[messages.Accepted] | codec.Problems)
    assert_type(codec.from_dict(value, Ok[messages.Accepted]), Ok[messages.Accepted] | codec.Problems)
    assert_type(codec.to_json(value), bytes)
