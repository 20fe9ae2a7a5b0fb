"""A test with the fixtures and a recipient whose first answer is a 500 waits for ever: the clock stands still.

Right: after a moment of real time with a sleeper and nobody to move the clock, a warning or an error says so.
"""

from serve import *

import asyncio
import logging
import warnings

import anyio
import msgapi
from msgapi.sandbox import Sandbox

said = []
logging.getLogger().addHandler(type("Kept", (logging.Handler,), {"emit": lambda _, record: said.append(record)})())
warnings.showwarning = lambda *told: said.append(told)
warnings.simplefilter("always")


async def main():
    from msgapi import messages

    clock = msgapi.VirtualClock()  # what the fixtures msgapi_clock, msgapi_sandbox and msgapi_client are made of
    sandbox = Sandbox(clock=clock)
    text = messages.Text(agent_id="ag_live_demo", to="+447700900501", traffic_type="TRANSACTION", text="Hi")
    async with msgapi.Client(transport=sandbox, api_key=sandbox.api_key, clock=clock) as api:
        with anyio.move_on_after(6) as scope:
            try:
                await api(messages.send(text))
            except Exception as error:
                said.append(error)
    return scope.cancelled_caught


limit(9)
hangs = asyncio.run(main())
done(hangs and not said, "still waiting after 6 s" if hangs else "ended", "and was told:", said)
