"""The observers that record spans and metrics. They need OpenTelemetry, so only `observer` imports them.

There is one span for each call, with one below it for each attempt; and one for each batch. The metrics are counts and
durations of calls and batches. They have few labels, so that there are few time series.

Rules:
- A span that was started is ended when the call or the batch ends, at the latest.
- The span of a call has the outcome. The span of an attempt has the HTTP attributes only.
- Calls are neither below the span of their batch nor linked to it. A batch of ten million rows takes days, and one
  trace of it is more than a backend accepts (some accept 5 MB); it would be sampled as a whole or not at all. A span is
  exported when it ends, so calls would refer to a span that is missing for days, or for ever if the process is
  killed. To have a small batch in one trace, open a span around it.
"""

import time
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, final
from urllib.parse import SplitResult, urlsplit

from opentelemetry import metrics, propagate, trace
from opentelemetry.metrics import Histogram, MeterProvider
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, TracerProvider

from ..calls import Call
from ..http import DEFAULT_PORTS, Request
from ..observe import BatchWatch, Observer, Watch
from ..observe.hooks import kind_of, kind_of_exception, method_of, route_of
from ..redact import HIDDEN, route, word
from ..results import ApiError, Ok, Result
from ..version import VERSION

_Attributes = dict[str, str | int]
_FAILED: Final = 400  # for a client, this status and those above are errors
# The boundaries that the conventions recommend for the duration of requests.
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_WAITS: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900)


def _request_attributes(request: Request) -> _Attributes:
    """Return the attributes of *request* that spans and metrics share."""
    parts = urlsplit(request.url)
    return {"http.request.method": method_of(request.method), **_server(parts.scheme, parts.netloc)}


@lru_cache(maxsize=16)  # the same for all calls of a client
def _server(scheme: str, netloc: str) -> _Attributes:
    parts = SplitResult(scheme, netloc, "", "", "")
    return {"server.address": parts.hostname or "", "server.port": parts.port or DEFAULT_PORTS.get(scheme, 0)}


def _result_attributes(result: Result[object] | None) -> _Attributes:
    """Return the attributes of the result of an attempt; None stands for one that was cancelled or raised.

    `error.type` is among them if the attempt failed.
    """
    status = None if result is None else result.meta.status
    if status is None:
        return {"error.type": kind_of(result)}
    found: _Attributes = {"http.response.status_code": status}
    return found | {"error.type": str(status)} if status >= _FAILED else found


def _url(request: Request) -> str:
    parts = urlsplit(request.url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{route(parts.path)}"


@final
class SpanObserver(Observer):
    """Starts a span for each call and each batch."""

    def __init__(self, provider: TracerProvider | None) -> None:
        """Create the tracer with *provider*; None selects the global one."""
        self._tracer = trace.get_tracer("msgapi", VERSION, provider)

    def call(self, call: Call[object], /) -> Watch:
        """Start the span of *call* below the current span."""
        route = route_of(call)
        span = self._tracer.start_span(route, kind=SpanKind.INTERNAL, attributes={"msgapi.route": route})
        return _CallSpans(self._tracer, span)

    def batch(self) -> BatchWatch:
        """Start the span of a batch below the current span."""
        return _BatchSpan(self._tracer.start_span("batch", kind=SpanKind.INTERNAL))


@final
class _CallSpans(Watch):
    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        self._attempt: Span | None = None
        self._attempts = 0

    def attempt(self, request: Request, /) -> Mapping[str, str]:
        attributes = _request_attributes(request) | {"url.full": _url(request)}
        if self._attempts:
            attributes["http.request.resend_count"] = self._attempts
        self._attempts += 1
        method, within = method_of(request.method), trace.set_span_in_context(self._span)
        self._attempt = self._tracer.start_span(method, within, SpanKind.CLIENT, attributes)
        headers: dict[str, str] = {}
        propagate.inject(headers, trace.set_span_in_context(self._attempt))
        return headers

    def answer(self, result: Result[object] | None, /) -> None:
        if self._attempt is not None:
            attributes = _result_attributes(result)
            self._attempt.set_attributes(attributes)
            if "error.type" in attributes:
                self._attempt.set_status(StatusCode.ERROR)
            self._attempt.end()
            self._attempt = None

    def wait(self, seconds: float, /) -> None:
        self._span.add_event("msgapi.wait", {"msgapi.seconds": seconds})

    def retry(self, error: ApiError, seconds: float, /) -> None:
        self._span.add_event("msgapi.retry", {"msgapi.seconds": seconds, "msgapi.outcome": kind_of(error)})

    def result(self, result: Result[object] | None, /) -> None:
        self.answer(None)  # an attempt without a result was cancelled or raised
        self._span.set_attributes({"msgapi.outcome": kind_of(result), "msgapi.attempts": self._attempts})
        if not isinstance(result, Ok):
            self._span.set_attribute("error.type", kind_of(result))
            self._span.set_status(StatusCode.ERROR)
            if result is not None and word(result.code) != HIDDEN:
                self._span.set_attribute("msgapi.code", result.code)
        self._span.end()


@final
class _BatchSpan(BatchWatch):
    def __init__(self, span: Span) -> None:
        self._span = span
        self._rows: Counter[str] = Counter()
        self._stopped: str | None = None
        self._failed: str | None = None

    def outcome(self, call: Call[object], result: Result[object], /) -> None:  # noqa: ARG002 - of the hook
        self._rows[kind_of(result)] += 1

    def stopped(self, reason: str, error: ApiError | None, /) -> None:
        self._stopped = reason
        attributes: _Attributes = {} if error is None else {"msgapi.outcome": kind_of(error)}
        self._span.add_event("msgapi.stopped", {"msgapi.reason": reason, **attributes})

    def resumed(self) -> None:
        self._stopped = None
        self._span.add_event("msgapi.resumed")

    def broken(self, error: BaseException, /) -> None:
        self._failed = kind_of_exception(error)

    def ended(self) -> None:
        self._span.set_attributes({f"msgapi.rows.{kind}": count for kind, count in self._rows.items()})
        if self._stopped is not None:
            self._span.set_attribute("msgapi.stopped", self._stopped)
        failed = self._failed or (None if self._stopped == "asked" else self._stopped)
        if failed is not None:
            self._span.set_attribute("error.type", failed)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


@final
class MetricsObserver(Observer):
    """Records the metrics of calls and batches."""

    def __init__(self, provider: MeterProvider | None) -> None:
        """Create the instruments with *provider*; None selects the global one."""
        meter = metrics.get_meter("msgapi", VERSION, provider)
        self.took: Histogram = meter.create_histogram(
            "http.client.request.duration", "s", "Duration of attempts", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self.waited: Histogram = meter.create_histogram(
            "msgapi.wait.duration", "s", "Waits before an attempt", explicit_bucket_boundaries_advisory=_WAITS
        )
        self.calls: metrics.Counter = meter.create_counter("msgapi.calls", "{call}", "Calls by outcome")
        self.rows: metrics.Counter = meter.create_counter("msgapi.batch.rows", "{row}", "Rows of batches by outcome")

    def call(self, call: Call[object], /) -> Watch:
        """Return hooks that record the metrics of *call*."""
        return _CallMetrics(self, route_of(call))

    def batch(self) -> BatchWatch:
        """Return hooks that count the rows of a batch."""
        return _BatchMetrics(self.rows)


@final
class _CallMetrics(Watch):
    def __init__(self, instruments: MetricsObserver, route: str) -> None:
        self._instruments, self._route = instruments, route
        self._request: _Attributes | None = None
        self._since = 0.0

    def attempt(self, request: Request, /) -> None:
        self._request, self._since = _request_attributes(request), time.perf_counter()

    def answer(self, result: Result[object] | None, /) -> None:
        if self._request is not None:
            self._instruments.took.record(time.perf_counter() - self._since, self._request | _result_attributes(result))
            self._request = None

    def wait(self, seconds: float, /) -> None:
        self._instruments.waited.record(seconds, {"msgapi.reason": "pace"})

    def retry(self, error: ApiError, seconds: float, /) -> None:  # noqa: ARG002 - of the hook
        self._instruments.waited.record(seconds, {"msgapi.reason": "retry"})

    def result(self, result: Result[object] | None, /) -> None:
        self.answer(None)  # an attempt without a result was cancelled or raised
        self._instruments.calls.add(1, {"msgapi.route": self._route, "msgapi.outcome": kind_of(result)})


@final
class _BatchMetrics(BatchWatch):
    def __init__(self, rows: metrics.Counter) -> None:
        self._rows = rows

    def outcome(self, call: Call[object], result: Result[object], /) -> None:  # noqa: ARG002 - of the hook
        self._rows.add(1, {"msgapi.outcome": kind_of(result)})
