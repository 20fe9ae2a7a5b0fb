"""What the tests of telemetry share: what the SDK of OpenTelemetry exports, in memory."""

from collections.abc import Mapping
from typing import Any

import attrs
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from msgapi import telemetry
from msgapi.observe import Observer


@attrs.define
class Seen:
    """What was exported."""

    tracer_provider: TracerProvider = attrs.field(factory=TracerProvider)
    exporter: InMemorySpanExporter = attrs.field(factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = attrs.field(factory=InMemoryMetricReader)

    def observer(self) -> Observer:
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider([self.reader])
        return telemetry.observer(tracer_provider=self.tracer_provider, meter_provider=meters)

    def spans(self) -> tuple[ReadableSpan, list[ReadableSpan]]:
        """Give the span of the call, and those of its attempts in their order."""
        *attempts, call = self.exporter.get_finished_spans()
        assert all(span.parent == call.context for span in attempts)
        return call, attempts

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Give the labels and the points of one figure."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        found = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [(dict(point.attributes or {}), point) for metric in found for point in metric.data.data_points]

    def counts(self, name: str) -> dict[tuple[Any, ...], float]:
        return {tuple(labels.values()): point.value for labels, point in self.points(name)}


def facts(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def happened(span: ReadableSpan) -> list[tuple[str, Mapping[str, Any]]]:
    return [(event.name, dict(event.attributes or {})) for event in span.events]
