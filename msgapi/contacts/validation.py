"""Validation: what a contact, an import and a consent may hold before they are sent, by the documented limits."""

from collections.abc import Iterator
from typing import Final

from ..results import Detail
from ..schema.requests import Schema
from ..schema.validators import (
    boolean,
    email_address,
    json_object,
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
    ConsentType,
    ContactChanges,
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
    _check_changes,
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
