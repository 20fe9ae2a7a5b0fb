"""Connections: the event loop, the client to the service or to a private sandbox, and commands of one call."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from .. import codec
from ..calls import Call
from ..client import Client
from ..ratelimit import Pace
from ..results import ApiError, Ok, Result
from ..retry import Retry
from .advice import advise_call, describe, explain, facts, status_of
from .outcomes import CliError, Exit
from .output import TextTable, emit, emit_json, note

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
    """Return a new sandbox with a large balance, in which the agent, channel and template *given* exist."""
    from ..sandbox import AGENTS, CHANNELS, TEMPLATES, EmailChannel, EmailTemplate, Sandbox, SandboxAgent

    agent, channel, template = (given.get(name) for name in ("agent_id", "channel_id", "template_id"))
    versions = (given.get("template_version") or "1",)
    return Sandbox(
        balance=_BALANCE,
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


def run_call(call: Call[T], show: Callable[[T], str | TextTable], *, json: bool, sandbox: bool) -> int:
    """Make *call*, print its value with *show* or as JSON, and return the exit status."""
    if call.invalid is not None:
        raise CliError(explain(call.invalid), facts=facts(call.invalid))
    result = run_async(partial(make_call, call, private_sandbox({}) if sandbox else None))
    if isinstance(result, Ok):
        if json:
            emit_json(codec.to_dict(result.value))
        else:
            emit(show(result.value))
        return Exit.ACCEPTED
    if json:
        emit_json(facts(result))
    return report_failure(result, call)


async def make_call(call: Call[T], box: "Sandbox | None") -> Result[T]:
    """Open a client, make one *call* and return its result."""
    async with open_client(box) as api:
        return await api(call)


def report_failure(error: ApiError, call: Call[Any]) -> int:
    """Print the *error* of *call* and what to do about it, and return the exit status."""
    note(describe(error))
    note(advise_call(error, call))
    return status_of(error)
