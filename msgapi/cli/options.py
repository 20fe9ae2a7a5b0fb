"""Options that several commands share."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final, TypeVar, final

import click

F = TypeVar("F", bound=Callable[..., Any])

TRAFFIC: Final = ("AUTHENTICATION", "TRANSACTION", "PROMOTION", "SERVICEREQUEST", "ACKNOWLEDGEMENT")
KINDS: Final = ("MESSAGE", "CONVERSATION", "NEWSLETTER")
_TOO_MUCH: Final = 10**9  # EUR
_GIVEN: Final = "msgapi.given"
_OPTIONS: Final = (
    ("agent_id", "--agent", "ID", "RCS: the agent that sends, such as ag_live_demo."),
    ("traffic_type", "--traffic", "TYPE", f"RCS: {', '.join(TRAFFIC)}."),
    ("ttl", "--ttl", "DURATION", "RCS: revoke it if not delivered by then, such as 900s."),
    ("channel_id", "--channel", "ID", "Email: the channel that sends, such as ch_demo."),
    ("subject", "--subject", "TEXT", "Email: the subject."),
    ("html", "--html", "HTML", "Email: the content as HTML."),
    ("template_id", "--template", "ID", "Email: a published template in place of the content."),
    ("template_version", "--template-version", "N", "Email: its version; the latest if left out."),
    ("message_type", "--message-type", "TYPE", f"{', '.join(KINDS)}; the first if left out."),
    ("text", "--text", "TEXT", "The text."),
)
_CHOICES: Final = {"traffic_type": TRAFFIC, "message_type": KINDS}
_FILE: Final = (
    click.option("--to-column", default="to", show_default=True, metavar="COLUMN", help="Holds the recipients."),
    click.option("--data", multiple=True, metavar="COLUMN", help="Email: a column the template gets; repeatable."),
    click.option(
        "--allow-empty", is_flag=True, help="Fill placeholders with empty cells too, in place of refusing the row."
    ),
    click.option(
        "--allow-duplicates", is_flag=True, help="Send the same message to the same recipient more than once."
    ),
    click.option("--format", "shape", type=click.Choice(["csv", "jsonl"]), help="If the name of FILE does not tell."),
    click.option("--delimiter", metavar="CHARACTER", help="Of a CSV: , ; or tab are found by themselves."),
)


def amount(text: str) -> Decimal | None:
    """Read an amount in EUR such as `25` or `0.07`; None if it is none, or not below a thousand million."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and 0 <= value < _TOO_MUCH else None


def euros(context: click.Context, option: click.Parameter, value: str | None) -> Decimal | None:
    """Read an option that is an amount in EUR, if it was given."""
    found = None if value is None else amount(value)
    if value is not None and found is None:
        raise click.BadParameter(f"{value} is not an amount in EUR such as 25 or 0.07", context, option)
    return found


@final
class Number(click.FloatRange):
    """A number within bounds; what is not finite is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - as click has it
        """Read it, or say in one line what it should be."""
        found: float = super().convert(value, param, ctx)
        if not isfinite(found):
            self.fail(f"{value} is not a number", param, ctx)
        return found


@final
class Several(click.Group):
    """A command of several; without one of them it says which there are."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the command and what it is given from *args*."""
        if not args:
            raise click.UsageError(f"{self.name} needs a command: {', '.join(self.commands)}", ctx)
        return super().parse_args(ctx, args)


def message_options(command: F) -> F:
    """Give *command* the options that make a message; `given` tells what they were."""
    for name, flag, shown, told in reversed(_OPTIONS):
        kind = click.Choice(_CHOICES[name], case_sensitive=False) if name in _CHOICES else str
        option = click.option(flag, name, type=kind, metavar=shown, help=told, expose_value=False, callback=_gather)
        command = option(command)
    return command


def file_options(command: F) -> F:
    """Give *command* the options that tell how a file of rows is read and made into messages."""
    for option in reversed(_FILE):
        command = option(command)
    return command


def given() -> dict[str, str]:
    """Tell the message options that were given, by the name of the field."""
    found: dict[str, str] = click.get_current_context().meta.setdefault(_GIVEN, {})
    return dict(found)


def _gather(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None and option.name is not None:
        context.meta.setdefault(_GIVEN, {})[option.name] = value


id_column_option: Final = click.option(
    "--id-column", metavar="COLUMN", help="Holds an id of each row; its number if left out."
)
at_once_option: Final = click.option(
    "--concurrency", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Requests in flight."
)
limit_rate_option: Final = click.option(
    "--rate", type=Number(0, min_open=True), metavar="N", help="At most N requests a second."
)
patience_option: Final = click.option(
    "--outage_timeout",
    type=Number(0),
    default=900,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a service that is down.",
)
wait_option: Final = click.option(
    "--wait-for-balance", is_flag=True, help="When the balance is used up, wait for a top-up and go on."
)
export_option: Final = click.option(
    "--export", type=click.Choice(["csv", "jsonl"]), help="Print the rows in this form."
)
only_option: Final = click.option(
    "--only", type=click.Choice(["accepted", "refused", "held-up", "doubtful"]), help="Export only these."
)
json_option: Final = click.option("--json", is_flag=True, help="Print JSON.")
sandbox_option: Final = click.option(
    "--sandbox", is_flag=True, help="Against a private sandbox: no key, nothing is sent."
)
dry_run_option: Final = click.option(
    "--dry-run", is_flag=True, help="Send nothing: show what would be sent. Needs no key."
)
