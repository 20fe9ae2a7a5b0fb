"""Calls: create, read, change, delete and import contacts, and list and create consent records."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from ..calls import Call
from ..schema.requests import build_call
from .models import (
    MAX_IMPORT_ROWS,
    Consent,
    Consents,
    Contact,
    ContactChanges,
    Deleted,
    Imported,
    ImportRow,
    ImportRows,
    NewConsent,
    NewContact,
)
from .validation import CHANGES, CONSENT, IMPORT, NEW

_ROUTE: Final = "/v1/contacts"
_ONE: Final = f"{_ROUTE}/{{contact_id}}"


def create(contact: NewContact) -> Call[Contact]:
    """Return the call that creates a contact, or updates the one with its email (docs: /api/contacts/create-contact).

    If *contact* is not valid, the call returns `Invalid` with details and is not sent. The key needs the role
    editor. No idempotency key is documented here, so the call is not repeated automatically once a byte may have
    been sent.
    """
    return build_call("POST", _ROUTE, Contact, body=contact, schema=NEW)


def get(contact_id: str) -> Call[Contact]:
    """Return the call that reads one contact with its consent records (docs: /api/contacts/get-contact).

    It may be repeated. An unknown id is `NotFound`.
    """
    return build_call("GET", _ONE, Contact, path_params={"contact_id": contact_id})


def update(contact_id: str, changes: ContactChanges) -> Call[Contact]:
    """Return the call that changes a contact (docs: /api/contacts/update-contact).

    It has no idempotency key, so it is not repeated automatically once a byte may have been sent.

    If *changes* is empty or not valid, the call returns `Invalid` with details and is not sent. The key needs the
    role editor. An unknown id is `NotFound`.
    """
    return build_call("PATCH", _ONE, Contact, path_params={"contact_id": contact_id}, body=changes, schema=CHANGES)


def delete(contact_id: str) -> Call[Deleted]:
    """Return the call that deletes a contact (docs: /api/contacts/delete-contact).

    It has no idempotency key, so it is not repeated automatically once a byte may have been sent: after a lost answer,
    `NotFound` for a second call can mean that the first one succeeded. The key needs the role manager, otherwise the
    answer is `Forbidden`.
    """
    return build_call("DELETE", _ONE, Deleted, path_params={"contact_id": contact_id})


def import_contacts(rows: Iterable[ImportRow]) -> Iterator[Call[Imported]]:
    """Yield the calls that import *rows*, 10,000 rows in each (docs: /api/contacts/import-contacts).

    Rows are read as the calls are requested, so memory holds one call at a time. If a row is not valid, its call
    returns `Invalid` with details that name the row, and is not sent. A call is not repeated automatically, but
    repeating it after a lost answer is safe: an import skips contacts that already exist.
    """
    remaining = iter(rows)
    while chunk := tuple(islice(remaining, MAX_IMPORT_ROWS)):
        yield build_call("POST", f"{_ROUTE}/import", Imported, body=ImportRows(contacts=chunk), schema=IMPORT)


def list_consents(contact_id: str) -> Call[Consents]:
    """Return the call that lists the consent records of a contact (docs: /api/contacts/consent).

    It may be repeated. An unknown id is `NotFound`.
    """
    return build_call("GET", f"{_ONE}/consent", Consents, path_params={"contact_id": contact_id})


def create_consent(contact_id: str, consent: NewConsent) -> Call[Consent]:
    """Return the call that records a consent of a contact (docs: /api/contacts/consent).

    If *consent* is not valid, the call returns `Invalid` with details and is not sent. The call is not repeated
    automatically once a byte may have been sent. An unknown id is `NotFound`.
    """
    params = {"contact_id": contact_id}
    return build_call("POST", f"{_ONE}/consent", Consent, path_params=params, body=consent, schema=CONSENT)
