"""One row of the message log has a number where an id is due: its page is Unreadable, and `messages.pages` ends there.

Of 450 messages 250 can't be read. Right: a row that can't be read is one row; the pages go on.
"""

from serve import *

import asyncio
from urllib.parse import parse_qs, urlsplit

import msgapi
from msgapi import messages

LOG = [{"id": f"msg_{n}", "status": "SENT", "created_at": "2026-05-04T07:30:00Z"} for n in range(450)]
LOG[250]["contact_id"] = 17


async def transport(request):
    asked = {name: int(values[0]) for name, values in parse_qs(urlsplit(request.url).query).items()}
    begin = asked.get("offset", 0)
    page = {"messages": LOG[begin : begin + asked.get("limit", 50)]}
    return msgapi.Response(200, {}, json.dumps(page).encode())


async def main():
    async with msgapi.Client(transport=transport, api_key=KEY) as api:
        return [page async for page in messages.pages(api)]


pages = asyncio.run(main())
seen = sum(len(page.value.messages) for page in pages if isinstance(page, msgapi.Ok))
done(seen < 449, f"{seen} of 450 messages; the pages: {[type(page).__name__ for page in pages]}")
