"""The command `msgapi doctor`: one line for each check of this machine, with how to fix it."""

import os
import platform
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from time import time
from typing import Final, final
from urllib.parse import urlsplit

import click
from attrs import frozen
from yarl import URL

from ... import billing
from ...client import BASE_URL, Client
from ...config import Misconfigured, is_loopback
from ...results import Balance, NotSent, Ok, Result, Throttled, Unanswered, Unauthorized
from ...retry import Retry
from ...transports.common.opening import FROM_ENVIRONMENT, read_proxies
from ...version import VERSION
from ..advice import WRONG_SERVICE, advise_call, explain
from ..connection import run_async
from ..options import json_option
from ..outcomes import CliError, Exit
from ..output import emit, emit_json, note

_NEEDED: Final = frozenset({"key", "base URL", "service"})  # checks that must pass before the routes are probed
_CALL: Final = billing.balance()
_TIMEOUT: Final = 10.0  # seconds
_SKEW: Final = 5.0  # seconds of accepted difference between the clocks
_LIBRARIES: Final = ("anyio", "attrs", "cattrs", "orjson", "aiohttp", "click", "rich", "uvloop")


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
        from ..probe import probe

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
