"""A call that is not on the tape of `Replay` is tried five times, for seconds, and ends as NotSent: the test may pass.

Recording a second time adds to the file, and the old answers come first.
Right: it fails at once and says so; a second recording replaces the first, or is refused.
"""

from serve import *

import asyncio

import msgapi
from msgapi import messages
from msgapi.sandbox import Sandbox
from msgapi.transports import Recording, Replay

sandbox, tape = Sandbox(), here / "tape.jsonl"


async def ask(transport, name):
    async with msgapi.Client(transport=transport, api_key=sandbox.api_key) as api:
        return await api(messages.get(name))


for _ in range(2):
    try:
        with Recording(sandbox, tape) as recording:
            asyncio.run(ask(recording, "msg_a"))
    except ValueError as error:
        print("second recording refused:", error)
replay = Replay(tape)
print("exchanges after recording one call twice:", replay.left)
began = time.monotonic()
try:
    result = asyncio.run(ask(replay, "msg_b"))
except Exception as error:
    done(replay.left > 1, f"raised {error!r}")
done(result.meta.attempts > 1 or replay.left > 1, f"{result!r} after {time.monotonic() - began:.1f} s")
