"""One row's id that can't be encoded stops a whole batch, each time: UnicodeEncodeError, nothing is sent.

Ids that are numbers end as "'int' object has no attribute 'encode'".
Right: that row is `Invalid` and the others go; a TypeError says that ids are text.
"""

from serve import *

import asyncio

import msgapi
from msgapi import batch, journal
from msgapi.sandbox import Sandbox


async def sent(ids, path):
    sandbox = Sandbox()
    rows = [(name, call(n)) for n, name in enumerate(ids)]
    try:
        async with (
            msgapi.Client(transport=sandbox, api_key=sandbox.api_key) as api,
            journal.open(str(here / path), batch="b") as record,
            batch.send(api, rows, journal=record) as outcomes,
        ):
            async for _ in outcomes:
                pass
    except Exception as error:
        return len(sandbox.messages), error
    return len(sandbox.messages), None


odd = asyncio.run(sent([f"r{n}" if n != 10 else "r\udcff" for n in range(20)], "odd"))
numbers = asyncio.run(sent(range(20), "numbers"))
print("one id with half a character:", odd, "\nids that are numbers:", numbers)
told = numbers[0] == 20 or (isinstance(numbers[1], TypeError) and "text" in str(numbers[1]) or "str" in str(numbers[1]))
done(odd[0] < 19 or not told)
