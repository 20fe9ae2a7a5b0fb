"""A client that is held otherwise than by `async with` (a notebook, Django, an object with start and stop) is closed at once.

Nobody holds the context manager, so the garbage collector ends it: "this client is closed". Calling or awaiting what
`Client` gives ends in a TypeError about coroutines. Right: it lives as long as it is held, and can be closed; a mistake
says what to do.
"""

from serve import *

import asyncio

import msgapi
from msgapi import billing
from msgapi.sandbox import Sandbox

sandbox = Sandbox()


def open_():
    return msgapi.Client(transport=sandbox, api_key=sandbox.api_key)


async def main():
    told = {}
    api = await open_().__aenter__()
    await asyncio.sleep(0.05)
    for name, attempt in {
        "held": lambda: api(billing.balance()),
        "called without opening": lambda: open_()(billing.balance()),
        "await Client()": lambda: open_(),
    }.items():
        try:
            told[name] = type(await attempt()).__name__
        except Exception as error:
            told[name] = f"{type(error).__name__}: {error}"
    return told


told = asyncio.run(main())
print(*(f"{name}: {said}" for name, said in told.items()), sep="\n")
done(told["held"] != "Ok" or any("in 'await' expression" in said for said in told.values()))
