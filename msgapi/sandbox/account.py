"""One account of the API as a pure model: `Account.handle` takes a request and the time, and returns a response.

Rules:
- No clock, no sleep, no socket, and no randomness except the seed's: the same requests have the same responses.
- Every request has a documented response; no content of a request makes the model raise.
- The delay or the loss of a response is data, on which the callers act.
- The rate limit is a number of requests in each window of time, counted separately for each endpoint class.
"""

from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from hashlib import blake2b
from math import ceil, floor
from typing import Final, final

from attrs import define, evolve, field, fields, frozen
from attrs.validators import and_, ge, gt, le

from ..codegen import constructor, copier
from ..http import CONTROL_PREFIX, SANDBOX_HEADER, Request, Response, new_response
from ..results import Detail
from ..version import VERSION
from .http.requests import RouteRequest, bearer_token, new_request, operation_of, read_body, split_url, with_fields
from .http.responses import JSON_HEADERS, SimulatedResponse, error_response, invalid_request, not_found
from .model.faults import fault_response
from .model.inspection import RateLimitView
from .model.state import ROLES, AccountOptions, AccountState, Role
from .routes.table import ENDPOINT_CLASSES, Route, find_route
from .rules.lifecycle import advance


@final
@frozen
class WindowLimit:
    """At most *requests* in each fixed window of *window* seconds; windows begin at multiples of it."""

    requests: int = field(validator=and_(ge(1), le(2**53)))
    window: float = field(default=1.0, validator=and_(gt(0), le(366 * 86_400)))  # so that its end is a date


@final
@frozen
class WindowState:
    """The values of the rate limit headers after a request.

    *wait* is the number of seconds until the reset if the request was refused, else None.
    """

    limit: int
    remaining: int
    reset: float
    wait: float | None = None

    def add_headers(self, headers: dict[str, str]) -> None:
        """Add the `X-RateLimit-*` headers (docs: /api/conventions); the reset is in Unix seconds."""
        headers["x-ratelimit-limit"] = str(self.limit)
        headers["x-ratelimit-remaining"] = str(self.remaining)
        whole = int(self.reset)
        headers["x-ratelimit-reset"] = str(whole) if self.reset == whole else f"{self.reset:.3f}"


_new_window: Final = constructor(WindowState)
_with_response: Final = copier(SimulatedResponse, "response")


@final
@define(eq=False)
class WindowCounter:
    """The request count of one endpoint class. A refused request is not counted."""

    limit: WindowLimit
    counted: tuple[int, int] = field(default=(-1, 0), init=False)  # the number of the window, and its requests

    def count(self, now: float) -> WindowState:
        """Count a request at *now*, in Unix seconds, or refuse it."""
        number = floor(now / self.limit.window)
        before, used = self.counted
        if number != before:
            used = 0
        reset = (number + 1) * self.limit.window
        if used >= self.limit.requests:
            return WindowState(self.limit.requests, 0, reset, wait=ceil(max(reset - now, 0.0) * 1000 + 1) / 1000)
        self.counted = (number, used + 1)
        return _new_window(self.limit.requests, self.limit.requests - used - 1, reset)

    def view(self, endpoint_class: str, now: float) -> RateLimitView:
        """Return the limit, and how much of it remains at *now*."""
        unused, (number, used) = self.unused(now), self.counted
        remaining = self.limit.requests - used if number == floor(now / self.limit.window) else unused.remaining
        return RateLimitView(endpoint_class, unused.limit, remaining, unused.reset, self.limit.window)

    def unused(self, now: float) -> WindowState:
        """Return the state of a window in which no request was counted."""
        most, window = self.limit.requests, self.limit.window
        return WindowState(most, most, (floor(now / window) + 1) * window)


_RETRY_AFTER: Final = 0.05  # seconds; of a 429 that is a random fault


@final
@define(eq=False, init=False, repr=False)
class Account:
    """One account with one API key."""

    options: AccountOptions
    api_key: str
    role: Role
    state: AccountState
    send_limit: WindowLimit
    read_limit: WindowLimit
    requests: int
    counters: dict[str, WindowCounter]

    def __init__(self, options: AccountOptions) -> None:
        """Create an account."""
        self.options = options
        self.api_key = options.api_key
        self.role = options.role
        self.state = AccountState(options)
        self.state.account = self
        self.send_limit = WindowLimit(options.rate_limit, options.window)
        self.read_limit = WindowLimit(options.read_limit, options.window)
        self.requests = 0
        self.counters = {}

    def adopt(self, other: "Account") -> None:
        """Take over the options, the state and the counts of *other*. They do not count the request that causes it."""
        for one in fields(Account):
            setattr(self, one.name, getattr(other, one.name))
        self.state.account = self

    def handle(self, request: Request, now: float) -> SimulatedResponse:
        """Respond to *request* at the time *now*, in Unix seconds."""
        advance(self.state, now)
        headers = request.headers
        if not all(map(str.islower, headers)):  # the server has lowered them
            headers = {name.lower(): value for name, value in headers.items()}
        path, query = split_url(request.url)
        if (request.method, path) == ("GET", "/openapi.json"):
            return _document()
        found = find_route(request.method, path)
        is_control = path.startswith(CONTROL_PREFIX)
        self.requests += not is_control
        counter = self.counter(found[0].endpoint_class if found else "other")
        unauthorized = self.check_key(headers)
        if found is not None and found[0].is_public:
            answer = found[0].action(self.state, RouteRequest(now))
            return _with_version(_with_headers(answer, counter.unused(now), now))
        limit = counter.unused(now) if unauthorized is not None else counter.count(now)
        if unauthorized is not None:
            response = unauthorized
        elif limit.wait is not None:
            response = error_response(429, "rate_limit_exceeded", "Too many requests.", retry_after=limit.wait)
        elif found is None:
            response = not_found("route")
        elif ROLES.index(self.role) < ROLES.index(found[0].role):
            response = error_response(403, "forbidden", f"The key needs the role of {found[0].role} for this.")
        else:
            received = new_request(now, id=found[1], query=query, body=request.body or b"")
            response = self._with_random_fault(found[0], headers, received)
        answer = _with_headers(response, limit, now)
        if is_control:
            return _with_version(answer)
        self.state.requests.add(now, request, headers.get("idempotency-key"), answer)
        return answer

    def handle_malformed(self, now: float) -> SimulatedResponse:
        """Respond, at the Unix time *now*, to bytes that are not a valid HTTP request."""
        detail = Detail("", "is not HTTP/1.1 that can be read")
        response = invalid_request([detail], "The request is not HTTP that can be read.")
        return _with_headers(response, self.counter("other").unused(now), now)

    def _with_random_fault(self, route: Route, headers: Mapping[str, str], request: RouteRequest) -> SimulatedResponse:
        faults = self.state.faults
        has_faults = faults.rate > 0 and route.has_random_faults
        fault = faults.draw(self._name_of(headers, request.body)) if has_faults else None
        failed = fault_response(fault, retry_after=_RETRY_AFTER) if fault else None
        if failed is not None:
            return evolve(failed, fault=fault)
        response = self._run(route, headers, request)
        if fault is None:
            return response
        delay = self.state.slow if fault == "slow" else 0.0
        lost = response.lost or fault == "lost"
        return evolve(response, lost=lost, delay=max(response.delay, delay), fault=fault)

    def _run(self, route: Route, headers: Mapping[str, str], request: RouteRequest) -> SimulatedResponse:
        if not route.writes:
            return route.action(self.state, request)
        read = read_body(headers, request.body, max_bytes=route.max_body, without_fields=route.without_fields)
        if isinstance(read, SimulatedResponse):
            return read
        fields, key = read
        request = with_fields(request, fields, key)
        if key is None:
            return route.action(self.state, request)
        operation = operation_of(f"{route.method} {route.path}", request)
        stored = self.state.idempotency.replay(operation, request.now)
        if stored is not None:
            return stored
        response = route.action(self.state, request)
        if response.response.status < 300:  # noqa: PLR2004 - accepted
            # Read `self.state` again: the action may have replaced it.
            self.state.idempotency.store(operation, response.response, request.now)
        return response

    def _name_of(self, headers: Mapping[str, str], body: bytes) -> bytes:
        # The name of a request for random faults: its key, else its body, else its number.
        key = headers.get("idempotency-key")
        if key is not None:
            return key.encode(errors="replace")
        return blake2b(body).digest() if body else str(self.requests).encode()

    def counter(self, endpoint_class: str) -> WindowCounter:
        """Return the request count of an endpoint class."""
        counter = self.counters.get(endpoint_class)
        if counter is None:
            limit = self.send_limit if endpoint_class == "sends" else self.read_limit
            counter = self.counters[endpoint_class] = WindowCounter(limit)
        return counter

    def rate_limits(self, now: float) -> tuple[RateLimitView, ...]:
        """Return the rate limit of every endpoint class at *now*, in Unix seconds."""
        return tuple(self.counter(one).view(one, now) for one in ENDPOINT_CLASSES)

    def check_key(self, headers: Mapping[str, str]) -> SimulatedResponse | None:
        """Return the response to a request without the key in its lower-case *headers*; None if it has it."""
        given = headers.get("authorization", "")
        if not given:
            return error_response(401, "unauthorized", "There is no API key: send `Authorization: Bearer <api_key>`.")
        token = bearer_token(given)
        if token is None:
            message = "The Authorization header is not of the form `Bearer <api_key>`."
            return error_response(401, "unauthorized", message)
        return None if token == self.api_key else error_response(401, "unauthorized", "The API key is not valid.")


def _document() -> SimulatedResponse:
    from .openapi.operations import document  # describes every model, which few programs need

    return SimulatedResponse(Response(200, JSON_HEADERS, document()))


def _with_version(simulated: SimulatedResponse) -> SimulatedResponse:
    response = simulated.response
    return _with_response(simulated, evolve(response, headers={**response.headers, SANDBOX_HEADER: VERSION}))


def _with_headers(simulated: SimulatedResponse, limit: WindowState, now: float) -> SimulatedResponse:
    # The page of a proxy has none of the API's headers.
    response = simulated.response
    headers = {**response.headers, "date": _date(int(now))}
    if "server" not in headers:
        limit.add_headers(headers)
    return _with_response(simulated, new_response(response.status, headers, response.body))


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
