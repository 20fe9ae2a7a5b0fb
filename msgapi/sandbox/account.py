"""Account: the API emulated as a pure model. A request and the time go in, a reply comes out.

Rules:
- No clock, no sleep, no socket, no randomness but the seed's: the same requests give the same answers.
- Every request gets a documented answer; nothing that it holds makes the model raise.
- What the world does to an answer, such as losing it, is data that the shells act on.
"""

from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from hashlib import blake2b
from typing import Final, final

from attrs import define, evolve, field

from ..http import Request, Response
from ..results import Detail
from .http import requests as bodies
from .http.rate_limit import Figures, Limit, Window
from .http.responses import JSON, Reply, invalid, refuse
from .model import faults as luck
from .model.state import Ask, State
from .routes import table as routes
from .rules.lifecycle import advance

_BEARER: Final = "bearer "
_SOON: Final = 0.05  # seconds; the retry_after of a 429 that came by chance


@final
@define(eq=False, kw_only=True)
class Account:
    """One account with one API key: `handle` is the whole of its API."""

    api_key: str = field(repr=False)
    state: State
    sends: Limit
    reads: Limit
    role: routes.Role = "manager"
    requests: int = field(default=0, init=False)
    _windows: dict[str, Window] = field(factory=dict, init=False)

    def handle(self, request: Request, now: float) -> Reply:
        """Answer *request* at the moment *now*, in Unix seconds."""
        self.requests += 1
        advance(self.state, now)
        headers = {name.lower(): value for name, value in request.headers.items()}
        path, query = routes.target(request.url)
        if (request.method, path) == ("GET", "/openapi.json"):
            return _document()
        found = routes.find(request.method, path)
        window = self._window(found[0].band if found else "other")
        refused = self._unauthorized(headers)
        if refused is not None:
            return _stamped(refused, window.untouched(now), now)
        figures = window.take(now)
        if figures.wait is not None:
            reply = refuse(429, "rate_limit_exceeded", "Too many requests.", retry_after=figures.wait)
        elif found is None:
            reply = refuse(404, "not_found", "There is no such route.")
        elif routes.ROLES.index(self.role) < routes.ROLES.index(found[0].role):
            reply = refuse(403, "forbidden", f"The key needs the role of {found[0].role} for this.")
        else:
            ask = Ask(now, id=found[1], query=query, body=request.body or b"")
            reply = self._by_chance(found[0], headers, ask)
        return _stamped(reply, figures, now)

    def unreadable(self, now: float) -> Reply:
        """Answer what came at the moment *now* and could not be read as a request."""
        reply = invalid([Detail("", "is not HTTP/1.1 that can be read")], "The request is not HTTP that can be read.")
        return _stamped(reply, self._window("other").untouched(now), now)

    def _by_chance(self, route: routes.Route, headers: Mapping[str, str], ask: Ask) -> Reply:
        fate = self.state.chance.draw(self._name(headers, ask.body)) if self.state.chance.rate else None
        struck = luck.strike(fate, wait=_SOON) if fate else None
        if struck is not None:
            return struck
        reply = self._act(route, headers, ask)
        return evolve(reply, lost=True) if fate == "lost" else reply

    def _act(self, route: routes.Route, headers: Mapping[str, str], ask: Ask) -> Reply:
        if not route.writes:
            return route.action(self.state, ask)
        read = bodies.read(headers, ask.body, most=route.most, bare=route.bare)
        if isinstance(read, Reply):
            return read
        value, key = read
        body = bodies.content(value, ask.body) if key else b""
        keys, name = self.state.keys, (f"{route.method} {route.path} {ask.id}", key or "")
        again = keys.recall(name, body, ask.now) if key else None
        if again is not None:
            return again
        reply = route.action(self.state, evolve(ask, value=value, key=key))
        if key and reply.response.status < 300:  # noqa: PLR2004 - accepted
            keys.remember(name, body, reply.response, ask.now)
        return reply

    def _name(self, headers: Mapping[str, str], body: bytes) -> bytes:
        # What chance knows a request by: its key, its body, or else its number.
        key = headers.get("idempotency-key")
        if key is not None:
            return key.encode(errors="replace")
        return blake2b(body).digest() if body else str(self.requests).encode()

    def _window(self, band: str) -> Window:
        window = self._windows.get(band)
        if window is None:
            window = self._windows[band] = Window(self.sends if band == "sends" else self.reads)
        return window

    def _unauthorized(self, headers: Mapping[str, str]) -> Reply | None:
        given = headers.get("authorization", "")
        if not given:
            return refuse(401, "unauthorized", "There is no API key: send `Authorization: Bearer <api_key>`.")
        if given[: len(_BEARER)].lower() != _BEARER:
            return refuse(401, "unauthorized", "The Authorization header is not of the form `Bearer <api_key>`.")
        if given[len(_BEARER) :] != self.api_key:
            return refuse(401, "unauthorized", "The API key is not valid.")
        return None


def _document() -> Reply:
    from .openapi.document import document  # goes through every model, for the few that ask for it

    return Reply(Response(200, JSON, document()))


def _stamped(reply: Reply, figures: Figures, now: float) -> Reply:
    # A proxy's own page has none of the API's headers.
    given = reply.response
    headers = {**given.headers, "date": _date(int(now))}
    if "server" not in given.headers:
        headers.update(figures.headers())
    return Reply(Response(given.status, headers, given.body), reply.delay, reply.lost)


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
