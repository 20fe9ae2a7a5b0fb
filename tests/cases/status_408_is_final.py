"""408, 421 and 425 end a call that has a key after one attempt, as Unexpected.

A balancer sends 408 to a connection that idled; 421 and 425 say "not processed, ask again".
Right: they are repeated where 503 is.
"""

from serve import *

import asyncio

import msgapi


async def result(status):
    answers = [(status, b""), (200, json.dumps(ACCEPTED).encode())]

    async def transport(_):
        status, body = answers.pop(0)
        return msgapi.Response(status, {}, body)

    async with msgapi.Client(transport=transport, api_key=KEY, retry=msgapi.Retry(base=0.001)) as api:
        return await api(call())


results = {status: type(asyncio.run(result(status))).__name__ for status in (408, 421, 425)}
done(set(results.values()) != {"Ok"}, results)
