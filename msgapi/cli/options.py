"""Options that several commands share, and their types."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final, TypeVar, final
from weakref import WeakKeyDictionary

import click

from .output import RowOutcome

F = TypeVar("F", bound=Callable[..., Any])

TRAFFIC: Final = ("AUTHENTICATION", "TRANSACTION", "PROMOTION", "SERVICEREQUEST", "ACKNOWLEDGEMENT")
KINDS: Final = ("MESSAGE", "CONVERSATION", "NEWSLETTER")
_AMOUNT_LIMIT: Final = 10**9  # EUR
_MESSAGE_OPTIONS: Final = "msgapi.message_options"
_PARAMETERS: Final = "__click_params__"  # where click keeps the options of a function until it becomes a command
_WIDEST: Final = 28  # columns for the names of options
_OPTIONS: Final = (
    ("agent_id", "--agent", "ID", "RCS: send from this agent, such as ag_live_demo."),
    ("traffic_type", "--traffic", "TYPE", f"RCS: set the type of traffic: {', '.join(TRAFFIC)}."),
    ("ttl", "--ttl", "DURATION", "RCS: revoke a message that is not delivered within this time, such as 900s."),
    ("channel_id", "--channel", "ID", "Email: send over this channel, such as ch_demo."),
    ("subject", "--subject", "TEXT", "Email: set the subject."),
    ("html", "--html", "HTML", "Email: set the content as HTML."),
    ("template_id", "--template", "ID", "Email: send this published template, in place of --text and --html."),
    ("template_version", "--template-version", "N", "Email: send this version of the template (default: the latest)."),
    ("message_type", "--message-type", "TYPE", f"Set the type: {', '.join(KINDS)} (default: {KINDS[0]})."),
    ("text", "--text", "TEXT", "Set the text of the message."),
)
EXPORTED: Final = (
    RowOutcome.ACCEPTED,
    RowOutcome.REFUSED,
    RowOutcome.NOT_SENT_YET,
    RowOutcome.UNKNOWN,
    RowOutcome.CHANGED,
)
_CHOICES: Final = {"traffic_type": TRAFFIC, "message_type": KINDS}
_CONTENT: Final = (
    click.option(
        "--data", multiple=True, metavar="COLUMN", help="Email: pass this column to the template. Can be repeated."
    ),
    click.option(
        "--fallback-email",
        metavar="COLUMN",
        help="RCS: if the recipient cannot be reached by RCS (404), send an email to the address in this column, with "
        "--channel, --subject and --html or --template.",
    ),
)
_FILE: Final = (
    click.option(
        "--to-column", default="to", show_default=True, metavar="COLUMN", help="Read the recipients from this column."
    ),
    click.option(
        "--id-column",
        metavar="COLUMN",
        help="Identify each row by this column (default: by its idempotency_key, else by its content).",
    ),
    click.option(
        "--format",
        "file_format",
        type=click.Choice(["csv", "jsonl"]),
        help="Read FILE as this format (default: by file extension).",
    ),
    click.option("--delimiter", metavar="CHARACTER", help="Split cells at this character (default: detected)."),
    click.option(
        "--allow-empty", is_flag=True, help="Fill placeholders with empty cells, too, instead of refusing the row."
    ),
    click.option(
        "--allow-duplicates", is_flag=True, help="Send rows with the same message and recipient as an earlier row, too."
    ),
)
_OTHER: Final = "Options"
_GROUPS: Final[WeakKeyDictionary[click.Parameter, str]] = WeakKeyDictionary()


@final
class GroupedCommand(click.Command):
    """A command whose help lists its options in the groups of `option_group`; the others come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, one section for each group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        records = [(_GROUPS.get(one, _OTHER), one.get_help_record(ctx)) for one in options]
        for title, record in sorted(records, key=lambda one: one[0] == _OTHER):
            groups.setdefault(title, []).extend([] if record is None else [record])  # None if it is hidden
        widest = max(len(name) for records in groups.values() for name, _ in records)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(min(widest, _WIDEST)), text) for name, text in records])


def option_group(title: str, *options: Callable[[F], F]) -> Callable[[F], F]:
    """Return a decorator that adds *options* to a command, as the group *title* of its help."""

    def add(command: F) -> F:
        before = len(getattr(command, _PARAMETERS, ()))
        for option in reversed(options):
            command = option(command)
        _GROUPS.update(dict.fromkeys(getattr(command, _PARAMETERS)[before:], title))
        return command

    return add


def parse_amount(text: str) -> Decimal | None:
    """Return an amount in EUR such as `25` or `0.07`; None if *text* is not a number from 0 to below 10⁹."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and 0 <= value < _AMOUNT_LIMIT else None


def amount_callback(context: click.Context, option: click.Parameter, value: str | None) -> Decimal | None:
    """Convert the value of an option to an amount in EUR. Raise BadParameter if it is none."""
    found = None if value is None else parse_amount(value)
    if value is not None and found is None:
        raise click.BadParameter(f"{value} is not an amount in EUR such as 25 or 0.07", context, option)
    return found


@final
class FiniteFloat(click.FloatRange):
    """A finite number within bounds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - as click has it
        """Convert *value*, or fail with one line that says what is expected."""
        found: float = super().convert(value, param, ctx)
        if not isfinite(found):
            self.fail(f"{value} is not a number", param, ctx)
        return found


def message_options(command: F) -> F:
    """Add the options that describe a message to *command*; `message_values` returns their values."""
    for name, flag, metavar, text in reversed(_OPTIONS):
        kind = click.Choice(_CHOICES[name], case_sensitive=False) if name in _CHOICES else str
        option = click.option(flag, name, type=kind, metavar=metavar, help=text, expose_value=False, callback=_collect)
        command = option(command)
    return command


def file_options(command: F) -> F:
    """Add the options that describe the messages of a file and the file itself to *command*."""
    return option_group("What to send", message_options, *_CONTENT)(option_group("The file", *_FILE)(command))


def message_values() -> dict[str, str]:
    """Return the values of the message options that were given, by the name of the field."""
    values: dict[str, str] = click.get_current_context().meta.setdefault(_MESSAGE_OPTIONS, {})
    return dict(values)


def _collect(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None and option.name is not None:
        context.meta.setdefault(_MESSAGE_OPTIONS, {})[option.name] = value


concurrency_option: Final = click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    metavar="N",
    help="Keep up to N requests in flight at a time.",
)
rate_option: Final = click.option(
    "--rate", type=FiniteFloat(0, min_open=True), metavar="N", help="Send at most N requests per second."
)
outage_timeout_option: Final = click.option(
    "--outage-timeout",
    type=FiniteFloat(0),
    default=900,
    show_default=True,
    metavar="SECONDS",
    help="Stop after the service has been down for so long.",
)
wait_option: Final = click.option(
    "--wait-for-balance", is_flag=True, help="When the balance is used up, wait for a top-up and continue."
)
export_option: Final = click.option(
    "--export", type=click.Choice(["csv", "jsonl"]), help="Print the rows in this format instead of the summary."
)
only_option: Final = click.option(
    "--only", type=click.Choice([one.choice for one in EXPORTED]), help="Export only rows with this outcome."
)
json_option: Final = click.option("--json", is_flag=True, help="Print JSON.")
sandbox_option: Final = click.option(
    "--sandbox", is_flag=True, help="Use a private sandbox. It needs no key, and nothing is really sent."
)
dry_run_option: Final = click.option(
    "--dry-run", is_flag=True, help="Show what would be sent, and send nothing. This needs no key."
)
