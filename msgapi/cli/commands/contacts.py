"""The commands of `msgapi contacts`: show and change contacts, import them from a file, list and record consent."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Final, get_args

import click

from ... import codec, contacts
from ...contacts import (
    MAX_IMPORT_ROWS,
    ChannelType,
    Consents,
    ConsentType,
    Contact,
    ContactChanges,
    NewConsent,
    NewContact,
    Source,
    Status,
)
from ..advice import advise_call, facts
from ..connection import open_service, run_async, run_call
from ..contact_import import FIELDS, ContactImport, ImportOptions, continuation, exit_status, open_import
from ..files.rows import ReadingOptions
from ..options import (
    FILE_PATH,
    dry_run_option,
    from_option,
    json_option,
    parse_pairs,
    read_body,
    reading_options,
    region_option,
    sandbox_option,
    yes_option,
)
from ..output import CliError, TextTable, confirm, counted, emit, emit_json, note, outline, table_of

_MAX_PRINTED: Final = 20  # refused rows
_CHANNELS: Final = click.Choice(get_args(ChannelType), case_sensitive=False)
_person_options: Final = (
    click.option("--email", metavar="ADDRESS", help="The email address."),
    click.option("--phone", metavar="NUMBER", help="The phone number with +."),
    click.option("--first-name", metavar="TEXT", help="The first name."),
    click.option("--last-name", metavar="TEXT", help="The last name."),
    click.option("--tag", "tags", multiple=True, metavar="TEXT", help="Set a tag. Can be repeated."),
    click.option(
        "--field", "custom", multiple=True, metavar="NAME=VALUE", help="Set a custom field as text. Can be repeated."
    ),
    from_option,
)


def _person(command: Any) -> Any:  # noqa: ANN401 - a function that click makes a command
    for option in reversed(_person_options):
        command = option(command)
    return command


@click.command
@click.argument("contact_id")
@json_option
@sandbox_option
def get(*, contact_id: str, json: bool, sandbox: bool) -> int:
    """Show one contact with its consent records."""
    return run_call(contacts.get(contact_id), _lines, json=json, sandbox=sandbox)


@click.command
@_person
@click.option("--external-id", metavar="TEXT", help="Its id in another system, unique in the workspace.")
@click.option(
    "--source",
    type=click.Choice(get_args(Source), case_sensitive=False),
    help="Where it is from (default without --from: MANUAL).",
)
@json_option
@sandbox_option
def create(*, path: str | None, json: bool, sandbox: bool, **given: Any) -> int:  # noqa: ANN401 - the fields of NewContact
    """Create a contact, or update the one with its email.

    --email or --phone is required.
    """
    fields = _fields(given)
    fields["source"] = fields["source"] or ("MANUAL" if path is None else None)
    call = contacts.create(read_body(NewContact, path, fields))
    return run_call(call, lambda made: f"{made.id} is {(made.status or 'stored').lower()}", json=json, sandbox=sandbox)


@click.command
@click.argument("contact_id")
@_person
@click.option("--no-tags", is_flag=True, help="Remove all tags.")
@click.option(
    "--status",
    type=click.Choice(get_args(Status), case_sensitive=False),
    help="UNSUBSCRIBED and BLOCKED suppress the contact at once.",
)
@json_option
@sandbox_option
def update(*, contact_id: str, path: str | None, no_tags: bool, json: bool, sandbox: bool, **given: Any) -> int:  # noqa: ANN401 - ContactChanges
    """Change a contact.

    What is not given stays as it is. --tag replaces all tags; --field changes or adds one custom field.
    """
    fields = _fields(given)
    if no_tags:
        if fields["tags"]:
            raise CliError("--tag and --no-tags cannot be used together")
        fields["tags"] = ()
    call = contacts.update(contact_id, read_body(ContactChanges, path, fields))
    return run_call(call, lambda changed: f"updated {changed.id}", json=json, sandbox=sandbox)


@click.command
@click.argument("contact_id")
@yes_option
@json_option
@sandbox_option
def delete(*, contact_id: str, yes: bool, json: bool, sandbox: bool) -> int:
    """Delete a contact with its consent records.

    The service forgets, too, that the contact was unsubscribed or blocked. The command asks for a confirmation.
    """
    confirm(f"Delete {contact_id} with its consent and suppression history?", yes=yes)
    return run_call(contacts.delete(contact_id), lambda _: f"deleted {contact_id}", json=json, sandbox=sandbox)


@click.command("import")
@click.argument("file", type=FILE_PATH)
@click.option("--email-column", metavar="COLUMN", help="The column of the email addresses (default: email).")
@click.option("--phone-column", metavar="COLUMN", help="The column of the phone numbers (default: phone).")
@click.option("--first-name-column", metavar="COLUMN", help="The column of the first names (default: first_name).")
@click.option("--last-name-column", metavar="COLUMN", help="The column of the last names (default: last_name).")
@region_option
@reading_options
@click.option("--start-line", type=click.IntRange(1), default=1, metavar="N", help="Leave out the rows before line N.")
@click.option(
    "--chunk-size",
    type=click.IntRange(1, MAX_IMPORT_ROWS),
    default=MAX_IMPORT_ROWS,
    show_default=True,
    metavar="N",
    help="Send up to N rows in a request.",
)
@json_option
@dry_run_option
@sandbox_option
def import_file(
    *,
    file: str,
    region: str | None,
    start_line: int,
    chunk_size: int,
    json: bool,
    dry_run: bool,
    sandbox: bool,
    **given: Any,  # noqa: ANN401 - the columns, and the fields of ReadingOptions
) -> int:
    """Create a contact for each row of a file.

    FILE is CSV with a header, an Excel workbook, JSON or JSONL; - is standard input. Each row needs an email or a phone
    number, normalised as by `msgapi batch`. Case, spaces and punctuation in the names of columns do not count.

    \b
      msgapi contacts import people.csv --phone-column Mobile --dry-run
      msgapi contacts import people.csv --phone-column Mobile

    A contact whose email exists is not changed. A row that is not valid is left out and named by its line. A row
    with the email of an earlier row, or with its phone and no email, is left out. An import has no consent:
    record it by `msgapi contacts consent create`.

    If the service does not answer a request, its rows may have been imported: the command stops, and says which lines
    these are and how to continue.

    Exit status: 0 every row imported or known before, 1 some rows refused, 3 stopped: some rows not imported yet.
    """  # noqa: D301 - \b is click's own
    columns = {name: given.pop(f"{name}_column") for name in FIELDS}
    options = ImportOptions(columns=columns, region=region, start_line=start_line, chunk=chunk_size)
    with open_import(file, ReadingOptions(**given), options) as done:
        if dry_run:
            _note_all(done.notices())
            done.check()
        else:
            run_async(partial(_import, done, sandbox=sandbox))
    if json:
        emit_json(_facts(done, dry_run=dry_run))
    else:
        emit(_table(done, dry_run=dry_run))
        for row in done.rows[:_MAX_PRINTED]:
            emit(f"line {row.line:,}: {row.message}")
        if done.refused > _MAX_PRINTED:
            note(f"{counted(done.refused - _MAX_PRINTED, 'more row')}: --json lists up to 1,000")
    _note_all((*done.warnings.texts(), *continuation(done)))
    if done.error is not None and done.unknown_lines is None:
        (call,) = contacts.import_contacts([contacts.ImportRow(email="a@b.example")])
        note(advise_call(done.error, call))
    return exit_status(done)


@click.command("list")
@click.argument("contact_id")
@json_option
@sandbox_option
def list_consents(*, contact_id: str, json: bool, sandbox: bool) -> int:
    """List the consent records of a contact."""
    return run_call(contacts.list_consents(contact_id), _consent_table, json=json, sandbox=sandbox)


@click.command("create")
@click.argument("contact_id")
@click.option("--channel-type", type=_CHANNELS, required=True, help="The channel of the consent.")
@click.option(
    "--message-type",
    type=click.Choice(get_args(ConsentType), case_sensitive=False),
    required=True,
    help="The messages that the consent is for.",
)
@click.option("--source", required=True, metavar="TEXT", help="Where the consent was given, such as 'web form'.")
@click.option("--proof-text", metavar="TEXT", help="What the contact agreed to, as it was shown.")
@click.option("--enforced-doi", is_flag=True, help="Wait for the contact to confirm it (double opt-in).")
@click.option("--doi-channel", type=_CHANNELS, help="The channel of the confirmation.")
@json_option
@sandbox_option
def create_consent(*, contact_id: str, json: bool, sandbox: bool, **given: Any) -> int:  # noqa: ANN401 - NewConsent
    """Record a consent of a contact.

    \b
      msgapi contacts consent create c_9f01 --channel-type EMAIL \\
        --message-type NEWSLETTER --source 'web form'

    The API has no route that revokes a consent. To suppress a contact, use
    `msgapi contacts update ID --status UNSUBSCRIBED`.
    """  # noqa: D301 - \b is click's own
    call = contacts.create_consent(contact_id, NewConsent(**given))
    return run_call(call, lambda made: f"{made.id} is {(made.status or 'stored').lower()}", json=json, sandbox=sandbox)


async def _import(done: ContactImport, *, sandbox: bool) -> None:
    async with open_service(sandbox=sandbox) as api:
        _note_all(done.notices())
        await done.send(api)


def _note_all(texts: Iterable[str]) -> None:
    for text in texts:
        note(text)


def _fields(given: dict[str, Any]) -> dict[str, Any]:
    custom = parse_pairs("--field", given.pop("custom"))
    return {**given, "tags": given["tags"] or None, "custom_fields": custom or None}


def _counts(done: ContactImport, *, dry_run: bool) -> dict[str, int]:
    sent = {"valid": done.valid} if dry_run else {"imported": done.imported, "existing": done.existing}
    left = {"before_start_line": done.before, "duplicates": done.duplicates, "empty": done.empty}
    open_rows = {} if dry_run else {"unknown": done.unknown, "not_imported": done.not_imported}
    counted_rows = {"rows": done.table.count, **sent, "refused": done.refused, **left, **open_rows}
    return counted_rows | {"left_out": done.table.left_out}


def _facts(done: ContactImport, *, dry_run: bool) -> dict[str, Any]:
    lines = done.unknown_lines
    return {
        **_counts(done, dry_run=dry_run),
        "refused_rows": [{"line": row.line, "message": row.message} for row in done.rows],
        "warnings": done.warnings.facts(),
        "unknown_lines": None if lines is None else list(lines),
        "next_line": done.next_line,
        "error": None if done.error is None else facts(done.error),
        "exit": int(exit_status(done)),
    }


def _table(done: ContactImport, *, dry_run: bool) -> TextTable:
    table = table_of("outcome", "#rows")
    for name, number in _counts(done, dry_run=dry_run).items():
        if number or name in {"rows", "imported", "valid"}:
            table.add_row(name.replace("_", " "), f"{number:,}")
    return table


def _lines(contact: Contact) -> str:
    return outline(codec.to_dict(contact))


def _consent_table(found: Consents) -> str | TextTable:
    if not found.consent_records:
        return "no consent records"
    table = table_of("id", "channel", "message type", "status", "source", "created")
    for one in found.consent_records:
        created = "" if one.created_at is None else f"{one.created_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(
            one.id, one.channel_type or "", one.message_type or "", one.status or "", one.source or "", created
        )
    return table
