"""The page over HTTP: its files, its stream, and the requests that it makes with its cookie.

Rules:
- Nothing of another origin is loaded, and no script or style that is not a file of the package (the policy below).
- The page consists of files of the package and values of this server only; it contains no content of messages.
- A stream has a position in the feed of changes, and no queue of its own: a page that does not read costs no memory.
- At most ten events a second; what changes meanwhile is in the next one.
- The id of an event is that of a feed and a position. A page that comes back with an id gets what it has missed, or
  `reset`.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from hashlib import blake2b
from html import escape
from importlib.resources import files
from typing import Final, final

import anyio
import orjson
from aiohttp import web
from attrs import define, field

from ...clock import SYSTEM_CLOCK, Clock
from ...http import Request, Response
from ...version import VERSION
from ..http.requests import split_url
from ..http.responses import SimulatedResponse
from ..model.changes import ChangeFeed
from ..model.state import AccountOptions
from ..sandbox import Sandbox, Workspaces
from ..waiting import wait_for_change
from .access import PageAccess, is_local, is_own_site

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the page."""
_STATIC: Final = files(__name__.rpartition(".")[0]) / "static"
PAUSE: Final = 0.1  # seconds between two events
COMMENT_INTERVAL: Final = 15.0  # seconds after which a comment shows that the connection is alive
_PROGRESS_INTERVAL: Final = 1.0  # seconds between two looks at the campaigns that are running
_EVENT_ID: Final = re.compile(r"([0-9a-f]+)-([0-9]{1,18})", re.ASCII)
_RETRY: Final = 1000  # milliseconds after which a browser connects again
STREAM_PATH: Final = "/_sandbox/events"
FILES_PATH: Final = "/_sandbox/page/"
_KNOWN_KEY: Final = AccountOptions().api_key  # the default, which everyone knows
_FILE_NAME: Final = re.compile(r"(?!.{101})[a-z0-9][a-z0-9_-]*(\.[a-z0-9]+)+")  # short enough for any file system
_MEDIA: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
}
_SAFE: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_CLOSED: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sandbox</title><h1>This page is closed</h1>'
    "<p>On this address, the page of the sandbox opens with the URL that <code>msgapi sandbox</code> prints: it ends "
    "in <code>/?access=…</code>, and has to be opened once in this browser.</p>"
)
_OPENED: Final = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>Sandbox</title>'
)


@final
@define(eq=False, repr=False)
class PageServer:
    """Responds to the requests of the page of one server. `close` ends the streams, and the requests that wait."""

    served: Sandbox | Workspaces
    access: PageAccess
    _scopes: set[anyio.CancelScope] = field(factory=set, init=False)

    def close(self) -> None:
        """End the streams, and the requests that wait."""
        for scope in self._scopes:
            scope.cancel()

    async def respond(self, request: web.BaseRequest, given: Request) -> web.StreamResponse | SimulatedResponse:
        """Return the response to a request for the page, or to one that may be made by it."""
        path, query = split_url(given.url)
        address, port = _local_address(request)
        if given.method in {"GET", "HEAD"}:
            if path == "/":
                local = is_local(address, given.headers.get("host", ""))
                return _response(self._index(given, query, port, local=local))
            if path.startswith(FILES_PATH):
                return _response(read_file(path.removeprefix(FILES_PATH), given.headers.get("if-none-match")))
        first = self.served.select(Request("GET", given.url))
        allowed = self.access.authorize(given, path, port, first.api_key)
        if isinstance(allowed, SimulatedResponse):
            return allowed
        if (given.method, path) == ("GET", STREAM_PATH):
            return await self._stream(request, allowed)
        answers: list[SimulatedResponse] = []
        with self._scope():
            answers.append(await self.served.answer(allowed))
        # If the server closes while the request waits for a message, there is none.
        return answers[0] if answers else self.served.handle(allowed)

    @contextmanager
    def _scope(self) -> Iterator[None]:
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)

    def _index(self, given: Request, query: str, port: int, *, local: bool) -> Response:
        headers = {**_SAFE, "content-type": _MEDIA["html"], "cache-control": "no-store"}
        if given.headers.get("sec-fetch-mode", "navigate") != "navigate" and not is_own_site(given.headers):
            return Response(403, headers, _CLOSED.encode())
        if self.access.is_secret(query):
            # After a link from another site, a browser sends a strict cookie only when the page itself navigates.
            elsewhere = not is_own_site(given.headers)
            opened = {**headers, "set-cookie": self.access.set_cookie(port)} | ({} if elsewhere else {"location": "/"})
            return Response(200 if elsewhere else 303, opened, _OPENED.encode())
        if not local and not self.access.may_read(given.headers, port):
            return Response(403, headers, _CLOSED.encode())
        api_key = self.served.select(Request("GET", "/")).api_key
        values = {
            "sandbox-token": self.access.token,
            "sandbox-key": api_key if api_key == _KNOWN_KEY else "",
            "sandbox-version": VERSION,
        }
        page = (_STATIC / "index.html").read_text(encoding="utf-8")
        for name, value in values.items():
            page = page.replace(f'<meta name="{name}" content="">', f'<meta name="{name}" content="{escape(value)}">')
        return Response(200, {**headers, "set-cookie": self.access.set_cookie(port)}, page.encode())

    async def _stream(self, request: web.BaseRequest, allowed: Request) -> web.StreamResponse | SimulatedResponse:
        sandbox = self.served.select(allowed)
        refused = sandbox.refuse_key(allowed)
        if refused is not None:
            return refused
        headers = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no", **_SAFE}
        response = web.StreamResponse(headers=headers)
        response.force_close()
        with self._scope(), suppress(ConnectionError):
            _ = await response.prepare(request)
            events = stream_changes(sandbox, allowed.headers.get("last-event-id"), SYSTEM_CLOCK)
            async with aclosing(events):
                async for event in events:
                    await response.write(event)
        return response


def read_file(name: str, known: str | None) -> Response:
    """Return a static file of the page; 304 if the client has the one with the ETag *known*."""
    media = _MEDIA.get(name.rpartition(".")[2])
    file = _STATIC / name
    if media is None or not _FILE_NAME.fullmatch(name) or not file.is_file():
        return Response(404, {**_SAFE, "content-type": "text/plain; charset=utf-8"}, b"There is no such file.\n")
    body = file.read_bytes()
    headers = {**_SAFE, "etag": f'"{blake2b(body, digest_size=12).hexdigest()}"', "cache-control": "no-cache"}
    if known is not None and headers["etag"] in (one.strip().removeprefix("W/") for one in known.split(",")):
        return Response(304, headers, b"")
    return Response(200, {**headers, "content-type": media}, body)


def _local_address(request: web.BaseRequest) -> tuple[str | None, int]:
    name = None if request.transport is None else request.transport.get_extra_info("sockname")
    return (name[0], name[1]) if name else (None, 0)


def _response(response: Response) -> web.Response:
    return web.Response(status=response.status, headers=response.headers, body=response.body)


async def stream_changes(sandbox: Sandbox, last_id: str | None, clock: Clock) -> AsyncGenerator[bytes, None]:
    """Yield the events after *last_id*, the id of the last event that a page has; without it those from now on.

    The pauses, and the intervals between comments, are on *clock*.
    """
    feed = sandbox.account.state.changes
    position = feed.count if last_id is None else _position(feed, last_id)
    yield f"retry: {_RETRY}\nid: {_event_id(feed, position or feed.count)}\n\n".encode()
    progress, quiet_since = _progress(sandbox), clock.now()
    while True:
        if (current := sandbox.account.state.changes) is not feed:
            feed, position = current, None
        summary, running = None if position is None else feed.since(position), _progress(sandbox)
        left = quiet_since + COMMENT_INTERVAL - clock.now()
        if summary is None:
            position = feed.count
            yield f"id: {_event_id(feed, position)}\nevent: reset\ndata: {{}}\n\n".encode()
        elif summary.topics or running != progress:
            position = summary.position
            data = summary.to_json() | ({"campaigns": True} if running != progress else {})
            yield b"id: %b\nevent: change\ndata: %b\n\n" % (_event_id(feed, position).encode(), orjson.dumps(data))
        elif left <= 0:
            yield b": nothing new\n\n"
        else:
            seconds = min(left, _PROGRESS_INTERVAL) if running else left
            await wait_for_change(sandbox, feed, seconds)
            continue
        progress, quiet_since = running, clock.now()
        await clock.sleep(PAUSE)


def _event_id(feed: ChangeFeed, position: int) -> str:
    return f"{feed.instance}-{position}"


def _position(feed: ChangeFeed, last_id: str) -> int | None:
    found = _EVENT_ID.fullmatch(last_id)
    return int(found[2]) if found is not None and found[1] == feed.instance else None


def _progress(sandbox: Sandbox) -> tuple[tuple[str, int], ...]:
    """Return the progress of the campaigns that are running, which changes with time and not with the account."""
    now = sandbox.time()
    runs = (run.at(now) for run in sandbox.account.state.runs.values())
    return tuple((run.id, run.done) for run in runs if run.status == "RUNNING")
