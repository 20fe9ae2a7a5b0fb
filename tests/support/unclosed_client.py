"""A program that makes one call over a real connection and never closes its client.

Its arguments are a transport, an event loop, and each way to end. For each it makes a client of its own, and writes a
heading to the standard error first.
"""

import asyncio
import gc
import importlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio

import msgapi
from msgapi import Ok, billing

BODY = b'{"free":1.0,"reserved":0.0,"total":1.0}'


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)


class Application:
    """Holds a client, and itself."""

    def __init__(self, client: msgapi.Client) -> None:
        self.client, self.itself = client, self


async def use(client: msgapi.Client) -> None:
    assert isinstance(await client(billing.balance()), Ok)


async def use_and_keep(client: msgapi.Client) -> None:
    await use(client)
    HELD.append(client)


async def use_and_drop(make: object) -> None:
    await use(make())  # type: ignore[operator]


async def use_and_collect(make: object) -> None:
    application = Application(make())  # type: ignore[operator]
    await use(application.client)
    del application
    _ = gc.collect()
    await anyio.sleep(0.05)


HELD: list[msgapi.Client] = []
if __name__ == "__main__":
    transport, loop, *ends = sys.argv[1:]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def make() -> msgapi.Client:
        chosen = None if transport == "none" else importlib.import_module(f"msgapi.transports.{transport}").open()
        return msgapi.Client(api_key="k", base_url=f"http://127.0.0.1:{server.server_port}", transport=chosen)

    for end in ends:
        _ = sys.stderr.write(f"== {end}\n")
        if end == "collected":
            anyio.run(use_and_collect, make, backend=loop)
        elif end == "dropped":
            anyio.run(use_and_drop, make, backend=loop)
        elif end == "loop closed by hand":
            by_hand = asyncio.new_event_loop()
            by_hand.run_until_complete(use_and_keep(make()))
            by_hand.close()
        elif end == "loop left idle":
            idle = asyncio.new_event_loop()
            idle.run_until_complete(use_and_keep(make()))
            asyncio.set_event_loop(idle)
        else:
            anyio.run(use_and_keep, make(), backend=loop)
        if end == "loop ended":
            HELD.clear()
    server.shutdown()
    server.server_close()
