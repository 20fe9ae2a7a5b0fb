"""telemetry: spans and figures, against the SDK of OpenTelemetry in memory."""

import anyio
import attrs
import pytest
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

import msgapi
from msgapi import Call, Invalid, Ok, Pace, Response, Retry, Throttled, batch, telemetry
from msgapi.messages import Accepted
from msgapi.transports import Answer
from tests.support.batch_calls import answer, drain, rows
from tests.support.observers import ACCEPTED, DOWN, LOST, REFUSED, SEND, Script, limited, observed
from tests.support.otel_exporter import Seen, facts, happened

pytestmark = pytest.mark.anyio


@pytest.fixture
def seen() -> Seen:
    return Seen()


async def test_a_call_is_a_span_and_its_attempt_another_by_the_conventions(seen: Seen) -> None:
    get = Call("GET", "/v1/messages/msg_1", Accepted, query=(("q", "secret"),))
    async with observed(seen.observer(), ACCEPTED, base_url="https://h.example:8443") as (api, _):
        assert isinstance(await api(get), Ok)
    call, (attempt,) = seen.spans()
    assert (call.name, call.kind, call.status.status_code) == (
        "GET /v1/messages/{id}",
        SpanKind.INTERNAL,
        StatusCode.UNSET,
    )
    assert facts(call) == {"msgapi.route": "GET /v1/messages/{id}", "msgapi.outcome": "Ok", "msgapi.attempts": 1}
    assert (attempt.name, attempt.kind, attempt.status.status_code) == ("GET", SpanKind.CLIENT, StatusCode.UNSET)
    assert facts(attempt) == {
        "http.request.method": "GET",
        "server.address": "h.example",
        "server.port": 8443,
        "url.full": "https://h.example:8443/v1/messages/{id}",
        "http.response.status_code": 202,
    }
    scope = attempt.instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.version) == ("msgapi", msgapi.__version__)


async def test_each_further_attempt_says_which_it_is_and_what_went_wrong(seen: Seen) -> None:
    async with observed(seen.observer(), DOWN, LOST, REFUSED, ACCEPTED, retry=Retry(attempts=4)) as (api, _):
        assert isinstance(await api(SEND), Ok)
    call, attempts = seen.spans()
    assert [facts(one).get("http.request.resend_count") for one in attempts] == [None, 1, 2, 3]
    assert [facts(one).get("error.type") for one in attempts] == ["503", "Unanswered", "NotSent", None]
    assert [facts(one).get("http.response.status_code") for one in attempts] == [503, None, None, 202]
    error, unset = StatusCode.ERROR, StatusCode.UNSET
    assert [one.status.status_code for one in attempts] == [error, error, error, unset]
    assert all(facts(one)["server.port"] == 443 for one in attempts)
    assert call.status.status_code is unset
    assert [name for name, _ in happened(call)] == ["msgapi.retry"] * 3
    assert [about["msgapi.outcome"] for _, about in happened(call)] == ["Unavailable", "Unanswered", "NotSent"]


@pytest.mark.parametrize(
    ("said", "kind", "code"),
    [
        (Response(404, {}, b'{"error":"not_found","message":"m"}'), "NotFound", "not_found"),
        (Response(404, {}, b'{"error":"no +4915112345678"}'), "NotFound", "http_404"),
        (Response(404, {}, b'{"error":"c4915112345678","message":"m"}'), "NotFound", None),
        (Response(200, {}, b"<html>"), "Unreadable", "unreadable"),
    ],
)
async def test_a_call_that_came_to_an_error_says_so(seen: Seen, said: Answer, kind: str, code: str | None) -> None:
    async with observed(seen.observer(), said, retry=Retry(attempts=1)) as (api, _):
        assert not isinstance(await api(SEND), Ok)
    call, (attempt,) = seen.spans()
    assert call.status.status_code is StatusCode.ERROR
    assert (facts(call)["error.type"], facts(call)["msgapi.outcome"]) == (kind, kind)
    assert facts(call).get("msgapi.code") == code
    assert (attempt.status.status_code is StatusCode.ERROR) is (kind == "NotFound")


async def test_the_trace_goes_on_in_the_request_of_each_attempt(seen: Seen) -> None:
    async with observed(seen.observer(), DOWN, ACCEPTED) as (api, script):
        assert isinstance(await api(SEND), Ok)
    _, attempts = seen.spans()
    contexts = [one.get_span_context() for one in attempts]
    assert [request.headers["traceparent"] for request in script.asked] == [
        f"00-{one.trace_id:032x}-{one.span_id:016x}-{one.trace_flags:02x}" for one in contexts if one is not None
    ]


async def test_a_call_is_below_the_span_that_it_was_made_in(seen: Seen) -> None:
    tracer = seen.tracer_provider.get_tracer("mine")
    async with observed(seen.observer(), ACCEPTED) as (api, _):
        with tracer.start_as_current_span("mine") as mine:
            assert isinstance(await api(SEND), Ok)
    _, call, _ = seen.exporter.get_finished_spans()
    assert call.parent == mine.get_span_context()


async def test_waits_and_rests_are_events_and_are_measured(seen: Seen) -> None:
    async with observed(seen.observer(), limited(3), ACCEPTED, pace=Pace(per_second=0.1)) as (api, _):
        assert isinstance(await api(SEND), Ok)
    call, _ = seen.spans()
    (rest, rested), (wait, waited) = happened(call)
    assert (rest, wait) == ("msgapi.retry", "msgapi.wait")
    assert rested["msgapi.seconds"] >= 3
    assert waited["msgapi.seconds"] > 0
    points = {labels["msgapi.reason"]: point for labels, point in seen.points("msgapi.wait.duration")}
    assert points["pace"].sum == waited["msgapi.seconds"]
    assert points["retry"].sum == rested["msgapi.seconds"]


@pytest.mark.parametrize("when", ["in flight", "at rest"])
async def test_spans_of_a_cancelled_call_are_ended(seen: Seen, when: str) -> None:
    said = ACCEPTED if when == "in flight" else Response(503, {"Retry-After": "30"})
    async with observed(seen.observer(), said) as (api, script):
        script.latency = 1.0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(api, SEND)
            await script.clock.sleep(0.5 if when == "in flight" else 5)
            tasks.cancel_scope.cancel()
    call, (attempt,) = seen.spans()
    assert (facts(call)["msgapi.outcome"], call.status.status_code) == ("Cancelled", StatusCode.ERROR)
    assert "msgapi.code" not in facts(call)
    assert facts(attempt)["error.type"] == ("Cancelled" if when == "in flight" else "503")
    assert [labels["error.type"] for labels, _ in seen.points("http.client.request.duration")] == [
        facts(attempt)["error.type"]
    ]


async def test_spans_of_a_call_whose_transport_raised_are_ended(seen: Seen) -> None:
    async with observed(seen.observer(), LookupError("+4915112345678")) as (api, _):
        with pytest.raises(LookupError):
            await api(SEND)
    call, (attempt,) = seen.spans()
    assert facts(attempt)["error.type"] == facts(call)["error.type"] == "Raised"
    assert call.status.description is None


async def test_calls_without_an_attempt_are_spans_alone(seen: Seen) -> None:
    async with observed(seen.observer(), limited(3000)) as (api, _):
        assert isinstance(await api(attrs.evolve(SEND, invalid=Invalid())), Invalid)
        assert isinstance(await api(SEND), Throttled)
        assert isinstance(await api(SEND), Throttled)
    names = [span.name for span in seen.exporter.get_finished_spans()]
    assert names == ["POST /v1/messages", "POST", "POST /v1/messages", "POST /v1/messages"]
    route = "POST /v1/messages"
    assert seen.counts("msgapi.calls") == {(route, "Invalid"): 1, (route, "Throttled"): 2}


async def test_attempts_are_measured_by_the_conventions(seen: Seen) -> None:
    async with observed(seen.observer(), DOWN, ACCEPTED) as (api, _):
        assert isinstance(await api(SEND), Ok)
        assert isinstance(await api(SEND), Ok)
    failed, well = seen.points("http.client.request.duration")
    common = {"http.request.method": "POST", "server.address": "api.arowana.app", "server.port": 443}
    assert failed[0] == {**common, "http.response.status_code": 503, "error.type": "503"}
    assert well[0] == {**common, "http.response.status_code": 202}
    assert (failed[1].count, well[1].count) == (1, 2)
    assert (well[1].explicit_bounds[0], well[1].explicit_bounds[-1]) == (0.005, 10)
    assert seen.counts("msgapi.calls") == {("POST /v1/messages", "Ok"): 2}


async def test_the_rows_of_a_batch_are_counted(seen: Seen) -> None:
    async with batch.send(answer, rows(3), observer=seen.observer()) as outcomes:
        assert len(await drain(outcomes)) == 3
    assert seen.counts("msgapi.batch.rows") == {("Ok",): 3}


async def test_without_a_provider_the_global_one_is_used() -> None:
    async with observed(telemetry.observer(), ACCEPTED) as (api, _):
        assert isinstance(await api(SEND), Ok)


async def test_a_broken_processor_of_spans_changes_nothing_and_the_figures_go_on(
    seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SpanProcessor):
        def on_start(self, *_: object, **__: object) -> None:
            raise OSError("broken")

    seen.tracer_provider.add_span_processor(Broken())
    async with observed(seen.observer(), ACCEPTED) as (api, _):
        assert isinstance(await api(SEND), Ok)
    assert seen.counts("msgapi.calls") == {("POST /v1/messages", "Ok"): 1}
    assert "the observer SpanObserver raised OSError" in caplog.text


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_address_without_a_port_has_that_of_its_scheme(seen: Seen, scheme: str) -> None:
    script = Script([ACCEPTED], msgapi.VirtualClock())
    async with msgapi.Client(
        api_key="sk", base_url=f"{scheme}://127.0.0.1/prefix", transport=script, observer=seen.observer()
    ) as api:
        assert isinstance(await api(SEND), Ok)
    _, (attempt,) = seen.spans()
    assert facts(attempt)["server.port"] == {"http": 80, "https": 443}[scheme]
    assert facts(attempt)["url.full"] == f"{scheme}://127.0.0.1/{{id}}/v1/messages"
