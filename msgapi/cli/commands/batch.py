"""The commands `msgapi batch` and `msgapi batch report`."""

from typing import Any

import click

from ..options import (
    FILE_PATH,
    GroupedCommand,
    amount_callback,
    concurrency_option,
    dry_run_option,
    export_option,
    file_options,
    html_option,
    json_option,
    message_values,
    only_option,
    option_group,
    outage_timeout_option,
    overwrite_page_option,
    rate_option,
    sandbox_option,
    wait_option,
)


@click.command(cls=GroupedCommand)
@click.argument("file", type=FILE_PATH, required=False)
@file_options
@option_group("Sending", concurrency_option, rate_option, outage_timeout_option, dry_run_option, sandbox_option)
@option_group(
    "Money",
    click.option(
        "--price",
        "prices",
        multiple=True,
        metavar="UNIT=EUR",
        help="Send nothing if the free balance does not cover the file at these prices, such as basic=0.07. Can be "
        "repeated, for basic, single, conversation, mau and email.",
    ),
    click.option(
        "--max-spend",
        callback=amount_callback,
        metavar="EUR",
        help="Never spend more than this in all runs of the batch, at the prices of --price, which must be given.",
    ),
    wait_option,
)
@option_group(
    "Resuming",
    click.option(
        "--journal", type=FILE_PATH, metavar="FILE", help="Record each row in this file (default: FILE.journal)."
    ),
    click.option("--no-journal", is_flag=True, help="Record nothing. An interrupted batch cannot be resumed."),
    click.option(
        "--resume", type=FILE_PATH, metavar="JOURNAL", help="Resume the batch of this journal, instead of naming FILE."
    ),
    click.option(
        "--resend-unknown",
        is_flag=True,
        help="Send rows again that may have been sent more than 23 hours ago. They may arrive twice.",
    ),
    click.option(
        "--changed",
        type=click.Choice(["skip", "send"]),
        help="Skip or send rows that differ from rows that were sent in an earlier run (default: send nothing).",
    ),
    click.option(
        "--new-batch", is_flag=True, help="Send all rows of a FILE that was sent before again, as another batch."
    ),
)
@option_group(
    "Output",
    click.option(
        "--results", type=FILE_PATH, metavar="FILE.jsonl", help="Write a line of JSON to this file for each row."
    ),
    click.option(
        "--failed",
        type=FILE_PATH,
        metavar="FILE",
        help="Write the refused and invalid rows to this file, to be corrected and sent.",
    ),
    click.option("--overwrite", is_flag=True, help="Overwrite the files of --results and --failed."),
    click.option("--with-recipients", is_flag=True, help="Include the recipients in the file of --results."),
    json_option,
)
def batch(
    *,
    file: str | None,
    journal: str | None,
    no_journal: bool,
    resume: str | None,
    dry_run: bool,
    **options: Any,  # noqa: ANN401 - the fields of BatchConfig
) -> int:
    """Send a message to each row of a file.

    FILE is CSV with a header, an Excel workbook (.xlsx), JSONL or JSON, also as gzip or zip. The name - stands for
    standard input.

    \b
      msgapi batch people.csv --agent ag_live_demo --traffic TRANSACTION \\
        --text 'Hi {name}, your parcel is here.' --failed failed.csv

    {column} in --text, --subject and --html is replaced by the value of that column. {column|there} is replaced by
    "there" if the value is empty. Write {{ and }} for braces. @FILE in place of a text reads it from a file.
    --message FILE.json is any message as the API has it, such as a rich card, with placeholders in its strings.
    Columns are found regardless of case, spaces, hyphens and underscores.

    A field without an option is read from the column with its name: to, agent_id, traffic_type, message_type,
    ttl, text, channel_id, subject, html, template_id, template_version, template_data (JSON),
    idempotency_key, and from JSON also content, rich_card, carousel, suggestions. An option takes precedence over a
    column.

    With --fallback-email, a row whose recipient cannot be reached by RCS is sent as an email. The column of that
    option has the address; --channel, --subject and --html or --template describe the email. A row without an address
    has no fallback. Each row is sent as one message, RCS or email, also if the batch is interrupted and resumed.
    --price needs the prices of both channels, and counts the higher one.

    A row with the same message and recipient as an earlier row is a duplicate. It is reported and not sent.

    The file of --results names each row by its number, its line and its column id, if there is one, but not by its
    recipient. The file of --failed is CSV or JSONL by its extension. Either correct the rows in FILE and repeat the
    command, or correct them in the file of --failed and send that file. Do not do both.

    Each row is recorded in a journal, FILE.journal. After Ctrl-C, kill -9 or a power failure, the same command or
    `msgapi batch --resume FILE.journal` sends exactly the rest, and no row twice. `msgapi batch report
    FILE.journal` shows the outcomes of the rows. The journal has the options of the command, --text among them. It
    has no recipients and no values of rows except their ids, but a hash of each recipient, which is a pseudonym.

    A row is identified by --id-column, else by its idempotency_key, else by its content. So FILE may be sorted, and
    rows may be inserted and deleted, before the command is repeated. New rows are sent; so is a row without an id whose
    recipient was corrected. If a row differs otherwise from one that was sent, nothing is sent until --changed decides.
    --new-batch sends a finished FILE again. For a file that is new each day under the same name, give a --journal for
    each day.

    Ctrl-C stops sending and waits for the requests in flight. A second Ctrl-C stops at once.
    """  # noqa: D301 - \b is click's own
    if file is None and resume is None:
        raise click.UsageError("name the FILE to send, or a journal with --resume")
    if no_journal and (journal or resume):
        raise click.UsageError("--no-journal cannot be used with --journal or --resume")
    if options["new_batch"] and (no_journal or resume):
        raise click.UsageError("--new-batch cannot be used with --no-journal or --resume")
    if journal and resume:
        raise click.UsageError("--resume names the journal: leave --journal out")
    # Imported here: --help and usage errors need none of it.
    from ..batch.command import BatchConfig, resumed, start

    config = BatchConfig(
        path=file or "",
        message_values=message_values(),
        journal=resume or journal,
        use_journal=not no_journal,
        **options,
    )
    return start(config if resume is None else resumed(config), show_only=dry_run)


@click.command("batch report")
@click.argument("journal", type=FILE_PATH)
@export_option
@only_option
@html_option
@overwrite_page_option
@json_option
def batch_report(
    *, journal: str, export: str | None, only: str | None, html: str | None, overwrite: bool, json: bool
) -> int:
    """Show the outcomes of a batch from its journal.

    \b
      msgapi batch report people.csv.journal
      msgapi batch report people.csv.journal --export csv --only refused
      msgapi batch report people.csv.journal --html people.html

    In CSV, a cell that a spreadsheet would run as a formula begins with '. In JSONL, each value is as it was stored.

    The page of --html has the outcomes, throughput, waits and cost over time, and the slowest rows. It is one file that
    needs no network and no script. It names rows by number, line and id, and has no recipients and no content.

    While the batch is being sent, the report has what is recorded so far.

    The exit status is 0 if every row was accepted, 3 if rows are not sent yet or their outcome is unknown, and 1
    otherwise.
    """  # noqa: D301 - \b is click's own
    from ..batch.summary import JournalReportOptions, show_journal  # not needed for --help

    return show_journal(
        journal, JournalReportOptions(export=export, only=only, html=html, overwrite=overwrite, json=json)
    )
