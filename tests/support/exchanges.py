"""What the tests of the transports share: requests, responses as bytes, servers that send them, and exchanges."""

import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import trustme
from attrs import frozen

from msgapi import NotSent, Request, Response
from msgapi.transports import Answer, Transport
from tests.support.raw_servers import Arrived, Serve, Wire, reply, serving

OK: Final = reply(200, b"{}")
HEAD: Final = b"HTTP/1.1 200 OK\r\n"
PACKED: Final = gzip.compress(b"x" * 1001)
FRAGMENTS: Final = [
    HEAD,
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\n",
    b"HTTP/1.1 204 None\r\n",
    b"Connection: upgrade\r\nUpgrade: other\r\n",
    b"Content-Encoding: br\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Content-Length: 2\r\n",
    b"Content-Length: 99999999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\n",
    b"2\r\n{}\r\n",
    b"0\r\n\r\n",
    b"{}",
]
Over: TypeAlias = Callable[..., AbstractAsyncContextManager[Transport]]
"""Opens a transport; the options are those of its `open`."""


def get(url: str) -> Request:
    return Request("GET", f"{url}/v1/messages")


def post(url: str, body: bytes | None = b"{}") -> Request:
    return Request("POST", f"{url}/v1/messages", {"Authorization": "Bearer sk_secret"}, body)


def saying(*parts: bytes) -> Serve:
    """Answer each request with *parts*, then close the connection."""

    async def serve(wire: Wire) -> None:
        _ = await wire.request()
        await wire.send(*parts)

    return serve


def secured(host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a server's certificate for *host*, and a client's trust in it."""
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return server, trusting


@frozen
class Exchanges:
    """Exchanges with a server that the test writes, over what *open* opens unless another one is given."""

    open: Over

    @asynccontextmanager
    async def between(
        self, serve: Serve, over: Over | None = None, **options: object
    ) -> AsyncIterator[tuple[Transport, str]]:
        """Serve by *serve*; yield the transport and the URL of the server."""
        async with serving(serve) as url, (over or self.open)(**options) as transport:
            yield transport, url

    async def asked(self, serve: Serve, over: Over | None = None, **options: object) -> Answer:
        """Return the outcome of a POST to *serve*."""
        async with self.between(serve, over, **options) as (transport, url):
            return await transport(post(url))

    async def arrived(self, request: Request, over: Over | None = None, **options: object) -> Arrived:
        """Return what a server receives of *request*, whose URL is a path."""
        found: list[Arrived] = []

        async def serve(wire: Wire) -> None:
            found.append(await wire.request())
            await wire.send(OK)

        async with self.between(serve, over, **options) as (transport, url):
            answer = await transport(Request(request.method, url + request.url, request.headers, request.body))
            assert isinstance(answer, Response)
        return found[0]


def peer(url: str) -> str:
    """Return host and port of *url*, as the reasons of `NotSent` name them."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or {'http': 80, 'https': 443}[parts.scheme]}"


def refused(url: str) -> NotSent:
    """Return the outcome of a request to *url*, where nothing listens."""
    return NotSent(f"could not connect to {peer(url)}: ECONNREFUSED (Connection refused)")
