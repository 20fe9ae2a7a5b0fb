"""Telemetry: calls and batches as spans and metrics of OpenTelemetry (extra `otel`)."""

from .opentelemetry import observer

__all__ = ["observer"]
