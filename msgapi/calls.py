"""Call: one operation of the API as a value, before anything has been sent."""

import os
from collections.abc import Coroutine
from functools import lru_cache
from math import inf
from os import urandom
from time import monotonic
from typing import Any, Final, Generic, Protocol, TypeVar, final
from urllib.parse import quote, urlencode

from attrs import field, frozen

from .privacy import key, mask
from .results import Invalid, Result

_VARIANT: Final = "89ab"  # the digit whose two other bits are random

_LOT: Final = 32  # keys that are made ahead
_USABLE: Final = 0.01  # seconds for which they may be used

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
    def band(self) -> str:
        """The kind of endpoint, such as `POST messages`: the service limits the rate of each by itself."""
        return _band(self.method, self.path)

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
def _band(method: str, path: str) -> str:
    return " ".join((method, *path.split("/", 3)[2:3]))


def new_key() -> str:
    """Make a fresh idempotency key: a random UUID, as the docs ask for (/api/conventions).

    Where keys are made in quick succession, the randomness for some of them is asked for at once: the
    system call costs more than all else. What is left of it is not used in a forked process, nor a
    moment later, say in a copy of a machine that was saved while it had nothing to do.
    """
    global _usable_until  # noqa: PLW0603 - of the process, as the randomness is
    now = monotonic()
    size = 1
    if now < _usable_until:
        try:
            return _made.pop()
        except IndexError:  # or another thread took the last
            size = _LOT
    raw = urandom(16 * size)
    first, *more = (_uuid(raw[at : at + 16]) for at in range(0, len(raw), 16))
    _made[:] = more
    _usable_until = now + _USABLE
    return first


def _uuid(raw: bytes) -> str:
    text = raw.hex()  # a third of the time of str(uuid4())
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[raw[8] >> 6]}{text[17:20]}-{text[20:]}"


_made: Final[list[str]] = []
_usable_until = -inf
if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    os.register_at_fork(after_in_child=_made.clear)
