"""Sending: a call takes a turn at the rate limit, is sent, and its response is decoded; then it is retried or returned.

Rules:
- A call without options costs nothing extra: a client without defaults has None in place of `CallOptions`.
- A wrong option raises before anything is sent. Headers that decide where a request goes, what it carries or which
  operation it is cannot be set.
"""

import weakref
from asyncio import current_task
from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from random import random
from ssl import SSLContext
from threading import get_ident
from typing import Any, Final, Protocol, TypeVar, final

import anyio
import anyio.lowlevel
import attrs
from attrs import define, field, frozen

from ..calls import Call
from ..clock import Clock, within
from ..codegen import constructor
from ..config import check_count, check_instance, check_seconds, check_transport
from ..http import Request, Response, TimeLimits, check_headers
from ..observe import Observer, Watch
from ..ratelimit.pace import (
    Cancelled,
    Lane,
    Pace,
    ReservedSlots,
    TooLate,
    Turn,
    TurnOutcome,
    TurnQueue,
    sleep_while,
    time_left,
)
from ..results import CALLED_OFF, ApiError, Meta, NotSent, Ok, Result, Throttled
from ..retry import Budget, Retry
from ..transports import Answer, Transport
from ..transports.common.causes import TIMED_OUT
from ..transports.common.opening import FROM_ENVIRONMENT, ProxySetting
from .lifetime import ClientSetup, Lifetime, OpenTransport

_NO_TIME_LEFT: Final = NotSent("no time is left (total_timeout)")
_SECONDS: Final = ("timeout", "connect_timeout", "total_timeout")


@final
@frozen(kw_only=True)
class CallOptions:
    """The options of a call; None is for the client's own value.

    *timeout* is the seconds of one attempt, *connect_timeout* of its connecting, and *total_timeout* of the whole call.
    If *keep_raw* is true, results keep the body of the response.
    """

    timeout: float | None = None
    connect_timeout: float | None = None
    total_timeout: float | None = None
    retry: Retry | None = None
    headers: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    keep_raw: bool = False

    def apply(self, request: Request) -> Request:
        """Return *request* with the headers, before its own: transports keep the head up to the last one."""
        return attrs.evolve(request, headers={**self.headers, **request.headers}) if self.headers else request

    async def send(self, request: Request, transport: Transport, clock: Clock, left: float) -> Answer:
        """Send *request*, and return its outcome in time; *left* is the seconds until *total_timeout* has passed.

        A transport that keeps `TimeLimits` knows best whether anything was sent. Any other one is cancelled.
        """
        if left <= 0:
            return _NO_TIME_LEFT
        total = None if left == inf else left
        if self.timeout is self.connect_timeout is total is None:
            return await transport(request)
        if getattr(transport, "keeps_limits", False):
            limits = TimeLimits(self.timeout, self.connect_timeout, total)
            return await transport(attrs.evolve(request, limits=limits))
        seconds = min(left, self.timeout or inf)
        if seconds == inf:  # it does not know of connecting
            return await transport(request)
        return await within(clock, seconds, lambda: transport(request)) or TIMED_OUT


def make_options(base: CallOptions | None, **given: Any) -> CallOptions | None:  # noqa: ANN401 - the options by name
    """Return *base* with the options in *given* that are not None; None if there are no options at all.

    Raise TypeError or ValueError for an option that is wrong.
    """
    changed = {name: value for name, value in given.items() if value is not None}
    if not changed:
        return base
    for name in _SECONDS:
        if name in changed:
            check_seconds(name, changed[name])
    if "retry" in changed:
        check_instance("retry", changed["retry"], Retry, "Retry(attempts=3)")
    if "headers" in changed:
        check_instance("headers", changed["headers"], Mapping, '{"X-Request-Id": "..."}')
        check_headers(changed["headers"])
        changed["headers"] = _merge_headers((base and base.headers) or {}, changed["headers"])
    return attrs.evolve(base or CallOptions(), **changed)


def _merge_headers(*several: Mapping[str, str]) -> dict[str, str]:
    # The last one of a name stays: names are case-insensitive, and a server may refuse or join repeated headers.
    last = {name.lower(): (name, value) for headers in several for name, value in headers.items()}
    return dict(last.values())


def make_connection_options(
    transport: object,
    *,
    proxy: ProxySetting,
    **given: Any,  # noqa: ANN401 - the options by name
) -> dict[str, Any]:
    """Return the options of the default transport in *given* that are not None, and *proxy* unless it is the default.

    Raise TypeError or ValueError for one that is wrong, and for any if a *transport* is passed in.
    """
    options = {name: value for name, value in given.items() if value is not None}
    if proxy != FROM_ENVIRONMENT:
        options["proxy"] = proxy
    for name, value in options.items():
        if name == "max_connections":
            check_count(name, value)
        elif name == "ssl":
            check_instance(name, value, SSLContext, "ssl.create_default_context()")
        elif name != "proxy":
            check_seconds(name, value)
    if transport is not None:
        check_transport(transport)
        for name in options:
            raise ValueError(f"{name} is that of the default transport: pass it to the `open` of the transport instead")
    return options


T = TypeVar("T")
_new_request: Final = constructor(Request)


class Decode(Protocol):
    """The type of `decode.decode`, which is imported late."""

    def __call__(
        self, call: Call[T], response: Response, /, *, attempts: int, elapsed: float, now: Callable[[], float]
    ) -> Result[T]:
        """Return the result of *call*, decoded from *response*."""
        ...  # pragma: no cover


@final
@define(eq=False, repr=False, slots=False)
class CallSender:
    """Carries out the calls of one client, and of those that `with_options` derives from it."""

    setup: ClientSetup
    retry: Retry
    pace: Pace
    clock: Clock
    lifetime: Lifetime = field(init=False)
    budget: Budget = field(init=False)
    queues: dict[str, TurnQueue] = field(factory=dict, init=False)
    transport: Transport = field(init=False)
    base_url: str = field(init=False)
    headers: Mapping[str, str] = field(init=False)
    decode: Decode = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Start with the full budget."""
        self.lifetime, self.budget = self.setup.lifetime, Budget(self.retry)

    async def enter(self) -> None:
        """Open the client if it is not open; raise RuntimeError if it cannot be used here."""
        await self.lifetime.enter(self._open)

    async def _open(self) -> OpenTransport | None:
        opened = await self.setup.open()
        if opened is not None:
            _ = weakref.finalize(self, opened.close_with_warning)
        transport, base_url = self.setup.transport, self.setup.base_url
        assert transport is not None and base_url is not None, "it is open"  # noqa: S101, PT018 - for the type checker
        self.transport, self.base_url, self.headers = transport, base_url, self.setup.headers()
        from ..decode import decode  # imports the JSON libraries, which `import msgapi` must not load

        self.decode = decode
        return opened

    async def watched(
        self,
        call: Call[T],
        only_while: Callable[[], bool] | None,
        observer: Observer,
        options: CallOptions | None,
    ) -> Result[T]:
        """Carry out *call*, and call the hooks of *observer*."""
        if get_ident() != self.lifetime.thread or current_task(self.lifetime.loop) is None:
            await self.lifetime.enter(self._open)
        watch = observer.call(call)
        if watch is None:
            return await self.carry(call, only_while, None, options)
        ended: Result[T] | None = None
        try:
            ended = result = await self.carry(call, only_while, watch, options)
            return result
        finally:
            watch.result(ended)

    async def carry(  # noqa: C901 - one function, since each further call costs
        self,
        call: Call[T],
        only_while: Callable[[], bool] | None,
        watch: Watch | None,
        options: CallOptions | None,
    ) -> Result[T]:
        """Carry out *call* with *options*, and return its result. Open the client if it is not open."""
        lifetime = self.lifetime
        if get_ident() != lifetime.thread or current_task(lifetime.loop) is None:  # else it is open here
            await lifetime.enter(self._open)
        if call.invalid is not None:
            await anyio.lowlevel.checkpoint()
            return call.invalid
        request, queue = self._request(call), self.queues.get(call.endpoint_class) or self._queue(call.endpoint_class)
        now, result = self.clock.now(), None
        state = _new_state(now, watch, self.retry)
        if options is not None:
            request = options.apply(request)
            state.limit(options)
        while True:
            if only_while is not None and not only_while():
                return self._cancelled(call, state, result)
            if not queue.enter_at_once(now):
                entry = await self._turn(queue, only_while, state)
                now, since = self.clock.now(), now
                state.waited(now - since)
                if not isinstance(entry, Turn):
                    return self._without_turn(call, state, entry, result)
            state.attempts += 1
            try:
                sent = request if watch is None else _with_headers(request, watch)
                answer: Answer = await (
                    self.transport(sent)
                    if options is None
                    else options.send(sent, self.transport, self.clock, state.until - now)
                )
            except BaseException:
                queue.lane.record_unanswered()
                raise
            result = self._result(call, answer, queue.lane, state, left_at=now)
            if isinstance(result, Ok):
                self.budget.earn()
                return result
            state.may_have_happened |= result.may_have_happened
            pause = await self._pause(call, state, result, queue)
            if pause is None:
                return attrs.evolve(result, may_have_happened=state.may_have_happened)
            await sleep_while(self.clock, pause, only_while)
            now = self.clock.now()

    async def _turn(self, queue: TurnQueue, only_while: Callable[[], bool] | None, state: "_CallState") -> TurnOutcome:
        left = state.until - self.clock.now()
        longest_wait = state.retry.longest_wait
        try:
            if left == inf:
                return await queue.enter(only_while, longest_wait=longest_wait)
            waiting = partial(queue.enter, only_while, until=state.until, longest_wait=longest_wait)
            return await within(self.clock, left, waiting) or TooLate(queue.lane.wait(self.clock.now()) or left)
        except anyio.get_cancelled_exc_class() as cancelled:
            sent = f"{state.attempts} requests of this call were sent before" if state.attempts else "nothing was sent"
            cancelled.add_note(f"msgapi: cancelled while waiting for the rate limit; {sent}")
            raise

    async def _pause(self, call: Call[T], state: "_CallState", error: ApiError, queue: TurnQueue) -> float | None:
        if queue.slots is not None and isinstance(error, Throttled) and error.rate_limited:
            await queue.slots.throttle(self.retry.delay_of_others(error))
        attempt, chance = state.attempts - state.repeated, random()  # noqa: S311 - jitter
        pause = state.retry.wait(error, attempt=attempt, repeatable=call.repeatable, chance=chance)
        if pause is None or pause > min(time_left(), state.until - self.clock.now()) or not self.budget.spend(error):
            return None
        if state.watch is not None:
            state.watch.retry(error, pause)
        return pause

    def _result(self, call: Call[T], answer: Answer, lane: Lane, state: "_CallState", *, left_at: float) -> Result[T]:
        now = self.clock.now()
        result: Result[T]
        if not isinstance(answer, Response):
            lane.record_unanswered()
            state.add_repeated(answer.meta.attempts or 1)
            result = attrs.evolve(answer, meta=state.meta(call, now))
        else:
            if answer.attempts > 1:
                state.add_repeated(answer.attempts)
            clock, elapsed = self.clock, now - state.began
            result = self.decode(call, answer, attempts=state.attempts, elapsed=elapsed, now=clock.time)
            if state.keep_raw:
                result = attrs.evolve(result, meta=attrs.evolve(result.meta, raw_body=answer.body))
            meta = result.meta
            if isinstance(result, Throttled) and result.rate_limited:
                lane.record_throttled(now, left_at, self.retry.delay_of_others(result), meta.rate_limit)
            else:
                figures = meta.rate_limit if isinstance(result, Ok) or result.from_service else None
                lane.record_response(now, clock.time(), figures=figures, server_time=meta.server_time)
        if state.watch is not None:
            state.watch.answer(result)
        return result

    def _request(self, call: Call[T]) -> Request:
        headers = {**self.headers}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        return _new_request(call.method, f"{self.base_url}{call.target}", headers, call.body)

    def _queue(self, endpoint_class: str) -> TurnQueue:
        pace, lane, clock = self.pace, self.pace.lane(endpoint_class), self.clock
        slots = None
        if pace.shared is not None:
            slots = ReservedSlots(pace.shared, endpoint_class, lane, clock, pace.per_second)
        return self.queues.setdefault(endpoint_class, TurnQueue(lane, clock, self.retry.longest_wait, slots))

    def _without_turn(
        self, call: Call[T], state: "_CallState", entry: TooLate | Cancelled, last: Result[T] | None
    ) -> Result[T]:
        if isinstance(entry, TooLate):
            return self._rate_limited(call, state, entry.seconds)
        return self._cancelled(call, state, last)

    def _cancelled(self, call: Call[T], state: "_CallState", last: Result[T] | None) -> Result[T]:
        if last is None or isinstance(last, Ok):
            meta = state.meta(call, self.clock.now())
            return NotSent("it was cancelled by only_while before it was sent", code=CALLED_OFF, meta=meta)
        return attrs.evolve(last, may_have_happened=state.may_have_happened)

    def _rate_limited(self, call: Call[T], state: "_CallState", wait: float) -> ApiError:
        return Throttled(
            code="rate_limit_exceeded",
            message=f"the rate limit delays the next request by {wait:.3g} s, which is too long",
            retry_after=wait,
            may_have_happened=state.may_have_happened,
            meta=state.meta(call, self.clock.now()),
            from_service=False,
            own_words=True,
        )


@define
class _CallState:
    # The requests of one call so far; *repeated* counts those that a transport made beyond one for each attempt.
    began: float
    watch: Watch | None
    retry: Retry
    until: float = inf  # the time of the clock at which the call ends
    keep_raw: bool = False
    attempts: int = 0
    repeated: int = 0
    may_have_happened: bool = False

    def limit(self, options: CallOptions) -> None:
        # Take the options of the call over.
        self.retry, self.keep_raw = options.retry or self.retry, options.keep_raw
        if options.total_timeout is not None:
            self.until = self.began + options.total_timeout

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


_new_state: Final = constructor(_CallState)


def _with_headers(request: Request, watch: Watch) -> Request:
    more = watch.attempt(request)
    return attrs.evolve(request, headers={**more, **request.headers}) if more else request
