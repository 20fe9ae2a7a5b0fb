"""Request and Response: the two values that a transport turns into one another."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from time import monotonic
from typing import Final, final
from urllib.parse import urlsplit

from attrs import field, frozen

from .codegen import constructor
from .redact import mask

DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
"""The port of a URL without one, by its scheme."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_PROTECTED: Final = re.compile(
    "accept-encoding|connection|content-.*|cookie|expect|host|idempotency-key|keep-alive|proxy-.*|te|trailer"
    "|transfer-encoding|upgrade"
)
_WRITTEN_BY_CLIENT: Final = frozenset({"accept", "authorization", "user-agent"})
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

CONTROL_PREFIX: Final = "/_sandbox/"
"""The paths of the sandbox's control plane, which the service does not have."""
SANDBOX_HEADER: Final = "x-msgapi-sandbox"
"""The header of the answers of the control plane: the version of the sandbox."""


def lower_names(headers: Mapping[str, str]) -> dict[str, str]:
    """Return *headers* with names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


@final
class Headers(Mapping[str, str]):
    """The headers of a response, read-only. Their names are case-insensitive, and are in lower case in iterations."""

    __slots__ = ("_lowered",)

    def __init__(self, lowered: Mapping[str, str]) -> None:
        self._lowered: Final = lowered

    def __getitem__(self, name: str) -> str:
        """Return the value of the header *name*; raise KeyError if there is none."""
        return self._lowered[name.lower()]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._lowered)

    def __len__(self) -> int:
        """Return the number of headers."""
        return len(self._lowered)

    def __repr__(self) -> str:
        """Show the names; a value may contain a recipient or a token."""
        return f"Headers({', '.join(self._lowered)})"


def may_be_added(name: str, value: str) -> bool:
    """Return whether a header may be added to a request: it is valid, and does not say what is sent or to where."""
    return _is_free(name) and value.isascii() and value.isprintable()


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise TypeError or ValueError unless a caller may add *headers* to a request. The error shows no value."""
    for name, value in headers.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError(f"a header must be a string, not {type(name).__name__}: {type(value).__name__}")
        if name.lower() in _WRITTEN_BY_CLIENT or not may_be_added(name, value):
            raise ValueError(
                f"the header {name!r} cannot be added: its value is not valid, or the client writes it "
                "(for the User-Agent use app_name)"
            )


@lru_cache(maxsize=64)
def _is_free(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not _PROTECTED.fullmatch(name.lower())


@final
@frozen
class TimeLimits:
    """The seconds that one request may take, in place of those of the transport; None for the transport's own.

    - *timeout*: for the exchange, without the wait for a free connection.
    - *connect_timeout*: for the connecting in it.
    - *total_timeout*: until the transport returns, with the wait for a free connection. None is unlimited.

    *began* is the time of `time.monotonic` at which *total_timeout* begins. A transport that keeps these limits has an
    attribute `keeps_limits`, which is True. Requests over any other one are cancelled when their time is up.
    """

    timeout: float | None = None
    connect_timeout: float | None = None
    total_timeout: float | None = None
    # The function is looked up at each call: freezegun replaces it, and `left` must read the same clock.
    began: float = field(factory=lambda: monotonic(), eq=False, repr=False)  # noqa: PLW0108

    @property
    def left(self) -> float | None:
        """The seconds until *total_timeout* has passed, at least 0; None if it is unlimited."""
        return None if self.total_timeout is None else max(0.0, self.began + self.total_timeout - monotonic())

    def exchange(self, usual: float) -> float:
        """Return the seconds for an exchange that begins now; *usual* are those of the transport."""
        seconds, left = usual if self.timeout is None else self.timeout, self.left
        return seconds if left is None else min(seconds, left)

    def connecting(self, usual: float, exchange: float) -> float:
        """Return the seconds for the connecting in an exchange that begins now; *usual* are those of the transport.

        They are at most nine tenths of those of the exchange, whose usual seconds are *exchange*, so that a timeout
        while connecting is recognised as such.
        """
        seconds = usual if self.connect_timeout is None else self.connect_timeout
        return min(seconds, 0.9 * self.exchange(exchange))


@final
@frozen(repr=False)
class Request:
    """One complete HTTP request, as a transport sends it.

    *url* is absolute and percent-encoded. *body* is sent unchanged; None means that the request has no body. *limits*
    are the seconds that it may take, if its call has some of its own.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes | None = None
    limits: TimeLimits | None = field(default=None, eq=False, kw_only=True)

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
