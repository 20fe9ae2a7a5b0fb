"""Routes: which method and path leads to which function, and under which rate limit."""

from collections.abc import Callable
from typing import Final, TypeAlias, final
from urllib.parse import unquote

from attrs import frozen

from . import history, sending
from .answers import Reply, say
from .state import Ask, State

Action: TypeAlias = Callable[[State, Ask], Reply]


@final
@frozen
class Route:
    """One route: `{id}` in *path* takes any one segment. *band* is the kind of endpoint that it is counted as.

    One with *writes* has a JSON object as its body, and an idempotency key if the caller likes.
    """

    method: str
    path: str
    band: str
    action: Action
    writes: bool = False

    @property
    def segments(self) -> tuple[str, ...]:
        """The path, cut at its slashes."""
        return tuple(self.path.split("/"))


def _balance(state: State, _: Ask) -> Reply:
    return say(state.purse.figures())


ROUTES: Final = (
    Route("POST", "/v1/messages", "sends", sending.send, writes=True),
    Route("GET", "/v1/messages", "messages", history.list_messages),
    Route("GET", "/v1/messages/{id}", "messages", history.show),
    Route("DELETE", "/v1/messages/{id}", "messages", history.revoke),
    Route("GET", "/v1/billing/balance", "billing", _balance),
)
"""All routes of the sandbox."""

_BY_METHOD: Final = {
    method: tuple((route, route.segments) for route in ROUTES if route.method == method)
    for method in {route.method for route in ROUTES}
}


def find(method: str, path: str) -> tuple[Route, str] | None:
    """Find the route of a request and the id in its *path*, which is percent-encoded as it came."""
    given = path.split("/")
    for route, segments in _BY_METHOD.get(method, ()):
        if len(segments) == len(given):
            pairs = list(zip(segments, given, strict=True))
            if all(wanted in {one, "{id}"} for wanted, one in pairs):
                return route, next((unquote(one) for wanted, one in pairs if wanted == "{id}"), "")
    return None
