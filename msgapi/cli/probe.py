"""Probe: each read-only route of the service, called once, and how its answer differs from the models.

Rules:
- Only GET requests are sent, at most one for each route.
- What is printed has routes, codes, and names and types of fields; no value of an answer.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, final

import attrs
from attrs import frozen

from .. import agents, billing, campaigns, contacts, messages, testagent, webhooks
from ..calls import Call
from ..client import Client
from ..observe import FieldDifference, drift
from ..observe.hooks import route_of
from ..results import NotSent, Ok, Result, Unanswered, Unauthorized
from ..retry import Retry
from .output import TextTable, emit, table_of

_ROWS: Final = 20  # of each list: enough to find a contact and a campaign in the log
_TIMEOUT: Final = 10.0  # seconds of an attempt
_DAYS: Final = timedelta(days=7)  # of detailed usage
_SHARE: Final = "These tables have routes, and names and types of fields. They have no values, so they can be shared."


@final
@frozen
class ProbedRoute:
    """One route. *answer* is `Ok` or the class and code of the error; it is empty if the route was *skipped*."""

    route: str
    answer: str = ""
    skipped: str = ""


@final
@frozen
class Probe:
    """The result of a probe."""

    routes: tuple[ProbedRoute, ...]
    differences: tuple[FieldDifference, ...]

    def show(self) -> None:
        """Print the routes and the differences as two tables."""
        routes = table_of("route", "answer", "#differences")
        for one in self.routes:
            count = sum(each.route.split(" ")[:2] == one.route.split(" ") for each in self.differences)
            routes.add_row(one.route, one.answer or f"not called: {one.skipped}", f"{count}" if one.answer else "")
        emit(routes)
        if self.differences:
            emit(_table(self.differences))
        emit(_SHARE)

    def plain(self) -> dict[str, object]:
        """Return the result as the types of JSON."""
        return {
            "routes": [attrs.asdict(one) for one in self.routes],
            "differences": [attrs.asdict(one) for one in self.differences],
        }


def _table(differences: tuple[FieldDifference, ...]) -> TextTable:
    table = table_of("route", "field", "difference", "expected", "found", "#answers")
    for one in differences:
        kind = one.kind.replace("_", " ")
        table.add_row(one.route, one.field, kind, one.expected, one.found, f"{one.answers} of {one.compared}")
    return table


async def probe(api_key: str, agent_id: str | None) -> Probe:
    """Call the read-only routes and return what was found. *agent_id* is for the routes of an agent.

    The probe ends early if the service cannot be reached or refuses the key.
    """
    observer = drift(report=lambda _: None)
    routes: list[ProbedRoute] = []
    async with Client(api_key=api_key, retry=Retry(attempts=2), timeout=_TIMEOUT, observer=observer) as client:

        async def called(call: Call[Any]) -> Result[Any]:
            result = await client(call)
            answer = "Ok" if isinstance(result, Ok) else f"{type(result).__name__} {result.code}"
            routes.append(ProbedRoute(route_of(call), answer))
            return result

        log: Mapping[str, str] = {}
        for call in _calls():
            result = await called(call)
            if isinstance(result, NotSent | Unanswered | Unauthorized):
                return Probe(tuple(routes), observer.differences())
            if isinstance(result, Ok) and isinstance(result.value, messages.Page):
                log = _ids(result.value)
        for call, skipped in _calls_with_id(log, agent_id):
            if skipped:
                routes.append(ProbedRoute(route_of(call), skipped=skipped))
            else:
                _ = await called(call)
    return Probe(tuple(routes), observer.differences())


def _calls() -> Iterator[Call[Any]]:
    today: date = datetime.now(UTC).date()
    yield billing.balance()
    yield billing.usage()
    yield billing.detailed_usage(since=today - _DAYS, until=today)
    yield billing.tier()
    yield billing.transactions(limit=_ROWS)
    yield billing.invoices(limit=_ROWS)
    yield billing.payment_methods()
    yield billing.auto_reload()
    yield webhooks.list(limit=_ROWS)
    yield testagent.status()
    yield messages.list(limit=_ROWS)


_MISSING: Final[Mapping[str, str]] = {
    "message": "the message log is empty",
    "contact": "the last messages name no contact",
    "campaign": "the last messages name no campaign",
    "agent": "pass --agent ID",
}


def _ids(page: messages.Page) -> dict[str, str]:
    # The ids in the log that other routes need: of the newest row that has one.
    found: dict[str, str] = {}
    for row in page.messages:
        ids = {"message": row.id, "contact": row.contact_id, "campaign": row.campaign_id}
        found = {name: one for name, one in ids.items() if one} | found
    return found


def _calls_with_id(log: Mapping[str, str], agent_id: str | None) -> Iterator[tuple[Call[Any], str]]:
    # Yields each call that needs an id, and why it cannot be made: empty if it can.
    ids = {**log, "agent": agent_id}
    routes: tuple[tuple[str, Callable[[str], Call[Any]]], ...] = (
        ("message", messages.get),
        ("contact", contacts.get),
        ("contact", contacts.list_consents),
        ("campaign", campaigns.status),
        ("agent", agents.get),
        ("agent", agents.launch_status),
    )
    for name, function in routes:
        given = ids.get(name)
        yield function(given or "{id}"), "" if given else _MISSING[name]
