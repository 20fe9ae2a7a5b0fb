"""Prometheus: the metrics of OpenTelemetry, served for Prometheus to scrape.

    pip install "msgapi-sdk[otel]" opentelemetry-sdk opentelemetry-exporter-prometheus
    python prometheus_metrics.py +4915100000001 & curl http://127.0.0.1:9464/metrics

The metrics are `http_client_request_duration_seconds`, `msgapi_calls_total`, `msgapi_wait_duration_seconds` and
`msgapi_batch_rows_total`. Their labels are routes, outcomes, statuses and the host;
no key, no recipient and no content.
"""

import sys

import anyio
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import start_http_server

import msgapi
from msgapi import batch, messages, telemetry

PORT = 9464


def make_provider() -> MeterProvider:
    """Return a provider whose metrics are in the registry of `prometheus_client`."""
    resource = Resource.create({"service.name": "shop"})
    return MeterProvider(metric_readers=[PrometheusMetricReader()], resource=resource)


async def main(numbers: list[str], provider: MeterProvider) -> None:
    """Send a text to each of *numbers* as a batch, and record its metrics with *provider*."""
    observer = telemetry.observer(meter_provider=provider)
    texts = [
        messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text="Your parcel is here")
        for to in numbers
    ]
    async with (
        msgapi.Client(observer=observer) as client,
        batch.send(client, map(messages.send, texts), observer=observer) as outcomes,
    ):
        async for _ in outcomes:
            pass


if __name__ == "__main__":
    server, _thread = start_http_server(PORT, addr="127.0.0.1")
    anyio.run(main, sys.argv[1:], make_provider())
    _ = input("The metrics are served until Enter is pressed.")
    server.shutdown()
