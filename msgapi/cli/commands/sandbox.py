"""The command `msgapi sandbox`: a sandbox served on this machine, for other programs or for one command."""

import gc
import json as standard_json
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from decimal import Decimal
from errno import EACCES, EADDRINUSE
from functools import partial
from os import environ
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

import anyio
import click
import orjson
from attrs import evolve, field, frozen
from click.core import ParameterSource

from ...config import is_loopback
from ...sandbox import DELIVERY_OUTCOMES, MAGIC_RECIPIENTS, ControlError, Sandbox, Timing, WebhookFaults
from ..connection import open_signals, run_async
from ..options import FiniteFloat, amount_callback, json_option
from ..output import CliError, Exit, cannot_read, emit, emit_json, note, table_of
from ..sandbox_state import open_state

if TYPE_CHECKING:
    from anyio.abc import Process

_DEFAULT_PORT: Final = 8025
_ANY_ADDRESS: Final = {"0.0.0.0", "::"}  # noqa: S104 - what the user has chosen
_PORT_ERRORS: Final = {EACCES, EADDRINUSE}
_SIGNAL_STATUS: Final = 128
_SNAPSHOT_OPTIONS: Final = {
    "rate": "rate_limit",
    "faults": "faults",
    "delivery": "timing",
    "keep_messages": "keep_messages",
    "repeated": "webhooks",
    "late": "webhooks",
    "reordered": "webhooks",
}  # by the name of the option


@final
@frozen(kw_only=True)
class SandboxOptions:
    """Where a sandbox is served, and how it behaves.

    If *port* is None, it is 8025, or any free one if a command is run. *faults*, *repeated*, *late* and *reordered*
    are fractions from 0 to 1; *delivery* is in seconds. *allow_host* are the names of other hosts that the sandbox
    answers for. *seed* is a file with what a new sandbox has, *state* the file that keeps the sandbox, and *given* the
    names of the options that the user gave.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    allow_host: tuple[str, ...] = ()
    balance: Decimal = Decimal(1000)
    rate: int = 10_000
    faults: float = 0.0
    random_seed: int = 1
    delivery: float = 2.0
    keep_messages: int = 100_000
    repeated: float = 0.0
    late: float = 0.0
    reordered: float = 0.0
    seed: str | None = None
    state: str | None = None
    given: frozenset[str] = frozenset()

    def open(self) -> AbstractContextManager[Sandbox]:
        """Open a new sandbox or, with *state*, that in the file, which gets the options that were *given*."""
        if self.state is None:
            return nullcontext(self.sandbox())
        return open_state(self.state, self.sandbox, self._adapt)

    def _adapt(self, snapshot: dict[str, Any]) -> None:
        new = {"balance": "--balance", "random_seed": "--random-seed", "seed": "--seed"}
        kept = [option for name, option in new.items() if name in self.given]
        if kept:
            verb = "is" if len(kept) == 1 else "are"
            note(f"{' and '.join(kept)} {verb} for a new sandbox: that in {self.state} keeps its own")
        options, own = snapshot.get("options"), evolve(self, seed=None).sandbox().snapshot()["options"]
        for name in _SNAPSHOT_OPTIONS.keys() & self.given:
            if isinstance(options, dict):
                options[_SNAPSHOT_OPTIONS[name]] = own[_SNAPSHOT_OPTIONS[name]]

    def sandbox(self) -> Sandbox:
        """Return a new sandbox. Raise CliError if the seed cannot be read."""
        seed = None if self.seed is None else read_seed(self.seed)
        if isinstance(seed, dict) and "balance" in self.given:
            seed = {name: part for name, part in seed.items() if name != "balance"}
        try:
            return self._create(seed)
        except ControlError as error:
            raise CliError(f"{self.seed} is not a seed: {error}") from None

    def _create(self, seed: Any) -> Sandbox:  # noqa: ANN401 - JSON
        quarter = self.delivery / 4
        return Sandbox(
            balance=self.balance,
            rate_limit=self.rate,
            faults=self.faults,
            random_seed=self.random_seed,
            keep_messages=self.keep_messages,
            timing=Timing(sent=quarter, delivered=3 * quarter, read=5 * self.delivery),
            webhooks=WebhookFaults(
                repeated=self.repeated, late=self.late, reordered=self.reordered, seed=self.random_seed
            ),
            seed=seed,
        )


def read_seed(path: str) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON value in the file of a seed. Raise CliError if it cannot be read, with the line of a mistake."""
    try:
        return standard_json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise cannot_read(path, error) from None
    except standard_json.JSONDecodeError as error:
        raise CliError(f"{path} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except UnicodeDecodeError:
        raise CliError(f"{path} is not JSON: it is not UTF-8") from None
    except RecursionError:
        raise CliError(f"{path} is not JSON that can be read: it is nested too deeply") from None


@final
class HostName(click.types.StringParamType):
    """The name of a host. In the environment, names are separated by commas."""

    envvar_list_splitter: ClassVar[str | None] = ","

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - as click has it
        """Return *value* without blanks around it."""
        return f"{super().convert(value, param, ctx)}".strip()


@click.command
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Listen on this address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Listen on this port. 0 is any free port (default: 8025, with COMMAND 0).",
)
@click.option(
    "--allow-host",
    type=HostName(),
    multiple=True,
    metavar="NAME",
    envvar="MSGAPI_SANDBOX_ALLOW_HOST",
    help="Answer requests for this host, too, such as the name of a container. Can be repeated. "
    "MSGAPI_SANDBOX_ALLOW_HOST sets it, too, as names separated by commas. Requests for other hosts get 403.",
)
@click.option(
    "--balance",
    callback=amount_callback,
    default="1000",
    metavar="EUR",
    show_default=True,
    help="Set the initial balance.",
)
@click.option("--rate", type=click.IntRange(1), default=10_000, metavar="N", help="Allow N requests per second.")
@click.option(
    "--faults", type=FiniteFloat(0, 1), default=0.0, metavar="FRACTION", help="Let this fraction of requests fail."
)
@click.option("--random-seed", type=int, default=1, show_default=True, metavar="N", help="Set the random seed.")
@click.option(
    "--seed",
    type=click.Path(readable=False),
    metavar="FILE",
    help="Start with the contacts, messages and more in this JSON file.",
)
@click.option(
    "--delivery",
    type=FiniteFloat(0),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Deliver messages after so long.",
)
@click.option(
    "--keep-messages",
    type=click.IntRange(0),
    default=100_000,
    show_default=True,
    metavar="N",
    help="Keep the last N messages in a final state.",
)
@click.option(
    "--repeated", type=FiniteFloat(0, 1), default=0.0, metavar="FRACTION", help="Send this fraction of webhooks twice."
)
@click.option(
    "--late", type=FiniteFloat(0, 1), default=0.0, metavar="FRACTION", help="Send this fraction of webhooks late."
)
@click.option(
    "--reordered",
    type=FiniteFloat(0, 1),
    default=0.0,
    metavar="FRACTION",
    help="Send this fraction of webhooks out of order.",
)
@click.option(
    "--state",
    "--sandbox-state",
    "state",
    type=click.Path(readable=False),
    metavar="FILE",
    help="Keep the sandbox in this file: restore it from there, and write it at the end.",
)
@click.option("--list-recipients", is_flag=True, help="List the recipients with a fixed outcome, and do nothing else.")
@json_option
def sandbox(*, command: tuple[str, ...], list_recipients: bool, json: bool, **values: Any) -> int:  # noqa: ANN401 - SandboxOptions
    """Serve a sandbox of the API on this machine.

    Nothing is really sent. The two environment variables that point to the sandbox are printed, and the URL of its
    page, on which messages are seen and answered.

    With --seed, a new sandbox starts with the agents, contacts, webhooks, messages, prices and balance in the file. A
    reset restores this state.

    With --state, the sandbox of an earlier command continues: its messages, contacts, balance and webhooks are there,
    and what became due since then happens when it starts. It is written to the file when this command ends, also by
    Ctrl-C or SIGTERM. --balance, --random-seed and --seed are for a new one. The file contains recipients and content.

    A COMMAND, after --, is run with these variables set, against a sandbox of its own. The exit status is that of the
    command.
    """
    if list_recipients:
        return _list_recipients(json=json)
    context = click.get_current_context()
    defaults = {ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP}
    given = frozenset(name for name in values if context.get_parameter_source(name) not in defaults)
    options = SandboxOptions(**values, given=given)
    return run_async(partial(_run_with, options, command) if command else partial(_serve, options, json=json))


def _list_recipients(*, json: bool) -> int:
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


@final
@frozen
class RunningSandbox:
    """The environment *variables* of a program that uses the sandbox, and the URL of its *page*."""

    variables: Mapping[str, str]
    page: str = field(repr=False)


@asynccontextmanager
async def _open_server(options: SandboxOptions, port: int) -> AsyncIterator[RunningSandbox]:
    from ...sandbox import serve

    if not options.host:
        raise CliError("--host must name an address to listen on, such as 127.0.0.1")
    async with AsyncExitStack() as stack:
        try:
            sandbox = stack.enter_context(options.open())
        except ValueError as error:
            raise CliError(f"these options are not valid together: {error}") from None
        try:
            # On another address, other machines can reach the page: a secret in its URL opens it.
            access = None if is_loopback(options.host) else secrets.token_urlsafe(16)
            served = serve(sandbox, host=options.host, port=port, allow_hosts=options.allow_host, access=access)
            url = await stack.enter_async_context(served)
        except (OSError, UnicodeError) as error:
            raise CliError(f"cannot serve on {options.host} port {port}: {_reason(error)}") from None
        except ValueError as error:  # UnicodeError is one, too
            raise CliError(f"--allow-host (MSGAPI_SANDBOX_ALLOW_HOST): {error}") from None
        variables = {"MSGAPI_API_KEY": sandbox.api_key, "MSGAPI_BASE_URL": url}
        yield RunningSandbox(variables, f"{url}/" if access is None else f"{url}/?access={access}")


def _reason(error: OSError | UnicodeError) -> str:
    text = error.strerror if isinstance(error, OSError) else "no such host"
    is_port_error = isinstance(error, OSError) and error.errno in _PORT_ERRORS
    hint = "try --port 0" if is_port_error else "--host must name an address of this machine, such as 127.0.0.1"
    return f"{text}; {hint}"


async def _serve(options: SandboxOptions, *, json: bool) -> int:
    with open_signals(signal.SIGINT, signal.SIGTERM) as signals:
        async with _open_server(options, _DEFAULT_PORT if options.port is None else options.port) as running:
            gc.freeze()  # what exists now stays until the end: the garbage collector need not visit it again
            if json:
                emit(orjson.dumps({**running.variables, "page": running.page}).decode())
            else:
                emit("\n".join(f"export {name}={quote(value)}" for name, value in running.variables.items()))
            note(f"the sandbox is at {running.page} (open it in a browser): nothing is really sent; Ctrl-C stops it")
            if options.host in _ANY_ADDRESS:
                note("from another machine, open that URL with the address of this one")
            async for _ in signals:
                break
    note(f"the sandbox has stopped, and its data is {'gone' if options.state is None else f'in {options.state}'}")
    return Exit.ACCEPTED


async def _run_with(options: SandboxOptions, command: tuple[str, ...]) -> int:
    with open_signals(signal.SIGINT, signal.SIGTERM) as signals:
        async with _open_server(options, options.port or 0) as running:
            try:
                process = await anyio.open_process(
                    command, stdin=None, stdout=None, stderr=None, env={**environ, **running.variables}
                )
            except OSError as error:
                raise CliError(f"cannot run {command[0]}: {error.strerror or error}", Exit.NO_COMMAND) from None
            async with anyio.create_task_group() as tasks:
                _ = tasks.start_soon(_forward, signals, process)
                _ = await process.wait()
                tasks.cancel_scope.cancel()
    status = process.returncode or 0
    return status if status >= 0 else _SIGNAL_STATUS - status


async def _forward(signals: "AsyncIterator[signal.Signals]", process: "Process") -> None:
    # The terminal sends Ctrl-C to the command, too; a SIGTERM reaches only this process.
    async for one in signals:
        if one == signal.SIGTERM:
            with suppress(ProcessLookupError):  # the command may have received it, too, and ended
                process.terminate()
