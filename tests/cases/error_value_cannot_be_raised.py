"""An error value can't be raised, nor given to what wants exceptions: an error tracker, a task queue, a retry library.

`raise error` is a TypeError. Right: one documented way from a result to its value or an exception; name it in WAYS.
"""

from serve import *

import asyncio

import msgapi
from msgapi import messages
from msgapi.sandbox import Sandbox

WAYS = "unwrap", "or_raise", "raise_for_error", "exception"
sandbox = Sandbox()


async def main():
    async with msgapi.Client(transport=sandbox, api_key=sandbox.api_key) as api:
        return await api(messages.get("msg_unknown"))


error = asyncio.run(main())
ways = [name for name in WAYS if hasattr(error, name) or hasattr(msgapi, name)]
done(not isinstance(error, BaseException) and not ways, f"{error!r}: an exception {isinstance(error, BaseException)}, ways {ways}")
