"""A worker for tests to kill or to stop: takes one chunk and keeps it.

`lease_program.py ENGINE URL FLEET` prints `leased` when it has one, and `lost` when it has it no more.
"""

import sys

import anyio

from msgapi.fleet import Unreachable
from tests.support.fleet_backends import LEASE, OPENS


async def main(*names: str) -> None:
    engine, url, fleet = names
    async with OPENS[engine](url, fleet) as opened:
        lease = await opened.queue.lease(20)
        assert lease is not None
        print("leased", lease.id, lease.delivery, flush=True)  # noqa: T201 - for the test
        ours = True
        while ours:
            await anyio.sleep(LEASE / 4)
            try:
                ours = await opened.queue.renew(lease)
            except Unreachable as error:
                print("unreachable", error, flush=True)  # noqa: T201 - for the test
        print("lost", flush=True)  # noqa: T201 - for the test


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
