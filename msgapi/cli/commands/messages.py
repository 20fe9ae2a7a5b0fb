"""The commands for the message log: `msgapi messages list`, `get` and `revoke`."""

from typing import Any, Final

import click

from ... import codec, messages
from ...messages import MessageRecord, Page
from ...schema.cursor_pages import odd_rows
from ..connection import run_call
from ..options import KINDS, json_option, sandbox_option, since_option, until_option
from ..output import TextTable, line, note, table_of

_STATUSES: Final = ("QUEUED", "SENT", "DELIVERED", "READ", "CLICKED", "BOUNCED", "FAILED", "UNSUBSCRIBED")


@click.command("list")
@click.option(
    "--direction", type=click.Choice(["OUTBOUND", "INBOUND"], case_sensitive=False), help="Only this direction."
)
@click.option("--status", type=click.Choice(_STATUSES, case_sensitive=False), help="Only messages with this status.")
@click.option("--message-type", type=click.Choice(KINDS, case_sensitive=False), help="Only messages of this type.")
@click.option("--channel", "channel_id", metavar="ID", help="Only messages of this channel.")
@click.option("--contact", "contact_id", metavar="ID", help="Only messages of this contact.")
@click.option("--campaign", "campaign_id", metavar="ID", help="Only messages of this campaign.")
@since_option
@until_option
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Page size.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Skip this many messages.")
@json_option
@sandbox_option
def list_messages(*, json: bool, sandbox: bool, **given: Any) -> int:  # noqa: ANN401 - the filters of messages.list
    """List messages, the newest first."""
    filters = {name: value for name, value in given.items() if value is not None}
    return run_call(messages.list(**filters), _table, json=json, sandbox=sandbox)


@click.command
@click.argument("message_id")
@json_option
@sandbox_option
def get(*, message_id: str, json: bool, sandbox: bool) -> int:
    """Show one message with its content and events."""
    return run_call(messages.get(message_id), _lines, json=json, sandbox=sandbox)


@click.command
@click.argument("message_id")
@json_option
@sandbox_option
def revoke(*, message_id: str, json: bool, sandbox: bool) -> int:
    """Revoke a message that is not delivered yet."""
    call = messages.revoke(message_id)
    return run_call(call, lambda done: f"{done.status.lower()} {done.id}", json=json, sandbox=sandbox)


def _table(page: Page) -> str | TextTable:
    odd = odd_rows(page.extra, "messages")
    if odd:
        note(f"{len(odd)} of {len(page.messages) + len(odd)} messages cannot be read: --json shows what came")
    if not page.messages and not odd:
        return "no messages"
    table = table_of("created", "id", "direction", "type", "status", "#EUR")
    for one in page.messages:
        created = "" if one.created_at is None else f"{one.created_at:%Y-%m-%d %H:%M:%S}"
        cost = "" if one.cost is None else f"{one.cost}"
        table.add_row(created, one.id, (one.direction or "").lower(), one.message_type or "", one.status or "", cost)
    for row in odd:
        name = row.get("id") if isinstance(row, dict) else None
        table.add_row("", name if isinstance(name, str) else "", "", "", "unreadable", "")
    return table


def _lines(message: MessageRecord) -> str:
    plain: dict[str, Any] = codec.to_dict(message)
    content = plain.pop("content", None)
    events = plain.pop("events", ())
    lines = [f"{name:15}{line(str(value))}" for name, value in plain.items()]
    lines += [f"{'event':15}{line(one['type'])} at {one.get('at', 'an unknown time')}" for one in events]
    return "\n".join([*lines, *([f"{'content':15}{content}"] if content else [])])
