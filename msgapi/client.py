"""Client: carries out calls over any transport, with retries and within the rate limit.

A call takes a turn at the rate limit, is sent, and its response is decoded; then it is retried or returned.
"""

import inspect
import os
import sys
import weakref
from asyncio import AbstractEventLoop, current_task
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from importlib import import_module
from random import random
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar, cast, final

import anyio.lowlevel
import attrs
from anyio.lowlevel import current_token
from attrs import define

from .calls import Call
from .clock import SYSTEM_CLOCK, Clock
from .codegen import constructor
from .config import (
    Misconfigured,
    check_count,
    check_instance,
    check_methods,
    check_seconds,
    check_transport,
    check_url,
    is_unopened,
    key_problem,
)
from .fallback import Fallback
from .fallback import send as send_fallback
from .http import Request, Response
from .lifetime import Lifetime, OpenTransport, open_transport
from .observe import Observer, Watch, combine
from .ratelimit.pace import Lane, Pace
from .ratelimit.queue import Cancelled, ReservedSlots, TooLate, Turn, TurnQueue, sleep_while, time_left
from .results import CALLED_OFF, ApiError, Meta, NotSent, Ok, Result, Throttled
from .retry import Budget, Retry
from .transports import Answer, Transport
from .version import VERSION

T = TypeVar("T")

BASE_URL: Final = "https://api.arowana.app"
MAX_CONNECTIONS: Final = 100
_DEFAULT_RETRY = Retry()
_new_request = constructor(Request)
_NOUNS: Final = ("messages", "contacts", "agents", "campaigns", "billing", "webhooks", "testagent")


class Decode(Protocol):
    """The type of `decode.decode`, which is imported late."""

    def __call__(
        self, call: Call[T], response: Response, /, *, attempts: int, elapsed: float, now: Callable[[], float]
    ) -> Result[T]:
        """Return the result of *call*, decoded from *response*."""
        ...  # pragma: no cover


@final
class Client:
    """Carries out calls: `await client(call)`.

        async with msgapi.Client() as client:
            result = await client(messages.send(text))

    Constructing a client does no I/O and needs neither an event loop nor an API key. The client opens at its first
    call or on entry of `async with`. It closes at the end of `async with` or by `await client.aclose()`. Any number of
    tasks can share one client. A client does not raise for errors of the network or the server: it returns them.

    All arguments are keywords:

    - *api_key*: the API key. If None, the environment variable `MSGAPI_API_KEY` is read when the client opens.
    - *base_url*: an https URL, or an http URL of this machine. If None, the environment variable `MSGAPI_BASE_URL` is
      read when the client opens; the default is https://api.arowana.app.
    - *transport*: sends the requests. An unopened transport, such as `transports.httptools.open()`, is opened and
      closed with the client. An open transport, which is any async function from `Request` to `Response`, is left
      open. If None, aiohttp is used, on asyncio only.
    - *retry*: which failed attempts are repeated, and when; by default `Retry()`.
    - *pace*: the rate of requests; by default `Pace()`. Clients of one process that use the same key can share one.
    - *timeout*: seconds for one attempt over the default transport, 30 by default. A transport that is passed in has
      its own timeout. For a deadline over all attempts, use `anyio.fail_after`.
    - *max_connections*: the highest number of connections of the default transport, 100 by default. If all are in use,
      a call waits for a free one until shortly before the surrounding anyio deadline; it is then a `NotSent` with the
      code `no_free_connection`. A transport that is passed in has its own limit.
    - *clock*: waits and reads the time; by default the system clock. Tests can pass a `VirtualClock`.
    - *observer*: an `observe.Observer` of all calls; see `observe.combine`, `observe.log`, `telemetry.observer`.

    Raise TypeError for an argument of a wrong type and ValueError for a wrong value. An unsafe URL or key raises
    `Misconfigured`, a ValueError. A missing or unsafe environment variable raises it when the client opens.

    A client belongs to the event loop, thread and process of its first use. A call from another one, or after the
    client was closed, raises RuntimeError, and nothing is sent. A client that opened a transport and is never closed
    causes one ResourceWarning, when it is collected or when the event loop ends.
    """

    observer: Observer | None

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        transport: Transport | AbstractAsyncContextManager[Transport] | None = None,
        retry: Retry = _DEFAULT_RETRY,
        pace: Pace | None = None,
        timeout: float = 30.0,
        max_connections: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
        observer: Observer | None = None,
    ) -> None:
        self._api_key = api_key
        del api_key  # an error tracker shows the local variables of a frame that raises
        self._base_url: str | None = None
        self._lifetime = Lifetime()
        if base_url is not None:
            self._base_url = check_url(base_url)
        check_instance("retry", retry, Retry, "Retry(attempts=3)")
        check_seconds("timeout", timeout)
        check_methods("clock", clock, ("now", "time", "sleep"), "msgapi.VirtualClock()")
        if max_connections is not None:
            check_count("max_connections", max_connections)
        if transport is not None:
            check_transport(transport)
            if max_connections is not None:
                raise ValueError(
                    "max_connections is that of the default transport: pass it to the `open` of the transport instead"
                )
        if pace is not None:
            check_instance("pace", pace, Pace, "Pace(per_second=5)")
        if observer is not None:
            check_instance("observer", observer, Observer, "observe.log()")
        if self._api_key is not None and (problem := key_problem(self._api_key)) is not None:
            raise problem
        self.observer = None if observer is None else combine(observer)
        self._given, self._timeout, self._max_connections = transport, timeout, max_connections or MAX_CONNECTIONS
        self._retry, self._clock = retry, clock
        self._pace = Pace() if pace is None else pace
        self._budget = Budget(retry)
        self._queues: dict[str, TurnQueue] = {}
        self._headers: Mapping[str, str]
        self._transport: Transport
        self._decode: Decode

    def __repr__(self) -> str:
        """Show the base URL and whether the client is open; never the API key."""
        where = "" if self._base_url is None else f"{self._base_url}, "
        return f"Client({where}{self._lifetime.state})"

    async def __aenter__(self) -> "Client":
        """Open the client. Raise Misconfigured if there is no API key or an environment variable is unsafe."""
        await self._lifetime.enter(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the client and the transport that it opened. May be repeated.

        Every later call raises RuntimeError. Raise RuntimeError if the open client belongs to another event loop.
        """
        await self._lifetime.close()

    def allow_connections(self, count: int) -> None:
        """Let *count* calls be in flight at once: raise the limit of the default transport if it is lower.

        Raise ValueError if the limit of a transport that was passed in is lower.
        """
        if self._given is not None:
            limit = getattr(self._given, "max_connections", None)
            if limit is not None and limit < count:
                raise ValueError(
                    f"{count} calls at once are more than the max_connections of the transport, {limit}: "
                    f"open it with max_connections={count}"
                )
        elif count > self._max_connections:
            self._max_connections = count
            if hasattr(self, "_transport"):
                self._transport.max_connections = count  # type: ignore[attr-defined]  # the default transport has it

    def __call__(
        self, call: Call[T] | Fallback[T], /, *, only_while: Callable[[], bool] | None = None
    ) -> Coroutine[Any, Any, Result[T]]:
        """Carry out *call*, or a `fallback`. Return its value in an `Ok`, or the error of the last attempt.

        Failed attempts are repeated according to the client's `Retry`. The same call may be awaited again if it is
        `repeatable`: with an idempotency key it is the same operation.

        *only_while* is called before each request is sent, and a few times a second while the call waits. Once it
        returns False, return the error of the last attempt, or a `NotSent` with the code `called_off` if there was
        none. Raise TypeError if *call* is not a `Call`.
        """
        if type(call) is not Call:
            if isinstance(call, Fallback):
                return send_fallback(partial(self, only_while=only_while), call)
            raise TypeError(f"a client takes a call, such as messages.send(...), not {type(call).__name__}")
        if self.observer is None:
            return self._carry(call, only_while, None)
        return self._watched(call, only_while, self.observer)

    if not TYPE_CHECKING:  # pragma: no branch - so that a type checker reports these

        def __getattr__(self, name: str) -> NoReturn:
            """Raise AttributeError. For a module or function of the API, the message contains the line to write."""
            remedy = _advice(name)
            raise AttributeError(f"'Client' has no attribute {name!r}{f': {remedy}' if remedy else ''}")

        def __await__(self) -> NoReturn:
            """Raise TypeError."""
            raise TypeError("a client is not awaited: write `async with msgapi.Client() as client`")

        def __enter__(self) -> NoReturn:
            """Raise TypeError."""
            raise TypeError("a client is closed by await: write `async with`, not `with`")

        def __exit__(self, *_: object) -> None:
            """Do nothing: `__enter__` has raised."""

    async def _open(self) -> OpenTransport | None:
        if self._base_url is None:
            self._base_url = check_url(os.environ.get("MSGAPI_BASE_URL") or BASE_URL)
        self._api_key = self._api_key or os.environ.get("MSGAPI_API_KEY")
        if (problem := key_problem(self._api_key)) is not None:
            raise problem
        opened, given = None, self._given
        if given is None or is_unopened(given):
            manager = _default_transport(self._timeout, self._max_connections) if given is None else given
            opened, self._transport = await open_transport(
                cast("AbstractAsyncContextManager[Transport]", manager), "msgapi.Client"
            )
            _ = weakref.finalize(self, opened.close_with_warning)
        else:
            self._transport = cast("Transport", given)
        self._headers = _headers(self._api_key)
        from .decode import decode  # imports the JSON libraries, which `import msgapi` must not load

        self._decode = decode
        return opened

    async def _watched(self, call: Call[T], only_while: Callable[[], bool] | None, observer: Observer) -> Result[T]:
        if get_ident() != self._lifetime.thread or current_task(self._lifetime.loop) is None:
            await self._lifetime.enter(self._open)
        watch = observer.call(call)
        if watch is None:
            return await self._carry(call, only_while, None)
        ended: Result[T] | None = None
        try:
            ended = result = await self._carry(call, only_while, watch)
            return result
        finally:
            watch.result(ended)

    async def _carry(self, call: Call[T], only_while: Callable[[], bool] | None, watch: Watch | None) -> Result[T]:
        lifetime = self._lifetime
        if get_ident() != lifetime.thread or current_task(lifetime.loop) is None:  # else it is open here
            await lifetime.enter(self._open)
        if call.invalid is not None:
            await anyio.lowlevel.checkpoint()
            return call.invalid
        request, queue = self._request(call), self._queues.get(call.endpoint_class) or self._queue(call.endpoint_class)
        now, result = self._clock.now(), None
        state = _CallState(now, watch)
        while True:
            if only_while is not None and not only_while():
                return self._cancelled(call, state, result)
            if not queue.enter_at_once(now):
                entry = await queue.enter(only_while)
                now, since = self._clock.now(), now
                state.waited(now - since)
                if not isinstance(entry, Turn):
                    return self._without_turn(call, state, entry, result)
            state.attempts += 1
            try:
                answer: Answer = await self._transport(request if watch is None else _with_headers(request, watch))
            except BaseException:
                queue.lane.record_unanswered()
                raise
            result = self._result(call, answer, queue.lane, state, left_at=now)
            if isinstance(result, Ok):
                self._budget.earn()
                return result
            state.may_have_happened |= result.may_have_happened
            pause = await self._pause(call, state, result, queue)
            if pause is None:
                return attrs.evolve(result, may_have_happened=state.may_have_happened)
            await sleep_while(self._clock, pause, only_while)
            now = self._clock.now()

    async def _pause(self, call: Call[T], state: "_CallState", error: ApiError, queue: TurnQueue) -> float | None:
        if queue.slots is not None and isinstance(error, Throttled) and error.rate_limited:
            await queue.slots.throttle(self._retry.delay_of_others(error))
        attempt, chance = state.attempts - state.repeated, random()  # noqa: S311 - jitter
        pause = self._retry.wait(error, attempt=attempt, repeatable=call.repeatable, chance=chance)
        if pause is None or pause > time_left() or not self._budget.spend(error):
            return None
        if state.watch is not None:
            state.watch.retry(error, pause)
        return pause

    def _result(self, call: Call[T], answer: Answer, lane: Lane, state: "_CallState", *, left_at: float) -> Result[T]:
        now = self._clock.now()
        result: Result[T]
        if not isinstance(answer, Response):
            lane.record_unanswered()
            state.add_repeated(answer.meta.attempts or 1)
            result = attrs.evolve(answer, meta=state.meta(call, now))
        else:
            if answer.attempts > 1:
                state.add_repeated(answer.attempts)
            clock, elapsed = self._clock, now - state.began
            result = self._decode(call, answer, attempts=state.attempts, elapsed=elapsed, now=clock.time)
            meta = result.meta
            if isinstance(result, Throttled) and result.rate_limited:
                lane.record_throttled(now, left_at, self._retry.delay_of_others(result), meta.rate_limit)
            else:
                figures = meta.rate_limit if isinstance(result, Ok) or result.from_service else None
                lane.record_response(now, clock.time(), figures=figures, server_time=meta.server_time)
        if state.watch is not None:
            state.watch.answer(result)
        return result

    def _request(self, call: Call[T]) -> Request:
        headers = dict(self._headers)
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        return _new_request(call.method, f"{self._base_url}{call.target}", headers, call.body)

    def _queue(self, endpoint_class: str) -> TurnQueue:
        pace, lane, clock = self._pace, self._pace.lane(endpoint_class), self._clock
        slots = None
        if pace.shared is not None:
            slots = ReservedSlots(pace.shared, endpoint_class, lane, clock, pace.per_second)
        return self._queues.setdefault(endpoint_class, TurnQueue(lane, clock, self._retry.longest_wait, slots))

    def _without_turn(
        self, call: Call[T], state: "_CallState", entry: TooLate | Cancelled, last: Result[T] | None
    ) -> Result[T]:
        if isinstance(entry, TooLate):
            return self._rate_limited(call, state, entry.seconds)
        return self._cancelled(call, state, last)

    def _cancelled(self, call: Call[T], state: "_CallState", last: Result[T] | None) -> Result[T]:
        if last is None or isinstance(last, Ok):
            meta = state.meta(call, self._clock.now())
            return NotSent("it was cancelled by only_while before it was sent", code=CALLED_OFF, meta=meta)
        return attrs.evolve(last, may_have_happened=state.may_have_happened)

    def _rate_limited(self, call: Call[T], state: "_CallState", wait: float) -> ApiError:
        return Throttled(
            code="rate_limit_exceeded",
            message=f"the rate limit delays the next request by {wait:.3g} s, which is too long",
            retry_after=wait,
            may_have_happened=state.may_have_happened,
            meta=state.meta(call, self._clock.now()),
            from_service=False,
        )


@define
class _CallState:
    # The requests of one call so far; *repeated* counts those that a transport made beyond one for each attempt.
    began: float
    watch: Watch | None
    attempts: int = 0
    repeated: int = 0
    may_have_happened: bool = False

    def add_repeated(self, requests: int) -> None:
        # The transport made so many *requests* in the last attempt. All but the last one were lost.
        self.attempts += requests - 1
        self.repeated += requests - 1
        self.may_have_happened |= requests > 1

    def waited(self, seconds: float) -> None:
        if self.watch is not None and seconds > 0:
            self.watch.wait(seconds)

    def meta(self, call: Call[T], now: float) -> Meta:
        return Meta(attempts=self.attempts, elapsed=now - self.began, idempotency_key=call.idempotency_key)


def _with_headers(request: Request, watch: Watch) -> Request:
    more = watch.attempt(request)
    return attrs.evolve(request, headers={**more, **request.headers}) if more else request


def _headers(api_key: str | None) -> Mapping[str, str]:
    return {
        "Authorization": f"Bearer {api_key}",
        "Accept": "application/json",
        "User-Agent": f"msgapi-sdk/{VERSION} Python/{sys.version_info.major}.{sys.version_info.minor}",
    }


def _default_transport(timeout: float, max_connections: int) -> AbstractAsyncContextManager[Transport]:
    if not isinstance(current_token().native_token, AbstractEventLoop):
        raise Misconfigured(
            "the default transport runs on asyncio only: on trio, "
            'pip install "msgapi-sdk[trio]" and pass transport=transports.httpx2.open()'
        )
    from .transports import aiohttp

    return aiohttp.open(timeout=timeout, max_connections=max_connections)


def _advice(name: str) -> str | None:
    # Return the line to write instead of `client.<name>`, or None if the API has nothing of this name.
    if name == "close":
        return "await client.aclose()"
    if name == "batch":
        return "a batch takes the client: batch.send(client, calls)"
    if name.startswith("_"):
        return None
    lines = [_usage(name, *_functions(name)[0])] if name in _NOUNS else [*_usages(name)]
    return f"a call is a value: {' or '.join(lines)}" if lines else None


def _usages(wanted: str) -> Iterator[str]:
    for noun in _NOUNS:
        for name, function in _functions(noun):
            if name == wanted:
                yield _usage(noun, name, function)


def _usage(noun: str, name: str, function: object) -> str:
    if inspect.isasyncgenfunction(function):
        return f"async for page in {noun}.{name}(client)"
    return f"await client({noun}.{name}(...))"


def _functions(noun: str) -> list[tuple[str, object]]:
    # The functions that return a call or take a client; `send` or `create` is the first if there is one.
    module = import_module(f".{noun}", __package__)
    found = [(name, getattr(module, name)) for name in module.__all__]
    functions = [(name, value) for name, value in found if inspect.isfunction(value)]
    return sorted(functions, key=lambda item: (item[0] not in {"send", "create"}, item[0]))
