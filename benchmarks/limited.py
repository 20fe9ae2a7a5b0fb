"""A server with a rate limit and, by options, an outage and a wrong clock. It shares no code with the sandbox.

It implements HTTP itself, on a free loopback port, which is the first line that it prints. The first argument is the
options, as JSON. `GET /count` returns what it has received since the last `POST /reset`, which takes new options.
"""

import asyncio
import contextlib
import json
import re
import sys
import time
from collections import Counter
from typing import cast

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
KEY = re.compile(rb"\r\nidempotency-key: ([^\r\n]*)", re.IGNORECASE)
ACCEPTED = (
    b'{"message_id":"msg_%d","status":"queued","created_at":"2026-05-04T07:30:00Z",'
    b'"billing":{"channel":"RCS","message_type":"single_message","hold_amount":0.11,"message_price":0.11}}'
)


class Limit:
    """So many requests a second: a bucket that holds as many, or a fixed window of one second."""

    def __init__(self, options: dict[str, float]) -> None:
        """Begin full, when the first request comes."""
        self.options = options
        self.rate = options.get("rate", 1e9)
        self.began: float | None = None
        self.window = -1
        self.left = self.rate
        self.at = 0.0

    def take(self, now: float) -> tuple[bool, float]:
        """Let a request through or not; with the seconds until another may have more luck."""
        if self.began is None:
            self.began = self.at = now
        halves = self.options.get("halves_after")
        rate = self.rate if halves is None or now - self.began < halves else self.rate / 2
        if self.options.get("windows"):
            window = int(now - self.began)
            if window != self.window:
                self.window, self.left = window, rate
            until = self.began + window + 1 - now
        else:
            self.left = min(rate, self.left + (now - self.at) * rate)
            self.at = now
            until = 1.0
        if self.left < 1:
            return False, until
        self.left -= 1
        return True, until


class Seen:
    """What this server has seen, and how it answers."""

    def __init__(self, options: dict[str, float]) -> None:
        """Begin with nothing seen."""
        self.options = options
        self.limit = Limit(options)
        self.statuses: Counter[int] = Counter()
        self.keys: set[bytes] = set()
        self.twice = 0
        self.first = self.last = 0.0

    def answer(self, head: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer one request for a message."""
        now = time.monotonic()
        self.first = self.first or now
        if self.options.get("down_from", 1e9) <= now - self.first < self.options.get("down_until", 0):
            return self._said(503, {}, b'{"error":"service_unavailable","message":"down"}')
        allowed, until = self.limit.take(now)
        headers = self._figures(until) if self.options.get("figures") else {}
        if not allowed:
            wait = f"{until:.3f}" if self.options.get("exact") else "1"
            body = b'{"error":"rate_limit_exceeded","message":"too fast"%b}'
            if self.options.get("in_header"):
                return self._said(429, headers | {"Retry-After": "1"}, body % b"")
            return self._said(429, headers, body % f',"retry_after":{wait}'.encode())
        found = KEY.search(head)
        key = found[1] if found else b""
        self.twice += key in self.keys
        self.keys.add(key)
        self.last = now
        return self._said(200, headers, ACCEPTED % len(self.keys))

    def _said(self, status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.statuses[status] += 1
        return status, headers, body

    def _figures(self, until: float) -> dict[str, str]:
        wrong = self.options.get("clock_error", 0.0)
        wall = time.time() + wrong
        day = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(wall))
        return {
            "X-RateLimit-Limit": f"{self.limit.rate:.0f}",
            "X-RateLimit-Remaining": f"{int(self.limit.left)}",
            "X-RateLimit-Reset": f"{wall + until:.3f}",
            "Date": day,
        }

    def as_json(self) -> bytes:
        """Return what was seen, as JSON."""
        lasted = self.last - self.first
        counts = {"requests": self.statuses.total(), "statuses": self.statuses, "keys": len(self.keys)}
        return json.dumps({**counts, "twice": self.twice, "lasted": lasted}).encode()


class Speaker(asyncio.Protocol):
    """Reads whole requests from one connection, and answers each."""

    seen = Seen({})

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing read."""
        self.transport = cast("asyncio.Transport", transport)
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self.rest += data
        while (end := self.rest.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self.rest, 0, end)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self.rest) < whole:
                return
            head, body, self.rest = self.rest[:end], self.rest[end + 4 : whole], self.rest[whole:]
            self.transport.write(self.answered(head, body))

    def answered(self, head: bytes, body: bytes) -> bytes:
        """Make the whole answer to one request."""
        if head.startswith(b"POST /reset "):
            Speaker.seen = Seen(json.loads(body))
            status, headers, said = 200, dict[str, str](), b"{}"
        elif head.startswith(b"GET /count "):
            status, headers, said = 200, {}, Speaker.seen.as_json()
        else:
            status, headers, said = Speaker.seen.answer(head)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        start = (
            f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\n{lines}Content-Length: {len(said)}\r\n\r\n"
        )
        return start.encode() + said


async def serve() -> None:
    """Serve until killed."""
    if len(sys.argv) > 1:
        Speaker.seen = Seen(json.loads(sys.argv[1]))
    server = await asyncio.get_running_loop().create_server(Speaker, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())
