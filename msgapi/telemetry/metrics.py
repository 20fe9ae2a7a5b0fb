"""Metrics: counts and durations of calls and batches. They have few labels, so that there are few time series."""

import time
from typing import Final, final

from opentelemetry import metrics
from opentelemetry.metrics import Counter, Histogram, MeterProvider

from ..calls import Call
from ..http import Request
from ..observe import BatchWatch, Observer, Watch
from ..observe.hooks import kind_of, route_of
from ..results import ApiError, Result
from ..version import VERSION
from .spans import Attributes, request_attributes, result_attributes

# The boundaries that the conventions recommend for the duration of requests.
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_WAITS: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900)


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
        self.calls: Counter = meter.create_counter("msgapi.calls", "{call}", "Calls by outcome")
        self.rows: Counter = meter.create_counter("msgapi.batch.rows", "{row}", "Rows of batches by outcome")

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
        self._request: Attributes | None = None
        self._since = 0.0

    def attempt(self, request: Request, /) -> None:
        self._request, self._since = request_attributes(request), time.perf_counter()

    def answer(self, result: Result[object] | None, /) -> None:
        if self._request is not None:
            self._instruments.took.record(time.perf_counter() - self._since, self._request | result_attributes(result))
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
    def __init__(self, rows: Counter) -> None:
        self._rows = rows

    def outcome(self, call: Call[object], result: Result[object], /) -> None:  # noqa: ARG002 - of the hook
        self._rows.add(1, {"msgapi.outcome": kind_of(result)})
