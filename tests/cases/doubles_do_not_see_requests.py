"""Doubles that patch aiohttp's session (vcrpy, aioresponses) do not see the requests of the default transport.

They go to the server: with a key in the environment a test suite sends, and pays. Right: "In your tests" says so, and
names `session=` or the sandbox as the way.
"""

from serve import *

import asyncio

import aiohttp
import msgapi


async def double(self, method, url, **options):
    raise ConnectionError("the double has no answer to this request")


async def main(url):
    aiohttp.ClientSession._request = double  # what those libraries put in its place
    async with msgapi.Client(api_key=KEY, base_url=url, retry=msgapi.Retry(attempts=1)) as api:
        return await api(call())


with Service() as service:
    result = asyncio.run(main(service.url))
told = "vcr" in readme().lower() or "aioresponses" in readme().lower()
done(len(service.got) and not told, f"{len(service.got)} request reached the server: {type(result).__name__}")
