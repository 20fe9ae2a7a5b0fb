"""The observer that records calls and batches with OpenTelemetry."""

from typing import TYPE_CHECKING

from ..config import needing_extra
from ..observe import Observer, combine

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider


def observer(
    *, tracer_provider: "TracerProvider | None" = None, meter_provider: "MeterProvider | None" = None
) -> Observer:
    """Return an observer that records calls and batches with OpenTelemetry.

    If *tracer_provider* or *meter_provider* is None, the global provider is used. Raise ModuleNotFoundError if the
    extra `otel` is not installed.

    Each call is an INTERNAL span below the current one. Each attempt is a CLIENT span below that, by the stable
    conventions for HTTP, and its request has a `traceparent` header. The metrics are `http.client.request.duration`,
    `msgapi.calls`, `msgapi.wait.duration` and `msgapi.batch.rows`. In the name of a route, `{id}` replaces every id. No
    span or metric contains an id, a query, a recipient or content.

    Each batch, and each chunk of a fleet, is an INTERNAL span `batch` below the span that is current when it starts. It
    is exported when the batch ends. Its attributes are the number of rows for each outcome (`msgapi.rows.Ok` and so on)
    and, if the batch ended in a stop, `msgapi.stopped`. Each stop and resume is an event. The span is an error if the
    batch raised, was cancelled, or stopped without a call of `stop`. The spans of its calls are not below it but
    below the span that is current where the batch is iterated: a trace over days is more than a backend accepts.

    Raise ModuleNotFoundError if the extra `otel` is not installed.
    """
    with needing_extra("telemetry.observer", "otel", "opentelemetry"):
        from .observers import MetricsObserver, SpanObserver

    return combine(SpanObserver(tracer_provider), MetricsObserver(meter_provider))
