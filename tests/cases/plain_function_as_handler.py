"""A plain `def` as the handler of a receiver: each delivery runs it to its end and is answered 500, so it comes five times.

Right: refused with a sentence when it is mounted; or run, in a thread.
"""

from serve import *

import asyncio
import logging

from msgapi import webhooks

logging.getLogger("msgapi").setLevel(logging.CRITICAL)
body = b'{"id":"evt_1","event":"message.read","timestamp":"2026-05-04T07:30:00Z","data":{}}'
handled, statuses = [], []


def handle(event):
    handled.append(event.id)


async def deliver(application):
    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        statuses.append(message.get("status"))

    headers = [(webhooks.SIGNATURE_HEADER.lower().encode(), webhooks.sign(body, secret="s").encode())]
    await application({"type": "http", "method": "POST", "headers": headers}, receive, send)


async def main():
    application = webhooks.asgi(handle, secret="s")
    for _ in range(3):
        await deliver(application)


try:
    asyncio.run(main())
except (TypeError, ValueError) as error:
    done(False, f"refused: {error}")
done(len(handled) != 1, f"one event delivered 3 times: handled {len(handled)} times, answered {statuses[::2]}")
