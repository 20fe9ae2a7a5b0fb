"""Connections: the event loop and its signals, the client to the service or to a private sandbox, commands of one call.

Rules:
- A signal that is caught does not interrupt what is running: it is yielded, and the command decides.
- The event loops of Windows have no `add_signal_handler`. There the signals are caught by `signal.signal`.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from math import inf
from shlex import quote
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from .. import codec
from ..calls import Call
from ..client import Client
from ..fallback import AnyCall
from ..ratelimit import Pace
from ..results import ApiError, Ok, Result
from ..retry import Retry
from .advice import advise_call, describe, explain, facts, status_of
from .output import CliError, Exit, TextTable, emit, emit_json, note

if TYPE_CHECKING:
    from ..sandbox import Sandbox

T = TypeVar("T")

PATIENT: Final = Retry(attempts=8)
_TIMEOUT: Final = 10.0  # seconds for each attempt; a retry repeats the request with its idempotency key
_IN_MEMORY: Final = "http://127.0.0.1"
_BALANCE: Final = Decimal(1_000_000)  # EUR


def run_async(program: Callable[[], Awaitable[T]]) -> T:
    """Run *program* on asyncio, with uvloop if that is installed, and return its result."""
    return anyio.run(program, backend_options={"use_uvloop": find_spec("uvloop") is not None})


def private_sandbox(given: Mapping[str, str]) -> "Sandbox":
    """Return a new sandbox in which the agent, channel and template *given* exist.

    The balance is large if none is given.
    """
    from ..sandbox import AGENTS, CHANNELS, TEMPLATES, EmailChannel, EmailTemplate, Sandbox, SandboxAgent

    agent, channel, template = (given.get(name) for name in ("agent_id", "channel_id", "template_id"))
    versions = (given.get("template_version") or "1",)
    return Sandbox(
        balance=Decimal(given.get("balance", _BALANCE)),
        agents=(*([SandboxAgent(agent_id=agent, channel_id="ch_rcs_private")] if agent else []), *AGENTS),
        channels=(*([EmailChannel(channel_id=channel)] if channel else []), *CHANNELS),
        templates=(*([EmailTemplate(template_id=template, versions=versions)] if template else []), *TEMPLATES),
    )


@asynccontextmanager
async def open_client(box: "Sandbox | None" = None, *, pace: Pace | None = None) -> AsyncIterator[Client]:
    """Open a client to the sandbox *box* in memory or, if it is None, to the service named in the environment."""
    if box is None:
        async with Client(retry=PATIENT, pace=pace, timeout=_TIMEOUT) as api:
            yield api
    else:
        async with Client(api_key=box.api_key, base_url=_IN_MEMORY, transport=box, retry=PATIENT, pace=pace) as api:
            yield api


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
    if key is not None:
        note(f"to repeat this command without a second effect: --idempotency-key {quote(key)}")
    result = run_async(partial(make_call, call, private_sandbox(given or {}) if sandbox else None))
    if isinstance(result, Ok):
        if json:
            emit_json(codec.to_dict(result.value) | ({} if key is None else {"idempotency_key": key}))
        else:
            emit(show(result.value))
        return Exit.ACCEPTED
    if json:
        emit_json(facts(result))
    if key is not None and result.may_have_happened:
        note(describe(result))
        note(f"It may have been done. To repeat it without a second effect: --idempotency-key {quote(key)}")
        return status_of(result)
    return report_failure(result, call)


def check_call(call: Call[Any]) -> None:
    """Raise CliError if the input of *call* is not valid."""
    if call.invalid is not None:
        raise CliError(explain(call.invalid), facts=facts(call.invalid))


async def make_call(call: AnyCall[T], box: "Sandbox | None") -> Result[T]:
    """Open a client, make one *call* and return its result."""
    async with open_client(box) as api:
        return await api(call)


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
