"""A transport over an httpx2 client of the caller's.

Rule: httpx2 logs the URL of each request. The path of ours is hidden there, since it may contain a recipient.
"""

import logging
from collections.abc import AsyncIterable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Final, final

import anyio
import anyio.lowlevel
import httpcore2
import httpx2
from attrs import define, field
from yarl import URL

from ...http import Request, TimeLimits
from ...results import NotSent, Unanswered
from ..common.causes import connect_failure, connection_lost, cut_short, host_and_port, with_cause
from ..common.connections import (
    CLOSED,
    INVALID_URL,
    ConnectionLimit,
    no_free_connection,
    repeated_outcome,
    seconds_to_wait,
)
from ..common.deadlines import StartsDeadlines
from ..common.http1 import FRAMING_HEADERS, UrlCache, join_parts, make_response, request_headers
from ..protocol import Answer

_LOG: Final = logging.getLogger("httpx2")
_TIMED_OUT: Final = Unanswered("no answer in time")
_NETWORK_ERRORS: Final = (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.RequestError, OSError)
_PORTS: Final = {"http": 80, "https": 443}
_NOT_HTTP: Final = (httpcore2.RemoteProtocolError, httpx2.RemoteProtocolError)


@final
@define(eq=False)
class Httpx2ClientTransport:
    """A transport over *client*, with at most as many calls at a time as *limit* allows.

    The cost of a call over httpx2's pool grows with the calls in flight, so they wait here and not there.
    """

    client: httpx2.AsyncClient
    limit: ConnectionLimit
    deadlines: StartsDeadlines
    connect_timeout: float
    max_response: int
    keeps_limits: bool = field(default=True, init=False)
    _urls: UrlCache = field(factory=UrlCache, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request* and return its outcome. Raise ValueError if one of its headers is not valid."""
        url = self._urls.get(request.url)
        if url is None:
            return INVALID_URL
        try:
            httpx_request = self._build_request(request, url)
        except httpx2.InvalidURL:
            return INVALID_URL
        if self.limit.free > 0:
            self.limit.free -= 1
        elif (unsent := await self.limit.wait(request.limits)) is not None:
            return unsent
        try:
            return await self._send(httpx_request, request.limits, repeatable=request.repeatable)
        finally:
            self.limit.give_back()

    async def close(self) -> None:
        """End the calls in flight. The client stays open."""
        self.limit.close()
        self.deadlines.close()
        await anyio.lowlevel.cancel_shielded_checkpoint()

    async def _send(self, request: httpx2.Request, limits: TimeLimits | None, *, repeatable: bool) -> Answer:
        # The client may have a lower limit of connections. Waiting for one of its own ends as late.
        until, repeated, connecting = anyio.current_time() + seconds_to_wait(limits), False, self.connect_timeout
        if limits is not None:
            connecting = limits.connecting(connecting, self.deadlines.seconds)
        while True:
            remaining = max(0.0, until - anyio.current_time())
            pool_timeout = min(connecting, remaining)
            timeouts = httpx2.Timeout(None, connect=connecting, pool=pool_timeout)
            progress = _Progress()
            request.extensions |= {"timeout": timeouts.as_dict(), "trace": progress.trace}
            outcome: Answer
            try:
                with self._deadline(limits):
                    outcome = await self._exchange(request)
            except httpx2.PoolTimeout:
                if pool_timeout < remaining:
                    continue
                outcome = no_free_connection("those of the client are in use")
            except TimeoutError:
                outcome = progress.expired(request.url, closed=self.limit.closed)
            except _NETWORK_ERRORS as error:
                outcome = cut_short(_root(error)) if progress.answered else _outcome_of(error, request.url)
                if repeatable and not repeated and progress.is_stale and isinstance(outcome, Unanswered):
                    repeated = True
                    continue
            return repeated_outcome(outcome, 2) if repeated else outcome

    def _deadline(self, limits: TimeLimits | None) -> AbstractContextManager[object]:
        deadlines = self.deadlines
        return deadlines.start() if limits is None else deadlines.start_within(limits.exchange(deadlines.seconds))

    async def _exchange(self, request: httpx2.Request) -> Answer:
        response = await self.client.send(request, stream=True, auth=httpx2.Auth(), follow_redirects=False)
        try:
            parts = response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()
            return await _read_response(response.status_code, response.headers.raw, parts, self.max_response)
        finally:
            await response.aclose()

    def _build_request(self, request: Request, url: URL) -> httpx2.Request:
        headers = request_headers(request, url)
        names = FRAMING_HEADERS | {name.lower().decode() for name, _ in headers}
        headers += [pair for pair in self.client.headers.raw if pair[0].lower().decode() not in names]
        extensions: dict[str, Any] = {}
        target, private_url = url.raw_path_qs.encode(), _PrivateUrl(request.url)
        if private_url.raw_path != target:  # httpx2 has quoted the path again, or removed its dot segments
            extensions["target"] = target
        stream = httpx2.ByteStream(request.body or b"")
        result = httpx2.Request(request.method, private_url, headers=headers, stream=stream, extensions=extensions)
        result.url = private_url  # httpx2 made a copy, of its own type
        return result


@define(eq=False)
class _Progress:
    # How far one request has come, from the events that httpx2 sends to a trace.
    connected: bool = False
    began: bool = False
    answered: bool = False

    @property
    def is_stale(self) -> bool:
        # Whether it was sent over a connection that was there before, and no response has come.
        return self.began and not self.connected and not self.answered

    def expired(self, url: httpx2.URL, *, closed: bool) -> NotSent | Unanswered:
        # The outcome if the time was up, or the transport was closed.
        if self.connected and not self.began:
            return NotSent(CLOSED) if closed else connect_failure(TimeoutError(), _peer(url))
        return Unanswered(CLOSED) if closed else _TIMED_OUT

    async def trace(self, event: str, _: object) -> None:
        await anyio.lowlevel.checkpoint_if_cancelled()
        self.connected |= event.endswith(".connect_tcp.started")
        self.began |= event.endswith(".send_request_headers.started")
        self.answered |= event.endswith(".receive_response_headers.complete")


async def _read_response(
    status: int, headers: Iterable[tuple[bytes, bytes]], parts: AsyncIterable[bytes], limit: int
) -> Answer:
    """Read the body in *parts*, and return the response, or `Unanswered` if it is incomplete or over *limit* bytes."""
    try:
        body = await join_parts(parts, limit)
    except _NOT_HTTP:
        return Unanswered("the response was cut short")
    texts = {name.decode(errors="replace"): value.decode(errors="surrogateescape") for name, value in headers}
    return make_response(status, texts, body, limit)


def _outcome_of(error: Exception, url: httpx2.URL) -> NotSent | Unanswered:
    match error:
        case httpx2.ConnectTimeout():
            return connect_failure(TimeoutError(), _peer(url))
        case httpx2.ConnectError():
            return connect_failure(_root(error), _peer(url))
        case httpx2.ProxyError():  # the client is the caller's, and so is its proxy
            return NotSent(with_cause(f"the proxy refused to connect to {_peer(url)}", _root(error)))
        case httpx2.TimeoutException():
            return _TIMED_OUT
        case httpcore2.RemoteProtocolError() | httpx2.RemoteProtocolError():
            closed = str(error).startswith("Server disconnected")
            return connection_lost(None) if closed else Unanswered("the response is not HTTP")
        case _:
            return connection_lost(_root(error))


def _peer(url: httpx2.URL) -> str:
    return host_and_port(url.raw_host.decode(), url.port or _PORTS[url.scheme])


def _root(error: BaseException) -> BaseException:
    # The error of the socket or of TLS, from which httpx2 has made its own.
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause
    return error


def hide_paths_in_log() -> None:
    """Have httpx2's log show the URLs of this package's requests without their paths."""
    _LOG.addFilter(_without_paths)


@final
class _PrivateUrl(httpx2.URL):
    """The URL of a request of this package, by which the log filter recognises it."""


def _without_paths(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            f"{arg.scheme}://{arg.host}/***" if isinstance(arg, _PrivateUrl) else arg for arg in record.args
        )
    return True
