"""`Faulty`: a transport that injects faults into another one, reproducibly.

Rules:
- The fault of the n-th request depends only on the plan, the seed, the rates and n.
- If the server received the request, the outcome is never `NotSent`.
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
"""A fault of one request; the docstring of `Faulty` describes each."""

FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
_NO_RATES: Final[Mapping[Fault, float]] = MappingProxyType({})
PROXY_PAGE: Final = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"
"""What a proxy sends if the service behind it does not respond."""


def _error_response(
    status: int, code: str, more: str = "", headers: Mapping[str, str] = MappingProxyType({})
) -> Response:
    body = f'{{"error":"{code}","message":"injected fault","details":[]{more}}}'
    return Response(status, {"content-type": "application/json", **headers}, body.encode())


_OUTCOMES: Final[Mapping[Fault | None, Answer]] = {
    "not_sent": NotSent("injected fault: the request was not sent"),
    "reset": Unanswered("injected fault: the connection was reset"),
    "unavailable": _error_response(503, "service_unavailable"),
    "fault": _error_response(500, "internal_error"),
    "html": Response(502, {"content-type": "text/html; charset=utf-8"}, PROXY_PAGE),
}


def _check_plan(_: object, __: object, plan: Sequence[Fault | None]) -> None:
    _check_names(name for name in plan if name is not None)


def _check_rates(_: object, __: object, rates: Mapping[Fault, float]) -> None:
    _check_names(rates)
    if not all(0 <= rate <= 1 for rate in rates.values()):
        raise ValueError("a rate is a share of the requests, from 0 to 1")
    if fsum(rates.values()) > 1 + 1e-9:
        raise ValueError("the sum of the rates is more than 1: a request has at most one fault")


def _check_seconds(_: object, name: "attrs.Attribute[float]", seconds: float) -> None:
    if not (isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{name.alias} must be a number of seconds, from 0")


def _check_names(names: Iterable[str]) -> None:
    unknown = sorted(set(names) - set(FAULTS))
    if unknown:
        raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")


@final
@define(eq=False)
class Faulty:
    """A transport that sends over *transport* and injects faults, the same ones in every run.

    The first requests get the faults of *plan*, where None is no fault. For each later request a fault is drawn with
    the probabilities in *rates*, from *seed*. A request gets at most one fault:

    - `not_sent`: the request is not sent; `NotSent`.
    - `reset`: the request is not sent, but the caller cannot know that; `Unanswered`.
    - `lost`: the request is sent and the response is lost; `Unanswered`.
    - `truncated`: the response has only the first half of its body.
    - `slow`: the response is delayed by *slow* seconds on *clock*.
    - `twice`: the request is sent twice; the second response is returned.
    - `throttled`: the request is not sent; 429 `rate_limit_exceeded` with *retry_after* seconds, and with the
      `X-RateLimit-*` headers unless *limit_headers* is False.
    - `unavailable`, `fault`, `html`: the request is not sent; 503 `service_unavailable`, 500 `internal_error`, or 502
      with an HTML page.

    `struck` lists the fault of each request so far, in the order of the requests. Raise ValueError for an unknown
    fault, a rate outside 0 to 1, rates whose sum is more than 1, and a negative time.
    """

    transport: Transport
    seed: int = field(default=0, kw_only=True)
    rates: Mapping[Fault, float] = field(default=_NO_RATES, kw_only=True, validator=_check_rates)
    plan: Sequence[Fault | None] = field(default=(), kw_only=True, validator=_check_plan)
    slow: float = field(default=3.0, kw_only=True, validator=_check_seconds)
    retry_after: float = field(default=1.0, kw_only=True, validator=_check_seconds)
    limit_headers: bool = field(default=True, kw_only=True)
    clock: Clock = field(default=SYSTEM_CLOCK, kw_only=True, repr=False)
    struck: list[Fault | None] = field(factory=list, init=False, repr=False)

    async def __call__(self, request: Request, /) -> Answer:
        """Send *request*, with the fault that the plan or the rates have for it."""
        fault = self._draw(len(self.struck))
        self.struck.append(fault)
        await anyio.lowlevel.checkpoint()
        if fault == "throttled":
            return self._throttle()
        return _OUTCOMES[fault] if fault in _OUTCOMES else await self._send(fault, request)

    def _draw(self, number: int) -> Fault | None:
        if number < len(self.plan):
            return self.plan[number]
        drawn = Random(f"{self.seed} {number}").random()  # noqa: S311 - the same in every run is the point
        for fault in FAULTS:
            drawn -= self.rates.get(fault, 0.0)
            if drawn < 0:
                return fault
        return None

    async def _send(self, fault: Fault | None, request: Request) -> Answer:
        outcome = await self.transport(request)
        if fault == "twice":
            outcome = await self.transport(request)
        if fault == "slow":
            await self.clock.sleep(self.slow)
        if fault == "truncated" and isinstance(outcome, Response):
            return attrs.evolve(outcome, body=outcome.body[: len(outcome.body) // 2])
        return Unanswered("injected fault: the response was lost") if fault == "lost" else outcome

    def _throttle(self) -> Response:
        reset = ceil(self.clock.time() + self.retry_after)
        headers = {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)}
        more = f',"retry_after":{self.retry_after}'
        return _error_response(429, "rate_limit_exceeded", more, headers if self.limit_headers else {})
