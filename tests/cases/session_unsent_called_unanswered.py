"""Over a caller's aiohttp session, a TLS handshake that stalls is called "sent, but not answered".

Nothing has left; but the call is in doubt, and so is the row of a batch. *connect_timeout* is not applied.
Right: NotSent("could not connect in time"), as over connections of our own.
"""

from serve import *

import asyncio

import aiohttp
import msgapi
from msgapi.transports import aiohttp as over_aiohttp


async def main(url):
    async with aiohttp.ClientSession() as session, over_aiohttp.open(session=session, timeout=2, connect_timeout=0.5) as send:
        return await send(msgapi.Request("POST", url, {}, b"{}"))


with Raw(lambda *_: time.sleep(20)) as server:
    answer = asyncio.run(main(server.url.replace("http:", "https:")))
done(isinstance(answer, msgapi.Unanswered), f"no TLS handshake, so no byte of the request left: {answer!r}")
