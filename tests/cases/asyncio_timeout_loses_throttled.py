"""Under `asyncio.timeout` a call that the rate limit keeps back ends as a bare TimeoutError, after the whole time.

Under `anyio.fail_after` it is `Throttled` at once, with the seconds left. A program on asyncio takes the first.
Right: README and docstring of `Client` say which deadlines are seen, or the call takes one of its own.
"""

from serve import *

import asyncio

import msgapi
from msgapi.sandbox import Sandbox


async def main():
    sandbox = Sandbox(rate_limit=1, window=30)
    async with msgapi.Client(transport=sandbox, api_key=sandbox.api_key) as api:
        await api(call(1))
        try:
            async with asyncio.timeout(0.5):
                return await api(call(2))
        except TimeoutError as error:
            return error


result = asyncio.run(main())
told = "asyncio.timeout" in readme() or "asyncio.timeout" in msgapi.Client.__doc__
done(isinstance(result, TimeoutError) and not told, repr(result))
