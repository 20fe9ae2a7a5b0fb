"""Endpoints: where the events go, by webhook, and which of them each one asks for."""

from collections.abc import Iterator
from typing import final

from attrs import define, field, frozen

from ...privacy import hidden
from ..http.responses import iso


@final
@frozen(kw_only=True)
class Endpoint:
    """One endpoint; *secret* signs what goes there, and is never told."""

    id: str
    url: str = field(repr=hidden)
    events: tuple[str, ...]
    secret: str = field(repr=hidden)
    created_at: float

    def figures(self) -> dict[str, object]:
        """Write the endpoint as the API shows it (docs: /api/webhooks/overview)."""
        return {"id": self.id, "url": self.url, "events": self.events, "created_at": iso(self.created_at)}


@final
@define(eq=False, repr=False)
class Endpoints:
    """All endpoints, by their ids."""

    _endpoints: dict[str, Endpoint] = field(factory=dict, init=False)

    def __iter__(self) -> Iterator[Endpoint]:
        """Go through the endpoints, the oldest first."""
        return iter(tuple(self._endpoints.values()))

    def find(self, endpoint_id: str) -> Endpoint | None:
        """Find an endpoint by its id."""
        return self._endpoints.get(endpoint_id)

    def put(self, endpoint: Endpoint) -> None:
        """Enter an endpoint, in place of the one with its id if there is one."""
        self._endpoints[endpoint.id] = endpoint

    def drop(self, endpoint_id: str) -> bool:
        """Forget an endpoint; False if there is none."""
        return self._endpoints.pop(endpoint_id, None) is not None

    def asking(self, event: str) -> tuple[Endpoint, ...]:
        """Find the endpoints that ask for *event*."""
        return tuple(one for one in self._endpoints.values() if event in one.events) if self._endpoints else ()
