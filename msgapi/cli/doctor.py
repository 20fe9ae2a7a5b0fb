"""The command `doctor`: whether this machine can send, one line for each thing, with what to do about it."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from time import time
from typing import Final, final
from urllib.parse import urlsplit

from attrs import frozen

from .. import billing
from ..client import BASE_URL, Client
from ..config import Misconfigured
from ..results import Balance, NotSent, Ok, Result, Throttled, Unanswered, Unauthorized
from ..retry import Retry
from ..version import VERSION
from .advice import explain
from .asking import WRONG, advice
from .connection import launch
from .exits import Exit
from .output import emit, emit_json

_CALL: Final = billing.balance()
_TIMEOUT: Final = 10.0  # seconds
_SKEW: Final = 5.0  # seconds by which the clocks may differ
_LIBRARIES: Final = ("anyio", "attrs", "cattrs", "orjson", "aiohttp", "click", "rich", "uvloop")


@final
@frozen
class Finding:
    """What was found of one thing; *todo* says what to do, and is empty where nothing has to be done."""

    name: str
    found: str
    todo: str = ""

    def line(self) -> str:
        """Write it in one line."""
        return f"{'ok ' if not self.todo else '!! '} {self.name:10}{self.found}{f' - {self.todo}' if self.todo else ''}"


def start(*, json: bool) -> int:
    """Look at everything; gives the exit status: 0 if all is well, 4 for key and configuration, else 1."""
    findings = [*_here(), *launch(_there)]
    if json:
        emit_json([{"name": one.name, "ok": not one.todo, "found": one.found, "todo": one.todo} for one in findings])
    else:
        emit("\n".join(one.line() for one in findings))
    wrong = {one.name for one in findings if one.todo}
    if wrong & {"key", "base URL"}:
        return Exit.CONFIGURATION
    return Exit.REFUSED if wrong else Exit.ACCEPTED


def _here() -> Iterator[Finding]:
    yield Finding("versions", f"msgapi-sdk {VERSION}, Python {platform.python_version()}, {', '.join(_installed())}")
    if not _key():
        yield Finding("key", "none", "set MSGAPI_API_KEY to a key of the workspace")


def _key() -> str:
    return os.environ.get("MSGAPI_API_KEY", "")


def _installed() -> Iterator[str]:
    for name in _LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


async def _there() -> list[Finding]:
    url = await _usable("base URL", api_key="none") or _url()
    key = await _usable("key", api_key=_key(), base_url=BASE_URL) if _key() else None
    if url.todo or key is not None:
        return [url, *([] if key is None else [key])]
    async with Client(api_key=_key() or "none", retry=Retry(attempts=1), timeout=_TIMEOUT) as api:
        result = await api(_CALL)
    return [url, *_reached(result), *_clock(result)]


async def _usable(name: str, *, api_key: str, base_url: str | None = None) -> Finding | None:
    try:
        async with Client(api_key=api_key, base_url=base_url):
            return None
    except Misconfigured as error:
        return Finding(name, "not usable", str(error))


def _url() -> Finding:
    given = os.environ.get("MSGAPI_BASE_URL")
    return Finding("base URL", _origin(given) if given else f"{BASE_URL} (MSGAPI_BASE_URL is not set)")


def _reached(result: Result[Balance]) -> Iterator[Finding]:
    match result:
        case Ok(Balance(free=None)):
            yield Finding("service", "answers, but tells no free balance", WRONG)
        case Ok(balance):
            yield Finding("service", "reached")
            yield Finding("key", "accepted")
            yield Finding("balance", f"{balance.free} EUR free")
        case NotSent() | Unanswered():
            yield Finding("service", f"not reached, {explain(result)}", "check MSGAPI_BASE_URL, network and proxy")
        case Unauthorized():
            yield Finding("service", "reached")
            if _key():
                yield Finding("key", f"refused: {explain(result)}", advice(result, _CALL))
        case Throttled():
            yield Finding("service", "reached, and the rate limit of the key is used up", advice(result, _CALL))
        case _:
            yield Finding("service", f"answers {result.code}: {explain(result)}", advice(result, _CALL))


def _clock(result: Result[Balance]) -> Iterator[Finding]:
    there = result.meta.server_time
    if there is not None:
        ahead = time() - there
        todo = "" if abs(ahead) <= _SKEW else "set this machine's clock, as by NTP: times of rate limits are read by it"
        yield Finding("clock", f"{abs(ahead):.0f} s {'ahead of' if ahead >= 0 else 'behind'} the service's", todo)
