"""Forms of Retry-After that are not understood are waited for too briefly: 3 s are asked for, it is repeated after 1 s.

An HTTP date without a `Date` beside it, the asctime form of a date, and "3s", the API's own form of durations.
Right: all forms of RFC 9110, by the local clock where there is no `Date`; "3s" as elsewhere. A wait is never shortened.
"""

from serve import *

import asyncio
from email.utils import formatdate

import msgapi

LIMITED = {"error": "rate_limit_exceeded", "message": "m"}
ASKED = {
    "a date, no Date": lambda: ({"Retry-After": formatdate(time.time() + 3, usegmt=True)}, LIMITED),
    "asctime": lambda: ({"Retry-After": time.asctime(time.gmtime(time.time() + 3)), "Date": formatdate(usegmt=True)}, LIMITED),
    "3s in the body": lambda: ({}, LIMITED | {"retry_after": "3s"}),
}


async def waited(asked):
    at = []

    async def transport(_):
        at.append(time.monotonic())
        headers, body = asked() if len(at) == 1 else ({}, ACCEPTED)
        return msgapi.Response(429 if len(at) == 1 else 200, headers, json.dumps(body).encode())

    async with msgapi.Client(transport=transport, api_key=KEY, retry=msgapi.Retry(base=0.001)) as api:
        await api(call())
    return at[1] - at[0]


async def main():
    return await asyncio.gather(*map(waited, ASKED.values()))


seconds = dict(zip(ASKED, asyncio.run(main()), strict=True))
done(min(seconds.values()) < 1.9, {name: f"{waited:.1f} s" for name, waited in seconds.items()})
