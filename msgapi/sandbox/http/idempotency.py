"""Idempotency: under one key there is one operation, and one answer."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, final

from attrs import define, field, frozen

from ...http import Response
from ...messages import check_key
from ...results import Detail
from .responses import Reply, refuse

RETENTION: Final = 86_400.0  # seconds for which an answer is remembered
SWEEP: Final = 3_600.0  # seconds between two sweeps of those whose time is over
HEADER: Final = "idempotency-key"
FIELD: Final = "idempotency_key"


def key_of(headers: Mapping[str, str], value: Mapping[str, object]) -> str | Detail | None:
    """Find the key of a request, in the header or in the body *value*, or say what is wrong with it."""
    written = [(name, given[name]) for name, given in ((HEADER, headers), (FIELD, value)) if name in given]
    for name, key in written:
        wrong = check_key(key) if isinstance(key, str) else Detail(name, "must be a string")
        if wrong is not None:
            return Detail(name, wrong.message)
    if not written:
        return None
    if written[0][1] != written[-1][1]:
        return Detail(FIELD, "differs from the Idempotency-Key header")
    return str(written[0][1])


@final
@frozen
class Remembered:
    """The answer to an operation that was accepted, and a digest of what had been asked."""

    digest: bytes
    response: Response
    until: float


@final
@define(eq=False, repr=False)
class Keys:
    """The operations of the last 24 hours, by route and key."""

    _seen: dict[tuple[str, str], Remembered] = field(factory=dict, init=False)
    _sweep_at: float = field(default=0.0, init=False)

    def recall(self, name: tuple[str, str], body: bytes, now: float) -> Reply | None:
        """Answer as the first time; a conflict if the *body* is another; None if *name* is new."""
        seen = self._seen.get(name)
        if seen is None or seen.until <= now:
            return None
        if seen.digest != _digest(body):
            return refuse(409, "idempotency_conflict", "This idempotency key belongs to another request.")
        return Reply(seen.response)

    def remember(self, name: tuple[str, str], body: bytes, response: Response, now: float) -> None:
        """Remember the *response* to an operation for 24 hours from *now*."""
        if now >= self._sweep_at:
            self._seen = {one: seen for one, seen in self._seen.items() if seen.until > now}
            self._sweep_at = now + SWEEP
        self._seen[name] = Remembered(_digest(body), response, now + RETENTION)


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()
