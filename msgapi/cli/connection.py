"""Connections: the event loop of a command, and the service or the private sandbox it talks to."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from ..client import Client
from ..ratelimit import Pace
from ..retry import Retry

if TYPE_CHECKING:
    from ..sandbox import Sandbox

T = TypeVar("T")

PATIENT: Final = Retry(attempts=8)
_TIMEOUT: Final = 10.0  # seconds for one of those attempts; a slow answer is asked for again, under its key
_IN_MEMORY: Final = "http://127.0.0.1"
_PLENTY: Final = Decimal(1_000_000)


def launch(program: Callable[[], Awaitable[T]]) -> T:
    """Run *program* to its end on asyncio, with uvloop if that is installed."""
    return anyio.run(program, backend_options={"use_uvloop": find_spec("uvloop") is not None})


def private(given: Mapping[str, str]) -> "Sandbox":
    """Open a sandbox with money enough, where the senders and the template that were *given* exist."""
    from ..sandbox import AGENTS, CHANNELS, TEMPLATES, EmailChannel, EmailTemplate, Sandbox, SandboxAgent

    agent, channel, template = (given.get(name) for name in ("agent_id", "channel_id", "template_id"))
    versions = (given.get("template_version") or "1",)
    return Sandbox(
        balance=_PLENTY,
        agents=(*([SandboxAgent(agent_id=agent, channel_id="ch_rcs_private")] if agent else []), *AGENTS),
        channels=(*([EmailChannel(channel_id=channel)] if channel else []), *CHANNELS),
        templates=(*([EmailTemplate(template_id=template, versions=versions)] if template else []), *TEMPLATES),
    )


@asynccontextmanager
async def reach(box: "Sandbox | None" = None, *, pace: Pace | None = None) -> AsyncIterator[Client]:
    """Open a client to the service of the environment, or to the sandbox *box* in memory."""
    if box is None:
        async with Client(retry=PATIENT, pace=pace, timeout=_TIMEOUT) as api:
            yield api
    else:
        async with Client(api_key=box.api_key, base_url=_IN_MEMORY, transport=box, retry=PATIENT, pace=pace) as api:
            yield api
