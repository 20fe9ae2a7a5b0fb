"""After a VPN or NAT change all idle connections are dead: each attempt takes the next one and waits its whole time-out.

With 6 of them all 5 attempts end so, and no new connection is opened, though the service would answer on one.
Right: after a time-out on a reused connection the other idle ones are dropped, or the next attempt opens a new one.
"""

from serve import *

import asyncio

import msgapi

dead = False


def handle(connection, number):
    while True:
        request_from(connection)
        if dead and number <= 6:
            time.sleep(20)
        time.sleep(0.1)
        connection.sendall(reply(ACCEPTED))


async def main():
    global dead
    quick = msgapi.Retry(attempts=5, base=0.01)
    async with msgapi.Client(api_key=KEY, base_url=server.url, timeout=0.6, retry=quick) as api:
        await asyncio.gather(*(api(call(n)) for n in range(6)))
        dead = True
        return await api(call(7))


with Raw(handle) as server:
    result = asyncio.run(main())
done(result.meta.attempts > 2, f"{type(result).__name__} after {result.meta.attempts} attempts, {result.meta.elapsed:.1f} s")
