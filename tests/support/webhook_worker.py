"""A worker process of a web application that receives webhooks.

`python -m tests.support.webhook_worker STORE DIRECTORY` prints its URL, and writes a line to the file `log` when its
handler begins and when it ends. While the file `hang` exists, a handler of an event with that word does not end.
"""

import os
import sys
from pathlib import Path

import anyio
from aiohttp import web

from msgapi import webhooks
from msgapi.webhooks import Event, EventStore, RedisEventStore, SqliteEventStore

SECRET = "whsec_1"
LEASE = 3.0


def open_store(where: str) -> EventStore:
    """Open the store at a URL of Redis or at a path."""
    return RedisEventStore(where, lease=LEASE) if "://" in where else SqliteEventStore(where, lease=LEASE)


async def main(where: str, directory: Path) -> None:
    def log(line: str) -> None:
        with (directory / "log").open("a") as file:
            _ = file.write(f"{line} {os.getpid()}\n")

    async def handle(event: Event) -> None:
        log(f"begin {event.id}")
        await anyio.sleep(0.01)
        while "hang" in event.id and (directory / "hang").exists():  # noqa: ASYNC110 - a file is nothing to wait for
            await anyio.sleep(0.01)
        log(f"end {event.id}")

    app = web.Application()
    _ = app.router.add_post("/", webhooks.aiohttp(handle, secret=SECRET, store=open_store(where)))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"http://127.0.0.1:{runner.addresses[0][1]}/\n")
    sys.stdout.flush()
    await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], Path(sys.argv[2]))
