"""Contacts: the recipients of a workspace and their consent (docs: /api/contacts/create-contact).

The docs show no route that lists contacts, and none that changes a consent record. The documented limits are
checked before a call is sent.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, final

from attrs import evolve, field

from .calls import Call
from .models import frozen
from .redact import hidden
from .results import Detail
from .schema.free_json import json_object
from .schema.mapping import map_answer, map_fields_by_name
from .schema.requests import Schema, build_call, make_invalid
from .schema.validators import (
    boolean,
    email_address,
    non_empty,
    one_of,
    optional,
    phone_number,
    prefix_path,
    string,
    tuple_of,
)

__all__ = [
    "MAX_IMPORT_ROWS",
    "SCHEMAS",
    "ChannelType",
    "Consent",
    "ConsentType",
    "Consents",
    "Contact",
    "ContactChanges",
    "Deleted",
    "ImportRow",
    "ImportRows",
    "Imported",
    "NewConsent",
    "NewContact",
    "Source",
    "Status",
    "create",
    "create_consent",
    "delete",
    "get",
    "import_contacts",
    "list_consents",
    "update",
]

Source: TypeAlias = Literal["API", "IMPORT", "LANDING_PAGE", "MANUAL"]
Status: TypeAlias = Literal["ACTIVE", "UNSUBSCRIBED", "BOUNCED", "BLOCKED"]
ChannelType: TypeAlias = Literal["EMAIL", "RCS", "SMS"]
ConsentType: TypeAlias = Literal["MESSAGE", "NEWSLETTER"]
_ROUTE: Final = "/v1/contacts"
_ONE: Final = f"{_ROUTE}/{{contact_id}}"
MAX_IMPORT_ROWS: Final = 10_000
"""The maximum number of rows in one import (docs: /api/contacts/import-contacts)."""


@final
@frozen(kw_only=True)
class NewContact:
    """A contact to create. *email* or *phone* (E.164) is required; names have at most 100 characters.

    *external_id* is unique in the workspace. A Decimal in *custom_fields* is sent as text that keeps its zeros.
    """

    source: Source
    email: str | None = field(default=None, repr=hidden)
    phone: str | None = field(default=None, repr=hidden)
    external_id: str | None = field(default=None, repr=hidden)
    first_name: str | None = field(default=None, repr=hidden)
    last_name: str | None = field(default=None, repr=hidden)
    tags: tuple[str, ...] = ()
    custom_fields: Mapping[str, object] | None = field(default=None, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ContactChanges:
    """The fields for `update` to change; a field that is None is left as it is.

    *tags* replaces all tags, and an empty tuple removes them; *custom_fields* is merged into the existing ones.
    The status `UNSUBSCRIBED` or `BLOCKED` suppresses the contact immediately.
    """

    email: str | None = field(default=None, repr=hidden)
    phone: str | None = field(default=None, repr=hidden)
    first_name: str | None = field(default=None, repr=hidden)
    last_name: str | None = field(default=None, repr=hidden)
    status: Status | None = None
    tags: tuple[str, ...] | None = None
    custom_fields: Mapping[str, object] | None = field(default=None, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ImportRow:
    """One row of an import. *email* or *phone* (E.164) is required.

    The service silently drops a row with neither, so here it is invalid. `import_contacts` takes an empty string as
    None.
    """

    email: str | None = field(default=None, repr=hidden)
    phone: str | None = field(default=None, repr=hidden)
    first_name: str | None = field(default=None, repr=hidden)
    last_name: str | None = field(default=None, repr=hidden)


@final
@frozen(kw_only=True)
class ImportRows:
    """The body of one import, with 1 to 10,000 rows."""

    contacts: tuple[ImportRow, ...]


@final
@frozen(kw_only=True)
class NewConsent:
    """A consent to record. *source* is free text, *proof_text* has at most 5,000 characters.

    If *enforced_doi* (double opt-in) is true, the consent is `PENDING` until the contact confirms it through
    *doi_channel*; otherwise it is granted immediately.
    """

    channel_type: ChannelType
    message_type: ConsentType
    source: str
    proof_text: str | None = field(default=None, repr=hidden)
    enforced_doi: bool = False
    doi_channel: ChannelType | None = None


@final
@frozen(kw_only=True)
class Consent:
    """One consent record. Unknown fields are in *extra*.

    *status* is `GRANTED`, `REVOKED` or `PENDING`; *doi_status* is `DOI_SEND`, `DOI_ACCEPTED` or None.
    """

    id: str
    contact_id: str | None = None
    channel_type: str | None = None
    message_type: str | None = None
    status: str | None = None
    source: str | None = None
    proof_text: str | None = field(default=None, repr=hidden)
    enforced_doi: bool | None = None
    doi_status: str | None = None
    doi_channel: str | None = None
    granted_at: datetime | None = None
    revoked_at: datetime | None = None
    created_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Contact:
    """A contact. Only `get` returns its *consent_records*. Unknown fields are in *extra*."""

    id: str
    external_id: str | None = field(default=None, repr=hidden)
    email: str | None = field(default=None, repr=hidden)
    phone: str | None = field(default=None, repr=hidden)
    first_name: str | None = field(default=None, repr=hidden)
    last_name: str | None = field(default=None, repr=hidden)
    status: str | None = None
    source: str | None = None
    tags: tuple[str, ...] = ()
    custom_fields: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)
    consent_records: tuple[Consent, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Consents:
    """The consent records of one contact. The docs do not show the body, so a bare array is accepted too."""

    consent_records: tuple[Consent, ...]
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Deleted:
    """The contact was deleted, with its consent and suppression history."""

    success: bool = True
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Imported:
    """The number of rows that became new contacts. A row whose email already exists is skipped."""

    imported: int
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


map_fields_by_name(NewContact, ContactChanges, ImportRow, ImportRows, NewConsent)
map_answer(Consent, aliases={"record_id": "id", "consent_record_id": "id"})
map_answer(Contact, aliases={"contact_id": "id"})
map_answer(Consents, array="consent_records", aliases={"records": "consent_records"})


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

    An empty string, such as an empty cell of a CSV file, is the same as None. A row that is not valid is left out: the
    calls of the valid rows are followed by one that is not sent and returns `Invalid`, whose details name each such row
    by its place in *rows*, from 0: `contacts[11000].phone`. There is at least one such call for 10,000 invalid rows.

    Rows are read as the calls are requested, so memory holds one call at a time. A call is not repeated automatically.
    Repeating it after a lost answer is safe for rows with an email, because an import skips contacts whose email
    exists. The docs do not say that for a phone.
    """
    valid: list[ImportRow] = []
    details: list[Detail] = []
    for place, row in enumerate(rows):
        read = _without_empty(row)
        problems = IMPORT_ROW.check(read)
        details += prefix_path(f"contacts[{place}]", problems)
        if not problems:
            valid.append(read)
        if len(valid) == MAX_IMPORT_ROWS or len(details) >= MAX_IMPORT_ROWS:
            yield from _import_calls(valid, details)
            valid, details = [], []
    yield from _import_calls(valid, details)


def _without_empty(row: Any) -> Any:  # noqa: ANN401 - as a caller may
    if type(row) is not ImportRow:
        return row
    empty = {name: None for name in _person if type(value := getattr(row, name)) is str and not value.strip()}
    return evolve(row, **empty) if empty else row


def _import_calls(valid: list[ImportRow], details: list[Detail]) -> Iterator[Call[Imported]]:
    route = f"{_ROUTE}/import"
    if valid:
        yield build_call("POST", route, Imported, body=ImportRows(contacts=tuple(valid)))
    if details:
        yield Call("POST", route, Imported, invalid=make_invalid(tuple(details)))


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
