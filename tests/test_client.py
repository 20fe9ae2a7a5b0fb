"""client: calls over scripted transports, in simulated time, on both event loops."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from email.utils import formatdate

import anyio
import attrs
import orjson
import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

import msgapi
import msgapi.transports.aiohttp
from msgapi import Balance, Call, Client, Invalid, NotSent, Ok, Request, Response, Retry, Unanswered, VirtualClock
from msgapi.messages import Accepted
from msgapi.transports import Answer

KEY = "0b8f7c0e-8a52-4b0e-9f57-6a1f7a0c9e11"
SEND = Call("POST", "/v1/messages", Balance, body=b'{"a":1}', idempotency_key=KEY)
SEND_WITHOUT_KEY = attrs.evolve(SEND, idempotency_key=None)
READ = Call("GET", "/v1/billing/balance", Balance)

OK = Response(200, {}, b'{"free":1}')
FAULT = Response(500, {}, b"")
DOWN = Response(503, {}, b'{"error":"unavailable","message":"m"}')
LOST = Unanswered("reset")
REFUSED = NotSent("connection refused")

pytestmark = pytest.mark.anyio


def limited(retry_after: float | None = None, code: str = "rate_limit_exceeded") -> Response:
    return Response(429, {}, orjson.dumps({"error": code, "message": "m", "retry_after": retry_after}))


@define
class Script:
    """A transport that answers by a script, its last line for ever, and remembers what it was asked and when."""

    answers: Sequence[Answer]
    clock: VirtualClock
    latency: float = 0.0
    asked: list[Request] = field(factory=list)
    times: list[float] = field(factory=list)

    async def __call__(self, request: Request, /) -> Answer:
        self.asked.append(request)
        self.times.append(self.clock.now())
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        await self.clock.sleep(self.latency)
        return answer


@asynccontextmanager
async def scripted(*answers: Answer, **how: object) -> AsyncIterator[tuple[Client, Script]]:
    clock = VirtualClock()
    script = Script(answers, clock)
    options: dict[str, object] = {"api_key": "sk_test", "transport": script, "clock": clock, **how}
    async with clock.autojump(), msgapi.Client(**options) as api:  # type: ignore[arg-type]
        yield api, script


async def test_a_call_becomes_a_request_with_everything_in_its_place() -> None:
    async with scripted(OK, base_url="https://h.example/prefix/") as (api, script):
        assert isinstance(await api(SEND), Ok)
        assert isinstance(await api(attrs.evolve(READ, query=(("month", "2026-05"),))), Ok)
    sent, read = script.asked
    assert (sent.method, sent.url, sent.body) == ("POST", "https://h.example/prefix/v1/messages", b'{"a":1}')
    agent = f"msgapi-sdk/{msgapi.__version__} Python/"
    assert sent.headers.pop("User-Agent").startswith(agent)  # type: ignore[attr-defined]
    assert sent.headers == {
        "Authorization": "Bearer sk_test",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "Idempotency-Key": KEY,
    }
    assert read.url == "https://h.example/prefix/v1/billing/balance?month=2026-05"
    assert read.body is None
    assert {"Content-Type", "Idempotency-Key"}.isdisjoint(read.headers)


@pytest.mark.parametrize("first", [FAULT, DOWN, LOST, REFUSED, limited(3)])
async def test_a_repeated_call_is_the_same_request_to_the_byte(first: Answer) -> None:
    async with scripted(first, first, OK) as (api, script):
        result = await api(SEND)
    assert isinstance(result, Ok)
    assert result.meta.attempts == 3
    assert result.meta.elapsed == script.times[-1]
    assert script.asked[0] == script.asked[1] == script.asked[2]
    assert script.asked[0].headers["Idempotency-Key"] == KEY


@pytest.mark.parametrize("first", [FAULT, DOWN, LOST])
async def test_a_post_without_a_key_is_never_repeated_once_a_byte_may_have_left(first: Answer) -> None:
    async with scripted(first, OK) as (api, script):
        result = await api(SEND_WITHOUT_KEY)
    assert not isinstance(result, Ok)
    assert result.may_have_happened
    assert len(script.asked) == 1


@pytest.mark.parametrize("first", [REFUSED, limited(3)])
async def test_a_post_without_a_key_is_repeated_while_nothing_can_have_happened(first: Answer) -> None:
    async with scripted(first, LOST, OK) as (api, script):
        result = await api(SEND_WITHOUT_KEY)
    assert isinstance(result, Unanswered)
    assert len(script.asked) == 2


async def test_one_attempt_repeats_nothing() -> None:
    async with scripted(DOWN, retry=Retry(attempts=1)) as (api, script):
        result = await api(SEND)
    assert isinstance(result, msgapi.Unavailable)
    assert result.meta == msgapi.Meta(status=503, attempts=1, idempotency_key=KEY)
    assert len(script.asked) == 1


async def test_the_attempts_come_to_an_end() -> None:
    async with scripted(DOWN, retry=Retry(attempts=4)) as (api, script):
        result = await api(SEND)
    assert isinstance(result, msgapi.Unavailable)
    assert result.meta.attempts == len(script.asked) == 4


async def test_an_outage_is_not_amplified_beyond_the_budget() -> None:
    async with scripted(DOWN, retry=Retry(budget=10)) as (api, script):
        for _ in range(100):
            assert isinstance(await api(SEND), msgapi.Unavailable)
    assert len(script.asked) == 110


async def test_a_retry_after_is_waited_for_in_full() -> None:
    async with scripted(limited(42.5), OK) as (api, script):
        assert isinstance(await api(SEND), Ok)
    assert script.times[1] - script.times[0] >= 42.5


async def test_a_retry_after_beyond_the_longest_wait_is_returned_at_once() -> None:
    async with scripted(limited(61), OK) as (api, script):
        result = await api(SEND)
        assert isinstance(result, msgapi.Throttled)
        assert (result.retry_after, result.meta.status) == (61, 429)
        assert script.clock.now() == 0
        # and the gate stays closed for the next call, which isn't even sent
        kept_back = await api(SEND)
        assert isinstance(kept_back, msgapi.Throttled)
        assert kept_back.retry_after == pytest.approx(61)
        assert (kept_back.meta.status, kept_back.meta.attempts, kept_back.may_have_happened) == (None, 0, False)
        assert len(script.asked) == 1
        # another kind of endpoint has its own limit
        await api(READ)
        assert len(script.asked) == 2


@pytest.mark.parametrize("first", [limited(30), Response(503, {"Retry-After": "30"}, b"")])
async def test_a_wait_that_would_outlive_the_deadline_returns_at_once(first: Response) -> None:
    async with scripted(first, OK) as (api, script):
        with anyio.fail_after(20):
            result = await api(SEND)
        assert isinstance(result, msgapi.Throttled | msgapi.Unavailable)
        assert result.retry_after == 30
        assert script.clock.now() == 0


async def test_a_call_that_would_wait_at_the_gate_beyond_its_deadline_returns_at_once() -> None:
    async with scripted(limited(30), OK, retry=Retry(attempts=1)) as (api, script):
        await api(SEND)
        with anyio.fail_after(20):
            result = await api(SEND)
        assert isinstance(result, msgapi.Throttled)
        assert result.retry_after == pytest.approx(30)
        assert len(script.asked) == 1


async def test_a_queue_too_long_for_the_deadline_is_not_joined() -> None:
    async with scripted(OK, pace=msgapi.Pace(per_second=1)) as (api, script):
        kinds: list[str] = []

        async def send() -> None:
            kinds.append(type(await api(SEND)).__name__)

        with anyio.fail_after(2.5):
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(send)
    assert kinds.count("Ok") == len(script.asked) == 3
    assert kinds.count("Throttled") == 7


async def test_waiting_for_a_turn_is_no_time_out_however_long_the_queue() -> None:
    async with scripted(OK, pace=msgapi.Pace(per_second=10), retry=Retry(longest_wait=1)) as (api, script):
        results: list[object] = []

        async def send() -> None:
            results.append(await api(SEND))

        async with anyio.create_task_group() as tasks:
            for _ in range(300):
                tasks.start_soon(send)
    assert sum(isinstance(result, Ok) for result in results) == 300
    assert script.times[-1] == pytest.approx(30, abs=0.2)
    gaps = [later - earlier for earlier, later in zip(script.times, script.times[1:], strict=False)]
    assert min(gaps) >= 0.1 - 0.02 - 1e-9


PAGE = Response(200, {"Content-Type": "text/html"}, b"<html>please log in</html>")
NO_PAGE = Response(404, {"Content-Type": "text/html"}, b"<html>no such page</html>")
ACCEPTED = Call("POST", "/v1/messages", Accepted, body=b"{}", idempotency_key=KEY)


@pytest.mark.parametrize(
    "foreign", [PAGE, NO_PAGE, Response(302, {}, b""), Response(401, {}, b""), Response(502, {}, b"")]
)
async def test_an_answer_that_is_not_the_services_is_repeated_under_its_key(foreign: Response) -> None:
    async with scripted(foreign, foreign, Response(200, {}, b'{"message_id":"msg_1"}')) as (api, script):
        assert isinstance(await api(ACCEPTED), Ok)
    assert [request.headers["Idempotency-Key"] for request in script.asked] == [KEY] * 3


@pytest.mark.parametrize(
    ("answers", "happened"),
    [([PAGE], True), ([NO_PAGE], False), ([PAGE, NO_PAGE], True), ([NO_PAGE, NO_PAGE, PAGE, NO_PAGE], True)],
)
async def test_answers_that_are_not_the_services_say_whether_one_of_them_may_have_carried_it_out(
    answers: list[Answer], happened: bool
) -> None:
    async with scripted(*answers) as (api, script):
        result = await api(ACCEPTED)
    assert not isinstance(result, Ok)
    assert (result.may_have_happened, result.scope, len(script.asked)) == (happened, "foreign", Retry().attempts)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "answer",
    [
        *(Response(status, {}, b"") for status in (200, 302, 404, 408, 421, 425, 500, 502, 503)),
        *(Response(status, {}, b'{"error":"code","message":"m"}') for status in (408, 421, 425, 500, 503)),
        LOST,
    ],
    ids=lambda answer: f"{getattr(answer, 'status', 'lost')}",
)
async def test_a_change_without_a_key_is_one_request(method: str, answer: Answer) -> None:
    async with scripted(answer, OK) as (api, script):
        result = await api(Call(method, "/v1/messages/msg_1", Accepted, body=b"{}"))
    assert not isinstance(result, Ok)
    assert len(script.asked) == 1


@pytest.mark.parametrize("status", [408, 421, 425])
@pytest.mark.parametrize("body", [b"", b'{"error":"code","message":"m"}'])
async def test_a_server_that_asks_for_the_request_again_gets_it_under_its_key(status: int, body: bytes) -> None:
    async with scripted(Response(status, {}, body), OK) as (api, script):
        assert isinstance(await api(SEND), Ok)
    assert len(script.asked) == 2


@pytest.mark.parametrize("headers", [{"Retry-After": "1800000000"}, {"Retry-After": "Fri, 15 Jan 2077 08:00:00 GMT"}])
async def test_a_wait_of_more_than_a_day_is_returned_at_once_and_delays_the_next_call_by_the_longest_wait(
    headers: dict[str, str],
) -> None:
    far = Response(429, headers, b'{"error":"rate_limit_exceeded","message":"m"}')
    async with scripted(far, OK, retry=Retry(longest_wait=30)) as (api, script):
        first = await api(SEND)
        assert isinstance(first, msgapi.Throttled)
        assert first.retry_after is not None
        assert first.retry_after > 86_400
        assert script.clock.now() == 0
        assert isinstance(await api(SEND), Ok)
    assert script.times == [0, pytest.approx(30)]


async def test_a_date_in_retry_after_is_compared_with_the_clients_clock_if_the_response_has_no_date() -> None:
    clock = VirtualClock()
    at = formatdate(clock.time() + 20, usegmt=True)
    script = Script([Response(503, {"Retry-After": at}, b""), OK], clock)
    async with clock.autojump(), msgapi.Client(api_key="sk", transport=script, clock=clock) as api:
        assert isinstance(await api(SEND), Ok)
    assert 19 <= script.times[1] - script.times[0] <= 21


async def test_the_rate_limit_figures_of_an_answer_that_is_not_the_services_are_ignored() -> None:
    figures = {"X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "100"}
    clock = VirtualClock()
    figures["X-RateLimit-Reset"] = f"{int(clock.time()) + 100}"
    script = Script([Response(404, figures, b"<html>"), OK], clock)
    async with clock.autojump(), msgapi.Client(api_key="sk", transport=script, clock=clock) as api:
        assert isinstance(await api(SEND), Ok)
    assert clock.now() < 1


async def test_the_cap_on_one_recipient_is_neither_repeated_nor_does_it_close_the_gate() -> None:
    async with scripted(limited(40_000, "newsletter_daily_cap"), OK) as (api, script):
        assert isinstance(await api(SEND), msgapi.Throttled)
        assert isinstance(await api(SEND), Ok)
        assert script.clock.now() == 0


async def test_an_error_after_a_lost_answer_says_that_it_may_have_happened() -> None:
    async with scripted(LOST, Response(401, {}, b"")) as (api, _):
        result = await api(SEND)
    assert isinstance(result, msgapi.Unauthorized)
    assert result.may_have_happened


async def test_a_call_kept_back_after_a_lost_answer_says_that_it_may_have_happened() -> None:
    clock = VirtualClock()  # stands still until told
    script = Script([LOST, limited(61)], clock)
    results: list[msgapi.Result[Balance]] = []
    async with msgapi.Client(api_key="sk", transport=script, clock=clock) as api:

        async def send() -> None:
            results.append(await api(SEND))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await anyio.wait_all_tasks_blocked()  # its answer is lost, and it waits to try again
            await send()  # is told 61 s, and closes the gate
            clock.advance(0.5)
    direct, kept_back = results
    assert isinstance(direct, msgapi.Throttled)
    assert (direct.meta.status, direct.may_have_happened) == (429, False)
    assert isinstance(kept_back, msgapi.Throttled)
    assert (kept_back.meta.status, kept_back.meta.attempts, kept_back.may_have_happened) == (None, 1, True)
    assert len(script.asked) == 2


async def test_bad_input_is_a_value_and_never_sent() -> None:
    bad = Invalid(details=(msgapi.Detail("to", "bad"),))
    async with scripted(OK) as (api, script):
        assert await api(attrs.evolve(SEND, invalid=bad)) is bad
    assert script.asked == []


async def test_an_exception_of_the_transport_is_the_programs_own_and_passes() -> None:
    async def broken(_: Request) -> Answer:
        raise LookupError("a bug")

    async with msgapi.Client(api_key="sk", transport=broken) as api:
        with pytest.raises(LookupError, match="a bug"):
            await api(SEND)


@pytest.mark.parametrize("when", [0.5, 1.5])
async def test_cancellation_passes_in_flight_and_between_attempts_and_frees_the_place(when: float) -> None:
    async with scripted(DOWN, retry=Retry(base=1000, longest_backoff=1000, longest_wait=1000)) as (api, script):
        script.latency = 1.0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(api, SEND)
            await script.clock.sleep(when)
            tasks.cancel_scope.cancel()
        assert api._sender.pace.lane(SEND.endpoint_class).in_flight == 0
        assert len(script.asked) == 1


async def test_cancellation_in_the_queue_lets_the_next_one_in() -> None:
    async with scripted(OK, pace=msgapi.Pace(per_second=0.1)) as (api, script):
        await api(SEND)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(api, SEND)
                tasks.start_soon(api, SEND)
                await script.clock.sleep(1)
                scope.cancel()
        assert isinstance(await api(SEND), Ok)
    assert len(script.asked) == 2


async def test_a_client_lives_inside_its_async_with_and_nowhere_else() -> None:
    async with scripted(OK) as (api, _):
        assert repr(api) == "Client(https://api.arowana.app, open)"
    assert repr(api) == "Client(https://api.arowana.app, closed)"
    with pytest.raises(RuntimeError, match="closed"):
        await api(SEND)


async def test_an_exception_in_the_block_comes_out_as_itself() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with msgapi.Client(api_key="sk", transport=Script([OK], VirtualClock())):
            raise KeyError("mine")


async def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_env")
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://127.0.0.1:8025")
    script = Script([OK], VirtualClock())
    async with msgapi.Client(transport=script) as api:
        await api(READ)
    assert script.asked[0].url == "http://127.0.0.1:8025/v1/billing/balance"
    assert script.asked[0].headers["Authorization"] == "Bearer sk_env"


async def test_what_is_passed_in_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_env")
    monkeypatch.setenv("MSGAPI_BASE_URL", "nonsense")
    async with scripted(OK, api_key="sk_mine", base_url="https://h.example") as (api, script):
        await api(READ)
    assert script.asked[0].headers["Authorization"] == "Bearer sk_mine"


@pytest.mark.parametrize("key", [None, ""])
async def test_a_missing_key_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    monkeypatch.delenv("MSGAPI_API_KEY", raising=False)
    with pytest.raises(msgapi.Misconfigured, match="no API key: set MSGAPI_API_KEY, or pass"):
        async with msgapi.Client(api_key=key, transport=Script([OK], VirtualClock())):
            pass  # pragma: no cover


@pytest.mark.parametrize("key", ["a b", "a\r\nX-Evil: 1", "a\n", "schlüssel", "a\x00"])
async def test_a_key_that_could_break_a_header_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(msgapi.Misconfigured, match="characters that no key has") as error:
        async with msgapi.Client(api_key=key, transport=Script([OK], VirtualClock())):
            pass  # pragma: no cover
    assert key not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.arowana.app",
        "ftp://h.example",
        "https://",
        "https://h.example?x=1",
        "https://h.example#x",
        "https://user:pw@h.example",
        "https://h.example:port",
        "https://[::1",
        "https://h.example/a b",
        "https://h.example/\r\n",
        "https://hü.example",
        "http://h.example",
        "http://10.0.0.1",
        "http://localhost.h.example",
        "http://0.0.0.0:8025",
    ],
)
async def test_an_address_that_is_wrong_or_unsafe_is_refused(url: str) -> None:
    with pytest.raises(msgapi.Misconfigured, match="base URL"):
        async with msgapi.Client(api_key="sk", base_url=url, transport=Script([OK], VirtualClock())):
            pass  # pragma: no cover


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h.example/v1", "https://h.example"),
        ("https://h.example/v1/v1", "https://h.example"),
        ("https://h.example/V1//v1/", "https://h.example"),
        ("https://h.example/v1/", "https://h.example"),
        ("https://h.example//v1//", "https://h.example"),
        ("https://h.example/prefix/v1/", "https://h.example/prefix"),
        ("https://h.example:8443/v1?", "https://h.example:8443"),
        ("https://h.example/av1", "https://h.example/av1"),
        ("https://v1", "https://v1"),
        ("https://v1/v1", "https://v1"),
    ],
)
async def test_the_version_at_the_end_of_the_base_url_is_not_sent_twice(url: str, expected: str) -> None:
    async with scripted(OK, base_url=url) as (api, script):
        assert isinstance(await api(READ), Ok)
    assert script.asked[0].url == f"{expected}/v1/billing/balance"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://h.example"])
async def test_plain_http_is_for_loopback_only(url: str) -> None:
    async with scripted(OK, base_url=url) as (api, _):
        assert isinstance(await api(READ), Ok)


ANSWERS: list[Callable[[], Answer]] = [
    lambda: OK,
    lambda: FAULT,
    lambda: DOWN,
    lambda: LOST,
    lambda: REFUSED,
    lambda: limited(2),
    lambda: limited(None),
    lambda: Response(409, {}, b'{"error":"conflict","message":"m"}'),
    lambda: Response(409, {}, b""),
    lambda: PAGE,
]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_no_sequence_of_answers_makes_it_repeat_what_it_must_not(anyio_backend: str) -> None:
    @given(script=st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=8), keyed=st.booleans())
    def run(script: list[Callable[[], Answer]], keyed: bool) -> None:
        answers = [make() for make in script]
        anyio.run(check, answers, SEND if keyed else SEND_WITHOUT_KEY, backend=anyio_backend)

    async def check(answers: list[Answer], call: Call[Balance]) -> None:
        async with scripted(*answers) as (api, transport):
            result = await api(call)
        assert len(transport.asked) == result.meta.attempts <= Retry().attempts
        seen = [answers[min(i, len(answers) - 1)] for i in range(result.meta.attempts)]
        doubtful = [
            a for a in seen if isinstance(a, Unanswered) or (isinstance(a, Response) and (a.status >= 500 or a is PAGE))
        ]
        if not call.repeatable:
            assert doubtful in ([], [seen[-1]])
        if not isinstance(result, Ok):
            assert result.may_have_happened is bool(doubtful)

    run()


# Requests that a transport repeats by itself over a new connection.


async def test_a_repeated_request_counts_as_an_attempt_and_may_have_happened() -> None:
    async with scripted(attrs.evolve(limited(code="daily_cap"), attempts=2)) as (client, script):
        result = await client(SEND)
    assert isinstance(result, msgapi.Throttled)
    assert (result.meta.attempts, result.may_have_happened, len(script.asked)) == (2, True, 1)


async def test_a_repeated_request_that_was_lost_again_counts_as_two_attempts() -> None:
    lost = Unanswered("reset", meta=msgapi.results.Meta(attempts=2))
    async with scripted(lost, attrs.evolve(OK, attempts=2)) as (client, script):
        result = await client(SEND)
    assert isinstance(result, Ok)
    assert (result.meta.attempts, len(script.asked)) == (4, 2)


async def test_a_repeated_request_takes_no_retry_from_the_policy() -> None:
    lost = Unanswered("reset", meta=msgapi.results.Meta(attempts=2))
    async with scripted(lost, retry=Retry(attempts=3)) as (client, script):
        result = await client(SEND)
    assert isinstance(result, Unanswered)
    assert (result.meta.attempts, len(script.asked)) == (6, 3)


# How many calls may be in flight at once.


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_default_transport_takes_more_connections_before_and_after_it_is_open() -> None:
    client = Client(api_key="sk_1", base_url="http://127.0.0.1:9", max_connections=10)
    client.allow_connections(5)
    assert client._sender.setup.connections["max_connections"] == 10
    client.allow_connections(20)
    async with client:
        assert client._sender.transport.max_connections == 20  # type: ignore[attr-defined]
        client.allow_connections(30)
        assert client._sender.transport.max_connections == 30  # type: ignore[attr-defined]


def test_a_transport_that_was_passed_in_keeps_its_limit() -> None:
    client = Client(api_key="sk_1", transport=msgapi.transports.aiohttp.open(max_connections=10))
    client.allow_connections(10)
    with pytest.raises(ValueError, match="the max_connections of the transport, 10: open it with max_connections=11"):
        client.allow_connections(11)


def test_a_transport_without_a_limit_takes_any_number_of_calls() -> None:
    async def transport(request: Request, /) -> Answer:
        raise NotImplementedError(request)

    Client(api_key="sk_1", transport=transport).allow_connections(10_000)
