"""Telemetry: calls as spans and figures of OpenTelemetry (extra `otel`)."""

from typing import TYPE_CHECKING

from ..observe import Observer, both

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["observer"]


def observer(
    *, tracer_provider: "TracerProvider | None" = None, meter_provider: "MeterProvider | None" = None
) -> Observer:
    """Make an observer that tells OpenTelemetry; the global providers are used where none is given.

    A call is an INTERNAL span below the current one, and each attempt a CLIENT span below that, by the
    stable conventions for HTTP, with `traceparent` in the request. The figures are
    `http.client.request.duration`, `msgapi.calls`, `msgapi.wait.duration` and `msgapi.batch.rows`.
    Routes are named with `{id}` for what differs from call to call: no id, no query and nothing of a
    recipient or a content is in any of them.

    A batch, and so each chunk of a fleet, is an INTERNAL span `batch` below the one that is current as
    it begins, exported when it ends. It has the outcomes by their kind (`msgapi.rows.Ok` and so on),
    `msgapi.stopped` if it ended so, and each stop and resume as an event; it is an error if it was
    broken off, or stopped unasked. Its calls are not below it: they stay below what is current where
    the batch is iterated, since a trace that lasts for days is more than a backend takes.
    """
    from .figures import Figures
    from .spans import Spans

    return both(Spans(tracer_provider), Figures(meter_provider))
