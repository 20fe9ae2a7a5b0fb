"""The commands that talk to the service: send, batch, balance."""

from decimal import Decimal

import click

from .options import (
    at_once_option,
    dry_run_option,
    euros,
    export_option,
    file_options,
    given,
    id_column_option,
    json_option,
    limit_rate_option,
    message_options,
    only_option,
    patience_option,
    sandbox_option,
    wait_option,
)


@click.command
@click.option("--to", required=True, metavar="RECIPIENT", help="A phone number with + or an email address.")
@message_options
@click.option("--data", multiple=True, metavar="NAME=VALUE", help="Email: a variable of the template; repeatable.")
@click.option("--idempotency-key", metavar="KEY", help="Repeating a send under its key cannot send it twice.")
@json_option
@dry_run_option
@sandbox_option
def send(
    *, to: str, data: tuple[str, ...], idempotency_key: str | None, json: bool, dry_run: bool, sandbox: bool
) -> int:
    """Send one message.

    RCS with --agent, --traffic and --text; email with --channel, --subject and --text, --html or --template.
    """
    from .single import Single, start

    single = Single(given=given() | {"to": to}, data=data, key=idempotency_key, json=json, sandbox=sandbox)
    return start(single, dry_run=dry_run)


@click.command
@click.argument("file", required=False)
@message_options
@file_options
@at_once_option
@limit_rate_option
@patience_option
@click.option(
    "--price",
    "prices",
    multiple=True,
    metavar="UNIT=EUR",
    help="Such as basic=0.07; repeatable (basic, single, conversation, mau, email): "
    "send nothing if the free balance does not cover the file.",
)
@click.option(
    "--max-spend", callback=euros, metavar="EUR", help="Never spend more than this, at the prices of --price."
)
@wait_option
@click.option("--journal", metavar="FILE", help="Where to record each row; FILE.journal if left out.")
@click.option("--no-journal", is_flag=True, help="Record nothing: what is stopped can't be gone on with.")
@click.option("--resume", metavar="JOURNAL", help="Go on with the batch of this journal, in place of FILE.")
@click.option("--resend-unknown", is_flag=True, help="Send rows again that may have been sent over 23 hours ago.")
@id_column_option
@click.option("--results", metavar="FILE.jsonl", help="Write a line for each row as it ends.")
@click.option("--failed", metavar="FILE", help="Write the rows that were not accepted, to be sent again.")
@click.option("--overwrite", is_flag=True, help="Replace what is in those two files.")
@click.option("--with-recipients", is_flag=True, help="Put the recipients into the results too.")
@json_option
@dry_run_option
@sandbox_option
def batch(
    *,
    file: str | None,
    to_column: str,
    data: tuple[str, ...],
    allow_empty: bool,
    allow_duplicates: bool,
    shape: str | None,
    delimiter: str | None,
    concurrency: int,
    rate: float | None,
    outage_timeout: float,
    prices: tuple[str, ...],
    max_spend: Decimal | None,
    wait_for_balance: bool,
    journal: str | None,
    no_journal: bool,
    resume: str | None,
    resend_unknown: bool,
    id_column: str | None,
    results: str | None,
    failed: str | None,
    overwrite: bool,
    with_recipients: bool,
    json: bool,
    dry_run: bool,
    sandbox: bool,
) -> int:
    """Send a message to every row of a FILE.

    FILE is CSV with a header, or JSONL; - is standard input.

    \b
      msgapi batch people.csv --agent ag_live_demo --traffic TRANSACTION \\
        --text 'Hi {name}, your parcel is here.' --failed failed.csv

    {column} in --text, --subject and --html is filled in from the row; {{ and }} are braces.
    What no option says is taken from the columns of these names: to, agent_id, traffic_type, message_type,
    ttl, text, channel_id, subject, html, template_id, template_version, template_data (JSON),
    idempotency_key. An option wins over a column.

    A row that repeats an earlier one, the same message to the same recipient, is skipped and reported.

    --results names rows by number, line and their column id, if any, but not by recipient.
    --failed is CSV or JSONL by its name, with the same columns and the idempotency_key under which a row went
    out: sent again with `msgapi batch`, it is the same operation and cannot arrive twice.

    Every row is recorded in a journal, FILE.journal: after Ctrl-C, kill -9 or a power cut the same command, or
    `msgapi batch --resume FILE.journal`, sends exactly the rest, and never a row twice. `msgapi batch report
    FILE.journal` tells what became of the rows.

    Ctrl-C lets what is in flight settle and sends no more; a second one stops at once.
    """  # noqa: D301 - \b is click's own
    from .mailing import Mailing, resumed, start

    if file is None and resume is None:
        raise click.UsageError("name the FILE to send, or a journal by --resume")
    if no_journal and (journal or resume):
        raise click.UsageError("--no-journal goes with neither --journal nor --resume")
    if journal and resume:
        raise click.UsageError("--resume names the journal already: leave --journal out")
    mailing = Mailing(
        path=file or "",
        given=given(),
        to_column=to_column,
        data=data,
        empty=allow_empty,
        duplicates=allow_duplicates,
        shape=shape,
        delimiter=delimiter,
        concurrency=concurrency,
        per_second=rate,
        outage_timeout=outage_timeout,
        prices=prices,
        max_spend=max_spend,
        wait=wait_for_balance,
        id_column=id_column,
        journal=resume or journal,
        journalled=not no_journal,
        resend=resend_unknown,
        results=results,
        failed=failed,
        overwrite=overwrite,
        with_recipients=with_recipients,
        json=json,
        sandbox=sandbox,
    )
    return start(mailing if resume is None else resumed(mailing), dry_run=dry_run)


@click.command("batch report")
@click.argument("journal")
@export_option
@only_option
@json_option
def report(*, journal: str, export: str | None, only: str | None, json: bool) -> int:
    """Tell what became of the rows of a batch, by its JOURNAL.

    \b
      msgapi batch report people.csv.journal
      msgapi batch report people.csv.journal --export csv --only refused > refused.csv

    Exit status: 0 every row accepted, 1 all settled with refusals, 3 there are rows still to be sent.
    """  # noqa: D301 - \b is click's own
    from .recount import start

    return start(journal, export=export, only=only, json=json)


@click.command
@json_option
@sandbox_option
def balance(*, json: bool, sandbox: bool) -> int:
    """Show the prepaid balance."""
    from .account import start

    return start(json=json, sandbox=sandbox)
