"""A program for tests to kill: sends a batch with a journal to the service of the environment.

`batch_program.py JOURNAL COUNT TRANSPORT` prints each outcome as it takes it, and at the end how many rows it started
and passed over, and why it stopped.
"""

import sys
from collections.abc import Iterator

import anyio

import msgapi
from msgapi import Call, Ok, Retry, batch, journal, messages
from msgapi.messages import Accepted
from msgapi.sandbox import MAGIC_RECIPIENTS
from msgapi.transports import aiohttp, httptools

TRANSPORTS = {"aiohttp": aiohttp.open, "httptools": httptools.open}
REFUSED = [magic.phone for magic in MAGIC_RECIPIENTS if magic.digits in {"403", "404", "422"}]
ODD = 97  # of so many rows one is refused by the service, and one before it is sent


def rows(count: int) -> Iterator[tuple[str, Call[Accepted]]]:
    for at in range(count):
        to = REFUSED[at % len(REFUSED)] if at % ODD == 1 else f"+49151{at:08}"
        text = "" if at % ODD == 2 else "Hi"
        made = messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text=text)
        yield str(at), messages.send(made)


async def main(path: str, count: int, transport: str) -> None:
    async with (
        TRANSPORTS[transport](timeout=1.0) as opened,
        msgapi.Client(transport=opened, retry=Retry(attempts=8)) as api,
        journal.open(path, batch="killed") as record,
        batch.send(api, rows(count), journal=record, concurrency=32) as outcomes,
    ):
        async for outcome in outcomes:
            result = outcome.result
            said = result.value.message_id if isinstance(result, Ok) else result.code
            sys.stdout.write(f"{outcome.id} {type(result).__name__} {said}\n")
            sys.stdout.flush()
    print("end", outcomes.started, outcomes.skipped, outcomes.stopped)  # noqa: T201 - for the test


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3])
