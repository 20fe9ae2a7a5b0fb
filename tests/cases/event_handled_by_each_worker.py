"""README: "each event is handed over once". With two worker processes it is handed over by each.

The store of handled events is the memory of one process; nothing says so, and none that several share comes with the package.
Right: README and docstring say it, and a store over SQLite or Redis is shipped. Name it in SHARED, then.
"""

from serve import *

import asyncio

from msgapi import webhooks

SHARED: dict = {}  # such as {"store": webhooks.SomeStore(here / "seen.db")}
body = b'{"id":"evt_1","event":"message.read","timestamp":"2026-05-04T07:30:00Z","data":{}}'


async def handle(event):
    with (here / "handled").open("a") as file:
        file.write(f"{event.id}\n")


async def deliver():
    async def receive():
        return {"type": "http.request", "body": body}

    async def send(_):
        pass

    headers = [(webhooks.SIGNATURE_HEADER.lower().encode(), webhooks.sign(body, secret="s").encode())]
    await webhooks.asgi(handle, secret="s", **SHARED)({"type": "http", "method": "POST", "headers": headers}, receive, send)


for _ in range(2):  # two workers
    if (child := os.fork()) == 0:
        asyncio.run(deliver())
        os._exit(0)
    os.waitpid(child, 0)
handled = len((here / "handled").read_text().splitlines())
done(handled > 1, f"one event, delivered to two processes: handled {handled} times")
