"""Calls: create, read, change, delete and import contacts, list and create consents; the documented limits first."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from ..calls import Call
from ..results import Detail
from ..schema.free_json import json_object
from ..schema.requests import Schema, build_call
from ..schema.validators import (
    boolean,
    email_address,
    non_empty,
    one_of,
    optional,
    phone_number,
    string,
    tuple_of,
)
from .models import (
    MAX_IMPORT_ROWS,
    ChannelType,
    Consent,
    Consents,
    ConsentType,
    Contact,
    ContactChanges,
    Deleted,
    Imported,
    ImportRow,
    ImportRows,
    NewConsent,
    NewContact,
    Source,
    Status,
)


def _check_reachable(contact: NewContact | ImportRow) -> Iterator[Detail]:
    if contact.email is None and contact.phone is None:
        yield Detail("", "must have an email or a phone")


def _check_changes(changes: ContactChanges) -> Iterator[Detail]:
    if changes == ContactChanges():
        yield Detail("", "must change something")


_person: Final = {
    "email": optional(email_address),
    "phone": optional(phone_number),
    "first_name": optional(string(100)),
    "last_name": optional(string(100)),
}
NEW: Final = Schema(
    NewContact,
    {
        **_person,
        "source": one_of(Source),
        "external_id": optional(non_empty),
        "tags": tuple_of(non_empty),
        "custom_fields": optional(json_object),
    },
    _check_reachable,
)
CHANGES: Final = Schema(
    ContactChanges,
    {
        **_person,
        "status": optional(one_of(Status)),
        "tags": optional(tuple_of(non_empty)),
        "custom_fields": optional(json_object),
    },
    check_own=_check_changes,
)
IMPORT_ROW: Final = Schema(ImportRow, _person, _check_reachable)
IMPORT: Final = Schema(ImportRows, {"contacts": tuple_of(IMPORT_ROW.check, 1, MAX_IMPORT_ROWS)})
CONSENT: Final = Schema(
    NewConsent,
    {
        "channel_type": one_of(ChannelType),
        "message_type": one_of(ConsentType),
        "source": non_empty,
        "proof_text": optional(string(5000)),
        "enforced_doi": boolean,
        "doi_channel": optional(one_of(ChannelType)),
    },
)
SCHEMAS: Final = (NEW, CHANGES, IMPORT, CONSENT)
"""The schemas of all request bodies."""


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


def update(contact_id: str, changes: ContactChanges, *, strict: bool = True) -> Call[Contact]:
    """Return the call that changes a contact (docs: /api/contacts/update-contact).

    It has no idempotency key, so it is not repeated automatically once a byte may have been sent.

    If *changes* is not valid, or empty and *strict*, the call returns `Invalid` with details and is not sent. The key
    needs the role editor. An unknown id is `NotFound`.
    """
    params = {"contact_id": contact_id}
    return build_call("PATCH", _ONE, Contact, path_params=params, body=changes, schema=CHANGES, strict=strict)


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
