"""A client used from another event loop, as in a thread of a sync framework: over httpx2 the message goes out, then it raises.

Whoever sends it again with a new call sends it twice. Over aiohttp it is an AssertionError, or goes through by chance.
Right: one RuntimeError before anything leaves, which says that the client belongs to another loop.
"""

from serve import *

import asyncio

import msgapi
from msgapi.transports import aiohttp as over_aiohttp
from msgapi.transports import httpx2 as over_httpx2


async def elsewhere(opened, url):
    async with opened() as transport, msgapi.Client(api_key=KEY, base_url=url, transport=transport) as api:
        await api(call(1))
        told = []

        def thread():
            try:
                told.append(asyncio.run(asyncio.wait_for(api(call(2)), 3)))
            except BaseException as error:
                told.append(error)

        there = threading.Thread(target=thread, daemon=True)
        there.start()
        while there.is_alive():
            await asyncio.sleep(0.05)
        return told[0]


wrong = False
for name, opened in (("aiohttp", over_aiohttp.open), ("httpx2", over_httpx2.open)):
    with Service() as service:
        came = asyncio.run(elsewhere(opened, service.url))
    left = len(service.got) - 1
    wrong |= bool(left) or not (isinstance(came, RuntimeError) and "loop" in str(came))
    print(f"{name}: {left} message(s) left, {type(came).__name__}: {came}")
done(wrong)
