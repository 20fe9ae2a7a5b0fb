"""A program for tests to kill: sends a batch with a journal to the service of the environment."""

import sys

import anyio
from journals import rows

import msgapi
from msgapi import Retry, batch, journal


async def main(path: str, count: int) -> None:
    async with (
        msgapi.connect(retry=Retry(attempts=8)) as api,
        journal.opened(path, batch="killed") as record,
        batch.sending(api, rows(count), journal=record, at_once=16) as outcomes,
    ):
        async for _ in outcomes:
            pass
    print(outcomes.started, outcomes.skipped, outcomes.stopped)  # noqa: T201 - for the test


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]))
