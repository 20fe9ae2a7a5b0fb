"""`VirtualClock.autojump()` can't be left in another task than it was entered in, as fixtures of pytest-asyncio do.

"Attempted to exit cancel scope in a different task". Right: no cancel scope over the `yield`, or a fixture that does it.
"""

from serve import *

import asyncio

import msgapi


async def main():
    jumping = msgapi.VirtualClock().autojump()
    await asyncio.create_task(jumping.__aenter__())  # set up
    await asyncio.create_task(jumping.__aexit__(None, None, None))  # tear down


try:
    asyncio.run(main())
except RuntimeError as error:
    done(True, error)
done(False, "torn down")
