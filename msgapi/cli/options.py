"""Options that several commands share, and their types."""

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from math import isfinite
from pathlib import Path
from typing import Any, Final, TypeVar, cast, final
from weakref import WeakKeyDictionary

import attrs
import click
from click.core import ParameterSource

from .output import CliError, RowOutcome, cannot_read

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

TRAFFIC: Final = ("AUTHENTICATION", "TRANSACTION", "PROMOTION", "SERVICEREQUEST", "ACKNOWLEDGEMENT")
KINDS: Final = ("MESSAGE", "CONVERSATION", "NEWSLETTER")
FILE_PATH: Final = click.Path(readable=False)
"""The path of a file, which shells complete. The command itself checks the file."""
_AMOUNT_LIMIT: Final = 10**9  # EUR
_MESSAGE_OPTIONS: Final = "msgapi.message_options"
_CONNECTION_OPTIONS: Final = "msgapi.connection_options"
_PARAMETERS: Final = "__click_params__"  # where click keeps the options of a function until it becomes a command
_WIDEST: Final = 28  # columns for the names of options
_OPTIONS: Final = (
    ("agent_id", "--agent", "ID", "RCS: send from this agent, such as ag_live_demo."),
    ("traffic_type", "--traffic", "TYPE", f"RCS: set the type of traffic: {', '.join(TRAFFIC)}."),
    ("ttl", "--ttl", "DURATION", "RCS: revoke a message that is not delivered within this time, such as 900s."),
    ("channel_id", "--channel", "ID", "Email: send over this channel, such as ch_demo."),
    ("subject", "--subject", "TEXT", "Email: set the subject."),
    ("html", "--html", "HTML", "Email: set the content as HTML. @FILE reads it from a file."),
    ("template_id", "--template", "ID", "Email: send this published template, in place of --text and --html."),
    ("template_version", "--template-version", "N", "Email: send this version of the template (default: the latest)."),
    ("message_type", "--message-type", "TYPE", f"Set the type: {', '.join(KINDS)} (default: {KINDS[0]})."),
    (
        "text",
        "--text",
        "TEXT",
        "Set the text of the message, or of the plain-text part of an email. @FILE reads it from a file.",
    ),
    (
        "message",
        "--message",
        "FILE",
        "Read the message as JSON, such as a rich card, from this template file with placeholders.",
    ),
)
EXPORTED: Final = (
    RowOutcome.ACCEPTED,
    RowOutcome.REFUSED,
    RowOutcome.NOT_SENT_YET,
    RowOutcome.UNKNOWN,
    RowOutcome.CHANGED,
)


def _region_callback(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    from ..recipients import find_region  # imported here: --help needs none of it

    found = find_region(value)
    if found is None:
        raise click.BadParameter(f"{value} is not a country that is known: use its code, such as DE", context, option)
    return found


_TYPES: Final[Mapping[str, click.ParamType[Any]]] = {
    "traffic_type": click.Choice(TRAFFIC, case_sensitive=False),
    "message_type": click.Choice(KINDS, case_sensitive=False),
    "message": FILE_PATH,
}
region_option: Final = click.option(
    "--region",
    callback=_region_callback,
    metavar="COUNTRY",
    help="Take phone numbers without a country code as those of this country, such as DE. Without it they are refused.",
)
_PROFILE: Final = (
    ("--profile", "MSGAPI_PROFILE", "NAME", "Use this profile of `msgapi configure`; or set MSGAPI_PROFILE."),
    (
        "--proxy",
        "MSGAPI_PROXY",
        "URL",
        "Use this http proxy, or none; or set MSGAPI_PROXY (default: that of the profile, else HTTPS_PROXY).",
    ),
)
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
    region_option,
    click.option(
        "--region-column",
        metavar="COLUMN",
        help="Read the country of each row (DE, DEU or Germany) from this column. Where it is empty, --region is used.",
    ),
    click.option(
        "--id-column",
        metavar="COLUMN",
        help="Identify each row by this column (default: by its idempotency_key, else by its content).",
    ),
    click.option(
        "--allow-empty", is_flag=True, help="Fill placeholders with empty cells, too, instead of refusing the row."
    ),
    click.option(
        "--allow-duplicates", is_flag=True, help="Send rows with the same message and recipient as an earlier row, too."
    ),
)
_READING: Final = (
    click.option(
        "--where",
        multiple=True,
        metavar="COLUMN=VALUE",
        help="Use only the rows with this value in this column, such as consent=yes. Can be repeated: all must hold.",
    ),
    click.option(
        "--format",
        "file_format",
        type=click.Choice(["csv", "jsonl"]),
        help="Read FILE as this format (default: by content and file extension).",
    ),
    click.option(
        "--delimiter",
        metavar="CHARACTER",
        help="Split cells at this character; tab stands for a tab (default: detected).",
    ),
    click.option(
        "--encoding",
        metavar="NAME",
        help="Decode FILE by this encoding, such as cp1252 (default: by its byte order mark, else UTF-8).",
    ),
    click.option(
        "--sheet", metavar="NAME", help="Read this sheet of an Excel workbook (default: the only one with rows)."
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
        found = [(group_of(one), one.get_help_record(ctx)) for one in options]
        for title, record in sorted(found, key=lambda one: one[0] == _OTHER):
            groups.setdefault(title, []).extend([] if record is None else [record])  # None if it is hidden
        widest = max(len(name) for records in groups.values() for name, _ in records)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(min(widest, _WIDEST)), text) for name, text in records])


def group_of(option: click.Parameter) -> str:
    """Return the title of the group of an *option* in the help of its command."""
    return _GROUPS.get(option, _OTHER)


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


def date_callback(_: click.Context, option: click.Parameter, value: str | None) -> date | None:
    """Convert the value of an option to a date. Raise CliError if it is none."""
    try:
        return None if value is None else date.fromisoformat(value)
    except ValueError:
        raise CliError(f"{option.opts[0]} takes a date such as 2026-05-04, not {value!r}") from None


def parse_pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    """Return each NAME=VALUE of a repeatable *option* by its name. Raise CliError if one has another form."""
    pairs = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not name or not sign:
            raise CliError(f"{option} takes NAME=VALUE, not {one!r}")
        pairs[name] = value
    return pairs


def read_body(model: type[T], path: str | None, given: Mapping[str, object]) -> T:
    """Return a *model* with the fields of the JSON file at *path* and the *given* ones. None is no file and no field.

    What is given takes precedence over the file. Each field is the option of its name. Raise CliError if the file
    cannot be read, is not a JSON object or has an unknown field, or if a required field is missing.
    """
    fields = ({} if path is None else _read_object(path)) | {
        name: value for name, value in given.items() if value is not None
    }
    known = {one.name: one.default is attrs.NOTHING for one in attrs.fields(cast("type[attrs.AttrsInstance]", model))}
    unknown = fields.keys() - known.keys()
    if unknown:
        raise CliError(f"{path}: no such field: {', '.join(sorted(unknown))} (fields: {', '.join(known)})")
    missing = [name for name, required in known.items() if required and name not in fields]
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise CliError(f"{', '.join(missing)} missing: give {options}, or a JSON file with --from")
    return model(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})


def _read_object(path: str) -> dict[str, object]:
    import orjson

    try:
        raw = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        found = orjson.loads(raw)
    except OSError as error:
        raise cannot_read(path, error) from None
    except orjson.JSONDecodeError as error:
        raise CliError(f"{path} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    if not isinstance(found, dict):
        raise CliError(f'{path} must have one JSON object, such as {{"display_name": "Shop"}}')
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
        option = click.option(
            flag, name, type=_TYPES.get(name), metavar=metavar, help=text, expose_value=False, callback=_collect
        )
        command = option(command)
    return command


def file_options(command: F) -> F:
    """Add the options that describe the messages of a file and the file itself to *command*."""
    file = option_group("The file", *_FILE, reading_options)
    return option_group("What to send", message_options, *_CONTENT)(file(command))


def reading_options(command: F) -> F:
    """Add the options for how a file is read to *command*; they are the fields of `ReadingOptions`."""
    for option in reversed(_READING):
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
    text = "Use a private sandbox. It needs no key, and nothing is really sent."
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
    """Return the values of the message options that were given, by the name of the field. Files are not read yet."""
    values: dict[str, str] = click.get_current_context().meta.setdefault(_MESSAGE_OPTIONS, {})
    return dict(values)


def _collect(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None and option.name is not None:
        context.meta.setdefault(_MESSAGE_OPTIONS, {})[option.name] = value


MOST_CONCURRENT: Final = 10_000
"""The highest number of requests in flight that can be chosen."""

concurrency_option: Final = click.option(
    "--concurrency",
    type=click.IntRange(1, MOST_CONCURRENT),
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
html_option: Final = click.option(
    "--html",
    type=FILE_PATH,
    metavar="FILE",
    help="Write a page with charts to this file, to look at or to send on. The name - stands for standard output.",
)
overwrite_page_option: Final = click.option("--overwrite", is_flag=True, help="Overwrite the file of --html.")
json_option: Final = click.option("--json", is_flag=True, help="Print JSON.")
from_option: Final = click.option(
    "--from",
    "path",
    type=FILE_PATH,
    metavar="FILE.json",
    help="Read the fields from a JSON object. The name - stands for standard input. An option takes precedence.",
)
key_option: Final = click.option(
    "--idempotency-key",
    metavar="KEY",
    help="Use this key. A command that is repeated with its key has no second effect.",
)
yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask for a confirmation.")
cursor_option: Final = click.option(
    "--cursor", metavar="TEXT", help="Show the page of this cursor, which is printed with the previous page."
)
page_size_option: Final = click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Show N at a time (default: the page size of the service)."
)
since_option: Final = click.option(
    "--since",
    callback=date_callback,
    metavar="DATE",
    help="Show only what is of this day or later, such as 2026-05-04.",
)
until_option: Final = click.option(
    "--until", callback=date_callback, metavar="DATE", help="Show only what is of this day or earlier."
)
dry_run_option: Final = click.option(
    "--dry-run", is_flag=True, help="Show what would be sent, and send nothing. This needs no key."
)
