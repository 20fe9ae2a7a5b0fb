"""The command `msgapi doctor`: one line for each check of this machine, with how to fix it, and the probe of --probe.

The probe calls each read-only route of the service once, and shows how its answer differs from the models.

Rules of the probe:
- Only GET requests are sent, at most one for each route.
- What is printed has routes, codes, and names and types of fields; no value of an answer.
"""

import os
import platform
import ssl
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from time import time
from typing import Any, Final, final

import attrs
import click
from attrs import define, field, frozen
from yarl import URL

from ... import agents, billing, campaigns, contacts, messages, testagent, webhooks
from ...calls import Call
from ...client import BASE_URL, Client
from ...config import Misconfigured, check_url, is_loopback, key_problem
from ...observe import FieldDifference, Observer, drift
from ...observe.hooks import route_of
from ...results import Balance, NotSent, Ok, Result, Throttled, Unanswered, Unauthorized
from ...retry import Retry
from ...transports.common.opening import FROM_ENVIRONMENT, Proxy, read_proxies
from ...version import VERSION
from ..advice import WRONG_SERVICE, advise_call, explain
from ..connection import NO_KEY, ServiceSettings, run_async, service_settings
from ..options import connection_values, json_option, profile_options
from ..output import CliError, Exit, TextTable, emit, emit_json, note, table_of

_NEEDED: Final = frozenset({"key", "base URL", "service"})  # checks that must pass before the routes are probed
_CONFIGURATION: Final = frozenset({"profile", "key", "base URL", "proxy"})  # checks whose failure is exit status 4
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
@profile_options
@json_option
def doctor(*, probing: bool, agent_id: str | None, json: bool) -> int:
    """Check whether this machine can send.

    Checks versions, profile, key, base URL, proxy, service, balance and clock. With --probe, also lists the fields of
    answers that are not those of the documentation: names and types, no values. It sends GET requests only.

    Exit status: 0 all checks passed, 1 a check failed, 4 key or configuration.
    """
    if agent_id is not None and not probing:
        raise CliError("--agent is for --probe only")
    setup = Setup.find()
    findings = [*_check_machine(), *setup.findings, *run_async(partial(_check_service, setup))]
    probed = None
    if probing and not any(one.todo for one in findings if one.name in _NEEDED):
        probed = run_async(partial(probe, setup, agent_id))
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
    if wrong & _CONFIGURATION:
        return Exit.CONFIGURATION
    return Exit.REFUSED if wrong else Exit.ACCEPTED


@final
@define(eq=False)
class Setup:
    """To what the client of the checks connects, and what was found while this was determined.

    If the configuration cannot be used, the checks continue with what is known from the environment.
    """

    settings: ServiceSettings
    key: str = field(default="", repr=False)
    findings: list[Finding] = field(factory=list)

    @classmethod
    def find(cls) -> "Setup":
        """Read the options, the environment and the profile. Never raises."""
        try:
            setup = cls(service_settings())
            setup.findings.append(_describe_profile(setup.settings))
        except CliError as error:
            given = os.environ.get("MSGAPI_BASE_URL") or None
            setup = cls(ServiceSettings(profile=None, named=False, base_url=given, url_source="MSGAPI_BASE_URL"))
            setup.findings.append(
                Finding("profile" if "proxy" not in connection_values() else "proxy", "not usable", str(error))
            )
        setup._check_key()
        return setup

    def _check_key(self) -> None:
        try:
            key = self.settings.read_key()
        except CliError as error:
            text = str(error)
            found = (
                Finding("key", "none", text.partition(": ")[2])
                if text == NO_KEY
                else Finding("key", "not usable", text)
            )
            self.findings.append(found)
            return
        problem = key_problem(key)
        if problem is None:
            self.key = key
        else:
            self.findings.append(Finding("key", f"not usable ({self.settings.key_source})", str(problem)))

    def client(self, *, retry: Retry, observer: Observer | None = None) -> Client:
        """Return a client for the checks."""
        settings = self.settings
        return Client(
            api_key=self.key or "none",
            base_url=settings.base_url,
            proxy=settings.client_proxy,
            retry=retry,
            timeout=_TIMEOUT,
            observer=observer,
        )


def _describe_profile(settings: ServiceSettings) -> Finding:
    from ..profiles import config_path, exists

    profile = settings.profile
    if profile is None:
        why = "MSGAPI_API_KEY is set" if os.environ.get("MSGAPI_API_KEY") else "it has no profile named default"
        path = config_path()
        return Finding("profile", f"none ({path} {f'is not used: {why}' if exists(path) else 'does not exist'})")
    how = "named by --profile or MSGAPI_PROFILE" if settings.named else "the default one"
    has = ", ".join(profile.settings) or "no settings"
    mode = f" (mode {stat.S_IMODE(profile.path.stat().st_mode):04o})"
    return Finding("profile", f"{profile.name} in {profile.path}{mode}, {how}: {has}")


def _check_machine() -> Iterator[Finding]:
    libraries = ", ".join([*_versions(), ssl.OPENSSL_VERSION])
    yield Finding("versions", f"msgapi-sdk {VERSION}, Python {platform.python_version()}, {libraries}")


def _versions() -> Iterator[str]:
    for name in _LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


async def _check_service(setup: Setup) -> list[Finding]:
    try:
        url = check_url(setup.settings.base_url or BASE_URL)
    except Misconfigured as error:
        return [Finding("base URL", "not usable", str(error))]
    source = setup.settings.url_source if setup.settings.base_url else "MSGAPI_BASE_URL is not set"
    findings = [Finding("base URL", f"{url} ({source})"), *_check_proxy(setup.settings, url)]
    if any(one.todo for one in findings):
        return findings
    async with setup.client(retry=Retry(attempts=1)) as api:
        result = await api(_CALL)
    return [*findings, *_check_answer(result, setup), *_check_clock(result)]


def _check_proxy(settings: ServiceSettings, base_url: str) -> list[Finding]:
    # Whether the connection goes through a proxy; nothing if there is none.
    if settings.proxy is None or isinstance(settings.proxy, Proxy):
        return [Finding("proxy", f"{settings.proxy or 'none'} ({settings.proxy_source})")]
    url, rules = URL(base_url), read_proxies(FROM_ENVIRONMENT, os.environ)
    if rules is None:
        return []
    proxy, bypassed = rules.choose(url), next(iter(rules.proxies.values()))
    if proxy is not None and proxy.problem:
        return [Finding("proxy", "not usable", proxy.problem)]
    if proxy is not None:
        return [Finding("proxy", f"{proxy} ({proxy.source})")]
    if not rules.is_bypassed(url):
        return [Finding("proxy", f"none: {bypassed.source} is not for {url.scheme}")]
    why = "this machine is reached without one" if is_loopback(f"{url.host}") else "NO_PROXY lists the host"
    return [Finding("proxy", f"none: {why} ({bypassed.source} is not used)")]


def _check_answer(result: Result[Balance], setup: Setup) -> Iterator[Finding]:
    match result:
        case Ok(Balance(free=None)):
            yield Finding("service", "answers, but without the free balance", WRONG_SERVICE)
        case Ok(balance):
            yield Finding("service", "reached")
            yield Finding("key", f"accepted ({setup.settings.key_source})")
            yield Finding("balance", f"{balance.free} EUR free")
        case NotSent() | Unanswered():
            yield Finding("service", f"not reached, {explain(result)}", _remedy(result.reason))
        case error if error.scope == "foreign":
            yield Finding("service", f"not reached, {explain(error)}", WRONG_SERVICE)
        case Unauthorized():
            yield Finding("service", "reached")
            if setup.key:
                source = setup.settings.key_source
                yield Finding("key", f"refused ({source}): {explain(result)}", advise_call(result, _CALL))
        case Throttled():
            yield Finding("service", "reached, but the rate limit of the key is used up", advise_call(result, _CALL))
        case _:
            yield Finding("service", f"answers {result.code}: {explain(result)}", advise_call(result, _CALL))


def _remedy(reason: str) -> str:
    if "certificate" in reason:
        return "trust the certificate authority of a proxy with SSL_CERT_FILE, or check the clock and the base URL"
    return "check the base URL, network and proxy"


def _check_clock(result: Result[Balance]) -> Iterator[Finding]:
    server_time = result.meta.server_time
    if server_time is None:
        now = datetime.now(UTC)
        yield Finding("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC on this machine; not compared, as no answer has a date")
    else:
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


async def probe(setup: Setup, agent_id: str | None) -> Probe:
    """Call the read-only routes and return what was found. *agent_id* is for the routes of an agent.

    The probe ends early if the service cannot be reached or refuses the key.
    """
    observer = drift(report=lambda _: None)
    routes: list[ProbedRoute] = []
    async with setup.client(retry=Retry(attempts=2), observer=observer) as client:

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
