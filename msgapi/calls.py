"""Call: one operation of the API as a value, before anything has been sent."""

from collections.abc import Coroutine
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar, final
from urllib.parse import quote, urlencode
from uuid import uuid4

from attrs import field, frozen

from .redact import key, mask
from .results import Invalid, Result

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@final
@frozen(repr=False)
class Call(Generic[T_co]):
    """One operation: what to ask, what comes back, and whether it may be asked twice.

    A call can be awaited any number of times: each time it is the same operation under the same
    idempotency key. *body* is fixed here, so a repeated request is the same to the byte. *invalid*
    is what was wrong with the input; such a call is never sent, awaiting it gives that value.
    """

    method: str
    path: str
    returns: type[T_co]
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    idempotency_key: str | None = None
    invalid: Invalid | None = field(default=None, kw_only=True)

    @property
    def repeatable(self) -> bool:
        """True if a second request can do no more than the first: it has a key, or it is not a POST."""
        return self.idempotency_key is not None or self.method != "POST"

    @property
    def target(self) -> str:
        """The path and the query as they go into the URL; the path is percent-encoded already."""
        return f"{self.path}?{urlencode(self.query, quote_via=quote)}" if self.query else self.path

    @property
    def endpoint_class(self) -> str:
        """The endpoint class, such as `POST messages`: the service limits the rate of each one separately."""
        return _endpoint_class(self.method, self.path)

    def under(self, key: str | None) -> "Call[T_co]":
        """Give the same call under another idempotency key."""
        if key == self.idempotency_key:
            return self
        return Call(self.method, self.path, self.returns, self.query, self.body, key, invalid=self.invalid)

    def __repr__(self) -> str:
        """Show the route and the key that names the operation; never the query or the body."""
        named = f", key={key(self.idempotency_key)}" if self.idempotency_key else ""
        state = f", {self.invalid!r}" if self.invalid else ""
        return f"Call({self.method} {mask(self.path)} -> {self.returns.__name__}{named}{state})"


class Caller(Protocol):
    """Anything that turns a call into its result: a `Client`, or an async function in a test."""

    def __call__(self, call: Call[T], /) -> Coroutine[Any, Any, Result[T]]:
        """Carry *call* out."""
        ...  # pragma: no cover


@lru_cache(256)
def _endpoint_class(method: str, path: str) -> str:
    return " ".join((method, *path.split("/", 3)[2:3]))


def new_key() -> str:
    """Return a new idempotency key: a random UUID, as the API asks for (/api/conventions)."""
    return str(uuid4())
