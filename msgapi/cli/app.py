"""The table of commands. Only the module of the command that is run is imported.

Rules:
- The command of a route has the name of the function of the package, such as `webhooks create` for `webhooks.create`.
- Commands that have no route use the same verbs: list, get, create, update and delete.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from errno import ENOSPC
from importlib import import_module
from types import TracebackType
from typing import Final, final

import click
from click.globals import pop_context
from click.shell_completion import CompletionItem

from ..version import VERSION
from .output import CliError, Exit, redirect_to_null
from .spelling import suggest

COMMANDS: Final[Mapping[str, tuple[str, str, str]]] = {
    "send": ("send", "send", "Send one message."),
    "batch": ("batch", "batch", "Send a message to each row of a file."),
    "batch report": ("batch", "batch_report", "Show the outcomes of a batch from its journal."),
    "fleet enqueue": ("fleet.batches", "enqueue", "Queue a message for each row of a file."),
    "fleet work": ("fleet.work", "work", "Send queued rows until Ctrl-C."),
    "fleet report": ("fleet.batches", "report", "Show the outcomes of a queued batch so far."),
    "balance": ("billing", "balance", "Show the prepaid balance."),
    "messages list": ("messages", "list_messages", "List messages, the newest first."),
    "messages get": ("messages", "get", "Show one message with its content and events."),
    "messages revoke": ("messages", "revoke", "Revoke a message that is not delivered yet."),
    "contacts get": ("contacts", "get", "Show one contact with its consent records."),
    "contacts create": ("contacts", "create", "Create a contact, or update the one with its email."),
    "contacts update": ("contacts", "update", "Change a contact."),
    "contacts delete": ("contacts", "delete", "Delete a contact with its consent records."),
    "contacts import": ("contacts", "import_file", "Create a contact for each row of a file."),
    "contacts consent list": ("contacts", "list_consents", "List the consent records of a contact."),
    "contacts consent create": ("contacts", "create_consent", "Record a consent of a contact."),
    "agents get": ("agents", "get", "Show one agent with its status."),
    "agents create": ("agents", "create", "Create an agent as a draft."),
    "agents update": ("agents", "update", "Change a draft or a rejected agent."),
    "agents submit": ("agents", "submit", "Submit an agent for review."),
    "agents launch-status": ("agents", "launch_status", "Show the launch of an approved agent by carrier."),
    "campaigns status": ("campaigns", "status", "Show the status of a campaign and its counts."),
    "campaigns trigger": ("campaigns", "trigger", "Start a run of a campaign."),
    "campaigns pause": ("campaigns", "pause", "Pause a running campaign."),
    "campaigns resume": ("campaigns", "resume", "Resume a paused campaign."),
    "billing usage": ("billing", "usage", "Show the usage of a month, or of a span of days."),
    "billing tier": ("billing", "tier", "Show the price tier of each channel."),
    "billing transactions": ("billing", "transactions", "List charges, top-ups, releases and credits."),
    "billing invoices": ("billing", "invoices", "List the monthly invoices with the URLs of their PDFs."),
    "billing payment-methods": ("billing", "payment_methods", "List the payment methods."),
    "billing top-up": ("billing", "top_up", "Add money to the balance: this charges a payment method."),
    "billing auto-reload": ("billing", "auto_reload", "Show or change automatic top-ups."),
    "billing set-alert": ("billing", "set_alert", "Set the balance for a low-balance alert."),
    "webhooks list": ("webhooks", "list_webhooks", "List the endpoints."),
    "webhooks create": ("webhooks", "create", "Create an endpoint."),
    "webhooks delete": ("webhooks", "delete", "Delete an endpoint."),
    "webhooks test": ("webhooks", "test", "Have the service send a test event to an endpoint."),
    "webhooks verify": ("webhooks", "verify", "Verify a webhook body and show its event."),
    "webhooks listen": ("deliveries", "listen", "Receive, verify and print events until Ctrl-C."),
    "webhooks trigger": ("deliveries", "trigger", "Send a made-up event, signed, to a URL."),
    "sandbox": ("sandbox", "sandbox", "Serve a sandbox of the API on this machine."),
    "demo": ("demo", "demo", "Send a file to a faulty sandbox and check each row."),
    "configure": ("configure", "configure", "Store the API key and other settings in a profile."),
    "profiles list": ("configure", "list_profiles", "List the profiles, without their keys."),
    "profiles get": ("configure", "get_profile", "Show the settings of a profile, without its key."),
    "profiles delete": ("configure", "delete_profile", "Delete a profile with its key."),
    "doctor": ("doctor", "doctor", "Check whether this machine can send."),
}
"""Each command: its module in `commands`, its function, and the line of help in the list of commands."""

GROUPS: Final[Mapping[str, tuple[str, str]]] = {
    "fleet": (
        "Send a file with several workers.",
        """Send a file with several workers, within the one rate limit of the API key.

        More workers do not send faster, because the rate limit belongs to the API key. They make it safe that one of
        them fails. This needs `msgapi-sdk[redis]` or `msgapi-sdk[nats]`.

        \b
          export MSGAPI_FLEET_URL=redis://127.0.0.1:6379
          msgapi fleet enqueue people.csv --batch may --agent ag_live_demo \\
            --traffic TRANSACTION --text 'Hi {name}'
          msgapi fleet work            # on any number of hosts
          msgapi fleet report --batch may
        """,
    ),
    "messages": ("List, show and revoke messages.", "List, show and revoke messages."),
    "contacts": (
        "Manage contacts and their consent.",
        """Manage contacts and their consent.

        The API has no route that lists contacts.
        """,
    ),
    "contacts consent": ("List and record consent.", "List and record the consent of a contact."),
    "agents": (
        "Create agents and submit them for review.",
        """Create agents and submit them for review.

        The API has no route that lists or deletes agents.
        """,
    ),
    "campaigns": (
        "Run campaigns of the dashboard.",
        """Run campaigns of the dashboard.

        The API has no route that lists or creates campaigns.
        """,
    ),
    "billing": (
        "Show usage, transactions and invoices; top up.",
        "Show usage, transactions and invoices; top up.",
    ),
    "profiles": (
        "List, show and delete the profiles.",
        "List, show and delete the profiles that `msgapi configure` stores.",
    ),
    "webhooks": (
        "Manage webhook endpoints; receive and verify events.",
        "Manage webhook endpoints; receive and verify events.",
    ),
}
"""Each group of commands: its line of help in the list of commands, and its full help."""


_HYPHEN: Final = "\N{NON-BREAKING HYPHEN}"


@final
class HelpFormatter(click.HelpFormatter):
    """Breaks lines at spaces only, so that the names of options and commands stay whole."""

    def write(self, string: str) -> None:
        """Write *string*."""
        super().write(string.replace(_HYPHEN, "-"))

    def write_text(self, text: str) -> None:
        """Write *text*, wrapped."""
        super().write_text(text.replace("-", _HYPHEN))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write *rows* of terms and their descriptions."""
        super().write_dl([(term, text.replace("-", _HYPHEN)) for term, text in rows], col_max, col_spacing)


@final
class HelpContext(click.Context):
    """The context of each command."""

    formatter_class: type[click.HelpFormatter] = HelpFormatter

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Close the context. If that raises, as when the file of a sandbox cannot be written, it still ends."""
        try:
            return super().__exit__(kind, error, traceback)
        finally:
            if click.get_current_context(silent=True) is self and self._depth == 0:
                pop_context()


@final
class CommandGroup(click.Group):
    """A group whose commands are listed from the table and imported only when they are run."""

    context_class: type[click.Context] = HelpContext

    def __init__(self, *, prefix: str = "", **options: object) -> None:
        """Create the group of the commands whose name begins with *prefix* and has one more word."""
        self._prefix = prefix
        listed: dict[str, click.Command] = {}
        for name in COMMANDS:
            word = name.removeprefix(prefix).split(" ")[0]
            if name.startswith(prefix) and word not in listed:
                whole = f"{prefix}{word}"
                text = GROUPS[whole][0] if whole in GROUPS else COMMANDS[whole][2]
                listed[word] = click.Command(word, short_help=text)
        super().__init__(commands=listed, **options)  # type: ignore[arg-type]  # what click.Group takes

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import and return a command; None if there is no such command."""
        name = f"{self._prefix}{cmd_name}"
        if name in GROUPS:
            return CommandGroup(name=name, prefix=f"{name} ", help=GROUPS[name][1])
        return load(name) if name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that *args* begin with. `batch` takes a file or, as its first word, `report`."""
        if args[:2] == ["batch", "report"]:
            return "batch report", load("batch report"), args[2:]
        if args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {args[0]!r}.{suggest(args[0], self.commands)}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. Raise Abort after Ctrl-C, unless standard error is a terminal."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if sys.stderr.isatty():  # click writes an end of line, which is for the ^C of a terminal
                raise
            raise click.Abort from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args*. Raise UsageError with the names of the commands if a group is given none."""
        if not args and not ctx.resilient_parsing:
            raise click.UsageError(f"{self.name} needs a command: {', '.join(self.commands)}", ctx)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.short_help or "") for name, one in self.commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command from the table."""
        names = [name for name in self.commands if name.startswith(incomplete)]
        found = [CompletionItem(name, help=self.commands[name].short_help) for name in names]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


def load(name: str) -> click.Command:
    """Import a command of the table and return it."""
    module, function, _ = COMMANDS[name]
    command: click.Command = getattr(import_module(f".commands.{module}", __package__), function)
    command.context_class = HelpContext
    return command


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="msgapi")
def program() -> None:
    """Send RCS and email messages, one at a time or from a file.

    The API key and the base URL are read from MSGAPI_API_KEY and MSGAPI_BASE_URL, else from a profile that
    `msgapi configure` stores.

    \b
    Exit status:
      0    Every message was accepted. Duplicates, and rows that --changed
           skip leaves out, do not count.
      1    The command has finished, but some messages were not accepted.
      2    The command line or the input file is wrong. Nothing was sent.
      3    The batch is not finished: rows are not sent yet, or their outcome
           is unknown. The same command continues it. The reason is the
           balance, an outage, repeated refusals, answers that are not the
           service's, or a full disk.
      4    The API key or the configuration is wrong.
      70   The program has a bug. Please report the line that it prints.
      74   Standard output cannot be written. What was sent is sent.
      130  The command was interrupted.

    \b
    Completion of commands, options, files and events, for each shell that is
    started later:
      bash  echo 'eval "$(_MSGAPI_COMPLETE=bash_source msgapi)"' >> ~/.bashrc
      zsh   echo 'eval "$(_MSGAPI_COMPLETE=zsh_source msgapi)"' >> ~/.zshrc
      fish  _MSGAPI_COMPLETE=fish_source msgapi \\
              > ~/.config/fish/completions/msgapi.fish
    """  # noqa: D301 - \b is click's own


def _options_of(context: click.Context | None) -> list[str]:
    # The options of the command by their long names; single letters are never near.
    parameters = [] if context is None else context.command.get_params(context)
    options = [one for one in parameters if isinstance(one, click.Option) and not one.hidden]
    return [name for one in options for name in (*one.opts, *one.secondary_opts) if name.startswith("--")]


def run(given: Sequence[str]) -> int:
    """Run the command that the arguments *given* name, and return the exit status. Show the help if there are none."""
    try:
        status: object = program.main(list(given) or ["--help"], prog_name="msgapi", standalone_mode=False)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.UsageError as error:
        text = error.format_message()
        if isinstance(error, click.NoSuchOption):  # click compares the hyphens, too: it suggests what is not near
            text = f"{error.message}{suggest(error.option_name, _options_of(error.ctx))}"
        path = error.ctx.command_path if error.ctx is not None else "msgapi"
        raise CliError(f"{text} (see `{path} --help`)") from None
    except click.ClickException as error:
        raise CliError(error.format_message()) from None
    except OSError as error:
        if error.errno != ENOSPC:
            raise
        redirect_to_null(sys.stdout)  # click itself prints help and version, without a guard
        raise CliError(f"cannot write: {error.strerror}", Exit.OUTPUT) from None
    if not given:
        return int(Exit.USAGE)
    return int(status) if isinstance(status, int) else 0
