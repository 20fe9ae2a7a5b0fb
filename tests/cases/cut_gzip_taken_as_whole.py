"""A gzip body that was cut in the middle is given out as a 200 with half of the answer.

Of two gzip members only the first is read, and `Content-Encoding: GZIP` is not unpacked (codings have no case).
Right: a cut one is Unanswered, all members are read, and codings are compared without case.
"""

from serve import *

import asyncio
import gzip

import msgapi
from msgapi.transports import aiohttp as over_aiohttp

WHOLE = json.dumps({"messages": [f"message number {n}" for n in range(500)]}).encode()
PACKED = gzip.compress(WHOLE)
SENT = {
    "cut": reply(PACKED[: len(PACKED) // 2], Content_Encoding="gzip"),
    "two members": reply(gzip.compress(WHOLE[:900]) + gzip.compress(WHOLE[900:]), Content_Encoding="gzip"),
    "GZIP": reply(PACKED, Content_Encoding="GZIP"),
}


async def got(data):
    def handle(connection, _):
        request_from(connection)
        connection.sendall(data)

    with Raw(handle) as server:
        async with over_aiohttp.open(timeout=3) as send:
            return await send(msgapi.Request("GET", server.url, {}))


wrong = False
for name, data in SENT.items():
    answer = asyncio.run(got(data))
    whole = isinstance(answer, msgapi.Response) and answer.body == WHOLE
    wrong |= isinstance(answer, msgapi.Response) if name == "cut" else not whole
    print(f"{name}: {answer!r}, of {len(WHOLE)} bytes")
done(wrong)
