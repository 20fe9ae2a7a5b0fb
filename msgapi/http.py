"""Request and Response: the two values that a transport turns into one another."""

from collections.abc import Iterable, Mapping
from typing import Final, final
from urllib.parse import urlsplit

from attrs import field, frozen

from .codegen import Cache, constructor
from .redact import mask

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Return *headers* with names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def _decode_name(name: bytes) -> str:
    return name.decode(errors="replace").lower()


header_names: Final = Cache(_decode_name, 256)
"""The names of headers in lower case, by the bytes that arrived."""


def decode_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return *headers* as text, with names in lower case; if one is repeated, the last one."""
    known, decoded = header_names.get, {}
    for name, value in headers:
        try:
            text = value.decode()  # half of the time of the next one
        except UnicodeDecodeError:
            text = value.decode(errors="surrogateescape")
        decoded[known(name) or header_names[name]] = text
    return decoded


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
    headers: Mapping[str, str] = field(converter=lower_names, factory=dict)
    body: bytes = b""
    attempts: int = field(default=1, kw_only=True)

    def __repr__(self) -> str:
        """Show the status and the size; never the body."""
        return f"Response({self.status}, {len(self.body)} bytes)"


new_response: Final = constructor(Response, convert=False)
"""`Response(...)` for headers with names in lower case, which are not copied: it takes a third of the time."""
