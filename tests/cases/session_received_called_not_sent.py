"""Over a caller's aiohttp session, a DELETE that the server has received whole is called NotSent.

aiohttp repeats it by itself on a new connection; that one is refused, and "could not connect" is taken for the whole truth.
Right: over a session NotSent only if it was the first attempt; else Unanswered.
"""

from serve import *

import asyncio

import aiohttp
import msgapi
from msgapi.transports import aiohttp as over_aiohttp

received = []


def handle(connection, _):
    request_from(connection)
    connection.sendall(reply())
    received.append(request_from(connection)[0])  # whole
    server.close()  # the server goes down
    reset(connection)


async def main():
    async with aiohttp.ClientSession() as session, over_aiohttp.open(session=session, timeout=3) as send:
        await send(msgapi.Request("GET", server.url + "/a", {}))
        await asyncio.sleep(0.05)
        return await send(msgapi.Request("DELETE", server.url + "/b", {}))


with Raw(handle) as server:
    answer = asyncio.run(main())
done(received and isinstance(answer, msgapi.NotSent), f"the server received {received}; the caller is told {answer!r}")
