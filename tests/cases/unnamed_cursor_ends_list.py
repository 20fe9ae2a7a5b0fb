"""A list whose cursor is called `next`, with `has_more: true` beside it, ends after one page, and nothing says so.

The contract (section 2) leaves the cursor's name open. Right: the next page is read; or the list ends in a value that says
that it is cut.
"""

from serve import *

import asyncio

import msgapi
from msgapi import billing

ENTRY = {"id": "tx_1", "type": "topup", "amount": 10.0, "created_at": "2026-05-04T07:30:00Z"}


async def transport(request):
    more = {} if "cursor" in request.url else {"next": "p2", "has_more": True}
    return msgapi.Response(200, {}, json.dumps({"transactions": [ENTRY], **more}).encode())


async def main():
    async with msgapi.Client(transport=transport, api_key=KEY) as api:
        return [page async for page in billing.pages(api)]


pages = asyncio.run(main())
done(len(pages) == 1 and isinstance(pages[0], msgapi.Ok), f"{len(pages)} page(s) of 2, the last is {type(pages[-1]).__name__}")
