"""Attributes of one HTTP request and its response, as the OpenTelemetry conventions name them for clients.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from ..http import Request
from ..observe.labels import kind_of, method_of
from ..results import Result

Attributes = dict[str, str | int]
_PORTS: Final = {"http": 80, "https": 443}
_FAILED: Final = 400  # for a client, this status and those above are errors


def request_attributes(request: Request) -> Attributes:
    """Return the attributes of *request* that spans and metrics share."""
    parts = urlsplit(request.url)
    return {"http.request.method": method_of(request.method), **_server(parts.scheme, parts.netloc)}


@lru_cache(maxsize=16)  # the same for all calls of a client
def _server(scheme: str, netloc: str) -> Attributes:
    parts = SplitResult(scheme, netloc, "", "", "")
    return {"server.address": parts.hostname or "", "server.port": parts.port or _PORTS.get(scheme, 0)}


def result_attributes(result: Result[object] | None) -> Attributes:
    """Return the attributes of the result of an attempt; None stands for one that was cancelled or raised.

    `error.type` is among them if the attempt failed.
    """
    status = None if result is None else result.meta.status
    if status is None:
        return {"error.type": kind_of(result)}
    found: Attributes = {"http.response.status_code": status}
    return found | {"error.type": str(status)} if status >= _FAILED else found
