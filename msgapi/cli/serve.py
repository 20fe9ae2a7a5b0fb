"""The sandbox over a socket: for other programs on this machine, or for one command."""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from os import environ
from shlex import quote
from typing import TYPE_CHECKING, Final, final

import anyio
from attrs import frozen

from ..sandbox import LUCK, Sandbox
from .connection import launch
from .exits import Exit, Halt
from .output import emit, note, table_of

if TYPE_CHECKING:
    from anyio.abc import Process

_PORT: Final = 8025
_NO_COMMAND: Final = 127
_BY_SIGNAL: Final = 128


@final
@frozen(kw_only=True)
class Site:
    """Where a sandbox is served, and what it is like; *port* None is the usual one."""

    host: str = "127.0.0.1"
    port: int | None = None
    balance: Decimal = Decimal(1000)
    limit: int = 10_000
    faults: float = 0.0
    seed: int = 1

    def sandbox(self) -> Sandbox:
        """Open the account."""
        return Sandbox(balance=self.balance, rate_limit=self.limit, faults=self.faults, seed=self.seed)


def show_luck() -> int:
    """Print which recipients bring bad luck."""
    table = table_of("phone", "email", "what happens")
    for luck in LUCK:
        table.add_row(luck.phone, luck.email, luck.happens)
    emit(table)
    return Exit.ACCEPTED


def start(site: Site, command: tuple[str, ...]) -> int:
    """Serve until Ctrl-C, or until *command* ends; gives the exit status."""
    return launch(partial(_run_with, site, command) if command else partial(_serve, site))


@asynccontextmanager
async def _served(site: Site, port: int) -> AsyncIterator[Mapping[str, str]]:
    from ..sandbox.server import serving

    sandbox = site.sandbox()
    try:
        async with serving(sandbox, host=site.host, port=port) as url:
            yield {"MSGAPI_API_KEY": sandbox.api_key, "MSGAPI_BASE_URL": url}
    except OSError as error:
        raise Halt(f"cannot serve on {site.host} port {port}: {error.strerror or error}; try --port 0") from None


async def _serve(site: Site) -> int:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with _served(site, _PORT if site.port is None else site.port) as variables:
            emit("\n".join(f"export {name}={quote(value)}" for name, value in variables.items()))
            note(f"a sandbox is at {variables['MSGAPI_BASE_URL']}: nothing is really sent; Ctrl-C ends it")
            async for _ in signals:
                break
    note("the sandbox has ended, and its account with it")
    return Exit.ACCEPTED


async def _run_with(site: Site, command: tuple[str, ...]) -> int:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with _served(site, site.port or 0) as variables:
            try:
                process = await anyio.open_process(
                    command, stdin=None, stdout=None, stderr=None, env={**environ, **variables}
                )
            except OSError as error:
                note(f"cannot run {command[0]}: {error.strerror or error}")
                return _NO_COMMAND
            async with anyio.create_task_group() as tasks:
                _ = tasks.start_soon(_pass_on, signals, process)
                _ = await process.wait()
                tasks.cancel_scope.cancel()
    status = process.returncode or 0
    return status if status >= 0 else _BY_SIGNAL - status


async def _pass_on(signals: "AsyncIterator[signal.Signals]", process: "Process") -> None:
    # Ctrl-C reaches the command by itself, through the terminal; a SIGTERM is for us alone.
    async for one in signals:
        if one == signal.SIGTERM:
            process.terminate()
