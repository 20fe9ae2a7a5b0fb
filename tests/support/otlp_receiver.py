"""A receiver of OTLP over HTTP with protobuf: prints its port, then each request that comes as one line of JSON."""

import json
from gzip import decompress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS: dict[str, Any] = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        plain = decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        came = KINDS[self.path].FromString(plain)
        print(json.dumps({"path": self.path, "came": MessageToDict(came)}), flush=True)  # noqa: T201
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        print(server.server_port, flush=True)  # noqa: T201
        server.serve_forever()
