"""The commands that read and change what is there: messages, webhooks, doctor."""

import click

from .options import KINDS, Several, json_option, sandbox_option

_STATUSES = ("QUEUED", "SENT", "DELIVERED", "READ", "CLICKED", "BOUNCED", "FAILED", "UNSUBSCRIBED")
_secret_option = click.option(
    "--secret", envvar="MSGAPI_WEBHOOK_SECRET", default="", metavar="TEXT", help="Or set MSGAPI_WEBHOOK_SECRET."
)


@click.group(cls=Several)
def messages() -> None:
    """Look into the message log, and take messages back."""


@messages.command("list")
@click.option("--direction", type=click.Choice(["OUTBOUND", "INBOUND"], case_sensitive=False), help="Out or in.")
@click.option("--status", type=click.Choice(_STATUSES, case_sensitive=False), help="With this status only.")
@click.option("--message-type", type=click.Choice(KINDS, case_sensitive=False), help="Of this type only.")
@click.option("--channel", "channel_id", metavar="ID", help="Of this channel only.")
@click.option("--contact", "contact_id", metavar="ID", help="Of this contact only.")
@click.option("--campaign", "campaign_id", metavar="ID", help="Of this campaign only.")
@click.option("--since", metavar="DATE", help="Of this day or later, such as 2026-05-04.")
@click.option("--until", metavar="DATE", help="Of this day or earlier.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="How many.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Pass over so many first.")
@json_option
@sandbox_option
def list_messages(*, json: bool, sandbox: bool, **given: object) -> int:
    """List messages, the newest first."""
    from .log import start

    return start(given, json=json, sandbox=sandbox)


@messages.command
@click.argument("message_id")
@json_option
@sandbox_option
def get(*, message_id: str, json: bool, sandbox: bool) -> int:
    """Show one message, its content and what became of it."""
    from .log import show

    return show(message_id, json=json, sandbox=sandbox)


@messages.command
@click.argument("message_id")
@json_option
@sandbox_option
def revoke(*, message_id: str, json: bool, sandbox: bool) -> int:
    """Take a message back that was not delivered yet."""
    from .log import revoke as start

    return start(message_id, json=json, sandbox=sandbox)


@click.group(cls=Several)
def webhooks() -> None:
    """See to the endpoints that the service sends its events to, and to what it sends."""


@webhooks.command("list")
@click.option("--cursor", metavar="TEXT", help="Go on from the page before, which told it.")
@click.option("--limit", type=click.IntRange(1), help="How many; as the service likes if left out.")
@json_option
@sandbox_option
def list_webhooks(*, cursor: str | None, limit: int | None, json: bool, sandbox: bool) -> int:
    """List the endpoints."""
    from .hooks import show

    return show(cursor, limit, json=json, sandbox=sandbox)


@webhooks.command
@click.argument("url")
@click.argument("event", nargs=-1)
@_secret_option
@json_option
@sandbox_option
def add(*, url: str, event: tuple[str, ...], secret: str, json: bool, sandbox: bool) -> int:
    """Have EVENTs sent to URL, such as message.delivered; all of them if none is named."""
    from .hooks import add as start

    return start(url, event, secret, json=json, sandbox=sandbox)


@webhooks.command
@click.argument("webhook_id")
@json_option
@sandbox_option
def remove(*, webhook_id: str, json: bool, sandbox: bool) -> int:
    """Delete an endpoint."""
    from .hooks import remove as start

    return start(webhook_id, json=json, sandbox=sandbox)


@webhooks.command
@click.argument("webhook_id")
@json_option
@sandbox_option
def test(*, webhook_id: str, json: bool, sandbox: bool) -> int:
    """Have a made-up event sent to an endpoint."""
    from .hooks import test as start

    return start(webhook_id, json=json, sandbox=sandbox)


@webhooks.command
@click.argument("file")
@click.option("--signature", required=True, metavar="TEXT", help="The X-Arowana-Signature header as it came.")
@_secret_option
@json_option
def verify(*, file: str, signature: str, secret: str, json: bool) -> int:
    """Verify the raw body in FILE (- is standard input), and show its event."""
    from .hooks import verify as start

    return start(file, signature, secret, json=json)


@webhooks.command
@click.option("--port", type=click.IntRange(0, 65535), default=8026, show_default=True, help="0 takes a free one.")
@_secret_option
@json_option
def listen(*, port: int, secret: str, json: bool) -> int:
    """Receive events on this machine, verify them and print them, until Ctrl-C."""
    from .hooks import listen as start

    return start(port, secret, json=json)


@click.command
@json_option
def doctor(*, json: bool) -> int:
    """See whether this machine can send: key, base URL, service, clock, versions."""
    from .doctor import start

    return start(json=json)
