"""The command `msgapi doctor`: one line for each check of this machine, with how to fix it, and the probe of --probe.

The probe calls each read-only route of the service once, and shows how its answer differs from the models.

Rules of the probe:
- Only GET requests are sent, at most one for each route.
- What is printed has routes, codes, and names and types of fields; no value of an answer.
"""

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from time import time
from typing import Any, Final, final
from urllib.parse import urlsplit

import attrs
import click
from attrs import frozen
from yarl import URL

from ... import agents, billing, campaigns, contacts, messages, testagent, webhooks
from ...calls import Call
from ...client import BASE_URL, Client
from ...config import Misconfigured, is_loopback
from ...observe import FieldDifference, drift
from ...observe.hooks import route_of
from ...results import Balance, NotSent, Ok, Result, Throttled, Unanswered, Unauthorized
from ...retry import Retry
from ...transports.common.opening import FROM_ENVIRONMENT, read_proxies
from ...version import VERSION
from ..advice import WRONG_SERVICE, advise_call, explain
from ..connection import run_async
from ..options import json_option
from ..output import CliError, Exit, TextTable, emit, emit_json, note, table_of

_NEEDED: Final = frozenset({"key", "base URL", "service"})  # checks that must pass before the routes are probed
_CALL: Final = billing.balance()
_TIMEOUT: Final = 10.0  # seconds of an attempt
_SKEW: Final = 5.0  # seconds of accepted difference between the clocks
_LIBRARIES: Final = ("anyio", "attrs", "cattrs", "orjson", "aiohttp", "click", "rich", "uvloop")
_ROWS: Final = 20  # of each list: enough to find a contact and a campaign in the log
_DAYS: Final = timedelta(days=7)  # of detailed usage
_SHARE: Final = "These tables have routes, and names and types of fields. They have no values, so they can be shared."
_MISSING: Final[Mapping[str, str]] = {
    "message": "the message log is empty",
    "contact": "the last messages name no contact",
    "campaign": "the last messages name no campaign",
    "agent": "pass --agent ID",
}


@final
@frozen
class Finding:
    """The result of one check. *todo* says how to fix it and is empty if the check passed."""

    name: str
    found: str
    todo: str = ""

    def line(self) -> str:
        """Return the finding as one line."""
        return f"{'ok ' if not self.todo else '!! '} {self.name:10}{self.found}{f' - {self.todo}' if self.todo else ''}"


@click.command
@click.option("--probe", "probing", is_flag=True, help="Call the read-only routes; compare answers and models.")
@click.option("--agent", "agent_id", metavar="ID", help="With --probe: also call the routes that read this agent.")
@json_option
def doctor(*, probing: bool, agent_id: str | None, json: bool) -> int:
    """Check whether this machine can send.

    Checks key, base URL, service, balance, clock and versions. With --probe, also lists the fields of answers that
    are not those of the documentation: names and types, no values. It sends GET requests only.

    Exit status: 0 all checks passed, 1 a check failed, 4 key or configuration.
    """
    if agent_id is not None and not probing:
        raise CliError("--agent is for --probe only")
    findings = [*_check_machine(), *run_async(_check_service)]
    probed = None
    if probing and not any(one.todo for one in findings if one.name in _NEEDED):
        probed = run_async(partial(probe, _key(), agent_id))
    if json:
        checks = [{"name": one.name, "ok": not one.todo, "found": one.found, "todo": one.todo} for one in findings]
        emit_json(checks if not probing else {"checks": checks, "probe": None if probed is None else probed.plain()})
    else:
        emit("\n".join(one.line() for one in findings))
        if probed is not None:
            probed.show()
        elif probing:
            note("nothing was probed: fix what the checks found first")
    wrong = {one.name for one in findings if one.todo}
    if wrong & {"key", "base URL"}:
        return Exit.CONFIGURATION
    return Exit.REFUSED if wrong else Exit.ACCEPTED


def _check_machine() -> Iterator[Finding]:
    yield Finding("versions", f"msgapi-sdk {VERSION}, Python {platform.python_version()}, {', '.join(_versions())}")
    if not _key():
        yield Finding("key", "none", "set MSGAPI_API_KEY to a key of the workspace")


def _key() -> str:
    return os.environ.get("MSGAPI_API_KEY", "")


def _versions() -> Iterator[str]:
    for name in _LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


async def _check_service() -> list[Finding]:
    url = await _check_settings("base URL", api_key="none") or _url()
    key = await _check_settings("key", api_key=_key(), base_url=BASE_URL) if _key() else None
    if url.todo or key is not None:
        return [url, *([] if key is None else [key])]
    proxy = _check_proxy(os.environ.get("MSGAPI_BASE_URL") or BASE_URL)
    async with Client(api_key=_key() or "none", retry=Retry(attempts=1), timeout=_TIMEOUT) as api:
        result = await api(_CALL)
    return [url, *proxy, *_check_answer(result), *_check_clock(result)]


async def _check_settings(name: str, *, api_key: str, base_url: str | None = None) -> Finding | None:
    try:
        async with Client(api_key=api_key, base_url=base_url):
            return None
    except Misconfigured as error:
        return Finding(name, "not usable", str(error))


def _url() -> Finding:
    given = os.environ.get("MSGAPI_BASE_URL")
    return Finding("base URL", _origin(given) if given else f"{BASE_URL} (MSGAPI_BASE_URL is not set)")


def _check_proxy(base_url: str) -> list[Finding]:
    # Whether the connection goes through a proxy of the environment; nothing if the environment has none.
    url, rules = URL(base_url), read_proxies(FROM_ENVIRONMENT, os.environ)
    if rules is None:
        return []
    proxy, bypassed = rules.choose(url), next(iter(rules.proxies.values()))
    if proxy is not None:
        return [Finding("proxy", f"{proxy} ({proxy.source})")]
    if not rules.is_bypassed(url):
        return [Finding("proxy", f"none: {bypassed.source} is not for {url.scheme}")]
    why = "this machine is reached without one" if is_loopback(f"{url.host}") else "NO_PROXY lists the host"
    return [Finding("proxy", f"none: {why} ({bypassed.source} is not used)")]


def _check_answer(result: Result[Balance]) -> Iterator[Finding]:
    match result:
        case Ok(Balance(free=None)):
            yield Finding("service", "answers, but without the free balance", WRONG_SERVICE)
        case Ok(balance):
            yield Finding("service", "reached")
            yield Finding("key", "accepted")
            yield Finding("balance", f"{balance.free} EUR free")
        case NotSent() | Unanswered():
            yield Finding("service", f"not reached, {explain(result)}", "check MSGAPI_BASE_URL, network and proxy")
        case error if error.scope == "foreign":
            yield Finding("service", f"not reached, {explain(error)}", WRONG_SERVICE)
        case Unauthorized():
            yield Finding("service", "reached")
            if _key():
                yield Finding("key", f"refused: {explain(result)}", advise_call(result, _CALL))
        case Throttled():
            yield Finding("service", "reached, but the rate limit of the key is used up", advise_call(result, _CALL))
        case _:
            yield Finding("service", f"answers {result.code}: {explain(result)}", advise_call(result, _CALL))


def _check_clock(result: Result[Balance]) -> Iterator[Finding]:
    server_time = result.meta.server_time
    if server_time is not None:
        ahead = time() - server_time
        todo = (
            ""
            if abs(ahead) <= _SKEW
            else "set the clock of this machine, for example with NTP: waiting times of rate limits depend on it"
        )
        yield Finding("clock", f"{abs(ahead):.0f} s {'ahead of' if ahead >= 0 else 'behind'} the service's", todo)


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
