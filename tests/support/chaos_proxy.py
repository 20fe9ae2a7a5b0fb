"""A proxy for tests, in a process of its own, that does to requests and answers what networks and proxies do.

`chaos_proxy.py PORT SEED [MORE...]` stands before the server on PORT of this machine, with the faults of MORE besides
the usual ones; the first line it prints is its own port. On SIGTERM it lets everything arrive that it still holds back,
prints what it did as JSON, and ends.
"""

import asyncio
import json
import random
import re
import signal
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias

from attrs import define, field

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
PAGE = b"<html><head><title>Bad Gateway</title></head><body>nginx</body></html>\n"
LIMITED = b'{"error":"rate_limit_exceeded","message":"too fast","details":[],"retry_after":0.2}'
DOWN = b'{"error":"service_unavailable","message":"down","details":[]}'
GONE = (OSError, asyncio.IncompleteReadError, EOFError)
BURST = 0.15  # seconds
OWN_STATUSES = [
    *(200, 201, 202, 204, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411),
    *(412, 413, 414, 415, 417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 511),
]
Pair: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Act: TypeAlias = Callable[["Line", bytes], Awaitable[None]]


async def message(reader: asyncio.StreamReader) -> bytes:
    """Read one request or answer to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    found = LENGTH.search(head)
    return head + await reader.readexactly(int(found[1]) if found else 0)


def said(status: int, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@define(eq=False)
class Proxy:
    port: int
    chance: random.Random
    done: Counter[str] = field(factory=Counter)
    idle: list[Pair] = field(factory=list)
    late: set[asyncio.Task[None]] = field(factory=set)
    hurry: asyncio.Event = field(factory=asyncio.Event)
    burst: tuple[float, str] = (0.0, "")
    faults: "dict[str, tuple[float, Act]]" = field(factory=lambda: FAULTS)

    async def forward(self, request: bytes) -> bytes:
        """Bring *request* to the server, and its answer back."""
        while self.idle:
            reader, writer = self.idle.pop()
            if not writer.is_closing():
                break
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            answer = await message(reader)
        except BaseException:
            writer.close()
            raise
        self.idle.append((reader, writer))
        return answer

    def behind(self, work: Coroutine[Any, Any, None]) -> None:
        """Do *work* while other things go on."""
        task = asyncio.create_task(work)
        self.late.add(task)
        task.add_done_callback(self.late.discard)

    async def pause(self, least: float, most: float) -> None:
        """Wait for a while, or until it is to come to an end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.chance.uniform(least, most)):
                _ = await self.hurry.wait()

    def draw(self) -> str:
        """Say what happens to the next request."""
        now = asyncio.get_running_loop().time()
        if now < self.burst[0]:
            return self.burst[1]
        fault = self.chance.choices([*self.faults], [rate for rate, _ in self.faults.values()])[0]
        if fault in {"limited", "down"}:
            self.burst = now + BURST, fault
        return fault

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the requests of one connection."""
        line = Line(self, reader, writer)
        with suppress(*GONE):
            while not writer.is_closing():
                request = await message(reader)
                fault = self.draw()
                self.done[fault] += 1
                await self.faults[fault][1](line, request)
        line.reset()


@define(eq=False)
class Line:
    """One connection of a client's."""

    proxy: Proxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def reset(self) -> None:
        """Close it with a TCP reset."""
        raw = self.writer.get_extra_info("socket")
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close it in order, and read no more."""
        self.writer.close()
        await self.writer.wait_closed()

    async def fine(self, request: bytes) -> None:
        self.writer.write(await self.proxy.forward(request))

    async def reset_before(self, _: bytes) -> None:
        self.reset()

    async def reset_after(self, request: bytes) -> None:
        _ = await self.proxy.forward(request)
        self.reset()

    async def cut_head(self, request: bytes) -> None:
        answer = await self.proxy.forward(request)
        self.writer.write(answer[: self.proxy.chance.randrange(1, answer.index(b"\r\n\r\n"))])
        await self.close()

    async def cut_body(self, request: bytes) -> None:
        answer = await self.proxy.forward(request)
        self.writer.write(answer[: self.proxy.chance.randrange(answer.index(b"\r\n\r\n") + 4, len(answer))])
        await self.close()

    async def stalled_before(self, _: bytes) -> None:
        _ = await self.reader.read()

    async def stalled_after(self, request: bytes) -> None:
        _ = await self.proxy.forward(request)
        _ = await self.reader.read()

    async def late(self, request: bytes) -> None:
        self.proxy.behind(self._later(request))
        self.reset()

    async def _later(self, request: bytes) -> None:
        await self.proxy.pause(0.05, 2.0)
        with suppress(*GONE):
            _ = await self.proxy.forward(request)

    async def delayed(self, request: bytes) -> None:
        answer = await self.proxy.forward(request)
        await self.proxy.pause(0.05, 0.5)
        self.writer.write(answer)

    async def asked_twice(self, request: bytes) -> None:
        _ = await self.proxy.forward(request)
        self.writer.write(await self.proxy.forward(request))

    async def answered_twice(self, request: bytes) -> None:
        self.writer.write(await self.proxy.forward(request) * 2)

    async def page_before(self, _: bytes) -> None:
        self.writer.write(said(502, PAGE, "text/html"))

    async def page_after(self, request: bytes) -> None:
        _ = await self.proxy.forward(request)
        self.writer.write(said(504, PAGE, "text/html"))

    async def portal(self, _: bytes) -> None:
        self.writer.write(said(200, PAGE, "text/html"))

    async def own_page(self, request: bytes) -> None:
        status = self.proxy.chance.choice(OWN_STATUSES)
        if status // 100 in {2, 5} and self.proxy.chance.random() < 0.5:  # a 3xx or 4xx says that it was not forwarded
            _ = await self.proxy.forward(request)
        body = b"" if status in {204, 304} else PAGE
        self.writer.write(said(status, body, "text/html"))

    async def idle_close(self, request: bytes) -> None:
        self.writer.write(await self.proxy.forward(request))
        self.proxy.behind(self._idle_close())

    async def _idle_close(self) -> None:
        await self.proxy.pause(0.0, 0.2)
        with suppress(*GONE):
            await self.close()

    async def limited(self, _: bytes) -> None:
        self.writer.write(said(429, LIMITED))

    async def down(self, _: bytes) -> None:
        self.writer.write(said(503, DOWN))


FAULTS: dict[str, tuple[float, Act]] = {
    "fine": (93.5, Line.fine),
    "reset_before": (0.7, Line.reset_before),
    "reset_after": (0.7, Line.reset_after),
    "cut_head": (0.4, Line.cut_head),
    "cut_body": (0.6, Line.cut_body),
    "stalled_before": (0.1, Line.stalled_before),
    "stalled_after": (0.1, Line.stalled_after),
    "late": (0.7, Line.late),
    "delayed": (1.0, Line.delayed),
    "asked_twice": (0.7, Line.asked_twice),
    "answered_twice": (0.5, Line.answered_twice),
    "page_before": (0.4, Line.page_before),
    "page_after": (0.4, Line.page_after),
    "portal": (0.05, Line.portal),
    "limited": (0.05, Line.limited),
    "down": (0.05, Line.down),
}


MORE: dict[str, dict[str, tuple[float, Act]]] = {
    "pages": {"own_page": (1.5, Line.own_page)},
    "idle": {"idle_close": (3.0, Line.idle_close)},
}


async def main(port: int, seed: int, *more: str) -> None:
    faults = dict(FAULTS)
    for name in more:
        faults |= MORE[name]
    proxy = Proxy(port, random.Random(seed), faults=faults)  # noqa: S311 - to be had again
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for the test
    _ = await end.wait()
    server.close()
    proxy.hurry.set()
    _ = await asyncio.gather(*proxy.late)
    print(json.dumps(proxy.done), flush=True)  # noqa: T201 - for the test


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
