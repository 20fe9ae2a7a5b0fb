"""Batches: one span for each, from its beginning to its end, with what became of its rows as counts.

Its calls are not below it, and have no link to it. A batch of ten million rows takes days. One trace of
all that is more than a backend takes (some end at 5 MB), and is sampled whole or not at all; and since a
span is exported when it ends, calls would name a parent or a link that is not there for days, or never if
the process is killed. So a call stays below what is current where the batch is iterated, and is a
trace of its own if nothing is. Whoever wants a small batch in one trace opens a span around it.
"""

from collections import Counter
from typing import final

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from ..calls import Call
from ..observe import BatchWatch
from ..observe.naming import broke_off, kind_of
from ..results import ApiError, Result
from .conventions import Attributes


def watched(tracer: Tracer) -> BatchWatch:
    """Start the span of a batch, below the current one."""
    return _BatchSpan(tracer.start_span("batch", kind=SpanKind.INTERNAL))


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
        why: Attributes = {} if error is None else {"msgapi.outcome": kind_of(error)}
        self._span.add_event("msgapi.stopped", {"msgapi.reason": reason, **why})

    def resumed(self) -> None:
        self._stopped = None
        self._span.add_event("msgapi.resumed")

    def broken(self, error: BaseException, /) -> None:
        self._failed = broke_off(error)

    def ended(self) -> None:
        self._span.set_attributes({f"msgapi.rows.{kind}": count for kind, count in self._rows.items()})
        if self._stopped is not None:
            self._span.set_attribute("msgapi.stopped", self._stopped)
        failed = self._failed or (None if self._stopped == "asked" else self._stopped)
        if failed is not None:
            self._span.set_attribute("error.type", failed)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
