"""Over aiohttp an answer with a small fault of form is lost: Unanswered, and repeated in vain.

A 204 with a body in one packet, and a header line of 9,000 bytes. The other transports read both.
Right: the same answer whatever the transport.
"""

from serve import *

import asyncio

import msgapi
from msgapi.transports import aiohttp as over_aiohttp

SENT = {"a 204 with a body": reply(b"{}", "204 No Content"), "a long header line": reply(X_Trace="x" * 9000)}


async def got(data):
    def handle(connection, _):
        request_from(connection)
        connection.sendall(data)

    with Raw(handle) as server:
        async with over_aiohttp.open(timeout=2) as send:
            return await send(msgapi.Request("POST", server.url, {}, b"{}"))


answers = {name: asyncio.run(got(data)) for name, data in SENT.items()}
done(not all(isinstance(one, msgapi.Response) for one in answers.values()), answers)
