"""Idempotency keys: one key stands for one operation, which has one response.

A key is stored for a day, however many messages follow it. So what is stored takes little memory: digests in place of
the key and the request, and the response compressed.
"""

import zlib
from collections.abc import Mapping
from hashlib import blake2b
from struct import Struct
from typing import Final, final

from attrs import define, field

from ...http import Response
from ...messages import check_key
from ...results import Detail
from .responses import JSON_HEADERS, SimulatedResponse, error_response

RETENTION: Final = 86_400.0  # seconds for which a response is kept
SWEEP_INTERVAL: Final = 3_600.0  # seconds between two removals of expired responses
HEADER: Final = "idempotency-key"
FIELD: Final = "idempotency_key"
_STORED: Final = Struct("<16sdH")  # the digest of the request, the end of the retention in Unix seconds, and the status
_WINDOW: Final = -10  # bits; raw deflate in a window of 1 kB, which compresses a response in 10 µs
_LIKELY: Final = (
    b'{"message_id":"msg_0123456789abcdef","status":"queued","created_at":"2026-05-04T00:00:00.000Z","billing":{"channel'
    b'":"RCS","message_type":"basic_message","hold_amount":0.07,"message_price":0.07,"balance":{"free":999.93,"reserved"'
    b':0.07,"total":1000.0},"tier":{"channel":"RCS","current":"tier_1","volume_used":1}}}'
)
"""A response to a send: where the stored ones are like it, they take less space."""


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
@define(eq=False, repr=False)
class IdempotencyStore:
    """The accepted operations of the last 24 hours, by the digest of their route and key."""

    _stored: dict[bytes, bytes] = field(factory=dict, init=False)
    _sweep_at: float = field(default=0.0, init=False)

    def replay(self, name: tuple[str, str], body: bytes, now: float) -> SimulatedResponse | None:
        """Return the stored response, or a conflict if *body* differs; None if *name* is unknown."""
        stored = self._stored.get(_name_digest(name))
        if stored is None:
            return None
        digest, until, status = _STORED.unpack_from(stored)
        if until <= now:
            return None
        if digest != _digest(body):
            return error_response(409, "idempotency_conflict", "This idempotency key belongs to another request.")
        return SimulatedResponse(_unpack_response(status, stored[_STORED.size :]))

    def store(self, name: tuple[str, str], body: bytes, response: Response, now: float) -> None:
        """Store the *response* to an operation for 24 hours."""
        if now >= self._sweep_at:
            self._stored = {one: stored for one, stored in self._stored.items() if _STORED.unpack_from(stored)[1] > now}
            self._sweep_at = now + SWEEP_INTERVAL
        head = _STORED.pack(_digest(body), now + RETENTION, response.status)
        self._stored[_name_digest(name)] = head + _pack_response(response)


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()


def _name_digest(name: tuple[str, str]) -> bytes:
    return _digest("\n".join(name).encode(errors="surrogatepass"))


def _pack_response(response: Response) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, _WINDOW, 1, zlib.Z_DEFAULT_STRATEGY, _LIKELY)
    location = response.headers.get("location", "")
    return packer.compress(location.encode() + b"\n" + response.body) + packer.flush()


def _unpack_response(status: int, packed: bytes) -> Response:
    location, _, body = zlib.decompressobj(_WINDOW, zdict=_LIKELY).decompress(packed).partition(b"\n")
    return Response(status, {**JSON_HEADERS, "location": location.decode()} if location else JSON_HEADERS, body)
