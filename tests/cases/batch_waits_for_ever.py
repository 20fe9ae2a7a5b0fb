"""A batch never ends, and says nothing, when a row is a message and no call, or None, or when a test double gives None.

Right: the exception comes out of the iteration; best a TypeError that names the row and says "a Call, not a Text".
"""

from serve import *

import asyncio

import msgapi
from msgapi import batch, journal, messages

text = messages.Text(agent_id="ag_live_demo", to=number(1), traffic_type="TRANSACTION", text="Hi")


async def fine(_):
    return msgapi.NotSent("a double")


async def nothing(_):
    return None


async def plain(rows):
    async with batch.send(fine, rows, outage_timeout=0) as outcomes:
        return [one async for one in outcomes]


async def journalled_double():
    async with (
        journal.open(str(here / "journal"), batch="b") as record,
        batch.send(nothing, [("r1", call(1))], journal=record, outage_timeout=0) as outcomes,
    ):
        return [one async for one in outcomes]


async def main():
    tasks = {"a message": plain([text]), "None": plain([None]), "a double gives None": journalled_double()}
    tasks = {name: asyncio.create_task(one) for name, one in tasks.items()}
    await asyncio.wait(tasks.values(), timeout=4)
    hanging = [name for name, task in tasks.items() if not task.done()]
    done(hanging, "never end:", hanging, {name: task.exception() for name, task in tasks.items() if task.done()})


limit(9)
asyncio.run(main())
