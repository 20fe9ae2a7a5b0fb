"""A kept connection that the server has closed costs a call an attempt, a back-off and a part of the retry budget.

A server that closes idle connections early so uses up the budget, and then calls are lost that no server ever received.
Right: what may be repeated and fails on a reused connection before the first byte of an answer goes again at once on a
fresh one, free of back-off and budget. (It stays Unanswered if that fails too.)
"""

from serve import *

import asyncio

import msgapi

received = []


def handle(connection, _):
    received.append(request_from(connection))
    connection.sendall(reply(ACCEPTED))
    connection.recv(1, socket.MSG_PEEK)  # the next request is on its way when the server closes
    reset(connection)


async def main():
    few = msgapi.Retry(budget=10, base=0.001)
    async with msgapi.Client(api_key=KEY, base_url=server.url, retry=few) as api:
        return [await api(call(n)) for n in range(40)]


with Raw(handle) as server:
    results = asyncio.run(main())
lost = [one for one in results if not isinstance(one, msgapi.Ok)]
done(lost, f"{len(lost)} of 40 sends are lost, {len(received)} were received; e.g. {lost[:1]}")
