"""Models: what is sent and returned about contacts and their consent."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias, final

from attrs import field, frozen

from ..redact import hidden
from ..schema.answers import map_answer
from ..schema.mapping import map_fields_by_name

Source: TypeAlias = Literal["API", "IMPORT", "LANDING_PAGE", "MANUAL"]
Status: TypeAlias = Literal["ACTIVE", "UNSUBSCRIBED", "BOUNCED", "BLOCKED"]
ChannelType: TypeAlias = Literal["EMAIL", "RCS", "SMS"]
ConsentType: TypeAlias = Literal["MESSAGE", "NEWSLETTER"]

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

    The service silently drops a row with neither, so here it is invalid.
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
