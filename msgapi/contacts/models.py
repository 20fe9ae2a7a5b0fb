"""What the contact routes take and give, and what may be in it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias, final

from attrs import field, frozen

from ..redact import hidden
from ..results import Detail
from ..schema.requests import Schema
from ..schema.undocumented import allow_undocumented
from ..schema.validators import address, flag, items, json, nonempty_text, number, one_of, optional, string
from ..schema.wire_mapping import map_flat

Source: TypeAlias = Literal["API", "IMPORT", "LANDING_PAGE", "MANUAL"]
Status: TypeAlias = Literal["ACTIVE", "UNSUBSCRIBED", "BOUNCED", "BLOCKED"]
ChannelType: TypeAlias = Literal["EMAIL", "RCS", "SMS"]
ConsentType: TypeAlias = Literal["MESSAGE", "NEWSLETTER"]

MOST_ROWS: Final = 10_000
"""The most rows of one import."""


@final
@frozen(kw_only=True)
class NewContact:
    """A contact to be created; *email* or *phone* (E.164) is needed, names have at most 100 characters.

    *external_id* is unique in the workspace.
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
    """What `update` is to change; None leaves a field as it is.

    *tags* replace all tags, an empty tuple removes them; *custom_fields* are merged into those there
    are. `UNSUBSCRIBED` and `BLOCKED` suppress the contact at once.
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
    """One row of an import; *email* or *phone* is needed.

    The service drops a row with neither without a word, so here it is refused.
    """

    email: str | None = field(default=None, repr=hidden)
    phone: str | None = field(default=None, repr=hidden)
    first_name: str | None = field(default=None, repr=hidden)
    last_name: str | None = field(default=None, repr=hidden)


@final
@frozen(kw_only=True)
class ImportRows:
    """The body of one import: 1 to 10,000 rows."""

    contacts: tuple[ImportRow, ...]


@final
@frozen(kw_only=True)
class NewConsent:
    """A consent to be recorded; *source* is free text, *proof_text* has at most 5,000 characters.

    With *enforced_doi* it is `PENDING` until the contact confirms it over *doi_channel*; without, it
    is granted at once.
    """

    channel_type: ChannelType
    message_type: ConsentType
    source: str
    proof_text: str | None = field(default=None, repr=hidden)
    enforced_doi: bool = False
    doi_channel: ChannelType | None = None


@final
@frozen(kw_only=True)
class ConsentRecord:
    """One consent record: *status* is `GRANTED`, `REVOKED` or `PENDING`; *doi_status* `DOI_SEND` or `DOI_ACCEPTED`."""

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
    """A contact; *consent_records* come from `get` only."""

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
    consent_records: tuple[ConsentRecord, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class ConsentRecords:
    """The consent records of one contact. The docs don't show the body: an array is read as well."""

    consent_records: tuple[ConsentRecord, ...]
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Deleted:
    """The contact is gone, and with it its consent and suppression history."""

    success: bool = True


@final
@frozen(kw_only=True)
class Imported:
    """How many rows were new; those whose email was there already are skipped."""

    imported: int


def _reachable(contact: NewContact | ImportRow) -> Iterator[Detail]:
    if contact.email is None and contact.phone is None:
        yield Detail("", "must have an email or a phone")


def _something(changes: ContactChanges) -> Iterator[Detail]:
    if changes == ContactChanges():
        yield Detail("", "must change something")


_person: Final = {
    "email": optional(address),
    "phone": optional(number),
    "first_name": optional(string(100)),
    "last_name": optional(string(100)),
}
NEW: Final = Schema(
    NewContact,
    {
        **_person,
        "source": one_of(Source),
        "external_id": optional(nonempty_text),
        "tags": items(nonempty_text),
        "custom_fields": optional(json),
    },
    _reachable,
)
CHANGES: Final = Schema(
    ContactChanges,
    {
        **_person,
        "status": optional(one_of(Status)),
        "tags": optional(items(nonempty_text)),
        "custom_fields": optional(json),
    },
    _something,
)
ROW: Final = Schema(ImportRow, _person, _reachable)
ROWS: Final = Schema(ImportRows, {"contacts": items(ROW.rule, 1, MOST_ROWS)})
CONSENT: Final = Schema(
    NewConsent,
    {
        "channel_type": one_of(ChannelType),
        "message_type": one_of(ConsentType),
        "source": nonempty_text,
        "proof_text": optional(string(5000)),
        "enforced_doi": flag,
        "doi_channel": optional(one_of(ChannelType)),
    },
)
SCHEMAS: Final = (NEW, CHANGES, ROWS, CONSENT)
"""What may be sent, for whoever reads it."""

map_flat(NewContact, ContactChanges, ImportRow, ImportRows, NewConsent)
allow_undocumented(ConsentRecord, same={"record_id": "id", "consent_record_id": "id"})
allow_undocumented(Contact, same={"contact_id": "id"})
allow_undocumented(ConsentRecords, array="consent_records", same={"records": "consent_records"})
