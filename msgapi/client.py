"""Client: carries calls out, over any transport, with retries and at the service's pace."""

import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from random import random
from typing import Any, Protocol, TypeVar, final

import anyio.lowlevel
import attrs
from attrs import define, field

from .addresses import checked_key, checked_url
from .calls import Call
from .clock import SYSTEM_CLOCK, Clock
from .codegen import constructor
from .http import Request, Response
from .observe import Observer, Watch, both
from .ratelimit.pace import Lane, Pace
from .ratelimit.queue import Cancelled, TooLate, Turn, TurnQueue, sleep_while, time_left
from .ratelimit.reservation import ReservedSlots
from .results import CALLED_OFF, ApiError, Meta, NotSent, Ok, Result, Throttled
from .retry import Budget, Retry
from .transports import Answer, Transport
from .version import VERSION

T = TypeVar("T")

BASE_URL = "https://api.arowana.app"
_DEFAULT_RETRY = Retry()
_new_request = constructor(Request)


class Decode(Protocol):
    """What turns an answer into a result: `decode.decode`."""

    def __call__(self, call: Call[T], response: Response, /, *, attempts: int, elapsed: float) -> Result[T]:
        """Read *response* as the result of *call*."""
        ...  # pragma: no cover


@final
@define(eq=False, repr=False)
class Client:
    """Carries out calls: `await client(call)`. Made by `connect`, and usable only inside it.

    Any number of tasks may share one client. It never raises for what the network or the server
    does; an exception is a mistake in the program, or one that the transport raised.
    """

    _base_url: str
    _headers: Mapping[str, str]
    _transport: Transport
    _retry: Retry
    _pace: Pace
    _clock: Clock
    _decode: "Decode"
    observer: Observer | None = None
    _budget: Budget = field(init=False)
    _gates: dict[str, TurnQueue] = field(factory=dict, init=False)
    _closed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        """Fill the retry budget."""
        self._budget = Budget(self._retry)

    def __repr__(self) -> str:
        """Show where it sends to; never the key."""
        return f"Client({self._base_url}{', closed' if self._closed else ''})"

    def __call__(
        self, call: Call[T], /, *, only_while: Callable[[], bool] | None = None
    ) -> Coroutine[Any, Any, Result[T]]:
        """Carry *call* out: its value in an `Ok`, or the error that it came to.

        Repeats by itself what may be repeated, as the `Retry` of `connect` says. Awaiting the same
        call again is safe if it has an idempotency key: it is the same operation.

        *only_while* is asked before each request leaves, and a few times a second while one waits for
        its turn. Once it says no, the call ends as its last attempt did, or as a `NotSent` with the
        code `called_off` if there was none.
        """
        if self._closed:
            raise RuntimeError("this client is closed: make calls inside its `async with msgapi.connect()`")
        if self.observer is None:
            return self._carry(call, only_while, None)
        return self._watched(call, only_while, self.observer)

    async def _watched(self, call: Call[T], only_while: Callable[[], bool] | None, observer: Observer) -> Result[T]:
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
            if gate.slots is not None:
                await gate.slots.report_error(result)
            pause = self._pause(call, course, result)
            if pause is None:
                return attrs.evolve(result, may_have_happened=course.doubtful)
            await sleep_while(self._clock, pause, only_while)
            now = self._clock.now()

    def _pause(self, call: Call[T], course: "_Course", error: ApiError) -> float | None:
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


@asynccontextmanager
async def connect(
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    transport: Transport | None = None,
    retry: Retry = _DEFAULT_RETRY,
    pace: Pace | None = None,
    timeout: float = 30.0,  # noqa: ASYNC109 - of one attempt, as a value; a deadline is the caller's `fail_after`
    clock: Clock = SYSTEM_CLOCK,
    observer: Observer | None = None,
) -> AsyncIterator[Client]:
    """Open a client for the time of an `async with`, and close what was opened at its end.

    *api_key* and *base_url* come from `MSGAPI_API_KEY` and `MSGAPI_BASE_URL` when not given; what is
    missing or unsafe is `Misconfigured`. A *transport* that was passed in is not closed; without
    one, aiohttp is used, with *timeout* seconds for each attempt. For a deadline over all attempts
    put the call into `anyio.fail_after`. *pace* can be shared by clients that share a key. *observer*
    is told what calls do.
    """
    key = checked_key(os.environ.get("MSGAPI_API_KEY") if api_key is None else api_key)
    url = checked_url((os.environ.get("MSGAPI_BASE_URL") or BASE_URL) if base_url is None else base_url)
    async with AsyncExitStack() as stack:
        if transport is None:
            from .transports import aiohttp

            transport = await stack.enter_async_context(aiohttp.opened(timeout=timeout))
        client = over(transport, key, url, retry=retry, pace=pace, clock=clock, observer=observer)
        yield stack.enter_context(client)


@contextmanager
def over(
    transport: Transport,
    api_key: str,
    base_url: str = BASE_URL,
    *,
    retry: Retry = _DEFAULT_RETRY,
    pace: Pace | None = None,
    clock: Clock = SYSTEM_CLOCK,
    observer: Observer | None = None,
) -> Iterator[Client]:
    """Make a client over *transport*, with nothing checked and nothing to wait for; it is closed at the end."""
    from .decode import decode  # brings the JSON libraries, which `import msgapi` does without

    headers = {
        "Authorization": f"Bearer {api_key}",
        "Accept": "application/json",
        "User-Agent": f"msgapi-sdk/{VERSION} Python/{sys.version_info.major}.{sys.version_info.minor}",
    }
    own, watched = Pace() if pace is None else pace, None if observer is None else both(observer)
    client = Client(base_url, headers, transport, retry, own, clock, decode, watched)
    try:
        yield client
    finally:
        client._closed = True  # noqa: SLF001 - the client's own lifetime
