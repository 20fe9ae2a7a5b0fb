"""Calls: one operation of the API as a value. Nothing is sent until a client is called with it."""

from collections.abc import Coroutine
from os import urandom
from typing import Any, Final, Generic, Protocol, TypeVar, final
from urllib.parse import quote, urlencode

from attrs import field, frozen

from .codegen import Cache, copier
from .redact import key, mask
from .results import Invalid, Result

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}  # RFC 9562: two fixed bits


@final
@frozen(repr=False)
class Call(Generic[T_co]):
    """One operation: an HTTP request without its host, and the type of its result.

    The functions of the nouns, such as `messages.send`, return calls. A call can be passed to a client any number of
    times: each time it is the same operation with the same idempotency key.

    - *path*: the path, percent-encoded. *query*: the query parameters, not yet encoded.
    - *returns*: the type that the body of the response is decoded to.
    - *body*: the JSON body. It is encoded once, so a repeated request is identical.
    - *invalid*: the problems of the input, if there are any. The call is then never sent: its result is *invalid*.
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
        """Whether a second request has no further effect: there is an idempotency key, or it only reads (GET).

        A PUT, PATCH or DELETE without a key is not repeatable: another client can have changed the resource since, and
        the answer to the second request would hide the effect of the first (docs: /api/errors).
        """
        return self.idempotency_key is not None or self.method == "GET"

    @property
    def target(self) -> str:
        """The path and the query, percent-encoded for the URL."""
        return f"{self.path}?{urlencode(self.query, quote_via=quote)}" if self.query else self.path

    @property
    def endpoint_class(self) -> str:
        """The endpoint class, such as `POST messages`: the service limits the rate of each one separately."""
        operation = self.method, self.path
        return _endpoint_classes[operation]

    @property
    def legs(self) -> tuple["Call[T_co]", ...]:
        """The calls that it consists of: itself alone. A fallback (`fallback.chain`) has several."""
        return (self,)

    def under(self, key: str | None) -> "Call[T_co]":
        """Return the same call with the idempotency key *key*, or with none if it is None."""
        if key == self.idempotency_key:
            return self
        return _with_key(self, key)

    def __repr__(self) -> str:
        """Show the masked path and the masked idempotency key; never the query or the body."""
        named = f", key={key(self.idempotency_key)}" if self.idempotency_key else ""
        state = f", {self.invalid!r}" if self.invalid else ""
        return f"Call({self.method} {mask(self.path)} -> {self.returns.__name__}{named}{state})"


_with_key: Final = copier(Call, "idempotency_key")


class Caller(Protocol):
    """Anything that turns a call into its result: a `Client`, or an async function in a test."""

    def __call__(self, call: Call[T], /) -> Coroutine[Any, Any, Result[T]]:
        """Carry out *call* and return its result."""
        ...  # pragma: no cover


def _endpoint_class(operation: tuple[str, str]) -> str:
    method, path = operation
    return " ".join((method, *path.split("/", 3)[2:3]))


_endpoint_classes: Final = Cache(_endpoint_class, 256)


def new_key() -> str:
    """Return a new idempotency key: a random UUID, as the API requires (docs: /api/conventions)."""
    return as_uuid(urandom(16).hex(), "4")  # a third of the time of `str(uuid4())`


def as_uuid(digits: str, version: str) -> str:
    """Return 32 hexadecimal *digits* as a UUID of this *version*: six of their bits are replaced (RFC 9562)."""
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"
