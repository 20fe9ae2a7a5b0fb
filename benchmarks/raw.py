"""The reference of every ratio: raw aiohttp with orjson. Of this project it imports the message only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import aiohttp
import orjson
from spending import BODY, KEY, Once


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[Once]:
    """Send as a careful engineer writes it by hand: a default session, orjson, nothing typed, nothing repeated."""
    async with aiohttp.ClientSession() as session:

        async def once() -> None:
            headers = {
                "Authorization": f"Bearer {KEY}",
                "Content-Type": "application/json",
                "Idempotency-Key": str(uuid4()),
            }
            async with session.post(f"{url}/v1/messages", data=orjson.dumps(BODY), headers=headers) as response:
                assert response.status == 200
                assert orjson.loads(await response.read())["message_id"]

        yield once
