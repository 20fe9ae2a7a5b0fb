"""A call that is in flight when `httptools.open()` ends loses its deadline: it waits for as long as the server is silent.

Right: it ends within its time-out, as over the other transports; or at once, when the block ends.
"""

from serve import *

import asyncio

import msgapi
from msgapi.transports import httptools as over_httptools


async def main(url):
    async with over_httptools.open(timeout=1) as send:
        task = asyncio.create_task(send(msgapi.Request("POST", url, {}, b"{}")))
        await asyncio.sleep(0.1)
    await asyncio.wait([task], timeout=4)
    done(not task.done(), "timeout=1:", task.result() if task.done() else "still waiting after 4 s")


limit(9)
with Raw(lambda connection, _: (request_from(connection), time.sleep(30))) as server:
    asyncio.run(main(server.url))
