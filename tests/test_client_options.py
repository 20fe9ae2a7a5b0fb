"""Options of calls and clients: timeouts, retries and headers of one call, and clients that share the rest."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field

import msgapi
from msgapi import Client, NotSent, Ok, Pace, Request, Response, Retry, SystemClock, Throttled, Unanswered, Unavailable
from msgapi.client.sending import CallOptions
from msgapi.clock import within
from msgapi.http import TimeLimits
from msgapi.ratelimit.pace import TurnQueue
from msgapi.transports import Answer
from tests.test_client import DOWN, LOST, OK, READ, SEND, limited, scripted

pytestmark = pytest.mark.anyio
RETRY_ONCE = Retry(attempts=2, base=1e-9)


@define
class KeepsLimits:
    """A transport that keeps time limits itself, and records those of each request."""

    answer: Answer = OK
    keeps_limits: bool = True
    limits: list[TimeLimits | None] = field(factory=list)

    async def __call__(self, request: Request, /) -> Answer:
        await anyio.lowlevel.checkpoint()
        self.limits.append(request.limits)
        return self.answer


async def test_an_attempt_that_takes_longer_than_timeout_is_unanswered_and_repeated() -> None:
    async with scripted(OK) as (client, script):
        script.latency = 10.0
        result = await client(READ, timeout=2.0, retry=RETRY_ONCE)
        assert isinstance(result, Unanswered)
        assert (result.reason, result.meta.attempts, len(script.asked)) == ("no answer in time", 2, 2)
        assert result.meta.elapsed == pytest.approx(4.0)
        assert isinstance(await client(READ), Ok)


async def test_total_timeout_ends_the_attempt_that_is_in_flight() -> None:
    async with scripted(OK) as (client, script):
        script.latency = 10.0
        result = await client(SEND, total_timeout=3.0)
        assert isinstance(result, Unanswered)
        assert result.may_have_happened
        assert (result.meta.attempts, result.meta.elapsed) == (1, 3.0)


async def test_a_retry_that_total_timeout_does_not_allow_is_not_waited_for() -> None:
    wait = Response(503, {"retry-after": "5"}, DOWN.body)
    async with scripted(wait) as (client, script):
        result = await client(SEND, total_timeout=4.0)
        assert isinstance(result, Unavailable)
        assert (result.meta.attempts, script.clock.now()) == (1, 0.0)
        assert isinstance(await client(SEND, total_timeout=9.0), Unavailable)
        assert len(script.asked) == 3
        assert script.clock.now() == pytest.approx(5.0, abs=1.0)


async def test_a_call_that_would_wait_for_the_rate_limit_longer_than_total_timeout_is_throttled_at_once() -> None:
    async with scripted(limited(30.0), OK) as (client, script):
        first = await client(READ, retry=Retry(attempts=1))
        assert isinstance(first, Throttled)
        result = await client(READ, total_timeout=5.0)
        assert isinstance(result, Throttled)
        assert not result.from_service
        assert result.retry_after == pytest.approx(30.0, abs=1.0)
        assert (len(script.asked), script.clock.now()) == (1, 0.0)


async def test_a_queue_that_is_too_long_for_total_timeout_is_not_joined() -> None:
    async with scripted(OK, pace=Pace(per_second=0.1)) as (client, script):
        _ = await client(READ)
        results: list[object] = []

        async def call() -> None:
            results.append(await client(READ))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(call)
            await script.clock.sleep(1.0)
            result = await client(READ, total_timeout=25.0)  # the third in the queue leaves after 29 seconds
            assert isinstance(result, Throttled)
            assert (len(script.asked), script.clock.now()) == (1, 1.0)
        assert len(script.asked) == 3


async def test_a_shared_rate_that_does_not_answer_is_not_waited_for_beyond_total_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted(OK, pace=Pace(per_second=0.5)) as (client, script):

        async def never(*_: object, **__: object) -> None:
            await script.clock.sleep(1000.0)

        _ = await client(READ)
        monkeypatch.setattr(TurnQueue, "enter", never)
        result = await client(READ, total_timeout=5.0)
        assert isinstance(result, Throttled)
        assert script.clock.now() == 5.0
        assert result.retry_after == 5.0


async def test_a_total_timeout_that_is_over_before_an_attempt_sends_nothing() -> None:
    async with scripted(OK) as (_client, script):
        options = CallOptions(total_timeout=1.0)
        answer = await options.send(Request("GET", "http://x"), script, script.clock, 0.0)
        assert isinstance(answer, NotSent)
        assert script.asked == []


async def test_on_the_system_clock_a_slow_transport_is_cancelled_too() -> None:
    async def hang(_: Request, /) -> Answer:
        await anyio.sleep_forever()
        raise AssertionError

    async with Client(api_key="sk", transport=hang, total_timeout=0.02) as client:
        result = await client(SEND)
        assert isinstance(result, Unanswered)
        assert result.meta.attempts == 1


async def test_a_transport_that_keeps_limits_is_given_them() -> None:
    transport = KeepsLimits()
    async with Client(api_key="sk", transport=transport) as client:
        _ = await client(READ)
        _ = await client(READ, timeout=1.0, connect_timeout=0.5)
        _ = await client(READ, total_timeout=9.0)
        _ = await client(READ, headers={"X-A": "1"})
    plain, timeouts, total, headers = transport.limits
    assert plain is headers is None
    assert timeouts == TimeLimits(1.0, 0.5, None)
    assert total is not None
    assert total.timeout is None
    assert total.total_timeout == pytest.approx(9.0, abs=0.5)


async def test_a_timeout_of_the_client_reaches_a_transport_that_is_passed_in() -> None:
    transport = KeepsLimits()
    async with Client(api_key="sk", transport=transport, timeout=7.0, connect_timeout=3.0) as client:
        _ = await client(READ)
        _ = await client(READ, timeout=8.0)
    assert transport.limits == [TimeLimits(7.0, 3.0, None), TimeLimits(8.0, 3.0, None)]


async def test_a_transport_without_limits_ignores_the_time_of_connecting() -> None:
    async with scripted(OK) as (client, script):
        script.latency = 5.0
        assert isinstance(await client(READ, connect_timeout=0.1), Ok)


async def test_a_retry_of_the_call_replaces_that_of_the_client() -> None:
    async with scripted(DOWN, retry=Retry(attempts=1)) as (client, script):
        _ = await client(READ, retry=Retry(attempts=4))
        assert len(script.asked) == 4
        _ = await client(READ)
        assert len(script.asked) == 5


async def test_the_longest_wait_of_a_call_decides_how_long_it_waits_for_its_turn() -> None:
    async with scripted(limited(30.0), OK) as (client, _):
        assert isinstance(await client(READ, retry=Retry(attempts=1)), Throttled)
        assert isinstance(await client(READ, retry=Retry(longest_wait=10.0)), Throttled)
        assert isinstance(await client(READ), Ok)


async def test_headers_of_a_call_are_sent_and_those_of_the_client_stay_last() -> None:
    async with scripted(OK) as (client, script):
        _ = await client(SEND, headers={"X-Request-Id": "r-1"})
        _ = await client.with_options(headers={"X-A": "a", "X-B": "b"})(SEND, headers={"X-B": "c"})
    first, second = script.asked
    assert first.headers["X-Request-Id"] == "r-1"
    assert list(first.headers)[-1] == "Idempotency-Key"
    assert {name: second.headers[name] for name in ("X-A", "X-B")} == {"X-A": "a", "X-B": "c"}


async def test_a_header_of_a_call_replaces_that_of_the_client_in_any_case() -> None:
    async with scripted(OK) as (client, script):
        _ = await client.with_options(headers={"X-Request-Id": "a", "X-B": "b"})(READ, headers={"x-request-id": "c"})
        _ = await client(READ, headers={"X-A": "a", "x-a": "b"})
    first, second = ({name.lower(): request.headers[name] for name in request.headers} for request in script.asked)
    assert (first["x-request-id"], first["x-b"], second["x-a"]) == ("c", "b", "b")
    assert [len(request.headers) for request in script.asked] == [len(first), len(second)]


async def test_derived_clients_share_connections_pace_budget_and_observer_and_close_together() -> None:
    async with scripted(DOWN, retry=Retry(budget=3.0, refill=0.0)) as (client, script):
        patient = client.with_options(retry=Retry(attempts=3), total_timeout=100.0)
        hasty = patient.with_options(total_timeout=1.0)
        assert isinstance(await patient(READ), Unavailable)
        assert len(script.asked) == 3
        assert isinstance(await client(READ), Unavailable)  # one retry is left in the budget
        assert len(script.asked) == 5
        assert repr(patient) == repr(client)
        await hasty.aclose()
        with pytest.raises(RuntimeError, match="this client is closed"):
            await client(READ)


async def test_a_derived_client_opens_the_client() -> None:
    transport = KeepsLimits()
    client = Client(api_key="sk", transport=transport)
    async with client.with_options(timeout=2.0) as derived:
        assert isinstance(await derived(READ), Ok)
        assert isinstance(await client(READ), Ok)
    assert transport.limits == [TimeLimits(2.0), None]
    with pytest.raises(RuntimeError, match="closed"):
        await client(READ)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"timeout": 0}, ValueError, "timeout must be a number of seconds above 0"),
        ({"connect_timeout": -1}, ValueError, "connect_timeout must be"),
        ({"total_timeout": "3"}, TypeError, "total_timeout must be a number of seconds, such as 30.0, not str"),
        ({"retry": 3}, TypeError, r"retry must be a Retry, such as Retry\(attempts=3\), not int"),
        ({"headers": [("a", "b")]}, TypeError, "headers must be a Mapping"),
        ({"headers": {"X-A": 1}}, TypeError, "a header must be a string, not str: int"),
        ({"headers": {"Authorization": "Bearer x"}}, ValueError, "the header 'Authorization' cannot be added"),
        ({"headers": {"User-Agent": "x"}}, ValueError, "app_name"),
        ({"headers": {"Idempotency-Key": "x"}}, ValueError, "cannot be added"),
        ({"headers": {"Content-Type": "x"}}, ValueError, "cannot be added"),
        ({"headers": {"X-A": "a\r\nb"}}, ValueError, "cannot be added"),
        ({"headers": {"Proxy-Authorization": "Basic eA=="}}, ValueError, "cannot be added"),
        ({"headers": {"Keep-Alive": "timeout=1"}}, ValueError, "cannot be added"),
        ({"headers": {"X A": "a"}}, ValueError, "cannot be added"),
    ],
)
def test_a_wrong_option_is_one_sentence_before_anything_is_sent(
    options: Mapping[str, Any], kind: type[Exception], text: str
) -> None:
    client = Client(api_key="sk", transport=KeepsLimits())
    for wrong in (partial(client, READ), client.with_options):
        with pytest.raises(kind, match=text) as error:
            wrong(**options)
        assert "Bearer" not in str(error.value)
    if "headers" not in options and options.get("timeout") != 0:
        with pytest.raises(kind, match=text):
            Client(**options)


@pytest.mark.parametrize("option", ["max_connections", "keepalive_timeout", "max_connection_age", "ssl"])
def test_an_option_of_the_default_transport_is_refused_beside_another_one(option: str) -> None:
    import ssl

    value = ssl.create_default_context() if option == "ssl" else 5
    assert isinstance(Client(api_key="sk", **{option: value}), Client)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{option} is that of the default transport"):
        Client(transport=KeepsLimits(), **{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "value", "kind", "text"),
    [
        ("keepalive_timeout", 0, ValueError, "keepalive_timeout must be a number of seconds above 0"),
        ("max_connection_age", "1", TypeError, "max_connection_age must be a number of seconds"),
        ("ssl", True, TypeError, r"ssl must be an SSLContext, such as ssl.create_default_context\(\), not bool"),
        ("app_name", 1, TypeError, "app_name must be a string such as shop/1.2, not int"),
        ("app_name", "my shop", ValueError, "app_name must be a name and perhaps a version, without spaces"),
        ("app_name", "a/1/2", ValueError, "app_name must be"),
        ("app_name", "", ValueError, "app_name must be"),
    ],
)
def test_a_wrong_option_of_the_client_is_one_sentence(
    option: str, value: object, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        Client(**{option: value})  # type: ignore[arg-type]


async def test_the_name_of_the_program_is_in_the_user_agent() -> None:
    async with scripted(OK, app_name="shop/1.2") as (client, script):
        _ = await client(READ)
    assert script.asked[0].headers["User-Agent"].startswith(f"msgapi-sdk/{msgapi.__version__} Python/3.")
    assert script.asked[0].headers["User-Agent"].endswith(" shop/1.2")


async def test_a_wait_for_the_rate_limit_that_is_cancelled_says_what_it_waited_for() -> None:
    for answers, text in (((OK, OK), "nothing was sent"), ((LOST, OK), "1 requests of this call were sent before")):
        async with scripted(*answers, pace=Pace(per_second=0.1)) as (client, script):
            if text == "nothing was sent":
                _ = await client(SEND)
            caught: list[BaseException] = []

            async def waiting(client: Client = client, caught: list[BaseException] = caught) -> None:
                try:
                    _ = await client(SEND)
                except BaseException as cancelled:
                    caught.append(cancelled)
                    raise

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(waiting)
                await script.clock.sleep(5.0)
                tasks.cancel_scope.cancel()
        assert caught[0].__notes__ == [f"msgapi: cancelled while waiting for the rate limit; {text}"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_time_out_of_asyncio_carries_the_note_and_the_docstring_names_what_to_use() -> None:
    async with scripted(limited(30.0), clock=SystemClock()) as (client, _):
        _ = await client(READ, retry=Retry(attempts=1))
        with pytest.raises(TimeoutError) as error:
            async with asyncio.timeout(0.01):
                _ = await client(READ)
    assert "nothing was sent" in error.value.__cause__.__notes__[0]  # type: ignore[union-attr]
    assert "asyncio.timeout" in f"{Client.__doc__}"
    assert "total_timeout" in f"{Client.__doc__}"


async def test_what_ends_within_its_time_is_returned_and_what_raises_raises() -> None:
    clock = msgapi.VirtualClock()
    for used in (clock, SystemClock()):

        async def value() -> int:
            await anyio.lowlevel.checkpoint()
            return 1

        async def fail() -> int:
            await anyio.lowlevel.checkpoint()
            raise LookupError

        assert await within(used, 60.0, value) == 1
        with pytest.raises(LookupError):
            _ = await within(used, 60.0, fail)


async def test_time_limits_count_from_their_start() -> None:
    limits = TimeLimits(5.0, None, 0.5)
    assert limits.exchange(30.0) <= 0.5
    assert TimeLimits(5.0).exchange(30.0) == 5.0
    assert TimeLimits().exchange(30.0) == 30.0
    assert TimeLimits(5.0, None, 0.5, began=0.0).left == 0.0
