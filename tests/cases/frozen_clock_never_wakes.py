"""Under a clock that stands still, as in tests with a frozen time, a call that waits for its turn never wakes.

Right: after sleeping as long as was asked for, go on whatever the clock says; or "In your tests" says that it can't be done.
"""

from serve import *

import asyncio

import anyio
import msgapi


class Frozen:
    def now(self):
        return 1000.0

    def time(self):
        return 1_800_000_000.0

    async def sleep(self, seconds):
        await anyio.sleep(seconds)


async def transport(_):
    return msgapi.Response(200, {}, json.dumps(ACCEPTED).encode())


async def main():
    pace = msgapi.Pace(per_second=20)
    async with msgapi.Client(transport=transport, api_key=KEY, clock=Frozen(), pace=pace) as api:
        with anyio.move_on_after(4) as scope:
            await asyncio.gather(*(api(call(n)) for n in range(5)))
    return scope.cancelled_caught


limit(9)
hangs = asyncio.run(main())
done(hangs and "freez" not in readme(), "5 calls at 20 a second:", "still waiting after 4 s" if hangs else "done")
