"""Request and Response: the two values that a transport turns into one another."""

from collections.abc import Iterable, Mapping
from typing import Final, final
from urllib.parse import urlsplit

from attrs import field, frozen

from .codegen import Cache, constructor
from .redact import mask

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@final
class Lowered(dict[str, str]):
    """Headers with names in lower case. A `Response` does not copy them."""

    __slots__ = ()


def lower_headers(headers: Iterable[tuple[bytes, bytes]]) -> Lowered:
    """Return *headers* with names in lower case, as text; if one is repeated, the last one."""
    names, lowered = header_names, Lowered()
    for name, value in headers:
        try:
            text = value.decode()  # half of the time of the next one
        except UnicodeDecodeError:
            text = value.decode(errors="surrogateescape")
        lowered[names.get(name) or names[name]] = text
    return lowered


def _decode_name(name: bytes) -> str:
    return name.decode(errors="replace").lower()


header_names: Final = Cache(_decode_name, 256)
"""The names of headers in lower case, by the bytes that arrived."""


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return headers if type(headers) is Lowered else {name.lower(): value for name, value in headers.items()}


@final
@frozen(repr=False)
class Request:
    """One complete HTTP request, as a transport sends it.

    *url* is absolute and percent-encoded. *body* is sent unchanged; None means that the request has no body.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes | None = None

    @property
    def repeatable(self) -> bool:
        """Whether a second request has no further effect: it has an idempotency key, or its method is safe."""
        return self.method in _SAFE_METHODS or any(name.lower() == "idempotency-key" for name in self.headers)

    def __repr__(self) -> str:
        """Show the method, the masked URL and the size; never the headers, the query or the body."""
        parts = urlsplit(self.url)
        size = "no body" if self.body is None else f"{len(self.body)} bytes"
        return f"Request({self.method} {parts.hostname or ''}{mask(parts.path)}, {size})"


@final
@frozen(repr=False)
class Response:
    """One HTTP response, read to its end.

    The names of *headers* are converted to lower case. *attempts* is the number of requests that the transport made:
    2 if the first was lost on a kept connection and repeated over a new one.
    """

    status: int
    headers: Mapping[str, str] = field(converter=_lower, factory=dict)
    body: bytes = b""
    attempts: int = field(default=1, kw_only=True)

    def __repr__(self) -> str:
        """Show the status and the size; never the body."""
        return f"Response({self.status}, {len(self.body)} bytes)"


_new_response: Final = constructor(Response, convert=False)


def new_response(status: int, headers: Mapping[str, str], body: bytes) -> Response:
    """Return the response of one request. It takes half of the time of `Response(...)`."""
    return _new_response(status, headers if type(headers) is Lowered else _lower(headers), body)
