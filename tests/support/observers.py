"""What the tests of observing share: a scripted client, and an observer that records the calls of its hooks."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from attrs import define, field

import msgapi
from msgapi import ApiError, Call, Client, NotSent, Request, Response, Result, Unanswered, VirtualClock
from msgapi.messages import Accepted
from msgapi.observe import BatchWatch, Observer, Watch
from msgapi.transports import Answer

KEY = "0b8f7c0e-8a52-4b0e-9f57-6a1f7a0c9e11"
SEND = Call("POST", "/v1/messages", Accepted, body=b'{"a":1}', idempotency_key=KEY)
ACCEPTED = Response(
    202,
    {},
    b'{"message_id":"msg_1","billing":{"message_price":0.07,"message_type":"basic_message"}}',
)
DOWN = Response(503, {}, b'{"error":"unavailable","message":"m"}')
LOST = Unanswered("reset")
REFUSED = NotSent("could not connect")


def limited(retry_after: float | None = None) -> Response:
    return Response(429, {}, orjson.dumps({"error": "rate_limit_exceeded", "message": "m", "retry_after": retry_after}))


@define
class Script:
    """A transport that answers by a script, its last line for ever; an exception in it is raised."""

    answers: Sequence[Answer | Exception]
    clock: VirtualClock
    latency: float = 0.0
    asked: list[Request] = field(factory=list)

    async def __call__(self, request: Request, /) -> Answer:
        self.asked.append(request)
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        await self.clock.sleep(self.latency)
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def observed(
    observer: Observer | None,
    *answers: Answer | Exception,
    **how: Any,  # noqa: ANN401 - what `connect` takes
) -> AsyncIterator[tuple[Client, Script]]:
    clock = VirtualClock()
    script = Script(answers, clock)
    options = {"api_key": "sk_test", "transport": script, "clock": clock, "observer": observer, **how}
    async with clock.autojump(), msgapi.Client(**options) as api:
        yield api, script


def name(result: Result[object] | None) -> str:
    return "None" if result is None else type(result).__name__


@define
class Notes(Observer, Watch, BatchWatch):
    """Records each call of a hook, and returns *headers* to send; *raising* names the hooks in which it raises."""

    raising: frozenset[str] = frozenset()
    headers: Mapping[str, str] | None = None
    recorded: list[str] = field(factory=list)

    def note(self, hook: str, *what: object) -> None:
        self.recorded.append(" ".join([hook, *map(str, what)]))
        if hook in self.raising:
            raise LookupError("+4915112345678")

    def call(self, call: Call[object], /) -> Watch:
        self.note("call", call.path)
        return self

    def attempt(self, request: Request, /) -> Mapping[str, str] | None:
        self.note("attempt", request.method)
        return self.headers

    def answer(self, result: Result[object], /) -> None:
        self.note("answer", name(result), result.meta.attempts)

    def wait(self, seconds: float, /) -> None:
        self.note("wait", round(seconds, 2))

    def retry(self, error: ApiError, seconds: float, /) -> None:
        self.note("retry", name(error), round(seconds))

    def result(self, result: Result[object] | None, /) -> None:
        self.note("result", name(result))

    def batch(self) -> BatchWatch:
        self.note("batch")
        return self

    def outcome(self, call: Call[object], result: Result[object], /) -> None:
        self.note("outcome", call.path, name(result))

    def stopped(self, reason: str, error: ApiError | None, /) -> None:
        self.note("stopped", reason, name(error))

    def resumed(self) -> None:
        self.note("resumed")

    def broken(self, error: BaseException, /) -> None:
        self.note("broken", type(error).__name__)

    def ended(self) -> None:
        self.note("ended")
