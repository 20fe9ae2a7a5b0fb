"""Conventions: the attributes of one HTTP request and its answer, as OpenTelemetry names them for clients.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from ..http import Request
from ..observe.naming import kind_of, method_of
from ..results import Result

Attributes = dict[str, str | int]
_PORTS: Final = {"http": 80, "https": 443}
_FAILED: Final = 400  # and above: for a client, these statuses are errors


def asked(request: Request) -> Attributes:
    """Tell what goes where: what spans and figures have in common."""
    parts = urlsplit(request.url)
    return {"http.request.method": method_of(request.method), **_server(parts.scheme, parts.netloc)}


@lru_cache(maxsize=16)  # the same for all calls of a client
def _server(scheme: str, netloc: str) -> Attributes:
    parts = SplitResult(scheme, netloc, "", "", "")
    return {"server.address": parts.hostname or "", "server.port": parts.port or _PORTS.get(scheme, 0)}


def answered(result: Result[object] | None) -> Attributes:
    """Tell what an attempt came to, None being that it was cut off; `error.type` is there if it failed."""
    status = None if result is None else result.meta.status
    if status is None:
        return {"error.type": kind_of(result)}
    found: Attributes = {"http.response.status_code": status}
    return found | {"error.type": str(status)} if status >= _FAILED else found
