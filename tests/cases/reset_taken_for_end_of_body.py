"""Over aiohttp an answer without a length whose connection is reset counts as whole: 200 with a part of the body.

Right: a reset is no end; Unanswered, as over the other transports.
"""

from serve import *

import asyncio

import msgapi
from msgapi.transports import aiohttp as over_aiohttp


def handle(connection, _):
    request_from(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")
    time.sleep(0.2)
    reset(connection)


async def main():
    async with over_aiohttp.open(timeout=3) as send:
        return await send(msgapi.Request("GET", server.url, {}))


with Raw(handle) as server:
    answer = asyncio.run(main())
done(isinstance(answer, msgapi.Response), repr(answer), getattr(answer, "body", ""))
