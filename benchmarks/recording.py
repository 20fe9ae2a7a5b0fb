"""The SDK of OpenTelemetry as a service has it, recording everything, with exporters that drop it."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from msgapi import telemetry
from msgapi.observe import Observer


class Spans(SpanExporter):
    """Drops spans, and counts them."""

    count = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Drop *spans*."""
        self.count += len(spans)
        return SpanExportResult.SUCCESS


class Figures(MetricExporter):
    """Drops figures."""

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:  # noqa: ANN401, ARG002
        """Drop *metrics_data*."""
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - of the protocol
        """Have nothing to flush."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ANN401 - of the protocol
        """Have nothing to close."""


class Recording:
    """The SDK with its defaults, except that figures are collected every second and not every minute."""

    def __init__(self) -> None:
        """Start its threads; they end with the process."""
        self._spans = Spans()
        self._tracers = TracerProvider()
        self._tracers.add_span_processor(BatchSpanProcessor(self._spans))
        self._meters = MeterProvider([PeriodicExportingMetricReader(Figures(), 1000)])

    def observer(self) -> Observer:
        """Make the observer that tells it."""
        return telemetry.observer(tracer_provider=self._tracers, meter_provider=self._meters)

    def exported(self) -> int:
        """Count the spans that have come to the exporter: a full queue drops some, which makes them look cheap."""
        assert self._tracers.force_flush()
        return self._spans.count
