"""The message log: the commands `messages list`, `get` and `revoke`."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from .. import codec, messages
from ..messages import MessageRecord, Page
from .asking import answer
from .exits import Halt
from .output import Table, line, table_of


def start(given: Mapping[str, Any], *, json: bool, sandbox: bool) -> int:
    """List one page of the log by what was *given*; gives the exit status."""
    filters = {name: value for name, value in given.items() if value is not None}
    for name in filters.keys() & {"since", "until"}:
        try:
            filters[name] = date.fromisoformat(filters[name])
        except ValueError:
            raise Halt(f"--{name} takes a date such as 2026-05-04, not {filters[name]!r}") from None
    return answer(messages.list(**filters), _table, json=json, sandbox=sandbox)


def show(message_id: str, *, json: bool, sandbox: bool) -> int:
    """Show one message; gives the exit status."""
    return answer(messages.get(message_id), _lines, json=json, sandbox=sandbox)


def revoke(message_id: str, *, json: bool, sandbox: bool) -> int:
    """Take one message back; gives the exit status."""
    return answer(
        messages.revoke(message_id), lambda done: f"{done.status.lower()} {done.id}", json=json, sandbox=sandbox
    )


def _table(page: Page) -> str | Table:
    if not page.messages:
        return "no messages"
    table = table_of("created", "id", "direction", "type", "status", "#EUR")
    for one in page.messages:
        created = "" if one.created_at is None else f"{one.created_at:%Y-%m-%d %H:%M:%S}"
        cost = "" if one.cost is None else f"{one.cost}"
        table.add_row(created, one.id, (one.direction or "").lower(), one.message_type or "", one.status, cost)
    return table


def _lines(message: MessageRecord) -> str:
    plain: dict[str, Any] = codec.to_plain(message)
    content = plain.pop("content", None)
    events = plain.pop("events", ())
    lines = [f"{name:15}{line(str(value))}" for name, value in plain.items()]
    lines += [f"{'event':15}{line(one['type'])} at {one.get('at', 'an unknown time')}" for one in events]
    return "\n".join([*lines, *([f"{'content':15}{content}"] if content else [])])
