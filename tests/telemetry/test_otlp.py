"""telemetry: sent by OTLP to a receiver in a process of its own, while the sandbox is asked over a socket."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import msgapi
from msgapi import NotFound, Ok, Request, messages, telemetry
from msgapi.sandbox import Sandbox, serve
from msgapi.transports import Answer, aiohttp

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="A heron")


@pytest.fixture
def receiver() -> Iterator["subprocess.Popen[str]"]:
    program = [sys.executable, str(Path(__file__).parents[1] / "support" / "otlp_receiver.py")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        yield process
        process.terminate()


def labels(of: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in of["attributes"]}


def told(receiver: "subprocess.Popen[str]", count: int) -> dict[str, dict[str, Any]]:
    assert receiver.stdout is not None
    lines = [receiver.stdout.readline() for _ in range(count)]
    assert not [line for line in lines if "49151" in line or "heron" in line]
    return {came["path"]: came["came"] for came in map(json.loads, lines)}


async def calls(tracers: TracerProvider, meters: MeterProvider) -> list[Request]:
    sent: list[Request] = []
    sandbox = Sandbox()
    async with serve(sandbox, host="127.0.0.1", port=0) as url, aiohttp.open() as transport:

        async def noting(request: Request) -> Answer:
            sent.append(request)
            return await transport(request)

        observer = telemetry.observer(tracer_provider=tracers, meter_provider=meters)
        async with msgapi.Client(api_key=sandbox.api_key, base_url=url, transport=noting, observer=observer) as api:
            assert isinstance(await api(messages.send(TEXT)), Ok)
            assert isinstance(await api(messages.get("msg_unknown")), NotFound)
    return sent


async def test_spans_and_figures_arrive_at_a_receiver(receiver: "subprocess.Popen[str]") -> None:
    assert receiver.stdout is not None
    url = f"http://127.0.0.1:{int(await anyio.to_thread.run_sync(receiver.stdout.readline))}"
    about = Resource.create({"service.name": "shop"})
    tracers = TracerProvider(resource=about)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    exporter = OTLPMetricExporter(f"{url}/v1/metrics")
    meters = MeterProvider([PeriodicExportingMetricReader(exporter, 3_600_000)], about)
    sent = await calls(tracers, meters)
    await anyio.to_thread.run_sync(tracers.shutdown)
    await anyio.to_thread.run_sync(meters.shutdown)
    came = await anyio.to_thread.run_sync(told, receiver, 2)

    (resource,) = came["/v1/traces"]["resourceSpans"]
    assert labels(resource["resource"])["service.name"] == "shop"
    (scope,) = resource["scopeSpans"]
    assert scope["scope"] == {"name": "msgapi", "version": msgapi.__version__}
    spans = {span["name"]: span for span in scope["spans"]}
    assert set(spans) == {"POST", "POST /v1/messages", "GET", "GET /v1/messages/{id}"}
    assert {spans[name]["kind"] for name in ("POST", "GET")} == {"SPAN_KIND_CLIENT"}
    assert spans["POST"]["parentSpanId"] == spans["POST /v1/messages"]["spanId"]
    assert labels(spans["POST"])["http.response.status_code"] == "200"
    assert spans["GET"]["status"] == {"code": "STATUS_CODE_ERROR"}
    assert labels(spans["GET"])["error.type"] == "404"
    assert [len(request.headers["traceparent"]) for request in sent] == [55, 55]

    (resource,) = came["/v1/metrics"]["resourceMetrics"]
    (scope,) = resource["scopeMetrics"]
    names = {metric["name"] for metric in scope["metrics"]}
    assert names == {"http.client.request.duration", "msgapi.calls"}
