"""The commands and their options. Nothing heavy is loaded before a command has been chosen."""

import sys
from collections.abc import Sequence
from errno import ENOSPC
from typing import final

import click

from ..version import VERSION
from .commands import balance, batch, report, send
from .exits import Exit, Halt
from .fleet import fleet
from .groups import doctor, messages, webhooks
from .programs import demo, sandbox


@final
class Program(click.Group):
    """The program; `batch` takes a file or, as its first word, `report`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that *args* begin with."""
        if args[:2] == ["batch", "report"]:
            return report.name, report, args[2:]
        return super().resolve_command(ctx, args)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="msgapi")
def program() -> None:
    """Send RCS and email messages, one or a file of them.

    The key and the address of the service come from MSGAPI_API_KEY and MSGAPI_BASE_URL.

    \b
    Exit status: 0 every message accepted, 1 finished with refusals, 2 usage or bad input,
    3 stopped and resumable (balance, rate, breaker), 4 key or configuration, 130 interrupted.
    """  # noqa: D301 - \b is click's own


for _command in (send, batch, fleet, balance, messages, webhooks, sandbox, demo, doctor):
    program.add_command(_command)


def run(given: Sequence[str]) -> int:
    """Run the command that the arguments *given* name, and give the exit status; none at all is asking for help."""
    try:
        status: object = program.main(list(given) or ["--help"], prog_name="msgapi", standalone_mode=False)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "msgapi"
        raise Halt(f"{error.format_message()} (see `{path} --help`)") from None
    except click.ClickException as error:
        raise Halt(error.format_message()) from None
    except OSError as error:
        if error.errno != ENOSPC:
            raise
        from .output import silence  # what click prints by itself, help and version, it does not guard

        silence(sys.stdout)
        raise Halt(f"cannot write: {error.strerror}") from None
    if not given:
        return int(Exit.USAGE)
    return int(status) if isinstance(status, int) else 0
