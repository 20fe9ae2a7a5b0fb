"""Spans: one for each call, and below it one for each attempt; one for each batch.

Rules:
- A span that was started is ended, by the end of the call at the latest.
- The span of a call says what it came to; that of an attempt speaks of HTTP alone.
"""

from collections.abc import Mapping
from typing import final
from urllib.parse import urlsplit

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, TracerProvider

from ..calls import Call
from ..http import Request
from ..observe import BatchWatch, Observer, Watch
from ..observe.naming import kind_of, method_of, route_of
from ..redact import HIDDEN, route, word
from ..results import ApiError, Ok, Result
from ..version import VERSION
from .batches import watched
from .conventions import answered, asked


@final
class Spans(Observer):
    """Starts a span for each call and each batch."""

    def __init__(self, provider: TracerProvider | None) -> None:
        """Write to *provider*."""
        self._tracer = trace.get_tracer("msgapi", VERSION, provider)

    def call(self, call: Call[object], /) -> Watch:
        """Start the span of *call*, below the current one."""
        route = route_of(call)
        span = self._tracer.start_span(route, kind=SpanKind.INTERNAL, attributes={"msgapi.route": route})
        return _Spans(self._tracer, span)

    def batch(self) -> BatchWatch:
        """Start the span of a batch, below the current one."""
        return watched(self._tracer)


@final
class _Spans(Watch):
    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        self._attempt: Span | None = None
        self._attempts = 0

    def attempt(self, request: Request, /) -> Mapping[str, str]:
        facts = asked(request) | {"url.full": _url(request)}
        if self._attempts:
            facts["http.request.resend_count"] = self._attempts
        self._attempts += 1
        method, within = method_of(request.method), trace.set_span_in_context(self._span)
        self._attempt = self._tracer.start_span(method, within, SpanKind.CLIENT, facts)
        headers: dict[str, str] = {}
        propagate.inject(headers, trace.set_span_in_context(self._attempt))
        return headers

    def answer(self, result: Result[object] | None, /) -> None:
        if self._attempt is not None:
            facts = answered(result)
            self._attempt.set_attributes(facts)
            if "error.type" in facts:
                self._attempt.set_status(StatusCode.ERROR)
            self._attempt.end()
            self._attempt = None

    def wait(self, seconds: float, /) -> None:
        self._span.add_event("msgapi.wait", {"msgapi.seconds": seconds})

    def retry(self, error: ApiError, seconds: float, /) -> None:
        self._span.add_event("msgapi.retry", {"msgapi.seconds": seconds, "msgapi.outcome": kind_of(error)})

    def result(self, result: Result[object] | None, /) -> None:
        self.answer(None)  # what is still open was cut off
        self._span.set_attributes({"msgapi.outcome": kind_of(result), "msgapi.attempts": self._attempts})
        if not isinstance(result, Ok):
            self._span.set_attribute("error.type", kind_of(result))
            self._span.set_status(StatusCode.ERROR)
            if result is not None and word(result.code) != HIDDEN:
                self._span.set_attribute("msgapi.code", result.code)
        self._span.end()


def _url(request: Request) -> str:
    parts = urlsplit(request.url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{route(parts.path)}"
