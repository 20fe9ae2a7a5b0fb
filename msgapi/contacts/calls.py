"""Routes: the calls about contacts and their consent."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from ..calls import Call
from ..schema.requests import build_call
from .models import (
    CHANGES,
    CONSENT,
    MOST_ROWS,
    NEW,
    ROWS,
    ConsentRecord,
    ConsentRecords,
    Contact,
    ContactChanges,
    Deleted,
    Imported,
    ImportRow,
    ImportRows,
    NewConsent,
    NewContact,
)

_ROUTE: Final = "/v1/contacts"
_ONE: Final = f"{_ROUTE}/{{contact_id}}"


def create(contact: NewContact) -> Call[Contact]:
    """Make the call that creates a contact, or updates the one with its email (docs: /api/contacts/create-contact).

    No idempotency key is documented here, so it is never repeated by itself once a byte may have left.
    """
    return build_call("POST", _ROUTE, Contact, body=contact, form=NEW)


def get(contact_id: str) -> Call[Contact]:
    """Make the call that reads one contact with its consent records (docs: /api/contacts/get-contact)."""
    return build_call("GET", _ONE, Contact, ids={"contact_id": contact_id})


def update(contact_id: str, changes: ContactChanges) -> Call[Contact]:
    """Make the call that changes a contact (docs: /api/contacts/update-contact). It may be repeated."""
    return build_call("PATCH", _ONE, Contact, ids={"contact_id": contact_id}, body=changes, form=CHANGES)


def delete(contact_id: str) -> Call[Deleted]:
    """Make the call that deletes a contact (docs: /api/contacts/delete-contact); it needs the role of a manager.

    It may be repeated; the second time it is `NotFound`.
    """
    return build_call("DELETE", _ONE, Deleted, ids={"contact_id": contact_id})


def import_contacts(rows: Iterable[ImportRow]) -> Iterator[Call[Imported]]:
    """Make the calls that import *rows*, 10,000 in each (docs: /api/contacts/import-contacts).

    Rows are taken as the calls are asked for, so any number of them takes the memory of one call. A
    row that cannot be imported makes its call `Invalid`, and its details say which row. An import
    skips the contacts that are there already, so a lost answer may be followed by the same call again,
    but it is not repeated by itself.
    """
    left = iter(rows)
    while chunk := tuple(islice(left, MOST_ROWS)):
        yield build_call("POST", f"{_ROUTE}/import", Imported, body=ImportRows(contacts=chunk), form=ROWS)


def list_consents(contact_id: str) -> Call[ConsentRecords]:
    """Make the call that lists the consent records of a contact (docs: /api/contacts/consent)."""
    return build_call("GET", f"{_ONE}/consent", ConsentRecords, ids={"contact_id": contact_id})


def create_consent(contact_id: str, given: NewConsent) -> Call[ConsentRecord]:
    """Make the call that records a consent (docs: /api/contacts/consent); never repeated by itself."""
    return build_call(
        "POST", f"{_ONE}/consent", ConsentRecord, ids={"contact_id": contact_id}, body=given, form=CONSENT
    )
