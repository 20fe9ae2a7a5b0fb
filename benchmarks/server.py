"""A server with as little work as possible: a fixed answer to each request, on a free loopback port.

The answer has the fields of the service, and those that the clients of other services require: `ok`, `id` and `object`.
The balance is lower in each answer, so that no client can reuse a decoded one. Only `GET /count` has another answer:
the number of requests so far, and their CPU time.
"""

import asyncio
import contextlib
import re
import time
from typing import cast

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

BODY = (
    b'{"message_id":"msg_9f01aa22","status":"queued","created_at":"2026-05-04T07:30:00Z",'
    b'"billing":{"channel":"RCS","message_type":"single_message","hold_amount":0.11,"message_price":0.11,'
    b'"balance":{"free":%.2f,"reserved":%.2f,"total":2075.00},'
    b'"tier":{"channel":"RCS","current":"tier_1","volume_used":%d}},'
    b'"ok":true,"id":"msg_9f01aa22","object":"payment_intent"}'
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
LIMIT = b"X-RateLimit-Limit: 1000000000\r\nX-RateLimit-Remaining: %d\r\nX-RateLimit-Reset: 4000000000\r\n\r\n"
MANY = 8192


def body(number: int) -> bytes:
    """Write what is said of one message."""
    held = 0.11 * number
    return BODY % (2072.40 - held, 2.60 + held, 310 + number)


def answer(number: int) -> bytes:
    """Write the whole answer to one request."""
    content = body(number)
    return HEAD % len(content) + LIMIT % (999999999 - number) + content


ANSWERS = [answer(number) for number in range(MANY)]
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


class Canned(asyncio.Protocol):
    """Counts whole requests in what comes in, and answers each."""

    seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing read."""
        self.transport = cast("asyncio.Transport", transport)
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self.rest += data
        while (head := self.rest.find(b"\r\n\r\n")) >= 0:
            found = LENGTH.search(self.rest, 0, head)
            end = head + 4 + (int(found[1]) if found else 0)
            if len(self.rest) < end:
                return
            counts = self.rest.startswith(b"GET /count ")
            content = self.counted() if counts else ANSWERS[Canned.seen % MANY]
            Canned.seen += not counts
            self.rest = self.rest[end:]
            self.transport.write(content)

    def counted(self) -> bytes:
        """Return the counts as a response."""
        content = b'{"requests":%d,"cpu":%f}' % (self.seen, time.process_time())
        return (HEAD + b"\r\n%b") % (len(content), content)


async def serve() -> None:
    """Serve until killed; the port is the first line printed."""
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        (uvloop.run if uvloop else asyncio.run)(serve())
