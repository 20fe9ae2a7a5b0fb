"""Connections: the event loop and its signals, the client to the service or to a private sandbox, commands of one call.

Rules:
- A signal that is caught does not interrupt what is running: it is yielded, and the command decides.
- The event loops of Windows have no `add_signal_handler`. There the signals are caught by `signal.signal`.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from math import inf
from shlex import quote
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, final
from urllib.parse import urlsplit

import anyio
import click
from attrs import define, field

from .. import codec
from ..calls import Call
from ..client import BASE_URL, Client
from ..client.lifetime import check_proxy
from ..config import is_loopback
from ..fallback import AnyCall
from ..fallback import send as send_fallback
from ..ratelimit import Pace
from ..results import ApiError, Ok, Result
from ..retry import Retry
from ..transports.common.opening import FROM_ENVIRONMENT, ProxySetting
from .advice import advise_call, describe, explain, facts, status_of
from .options import MOST_CONCURRENT, connection_values
from .output import CliError, Exit, TextTable, emit, emit_json, note

if TYPE_CHECKING:
    from ..sandbox import EmailChannel, EmailTemplate, Sandbox, SandboxAgent
    from .profiles import Profile

T = TypeVar("T")
U = TypeVar("U")

PATIENT: Final = Retry(attempts=8)
_TIMEOUT: Final = 10.0  # seconds for each attempt; a retry repeats the request with its idempotency key
_IN_MEMORY: Final = "http://127.0.0.1"
_BALANCE: Final = Decimal(1_000_000)  # EUR
_SETTINGS: Final = "msgapi.service_settings"
_KEY: Final = "MSGAPI_API_KEY"
_URL: Final = "MSGAPI_BASE_URL"
_PROXY: Final = "MSGAPI_PROXY"
NO_KEY: Final = "no API key: set MSGAPI_API_KEY, or run `msgapi configure`"


def run_async(program: Callable[[], Awaitable[T]]) -> T:
    """Run *program* on asyncio, with uvloop if that is installed, and return its result."""
    return anyio.run(program, backend_options={"use_uvloop": find_spec("uvloop") is not None})


@final
@define(eq=False, kw_only=True)
class ServiceSettings:
    """To what a command connects: the base URL, the proxy, and where each value comes from.

    *base_url* is None for that of the client. *named* says whether the user named the profile. The key is read when it
    is needed, since that may run a command.
    """

    profile: "Profile | None"
    named: bool
    base_url: str | None
    url_source: str
    proxy: ProxySetting = FROM_ENVIRONMENT
    proxy_source: str = ""
    _key: str = field(default="", init=False, repr=False)

    @property
    def client_proxy(self) -> str | None:
        """The option `proxy` of the client: it takes one that was parsed before."""
        return cast("str | None", self.proxy)

    @property
    def key_source(self) -> str:
        """Where the key comes from; empty if there is none."""
        if os.environ.get(_KEY):
            return _KEY
        setting = None if self.profile is None else self.profile.key_setting
        return "" if setting is None or self.profile is None else f"{setting} of the profile {self.profile.name}"

    def read_key(self) -> str:
        """Return the key; a command that gives it is run once. Raise CliError if there is none."""
        if not self._key:
            self._key = os.environ.get(_KEY) or ("" if self.profile is None else self.profile.read_key() or "")
        if not self._key:
            raise CliError(NO_KEY, Exit.CONFIGURATION)
        return self._key

    def describe(self) -> str | None:
        """Return one line with where the values come from, if that is not obvious: else None."""
        profile = self.profile
        if profile is None:
            return None
        replaced = (
            (os.environ.get(_KEY) and profile.key_setting)
            or (os.environ.get(_URL) and profile.base_url)
            or (self.proxy_source in {"--proxy", _PROXY} and profile.proxy)
        )
        if not self.named and not replaced:
            return None
        url = f"base URL {self.base_url or BASE_URL} ({self.url_source})"
        proxy = f", proxy of {self.proxy_source}" if self.proxy_source else ""
        return f"profile {profile.name}: API key of {self.key_source or 'nothing'}, {url}{proxy}"


def service_settings() -> ServiceSettings:
    """Return the settings of the command that runs, which are read once. Raise CliError if they cannot be used.

    The environment takes precedence over the profile. Without --profile and MSGAPI_PROFILE, the profile `default` is
    used if there is one, unless the key is in the environment: that key is not sent to the base URL of a profile that
    was not named. The proxy of a profile is not used for this machine.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return _read_settings()
    if _SETTINGS not in context.meta:
        context.meta[_SETTINGS] = _read_settings()
    found: ServiceSettings = context.meta[_SETTINGS]
    return found


def _read_settings() -> ServiceSettings:
    values = connection_values()
    name = values.get("profile", os.environ.get("MSGAPI_PROFILE") or None)
    profile = None
    if name is not None or not os.environ.get(_KEY):
        from .profiles import find_profile

        profile = find_profile(name)
    base_url, url_source = os.environ.get(_URL) or None, _URL
    if base_url is None:
        base_url = None if profile is None else profile.base_url
        url_source = "the default" if base_url is None or profile is None else f"the profile {profile.name}"
    settings = ServiceSettings(profile=profile, named=name is not None, base_url=base_url, url_source=url_source)
    proxy, source = values.pop("proxy", None), "--proxy"
    if proxy is None:
        proxy, source = os.environ.get(_PROXY) or None, _PROXY
    if proxy is None and profile is not None:
        proxy, source = profile.proxy, f"the profile {profile.name}"
    if proxy is not None:
        from .profiles import parse_proxy

        (settings.proxy, problem), settings.proxy_source = parse_proxy(proxy, source), source
        del proxy  # it may contain a password
        if problem is not None:
            raise CliError(problem, Exit.CONFIGURATION)
        if (
            source not in {"--proxy", _PROXY}
            and settings.proxy is not None
            and is_loopback(urlsplit(base_url or "").hostname or "")
        ):
            settings.proxy, settings.proxy_source = None, f"{source} has one, which is not used for this machine"
    return settings


def private_sandbox(given: Mapping[str, str]) -> "Sandbox":
    """Return a sandbox in which the agent, channel and template *given* exist.

    It is new or, with --sandbox-state, that in the file, which is written when the command ends. The balance of a new
    one is large if none is given.
    """
    values = connection_values()
    for name in values.keys() & {"profile", "proxy"}:
        raise CliError(f"--{name} is for the service: leave it out with --sandbox")
    path, create = values.get("sandbox_state"), partial(_create_sandbox, given)
    if path is None:
        box = create()
    else:
        from .sandbox_state import open_state

        box = click.get_current_context().with_resource(open_state(path, create))
    for one in _senders(given):
        box.add(one)
    return box


def _create_sandbox(given: Mapping[str, str]) -> "Sandbox":
    from ..sandbox import Sandbox

    return Sandbox(balance=Decimal(given.get("balance", _BALANCE)))


def _senders(given: Mapping[str, str]) -> "Iterator[SandboxAgent | EmailChannel | EmailTemplate]":
    from ..sandbox import EmailChannel, EmailTemplate, SandboxAgent

    if agent := given.get("agent_id"):
        yield SandboxAgent(agent_id=agent, channel_id="ch_rcs_private")
    if channel := given.get("channel_id"):
        yield EmailChannel(channel_id=channel)
    if template := given.get("template_id"):
        yield EmailTemplate(template_id=template, versions=(given.get("template_version") or "1",))


@asynccontextmanager
async def open_client(box: "Sandbox | None" = None, *, pace: Pace | None = None) -> AsyncIterator[Client]:
    """Open a client to the sandbox *box* in memory or, if it is None, to the service of `service_settings`."""
    if box is None:
        if "sandbox_state" in connection_values():
            raise CliError("--sandbox-state keeps a sandbox: add --sandbox")
        settings = service_settings()
        async with Client(
            api_key=settings.read_key(),  # in no local variable, since a wrong URL raises
            base_url=settings.base_url,
            retry=PATIENT,
            pace=pace,
            **_connections(settings),
        ) as api:
            if (text := settings.describe()) is not None:
                note(text)
            yield api
    else:
        async with Client(api_key=box.api_key, base_url=_IN_MEMORY, transport=box, retry=PATIENT, pace=pace) as api:
            yield api


def _connections(settings: ServiceSettings) -> dict[str, Any]:
    # The options of the client for its connections: over httptools, which costs half as much, if that is installed.
    if find_spec("httptools") is None:
        return {"proxy": settings.client_proxy, "timeout": _TIMEOUT}
    from ..transports import httptools

    check_proxy(settings.proxy, settings.base_url or BASE_URL)
    return {"transport": httptools.open(proxy=settings.client_proxy, timeout=_TIMEOUT, max_connections=MOST_CONCURRENT)}


def open_service(*, sandbox: bool) -> AbstractAsyncContextManager[Client]:
    """Return what opens a client to the service named in the environment or, if *sandbox*, to a private sandbox."""
    return open_client(private_sandbox({}) if sandbox else None)


def run_call(
    call: Call[T],
    show: Callable[[T], str | TextTable],
    *,
    json: bool,
    sandbox: bool,
    given: Mapping[str, str] | None = None,
) -> int:
    """Make *call*, print its value with *show* or as JSON, and return the exit status.

    If *sandbox*, it is made to the private sandbox for what is *given*.
    If the call has an idempotency key, it is printed before the call is made, so that the command can be repeated even
    after it was killed.
    """
    check_call(call)
    key = call.idempotency_key
    box = private_sandbox(given or {}) if sandbox else None
    result = run_async(partial(make_call, call, box, before=note_key))
    with_key = {} if key is None else {"idempotency_key": key}
    if isinstance(result, Ok):
        if json:
            emit_json(codec.to_dict(result.value) | with_key)
        else:
            emit(show(result.value))
        return Exit.ACCEPTED
    if json:
        emit_json(facts(result) | with_key)
    if key is not None and result.may_have_happened:
        note(describe(result))
        note(f"It may have been done. To repeat it without a second effect: --idempotency-key {quote(key)}")
        return status_of(result)
    return report_failure(result, call)


def check_call(call: Call[Any]) -> None:
    """Raise CliError if the input of *call* is not valid."""
    if call.invalid is not None:
        raise CliError(explain(call.invalid), facts=facts(call.invalid))


async def make_call(
    call: AnyCall[T], box: "Sandbox | None", *, before: Callable[[Call[Any]], None] = lambda _: None
) -> Result[T]:
    """Open a client, make one *call* or the calls of a fallback, and return the result.

    *before* is called with each call before it is made.
    """
    async with open_client(box) as api:

        async def make(one: Call[U], /) -> Result[U]:
            before(one)
            return await api(one)

        return await make(call) if isinstance(call, Call) else await send_fallback(make, call)


def note_key(call: Call[Any]) -> None:
    """Print how to repeat a command whose *call* has an idempotency key, even after the command was killed."""
    if call.idempotency_key is not None:
        note(f"to repeat this command without a second effect: --idempotency-key {quote(call.idempotency_key)}")


def report_failure(error: ApiError, call: Call[Any]) -> int:
    """Print the *error* of *call* and what to do about it, and return the exit status."""
    note(describe(error))
    note(advise_call(error, call))
    return status_of(error)


def stop_signals() -> list[signal.Signals]:
    """Return the signals that stop a command: SIGINT, SIGTERM and, if it is not ignored, SIGHUP."""
    # A program that was started by `nohup` ignores SIGHUP, and has to. Windows has none.
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)
    stops = [signal.SIGINT, signal.SIGTERM]
    return stops if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN else [*stops, hangup]


@contextmanager
def open_signals(*numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
    """Catch the signals *numbers* for the duration of a `with`, and yield an iterator of those that arrive.

    Use it on asyncio, in the main thread.
    """
    with ExitStack() as stack:
        try:
            signals = stack.enter_context(anyio.open_signal_receiver(*numbers))
        except NotImplementedError:
            signals = stack.enter_context(_catch(*numbers))
        yield signals


@contextmanager
def _catch(*numbers: signal.Signals) -> Iterator[AsyncIterator[signal.Signals]]:
    loop = asyncio.get_running_loop()
    send, receive = anyio.create_memory_object_stream[signal.Signals](inf)

    def deliver(number: int, _: FrameType | None) -> None:
        _handle = loop.call_soon_threadsafe(send.send_nowait, signal.Signals(number))  # wakes the loop, too

    before = {number: signal.signal(number, deliver) for number in numbers}
    try:
        with send, receive:
            yield receive
    finally:
        for number, handler in before.items():
            _ = signal.signal(number, handler)
