"""Pages that bring nothing new are asked for without end: ever new cursors over empty pages, an offset that is passed over.

Right: after a few pages in a row without anything new it ends, in a value that says so.
"""

from serve import *

import asyncio

import msgapi
from msgapi import billing, messages

MOST = 300
limit(9)


async def count(pages, answer):
    turn = iter(range(MOST + 9))

    async def transport(_):
        return msgapi.Response(200, {}, json.dumps(answer(next(turn))).encode())

    async with msgapi.Client(transport=transport, api_key=KEY) as api:
        found = 0
        async for _ in pages(api):
            found += 1
            if found == MOST:
                break
        return found


def empty(turn):
    return {"transactions": [], "next_cursor": f"c{turn}"}


def two_replicas(turn):
    return {"messages": [{"id": f"msg_{turn % 2}{n}", "status": "SENT", "created_at": "2026-05-04T07:30:00Z"} for n in range(3)]}


found = {"transactions": asyncio.run(count(billing.pages, empty)), "log": asyncio.run(count(messages.pages, two_replicas))}
done(MOST in found.values(), f"pages until the end, {MOST} at most: {found}")
