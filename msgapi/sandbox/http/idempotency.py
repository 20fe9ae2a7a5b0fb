"""Idempotency keys: one key stands for one operation, which has one response."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, final

from attrs import define, field, frozen

from ...http import Response
from ...messages import check_key
from ...results import Detail
from .responses import SimulatedResponse, error_response

RETENTION: Final = 86_400.0  # seconds for which a response is kept
SWEEP_INTERVAL: Final = 3_600.0  # seconds between two removals of expired responses
HEADER: Final = "idempotency-key"
FIELD: Final = "idempotency_key"


def find_key(headers: Mapping[str, str], fields: Mapping[str, object]) -> str | Detail | None:
    """Return the idempotency key from the headers or the body *fields*, or the problem with it; None without one."""
    given = [(name, source[name]) for name, source in ((HEADER, headers), (FIELD, fields)) if name in source]
    for name, key in given:
        problem = check_key(key) if isinstance(key, str) else Detail(name, "must be a string")
        if problem is not None:
            return Detail(name, problem.message)
    if not given:
        return None
    if given[0][1] != given[-1][1]:
        return Detail(FIELD, "differs from the Idempotency-Key header")
    return str(given[0][1])


@final
@frozen
class StoredResponse:
    """The response to an accepted operation, with a digest of the request; *until* is in Unix seconds."""

    digest: bytes
    response: Response
    until: float


@final
@define(eq=False, repr=False)
class IdempotencyStore:
    """The accepted operations of the last 24 hours, by route and key."""

    _stored: dict[tuple[str, str], StoredResponse] = field(factory=dict, init=False)
    _sweep_at: float = field(default=0.0, init=False)

    def replay(self, name: tuple[str, str], body: bytes, now: float) -> SimulatedResponse | None:
        """Return the stored response, or a conflict if *body* differs; None if *name* is unknown."""
        stored = self._stored.get(name)
        if stored is None or stored.until <= now:
            return None
        if stored.digest != _digest(body):
            return error_response(409, "idempotency_conflict", "This idempotency key belongs to another request.")
        return SimulatedResponse(stored.response)

    def store(self, name: tuple[str, str], body: bytes, response: Response, now: float) -> None:
        """Store the *response* to an operation for 24 hours."""
        if now >= self._sweep_at:
            self._stored = {one: stored for one, stored in self._stored.items() if stored.until > now}
            self._sweep_at = now + SWEEP_INTERVAL
        self._stored[name] = StoredResponse(_digest(body), response, now + RETENTION)


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()
