"""Client: carries calls out, over any transport, with retries and at the service's pace."""

import inspect
import os
import sys
import weakref
from asyncio import AbstractEventLoop, current_task
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
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
    check_instance,
    check_methods,
    check_seconds,
    check_transport,
    check_url,
    is_unopened,
    key_problem,
)
from .http import Request, Response
from .lifetime import Held, Lifetime, hold
from .observe import Observer, Watch, both
from .ratelimit.pace import Lane, Pace
from .ratelimit.queue import Cancelled, TooLate, Turn, TurnQueue, sleep_while, time_left
from .ratelimit.reservation import ReservedSlots
from .results import CALLED_OFF, ApiError, Meta, NotSent, Ok, Result, Throttled
from .retry import Budget, Retry
from .transports import Answer, Transport
from .version import VERSION

T = TypeVar("T")

BASE_URL: Final = "https://api.arowana.app"
_DEFAULT_RETRY = Retry()
_new_request = constructor(Request)
_NOUNS: Final = ("messages", "contacts", "agents", "campaigns", "billing", "webhooks", "testagent")


class Decode(Protocol):
    """What turns an answer into a result: `decode.decode`."""

    def __call__(self, call: Call[T], response: Response, /, *, attempts: int, elapsed: float) -> Result[T]:
        """Read *response* as the result of *call*."""
        ...  # pragma: no cover


@final
class Client:
    """Carries out calls: `await client(call)`.

        async with msgapi.Client() as client:
            result = await client(messages.send(text))

    To make one does no I/O and needs neither an event loop nor a key. It opens at its first call, or on entry
    of `async with`, and is closed by the end of that or by `await client.aclose()`. Any number of tasks may
    share one client. It never raises for what the network or the server does.

    Arguments, all by name:

    - *api_key*, *base_url*: if None, those of the environment when the client opens: `MSGAPI_API_KEY`, and
      `MSGAPI_BASE_URL` or else https://api.arowana.app. The URL must be https, or http to this machine.
    - *transport*: what requests are sent over. One that is not open yet, such as `transports.httptools.open()`,
      is opened and closed with the client. One that is open, which is any async function from `Request` to
      `Response`, is not closed. If None, aiohttp is used, on asyncio only.
    - *retry*: which failed attempts are repeated, and when; by default `Retry()`.
    - *pace*: how fast requests may leave. Clients of one process that share a key can share one `Pace`.
    - *timeout*: seconds for one attempt over the default transport, 30 by default; a transport that is passed
      in has its own. For a deadline over all attempts, put the call into `anyio.fail_after`.
    - *clock*: what is used to wait and to read the time, such as a `VirtualClock` in tests.
    - *observer*: an `observe.Observer` of all calls; see `observe.both`, `observe.log`, `telemetry.observer`.

    An argument of a wrong type is TypeError, one of a wrong value is ValueError; a URL or key that is unsafe is
    `Misconfigured`, which is a ValueError. What the environment lacks is `Misconfigured` when the client opens.

    A client belongs to the event loop, the thread and the process that used it first. A call from another
    one, and a call after the client was closed, is RuntimeError, and nothing is sent. A client that opened a
    transport and is never closed gives one ResourceWarning when it is collected or when the event loop ends.
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
        if transport is not None:
            check_transport(transport)
        if pace is not None:
            check_instance("pace", pace, Pace, "Pace(per_second=5)")
        if observer is not None:
            check_instance("observer", observer, Observer, "observe.log()")
        if self._api_key is not None and (problem := key_problem(self._api_key)) is not None:
            raise problem
        self.observer = None if observer is None else both(observer)
        self._given, self._timeout = transport, timeout
        self._retry, self._clock = retry, clock
        self._pace = Pace() if pace is None else pace
        self._budget = Budget(retry)
        self._gates: dict[str, TurnQueue] = {}
        self._headers: Mapping[str, str]
        self._transport: Transport
        self._decode: Decode

    def __repr__(self) -> str:
        """Show where it sends to and whether it is open; never the key."""
        where = "" if self._base_url is None else f"{self._base_url}, "
        return f"Client({where}{self._lifetime.state})"

    async def __aenter__(self) -> "Client":
        """Open it; raise Misconfigured if there is no key, or one of the environment's values is unsafe."""
        await self._lifetime.enter(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close it, and the transport that it has opened; a second time does nothing.

        Every call after that is RuntimeError. Closing an open client in another event loop is RuntimeError too.
        """
        await self._lifetime.close()

    def __call__(
        self, call: Call[T], /, *, only_while: Callable[[], bool] | None = None
    ) -> Coroutine[Any, Any, Result[T]]:
        """Carry *call* out: return its value in an `Ok`, or the error that it ended in.

        What may be repeated is repeated as the `Retry` of the client says. Awaiting the same
        call again is safe if it has an idempotency key: it is the same operation.

        *only_while* is called before each request leaves, and a few times a second while one waits for
        its turn. Once it returns False, the call ends as its last attempt did, or as a `NotSent` with the
        code `called_off` if there was none.
        """
        if type(call) is not Call:
            raise TypeError(f"a client takes a call, such as messages.send(...), not {type(call).__name__}")
        if self.observer is None:
            return self._carry(call, only_while, None)
        return self._watched(call, only_while, self.observer)

    if not TYPE_CHECKING:  # pragma: no branch - so that a type checker reports these

        def __getattr__(self, name: str) -> NoReturn:
            """Raise AttributeError; for what is a module or a function of the API, with the line to write."""
            remedy = _advice(name)
            raise AttributeError(f"'Client' has no attribute {name!r}{f': {remedy}' if remedy else ''}")

        def __await__(self) -> NoReturn:
            """Raise TypeError."""
            raise TypeError("a client is not awaited: write `async with msgapi.Client() as client`")

        def __enter__(self) -> NoReturn:
            """Raise TypeError."""
            raise TypeError("a client is closed by await: write `async with`, not `with`")

        def __exit__(self, *_: object) -> None:
            """Do nothing, as `with` ends before."""

    async def _open(self) -> Held | None:
        if self._base_url is None:
            self._base_url = check_url(os.environ.get("MSGAPI_BASE_URL") or BASE_URL)
        self._api_key = self._api_key or os.environ.get("MSGAPI_API_KEY")
        if (problem := key_problem(self._api_key)) is not None:
            raise problem
        held, given = None, self._given
        if given is None or is_unopened(given):
            manager = _default(self._timeout) if given is None else given
            held, self._transport = await hold(cast("AbstractAsyncContextManager[Transport]", manager), "msgapi.Client")
            _ = weakref.finalize(self, held.abandon)
        else:
            self._transport = cast("Transport", given)
        self._headers = _headers(self._api_key)
        from .decode import decode  # brings the JSON libraries, which `import msgapi` does without

        self._decode = decode
        return held

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
        if get_ident() != lifetime.thread or current_task(lifetime.loop) is None:  # else open, and in its loop
            await lifetime.enter(self._open)
        if call.invalid is not None:
            await anyio.lowlevel.checkpoint()
            return call.invalid
        request, gate = self._request(call), self._gates.get(call.endpoint_class) or self._gate(call.endpoint_class)
        now, result = self._clock.now(), None
        course = _Course(now, watch)
        while True:
            if only_while is not None and not only_while():
                return self._called_off(call, course, result)
            if not gate.enter_at_once(now):
                entry = await gate.enter(only_while)
                now, since = self._clock.now(), now
                course.waited(now - since)
                if not isinstance(entry, Turn):
                    return self._without_turn(call, course, entry, result)
            course.attempts += 1
            try:
                answer: Answer = await self._transport(request if watch is None else _marked(request, watch))
            except BaseException:
                gate.lane.record_unanswered()
                raise
            result = self._result(call, answer, gate.lane, course, left_at=now)
            if isinstance(result, Ok):
                self._budget.earn()
                return result
            course.doubtful |= result.may_have_happened
            pause = await self._pause(call, course, result, gate)
            if pause is None:
                return attrs.evolve(result, may_have_happened=course.doubtful)
            await sleep_while(self._clock, pause, only_while)
            now = self._clock.now()

    async def _pause(self, call: Call[T], course: "_Course", error: ApiError, gate: TurnQueue) -> float | None:
        if gate.slots is not None:
            await gate.slots.report_error(error)
        pause = self._retry.wait(error, attempt=course.attempts, repeatable=call.repeatable, chance=random())  # noqa: S311 - jitter
        if pause is None or pause > time_left() or not self._budget.spend(error):
            return None
        if course.watch is not None:
            course.watch.retry(error, pause)
        return pause

    def _result(self, call: Call[T], answer: Answer, lane: Lane, course: "_Course", *, left_at: float) -> Result[T]:
        now = self._clock.now()
        result: Result[T]
        if not isinstance(answer, Response):
            lane.record_unanswered()
            result = attrs.evolve(answer, meta=course.meta(call, now))
        else:
            result = self._decode(call, answer, attempts=course.attempts, elapsed=now - course.began)
            if isinstance(result, Throttled) and result.rate_limited:
                lane.record_throttled(now, left_at, result.retry_after, result.meta.rate_limit)
            else:
                meta = result.meta
                lane.record_response(now, self._clock.time(), figures=meta.rate_limit, server_time=meta.server_time)
        if course.watch is not None:
            course.watch.answer(result)
        return result

    def _request(self, call: Call[T]) -> Request:
        headers = dict(self._headers)
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        return _new_request(call.method, f"{self._base_url}{call.target}", headers, call.body)

    def _gate(self, endpoint_class: str) -> TurnQueue:
        pace, lane, clock = self._pace, self._pace.lane(endpoint_class), self._clock
        slots = None
        if pace.shared is not None:
            slots = ReservedSlots(pace.shared, endpoint_class, lane, clock, pace.per_second)
        return self._gates.setdefault(endpoint_class, TurnQueue(lane, clock, self._retry.longest_wait, slots))

    def _without_turn(
        self, call: Call[T], course: "_Course", entry: TooLate | Cancelled, last: Result[T] | None
    ) -> Result[T]:
        if isinstance(entry, TooLate):
            return self._kept_back(call, course, entry.seconds)
        return self._called_off(call, course, last)

    def _called_off(self, call: Call[T], course: "_Course", last: Result[T] | None) -> Result[T]:
        if last is None or isinstance(last, Ok):
            meta = course.meta(call, self._clock.now())
            return NotSent("it was called off before it left", code=CALLED_OFF, meta=meta)
        return attrs.evolve(last, may_have_happened=course.doubtful)

    def _kept_back(self, call: Call[T], course: "_Course", wait: float) -> ApiError:
        return Throttled(
            code="rate_limit_exceeded",
            message=f"kept back by the rate limit: the next request may leave in {wait:.3g} s, which is too late",
            retry_after=wait,
            may_have_happened=course.doubtful,
            meta=course.meta(call, self._clock.now()),
        )


@define
class _Course:
    # How one call has gone so far.
    began: float
    watch: Watch | None
    attempts: int = 0
    doubtful: bool = False

    def waited(self, seconds: float) -> None:
        if self.watch is not None and seconds > 0:
            self.watch.wait(seconds)

    def meta(self, call: Call[T], now: float) -> Meta:
        return Meta(attempts=self.attempts, elapsed=now - self.began, idempotency_key=call.idempotency_key)


def _marked(request: Request, watch: Watch) -> Request:
    more = watch.attempt(request)
    return attrs.evolve(request, headers={**more, **request.headers}) if more else request


def _headers(api_key: str | None) -> Mapping[str, str]:
    return {
        "Authorization": f"Bearer {api_key}",
        "Accept": "application/json",
        "User-Agent": f"msgapi-sdk/{VERSION} Python/{sys.version_info.major}.{sys.version_info.minor}",
    }


def _default(timeout: float) -> AbstractAsyncContextManager[Transport]:
    if not isinstance(current_token().native_token, AbstractEventLoop):
        raise Misconfigured(
            "the default transport runs on asyncio only: on trio, "
            'pip install "msgapi-sdk[trio]" and pass transport=transports.httpx2.open()'
        )
    from .transports import aiohttp

    return aiohttp.open(timeout=timeout)


def _advice(name: str) -> str | None:
    # What to write instead of `client.<name>`; None if it looks like nothing of the API.
    if name == "close":
        return "await client.aclose()"
    if name == "batch":
        return "a batch takes the client: batch.send(client, calls)"
    if name.startswith("_"):
        return None
    lines = [_line(name, *_functions(name)[0])] if name in _NOUNS else [*_lines(name)]
    return f"a call is a value: {' or '.join(lines)}" if lines else None


def _lines(wanted: str) -> Iterator[str]:
    for noun in _NOUNS:
        for name, function in _functions(noun):
            if name == wanted:
                yield _line(noun, name, function)


def _line(noun: str, name: str, function: object) -> str:
    if inspect.isasyncgenfunction(function):
        return f"async for page in {noun}.{name}(client)"
    return f"await client({noun}.{name}(...))"


def _functions(noun: str) -> list[tuple[str, object]]:
    # Those that make a call or take a client: the first is `send` or `create` where there is one.
    module = import_module(f".{noun}", __package__)
    found = [(name, getattr(module, name)) for name in module.__all__]
    functions = [(name, value) for name, value in found if inspect.isfunction(value)]
    return sorted(functions, key=lambda one: (one[0] not in {"send", "create"}, one[0]))
