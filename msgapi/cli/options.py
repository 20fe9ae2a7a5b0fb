"""Options that several commands share, and their types."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final, TypeVar, final

import click
from click.core import ParameterSource

from .output import CliError, RowOutcome

F = TypeVar("F", bound=Callable[..., Any])

TRAFFIC: Final = ("AUTHENTICATION", "TRANSACTION", "PROMOTION", "SERVICEREQUEST", "ACKNOWLEDGEMENT")
KINDS: Final = ("MESSAGE", "CONVERSATION", "NEWSLETTER")
_AMOUNT_LIMIT: Final = 10**9  # EUR
_MESSAGE_OPTIONS: Final = "msgapi.message_options"
_CONNECTION_OPTIONS: Final = "msgapi.connection_options"
_OPTIONS: Final = (
    ("agent_id", "--agent", "ID", "RCS: the sending agent, such as ag_live_demo."),
    ("traffic_type", "--traffic", "TYPE", f"RCS: {', '.join(TRAFFIC)}."),
    ("ttl", "--ttl", "DURATION", "RCS: revoke the message if it is not delivered within this time, such as 900s."),
    ("channel_id", "--channel", "ID", "Email: the sending channel, such as ch_demo."),
    ("subject", "--subject", "TEXT", "Email: the subject."),
    ("html", "--html", "HTML", "Email: the content as HTML."),
    ("template_id", "--template", "ID", "Email: a published template, in place of --text and --html."),
    ("template_version", "--template-version", "N", "Email: the version of the template (default: the latest)."),
    ("message_type", "--message-type", "TYPE", f"{', '.join(KINDS)} (default: {KINDS[0]})."),
    ("text", "--text", "TEXT", "The text of the message."),
)
EXPORTED: Final = (
    RowOutcome.ACCEPTED,
    RowOutcome.REFUSED,
    RowOutcome.NOT_SENT_YET,
    RowOutcome.UNKNOWN,
    RowOutcome.CHANGED,
)
_CHOICES: Final = {"traffic_type": TRAFFIC, "message_type": KINDS}
_PROFILE: Final = (
    ("--profile", "MSGAPI_PROFILE", "NAME", "Use this profile of `msgapi configure`; or set MSGAPI_PROFILE."),
    (
        "--proxy",
        "MSGAPI_PROXY",
        "URL",
        "The http proxy, or none; or set MSGAPI_PROXY (default: that of the profile, else HTTPS_PROXY).",
    ),
)
_FILE: Final = (
    click.option(
        "--to-column", default="to", show_default=True, metavar="COLUMN", help="The column of the recipients."
    ),
    click.option(
        "--data", multiple=True, metavar="COLUMN", help="Email: pass this column to the template; repeatable."
    ),
    click.option(
        "--fallback-email",
        metavar="COLUMN",
        help="RCS: send an email (--channel, --subject, --html or --template) to the address in this column if the "
        "recipient cannot be reached by RCS (404).",
    ),
    click.option(
        "--allow-empty", is_flag=True, help="Fill placeholders with empty cells, too, instead of refusing the row."
    ),
    click.option(
        "--allow-duplicates", is_flag=True, help="Send the same message to the same recipient more than once."
    ),
    click.option("--format", "file_format", type=click.Choice(["csv", "jsonl"]), help="Default: by file extension."),
    click.option("--delimiter", metavar="CHARACTER", help="Default: detected (comma, semicolon or tab)."),
)


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
    """Add the options for reading a file of rows to *command*."""
    for option in reversed(_FILE):
        command = option(command)
    return command


def profile_options(command: F) -> F:
    """Add --profile and --proxy to *command*; `connection_values` returns their values."""
    for flag, variable, metavar, text in reversed(_PROFILE):
        complete = _complete_profile if flag == "--profile" else None
        option = click.option(
            flag,
            envvar=variable,
            metavar=metavar,
            help=text,
            expose_value=False,
            callback=_collect_connection,
            shell_complete=complete,
        )
        command = option(command)
    return command


def _complete_profile(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from .profiles import config_path, read_profiles

    try:
        return [name for name in read_profiles(config_path()) if name.startswith(incomplete)]
    except CliError:  # the command itself says what is wrong
        return []


def sandbox_option(command: F) -> F:
    """Add --sandbox to *command*, and what else says to what it connects: --sandbox-state, --profile and --proxy."""
    command = click.option(
        "--sandbox-state",
        type=click.Path(readable=False),
        metavar="FILE",
        help="With --sandbox: keep the sandbox in this file between commands.",
        expose_value=False,
        callback=_collect_connection,
    )(profile_options(command))
    text = "Use a private sandbox: needs no key and sends nothing."
    return click.option("--sandbox", is_flag=True, help=text)(command)


def connection_values() -> dict[str, str]:
    """Return the values of --profile, --proxy and --sandbox-state that were given, by the name of the parameter.

    Those of the environment are not among them.
    """
    context = click.get_current_context(silent=True)
    return {} if context is None else dict(context.meta.get(_CONNECTION_OPTIONS, {}))


def _collect_connection(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if option.name is not None and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
        context.meta.setdefault(_CONNECTION_OPTIONS, {})[option.name] = value


def message_values() -> dict[str, str]:
    """Return the values of the message options that were given, by the name of the field."""
    values: dict[str, str] = click.get_current_context().meta.setdefault(_MESSAGE_OPTIONS, {})
    return dict(values)


def _collect(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None and option.name is not None:
        context.meta.setdefault(_MESSAGE_OPTIONS, {})[option.name] = value


id_column_option: Final = click.option(
    "--id-column", metavar="COLUMN", help="The column of the row ids (default: its idempotency_key, else its content)."
)
concurrency_option: Final = click.option(
    "--concurrency", type=click.IntRange(1, 10_000), default=64, show_default=True, help="Requests in flight at a time."
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
    help="How long to wait while the service is down.",
)
wait_option: Final = click.option(
    "--wait-for-balance", is_flag=True, help="When the balance is used up, wait for a top-up and continue."
)
export_option: Final = click.option(
    "--export", type=click.Choice(["csv", "jsonl"]), help="Print the rows in this format."
)
only_option: Final = click.option(
    "--only", type=click.Choice([one.choice for one in EXPORTED]), help="Export only rows with this outcome."
)
json_option: Final = click.option("--json", is_flag=True, help="Print JSON.")
dry_run_option: Final = click.option(
    "--dry-run", is_flag=True, help="Send nothing; show what would be sent. Needs no key."
)
