"""The sandbox over a socket: for other programs on this machine, or for one command."""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from decimal import Decimal
from errno import EACCES, EADDRINUSE
from functools import partial
from os import environ
from shlex import quote
from typing import TYPE_CHECKING, Final, final

import anyio
import orjson
from attrs import frozen

from ..sandbox import DELIVERY_OUTCOMES, MAGIC_RECIPIENTS, Sandbox, Timing, WebhookFaults
from .connection import launch
from .exits import Exit, Halt
from .output import emit, emit_json, note, table_of

if TYPE_CHECKING:
    from anyio.abc import Process

_PORT: Final = 8025
_OF_PORTS: Final = {EACCES, EADDRINUSE}
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
    delivery: float = 2.0
    repeated: float = 0.0
    late: float = 0.0
    reordered: float = 0.0

    def sandbox(self) -> Sandbox:
        """Open the account."""
        quarter = self.delivery / 4
        return Sandbox(
            balance=self.balance,
            rate_limit=self.limit,
            faults=self.faults,
            seed=self.seed,
            timing=Timing(sent=quarter, delivered=3 * quarter, read=5 * self.delivery),
            webhooks=WebhookFaults(repeated=self.repeated, late=self.late, reordered=self.reordered, seed=self.seed),
        )


def show_luck(*, json: bool) -> int:
    """Print which recipients something happens to: to the send itself, or to the message later."""
    found = [(one.phone, one.email, one.effect) for one in MAGIC_RECIPIENTS]
    found += [(one.phone, one.email, one.effect) for one in DELIVERY_OUTCOMES]
    if json:
        emit_json([{"phone": phone, "email": email, "happens": happens} for phone, email, happens in found])
        return Exit.ACCEPTED
    table = table_of("phone", "email", "what happens")
    for row in found:
        table.add_row(*row)
    emit(table)
    return Exit.ACCEPTED


def start(site: Site, command: tuple[str, ...], *, json: bool = False) -> int:
    """Serve until Ctrl-C, or until *command* ends; gives the exit status."""
    return launch(partial(_run_with, site, command) if command else partial(_serve, site, json=json))


@asynccontextmanager
async def _served(site: Site, port: int) -> AsyncIterator[Mapping[str, str]]:
    from ..sandbox import serve

    if not site.host:
        raise Halt("--host must name where to listen, such as 127.0.0.1")
    try:
        sandbox = site.sandbox()
    except ValueError as error:
        raise Halt(f"the sandbox cannot be like that: {error}") from None
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(serve(sandbox, host=site.host, port=port))
        except (OSError, UnicodeError) as error:
            raise Halt(f"cannot serve on {site.host} port {port}: {_why(error)}") from None
        yield {"MSGAPI_API_KEY": sandbox.api_key, "MSGAPI_BASE_URL": url}


def _why(error: OSError | UnicodeError) -> str:
    said = error.strerror if isinstance(error, OSError) else "no host has such a name"
    of_port = isinstance(error, OSError) and error.errno in _OF_PORTS
    return f"{said}; {'try --port 0' if of_port else '--host must name an address of this machine, such as 127.0.0.1'}"


async def _serve(site: Site, *, json: bool) -> int:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with _served(site, _PORT if site.port is None else site.port) as variables:
            if json:
                emit(orjson.dumps(variables).decode())
            else:
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
                raise Halt(f"cannot run {command[0]}: {error.strerror or error}", Exit.NO_COMMAND) from None
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
            with suppress(ProcessLookupError):  # whoever sent it may have sent it to the command too
                process.terminate()
