"""The likeliest slips of a new user end in errors of Python's own, or are taken: none says what to do.

Right: one sentence each, as `Misconfigured`, TypeError or ValueError, before anything is sent.
"""

from serve import *

import asyncio
import re

import aiohttp
import msgapi
import trio
from msgapi import billing, webhooks
from msgapi.transports import aiohttp as over_aiohttp


async def asked(**given):
    usual = {"api_key": KEY, "base_url": "http://127.0.0.1:9", "retry": msgapi.Retry(attempts=1)}
    async with msgapi.Client(**usual | given) as api:
        return await api(billing.balance())


async def with_a_session():
    async with aiohttp.ClientSession() as session:
        return await asked(transport=session)


SLIPS = {  # a slip, and a word of the sentence that is due
    "the default transport on trio": (lambda: trio.run(asked), "httpx2"),
    "transport=aiohttp.open(), not entered": (lambda: asyncio.run(asked(transport=over_aiohttp.open())), "async with"),
    "transport=ClientSession()": (lambda: asyncio.run(with_a_session()), "session"),
    "timeout=None": (lambda: asyncio.run(asked(timeout=None)), "timeout"),
    "timeout=0": (lambda: asyncio.run(asked(timeout=0)), "timeout"),
    "timeout=nan": (lambda: asyncio.run(asked(timeout=float("nan"))), "timeout"),
    "retry=3": (lambda: asyncio.run(asked(retry=3)), "Retry"),
    "secret=None": (lambda: webhooks.read({}, b"{}", secret=None), "secret"),
    "secret=bytes": (lambda: webhooks.read({}, b"{}", secret=b"whsec_1"), "secret"),
}
bad = []
for slip, (make, word) in SLIPS.items():
    try:
        said = f"taken: {make()!r}"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    if said.startswith("taken") or not re.search(word, said):
        bad.append(slip)
    print(f"{slip}: {said}")
done(bad)
