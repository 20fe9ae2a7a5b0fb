"""The commands `msgapi webhooks list`, `create`, `delete`, `test` and `verify`."""

import sys
from pathlib import Path
from shlex import quote
from typing import Any, Final, final

import click
import orjson
from click.shell_completion import CompletionItem

from ... import webhooks
from ...webhooks import EndpointPage, Event, InvalidDelivery, NewEndpoint, UnknownEvent, WebhookEndpoint
from ..connection import run_call
from ..options import FILE_PATH, json_option, sandbox_option
from ..output import CliError, Exit, TextTable, cannot_read, emit, emit_json, line, note, table_of
from ..spelling import suggest

secret_option: Final = click.option(
    "--secret",
    envvar="MSGAPI_WEBHOOK_SECRET",
    default="",
    metavar="TEXT",
    help="Use this secret of the endpoint. MSGAPI_WEBHOOK_SECRET sets it, too.",
)


@final
class EventName(click.types.StringParamType):
    """The name of an event, which shells complete."""

    name = "event"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401 - as click has it
        """Return *value*, or fail with the names of all events."""
        text = f"{value}"
        if text not in webhooks.EVENT_TYPES:
            hint = suggest(text, webhooks.EVENT_TYPES)
            self.fail(f"no such event: {text} (all: {', '.join(webhooks.EVENT_TYPES)}).{hint}", param, ctx)
        return text

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002 - click's signature
        """Complete the name of an event."""
        return [CompletionItem(name) for name in webhooks.EVENT_TYPES if name.startswith(incomplete)]


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
@click.argument("event", nargs=-1, type=EventName())
@secret_option
@json_option
@sandbox_option
def create(*, url: str, event: tuple[str, ...], secret: str, json: bool, sandbox: bool) -> int:
    """Create an endpoint.

    The service sends each EVENT, such as message.delivered, to URL. If none is named, it sends all events.
    """
    endpoint = NewEndpoint(url=url, events=event or tuple(webhooks.EVENT_TYPES), secret=checked_secret(secret))
    return run_call(webhooks.create(endpoint), _created, json=json, sandbox=sandbox)


@click.command
@click.argument("webhook_id")
@json_option
@sandbox_option
def delete(*, webhook_id: str, json: bool, sandbox: bool) -> int:
    """Delete an endpoint."""
    return run_call(webhooks.delete(webhook_id), lambda _: f"deleted {webhook_id}", json=json, sandbox=sandbox)


@click.command
@click.argument("webhook_id")
@json_option
@sandbox_option
def test(*, webhook_id: str, json: bool, sandbox: bool) -> int:
    """Have the service send a test event to an endpoint."""
    text = f"the service sends a test event to {webhook_id}"
    return run_call(webhooks.test(webhook_id), lambda _: text, json=json, sandbox=sandbox)


@click.command
@click.argument("file", type=FILE_PATH)
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
    checked = [checked_secret(one) for one in secrets or ("",)]
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
        emit(format_event(event, json=False))
    return Exit.ACCEPTED


def format_event(event: Event, *, json: bool) -> str:
    """Return *event* as lines of text, or as one line of JSON."""
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


def _created(endpoint: WebhookEndpoint) -> str:
    return f"created {endpoint.id}"


def checked_secret(secret: str, option: str = "--secret", variable: str = "MSGAPI_WEBHOOK_SECRET") -> str:
    """Return the *secret* of an *option*. Raise CliError if it is empty or not valid."""
    if not secret:
        raise CliError(f"no secret: give {option}, or set {variable}")
    try:
        return webhooks.parse_secrets(secret)[0]
    except ValueError as error:
        raise CliError(f"the secret is not valid: {error} ({option}, {variable})") from None
