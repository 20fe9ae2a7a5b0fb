"""Faulty: a seeded plan of faults around another transport.

Rules:
- Which fault strikes the n-th request depends only on the seed, the rates and n.
- A fault after which the server has seen the request is never reported as `NotSent`.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, fsum, isfinite
from random import Random
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, final, get_args

import anyio.lowlevel
import attrs
from attrs import define, field

from ..clock import SYSTEM_CLOCK, Clock
from ..http import Request, Response
from ..results import NotSent, Unanswered
from .protocol import Answer, Transport

Fault: TypeAlias = Literal[
    "not_sent", "reset", "lost", "truncated", "slow", "twice", "throttled", "unavailable", "fault", "html"
]
"""What may strike a request; `Faulty` says what each does."""

FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
_NO_RATES: Final[Mapping[Fault, float]] = MappingProxyType({})
_PAGE: Final = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"


def _refuse(status: int, code: str, more: str = "", headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    body = f'{{"error":"{code}","message":"struck by a fault","details":[]{more}}}'
    return Response(status, {"content-type": "application/json", **headers}, body.encode())


_INSTEAD: Final[Mapping[Fault | None, Answer]] = {
    "not_sent": NotSent("struck by a fault before it left"),
    "reset": Unanswered("struck by a fault: the connection was reset"),
    "unavailable": _refuse(503, "service_unavailable"),
    "fault": _refuse(500, "internal_error"),
    "html": Response(502, {"content-type": "text/html; charset=utf-8"}, _PAGE),
}


def _checked_plan(_: object, __: object, plan: Sequence[Fault | None]) -> None:
    _check_names(name for name in plan if name is not None)


def _checked_rates(_: object, __: object, rates: Mapping[Fault, float]) -> None:
    _check_names(rates)
    if not all(0 <= rate <= 1 for rate in rates.values()):
        raise ValueError("a rate is a share of the requests, from 0 to 1")
    if fsum(rates.values()) > 1 + 1e-9:
        raise ValueError("the rates come to more than 1: no request is struck by two faults")


def _checked_seconds(_: object, name: "attrs.Attribute[float]", seconds: float) -> None:
    if not (isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{name.alias} must be a number of seconds, from 0")


def _check_names(names: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(FAULTS))
    if unknown:
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")


@final
@define(eq=False)
class Faulty:
    """A transport around *transport* that is struck by faults, the same ones in every run.

    The first requests are struck as *plan* says, None for no fault; those after it by chance, each
    fault at its rate of *rates*, as drawn from *seed*. A request is struck by one fault at most:

    - `not_sent`: nothing gets through; `NotSent`.
    - `reset`: nothing gets through, but nobody can tell; `Unanswered`.
    - `lost`: the request gets through, the answer does not; `Unanswered`.
    - `truncated`: the answer comes with the first half of its body.
    - `slow`: the answer is held back for *slow* seconds on *clock*.
    - `twice`: the request gets through twice; the second answer comes back.
    - `throttled`: 429 `rate_limit_exceeded` with *retry_after* seconds, and the `X-RateLimit-*`
      headers unless *limit_headers* is False. Nothing gets through; nor does it with the last three:
    - `unavailable`: 503 `service_unavailable`. `fault`: 500 `internal_error`. `html`: 502, a page.

    `struck` tells what happened to each request so far, in the order in which they came. An unknown
    fault, a rate outside 0 to 1, rates of more than 1 together or a negative time is a ValueError.
    """

    transport: Transport
    seed: int = field(default=0, kw_only=True)
    rates: Mapping[Fault, float] = field(default=_NO_RATES, kw_only=True, validator=_checked_rates)
    plan: Sequence[Fault | None] = field(default=(), kw_only=True, validator=_checked_plan)
    slow: float = field(default=3.0, kw_only=True, validator=_checked_seconds)
    retry_after: float = field(default=1.0, kw_only=True, validator=_checked_seconds)
    limit_headers: bool = field(default=True, kw_only=True)
    clock: Clock = field(default=SYSTEM_CLOCK, kw_only=True, repr=False)
    struck: list[Fault | None] = field(factory=list, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request*, or let happen to it what the plan has for it."""
        fault = self._draw(len(self.struck))
        self.struck.append(fault)
        await anyio.lowlevel.checkpoint()
        if fault == "throttled":
            return self._throttle()
        return _INSTEAD[fault] if fault in _INSTEAD else await self._through(fault, request)

    def _draw(self, number: int) -> Fault | None:
        if number < len(self.plan):
            return self.plan[number]
        drawn = Random(f"{self.seed} {number}").random()  # noqa: S311 - the same in every run is the point
        for fault in FAULTS:
            drawn -= self.rates.get(fault, 0.0)
            if drawn < 0:
                return fault
        return None

    async def _through(self, fault: Fault | None, request: Request) -> Answer:
        answer = await self.transport(request)
        if fault == "twice":
            answer = await self.transport(request)
        if fault == "slow":
            await self.clock.sleep(self.slow)
        if fault == "truncated" and isinstance(answer, Response):
            return attrs.evolve(answer, body=answer.body[: len(answer.body) // 2])
        return Unanswered("struck by a fault: the answer was lost") if fault == "lost" else answer

    def _throttle(self) -> Response:
        reset = ceil(self.clock.time() + self.retry_after)
        figures = {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}
        more = f',"retry_after":{self.retry_after}'
        return _refuse(429, "rate_limit_exceeded", more, figures if self.limit_headers else {})
