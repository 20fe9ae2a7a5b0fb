"""Figures: how many calls, and how long; few labels, so that there are few series."""

import time
from typing import Final, final

from opentelemetry import metrics
from opentelemetry.metrics import Counter, Histogram, MeterProvider

from ..calls import Call
from ..http import Request
from ..observe import BatchWatch, Observer, Watch
from ..observe.naming import kind_of, route_of
from ..results import ApiError, Result
from ..version import VERSION
from .conventions import Attributes, answered, asked

_SECONDS: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
)  # as the conventions have it
_WAITS: Final = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900)


@final
class Figures(Observer):
    """Counts and measures."""

    def __init__(self, provider: MeterProvider | None) -> None:
        """Write to *provider*."""
        meter = metrics.get_meter("msgapi", VERSION, provider)
        self.took: Histogram = meter.create_histogram(
            "http.client.request.duration", "s", "Duration of attempts", explicit_bucket_boundaries_advisory=_SECONDS
        )
        self.waited: Histogram = meter.create_histogram(
            "msgapi.wait.duration", "s", "Waits before an attempt", explicit_bucket_boundaries_advisory=_WAITS
        )
        self.calls: Counter = meter.create_counter("msgapi.calls", "{call}", "Calls by what they came to")
        self.rows: Counter = meter.create_counter("msgapi.batch.rows", "{row}", "Rows of batches by what they came to")

    def call(self, call: Call[object], /) -> Watch:
        """Count and measure *call*."""
        return _CallFigures(self, route_of(call))

    def batch(self) -> BatchWatch:
        """Count the rows of a batch."""
        return _BatchFigures(self.rows)


@final
class _CallFigures(Watch):
    def __init__(self, figures: Figures, route: str) -> None:
        self._figures, self._route = figures, route
        self._asked: Attributes | None = None
        self._since = 0.0

    def attempt(self, request: Request, /) -> None:
        self._asked, self._since = asked(request), time.perf_counter()

    def answer(self, result: Result[object] | None, /) -> None:
        if self._asked is not None:
            self._figures.took.record(time.perf_counter() - self._since, self._asked | answered(result))
            self._asked = None

    def wait(self, seconds: float, /) -> None:
        self._figures.waited.record(seconds, {"msgapi.reason": "pace"})

    def retry(self, error: ApiError, seconds: float, /) -> None:  # noqa: ARG002 - of the hook
        self._figures.waited.record(seconds, {"msgapi.reason": "retry"})

    def result(self, result: Result[object] | None, /) -> None:
        self.answer(None)  # what is still open was cut off
        self._figures.calls.add(1, {"msgapi.route": self._route, "msgapi.outcome": kind_of(result)})


@final
class _BatchFigures(BatchWatch):
    def __init__(self, rows: Counter) -> None:
        self._rows = rows

    def outcome(self, call: Call[object], result: Result[object], /) -> None:  # noqa: ARG002 - of the hook
        self._rows.add(1, {"msgapi.outcome": kind_of(result)})
