"""The commands `msgapi webhooks list`, `add`, `remove`, `test`, `verify` and `listen`."""

import logging
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any, Final, final

import anyio
import click
import orjson
from attrs import define

from ... import webhooks
from ...webhooks import EndpointPage, Event, InvalidDelivery, NewEndpoint, UnknownEvent, WebhookEndpoint
from ..connection import open_signals, run_async, run_call
from ..options import json_option, sandbox_option
from ..output import (
    CliError,
    Exit,
    OutputClosed,
    TextTable,
    cannot_read,
    emit,
    emit_json,
    escaped,
    line,
    note,
    table_of,
    write,
)

_secret_option: Final = click.option(
    "--secret",
    envvar="MSGAPI_WEBHOOK_SECRET",
    default="",
    metavar="TEXT",
    help="Use this secret of the endpoint. MSGAPI_WEBHOOK_SECRET sets it, too.",
)


@final
class _WholeText(click.types.StringParamType):
    """Text of which click does not split the value in the environment at blanks, though the option is repeatable."""

    def split_envvar_value(self, rv: str) -> list[str]:
        """Return the value as the only one."""
        return [rv]


@click.command("list")
@click.option("--cursor", metavar="TEXT", help="Show the page of this cursor, which is printed with the previous page.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Show N endpoints (default: the page size of the service)."
)
@json_option
@sandbox_option
def list_webhooks(*, cursor: str | None, limit: int | None, json: bool, sandbox: bool) -> int:
    """List the endpoints."""
    return run_call(webhooks.list(cursor=cursor, limit=limit), _table, json=json, sandbox=sandbox)


@click.command
@click.argument("url")
@click.argument("event", nargs=-1)
@_secret_option
@json_option
@sandbox_option
def add(*, url: str, event: tuple[str, ...], secret: str, json: bool, sandbox: bool) -> int:
    """Add an endpoint.

    The service sends each EVENT, such as message.delivered, to URL. If none is named, it sends all events.
    """
    unknown = sorted(set(event) - webhooks.EVENT_TYPES.keys())
    if unknown:
        raise CliError(f"no such event: {', '.join(unknown)} (all: {', '.join(webhooks.EVENT_TYPES)})")
    endpoint = NewEndpoint(url=url, events=event or tuple(webhooks.EVENT_TYPES), secret=_checked_secret(secret))
    return run_call(webhooks.create(endpoint), _added, json=json, sandbox=sandbox)


@click.command
@click.argument("webhook_id")
@json_option
@sandbox_option
def remove(*, webhook_id: str, json: bool, sandbox: bool) -> int:
    """Delete an endpoint."""
    return run_call(webhooks.delete(webhook_id), lambda _: f"removed {webhook_id}", json=json, sandbox=sandbox)


@click.command
@click.argument("webhook_id")
@json_option
@sandbox_option
def test(*, webhook_id: str, json: bool, sandbox: bool) -> int:
    """Have the service send a test event to an endpoint."""
    text = f"the service sends a test event to {webhook_id}"
    return run_call(webhooks.test(webhook_id), lambda _: text, json=json, sandbox=sandbox)


@click.command
@click.argument("file")
@click.option("--signature", required=True, metavar="TEXT", help="Verify this value of the X-Arowana-Signature header.")
@click.option(
    "--secret",
    "secrets",
    type=_WholeText(),
    envvar="MSGAPI_WEBHOOK_SECRET",
    multiple=True,
    metavar="TEXT",
    help="Use this secret of the endpoint. Can be repeated. MSGAPI_WEBHOOK_SECRET sets one, too.",
)
@json_option
def verify(*, file: str, signature: str, secrets: tuple[str, ...], json: bool) -> int:
    """Verify a webhook body and show its event.

    FILE has the raw body. The name - stands for standard input. If the signature does not match, the reason is shown.

    The exit status is 0 if the signature matches, and 1 otherwise.
    """
    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise cannot_read(file, error) from None
    checked = [_checked_secret(one) for one in secrets or ("",)]
    event = webhooks.read({webhooks.SIGNATURE_HEADER: signature}, body, secret=checked)
    if isinstance(event, InvalidDelivery):
        wrong_signature = event.status == 401  # noqa: PLR2004
        cause = webhooks.explain_mismatch(signature, body, secret=checked) if wrong_signature else None
        reason = f"{event.reason}: {cause}" if cause else event.reason
        if json:
            emit_json({"valid": False, "reason": reason, "event": None})
        note(f"not valid: {reason}")
        return Exit.REFUSED
    if json:
        emit_json({"valid": True, "reason": None, "event": orjson.loads(webhooks.write(event))})
    else:
        emit(_format(event, json=False))
    return Exit.ACCEPTED


@click.command
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8026,
    show_default=True,
    metavar="N",
    help="Listen on this port. 0 is any free port.",
)
@_secret_option
@json_option
def listen(*, port: int, secret: str, json: bool) -> int:
    """Receive, verify and print events until Ctrl-C."""
    return run_async(partial(_listen, port, _checked_secret(secret), json=json))


@final
@define(eq=False)
class EventPrinter:
    """Prints events. If standard output cannot be written any more, stores the error in *ended* and calls *close*."""

    json: bool
    close: Callable[[], None]
    ended: OutputClosed | CliError | None = None

    async def print_event(self, event: Event) -> None:
        """Print *event*. If that raises, the receiver refuses the event, so that the service sends it again."""
        if self.ended is not None:
            raise self.ended
        try:
            write(escaped(_format(event, json=self.json)))
        except (OutputClosed, CliError) as error:
            self.ended = error
            self.close()
            raise


async def _listen(port: int, secret: str, *, json: bool) -> int:
    from aiohttp import web

    listening = anyio.CancelScope()
    printer = EventPrinter(json, listening.cancel)
    logging.getLogger("msgapi").addHandler(logging.NullHandler())  # errors are reported in one line at the end
    receive = webhooks.aiohttp(printer.print_event, secret=secret)

    async def respond(request: web.Request) -> web.Response:
        response = await receive(request)
        if printer.ended is None and response.status != 200:  # noqa: PLR2004
            note(f"refused with {response.status}: {response.text}")
        return response

    app = web.Application()
    _ = app.router.add_post("/{path:.*}", respond)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        with open_signals(signal.SIGINT, signal.SIGTERM) as signals:
            try:
                await web.TCPSite(runner, "127.0.0.1", port).start()
            except OSError as error:
                raise CliError(f"cannot listen on port {port}: {error.strerror or error}; try --port 0") from None
            note(f"listening at http://127.0.0.1:{runner.addresses[0][1]}/ ; Ctrl-C stops it")
            with listening:
                _ = await anext(signals)
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
    if isinstance(printer.ended, CliError):
        raise printer.ended
    if printer.ended is not None:
        note("standard output was closed: the last event was refused, so the service sends it again")
    return Exit.ACCEPTED


def _format(event: Event, *, json: bool) -> str:
    plain: dict[str, Any] = orjson.loads(webhooks.write(event))
    if json:
        return orjson.dumps(plain).decode()
    lines = [line(f"{plain.get('timestamp', 'at an unknown time')}  {plain['event']}  {plain['id']}")]
    lines += [f"    {line(name):20}{_value(value)}" for name, value in plain["data"].items()]
    problems = event.problems if isinstance(event, UnknownEvent) else ()
    return "\n".join([*lines, *(f"    not as documented: {line(one)}" for one in problems)])


def _value(value: object) -> str:
    return line(value if isinstance(value, str) else orjson.dumps(value).decode())


def _table(found: EndpointPage) -> str | TextTable:
    if found.next_cursor:
        note(f"there are more: show the next page with --cursor {quote(found.next_cursor)}")
    if not found.webhooks:
        return "no endpoints"
    table = table_of("id", "url", "events")
    for one in found.webhooks:
        table.add_row(one.id, one.url or "", ", ".join(one.events))
    return table


def _added(endpoint: WebhookEndpoint) -> str:
    return f"added {endpoint.id}"


def _checked_secret(secret: str) -> str:
    if not secret:
        raise CliError("no secret: give --secret, or set MSGAPI_WEBHOOK_SECRET")
    try:
        return webhooks.parse_secrets(secret)[0]
    except ValueError as error:
        raise CliError(f"the secret is not valid: {error}") from None
