"""A server says one answer too many on a kept connection: the next call takes it for its own.

An Ok for a message that never arrived. The bytes lie in the socket's buffer before the next request is written.
Right: look at the socket before a connection is used again; one that has anything to read, or is at its end, is dropped.
"""

from serve import *

import asyncio

import aiohttp
import msgapi
from msgapi.transports import aiohttp as over_aiohttp
from msgapi.transports import httptools as over_httptools


def handle(connection, _):
    while True:
        connection.sendall(reply(request_from(connection)[2]))
        time.sleep(0.02)
        connection.sendall(reply(b"an answer to nothing"))


async def second(opened, url):
    async with opened as send:
        await send(msgapi.Request("POST", url, {}, b"first"))
        time.sleep(0.1)  # a program that computes for a moment
        answer = await send(msgapi.Request("POST", url, {}, b"second"))
        return answer.body if isinstance(answer, msgapi.Response) else answer


wrong = False
for name, opened in (("aiohttp", over_aiohttp.open), ("httptools", over_httptools.open)):
    with Raw(handle) as server:
        got = asyncio.run(second(opened(timeout=2), server.url))
    wrong |= got == b"an answer to nothing"
    print(f"{name}: the second call reads {got!r}")
done(wrong)
