"""One 429 with a Unix time in Retry-After, or 1e9 in the body, and the client sends nothing for decades.

Right: a wait beyond a bound (a day, as for a reset) is told in the value, but the gate opens after the usual wait.
"""

from serve import *

import asyncio

import msgapi

LIMITED = {"error": "rate_limit_exceeded", "message": "m"}


async def later(headers, body):
    answers, clock = [(429, headers, body)], msgapi.VirtualClock()

    async def transport(_):
        status, headers, body = answers.pop() if answers else (200, {}, ACCEPTED)
        return msgapi.Response(status, headers, json.dumps(body).encode())

    async with msgapi.Client(transport=transport, api_key=KEY, clock=clock) as api, clock.autojump():
        await api(call(1))
        clock.advance(3 * 86400)
        return await api(call(2))


limit(9)
three_days = {
    "Unix time": asyncio.run(later({"Retry-After": str(int(time.time() + 2))}, LIMITED)),
    "1e9 in the body": asyncio.run(later({}, LIMITED | {"retry_after": 1e9})),
}
silent = {name: one.message for name, one in three_days.items() if not isinstance(one, msgapi.Ok)}
done(silent, "three days later, the service is well:", silent)
