"""Over a caller's aiohttp session a revoke reaches the server twice, with `Retry(attempts=1)` and `meta.attempts` 1.

Right: no request is repeated but by `Retry`, over a session too; or `open(session=)` warns of it, as for a client of httpx2.
"""

from serve import *

import asyncio

import aiohttp
import msgapi
from msgapi import messages
from msgapi.transports import aiohttp as over_aiohttp

received = []


def handle(connection, number):
    while True:
        received.append(request_from(connection)[0])
        if received[-1] == "DELETE" and number == 1:
            return reset(connection)
        connection.sendall(reply(b"", "204 No Content"))


async def main():
    once = msgapi.Retry(attempts=1)
    async with (
        aiohttp.ClientSession() as session,
        over_aiohttp.open(session=session, timeout=3) as send,
        msgapi.Client(transport=send, api_key=KEY, base_url=server.url, retry=once) as api,
    ):
        await api(messages.get("msg_1"))
        await asyncio.sleep(0.05)
        return await api(messages.revoke("msg_1"))


with Raw(handle) as server:
    result = asyncio.run(main())
warned = any(word in (over_aiohttp.open.__doc__ or "") for word in ("repeats", "repeat by itself", "retries"))
twice = received.count("DELETE") > 1
done(twice and not warned, f"received {received}; {type(result).__name__} after attempts={result.meta.attempts}")
