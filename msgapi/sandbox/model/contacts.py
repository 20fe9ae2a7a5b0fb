"""The contacts of the account, and the consent that they gave.

Rules:
- Emails are compared without regard to case. No two contacts have the same email; several may share a phone.
- No two contacts have the same external id.
"""

from collections.abc import Iterator, Mapping
from typing import Final, final

from attrs import define, field, frozen

from ...redact import hidden
from ..http.responses import format_time
from .changes import ChangeFeed

GIVEN_FIELDS: Final = (
    "external_id",
    "email",
    "phone",
    "first_name",
    "last_name",
    "status",
    "source",
    "tags",
    "custom_fields",
)
"""The fields of a contact that a request can set."""
_SUPPRESSED: Final = frozenset({"UNSUBSCRIBED", "BLOCKED", "BOUNCED"})


@final
@frozen(kw_only=True)
class ConsentRecord:
    """One consent record of a contact."""

    id: str
    contact_id: str
    channel_type: str
    message_type: str
    status: str
    source: str
    proof_text: str | None = field(repr=hidden)
    enforced_doi: bool
    doi_status: str | None
    doi_channel: str | None
    granted_at: float | None
    revoked_at: float | None = None
    created_at: float

    def to_json(self) -> dict[str, object]:
        """Return the record as the API shows it (docs: /api/contacts/consent)."""
        return {
            "id": self.id,
            "contact_id": self.contact_id,
            "channel_type": self.channel_type,
            "message_type": self.message_type,
            "status": self.status,
            "source": self.source,
            "proof_text": self.proof_text,
            "enforced_doi": self.enforced_doi,
            "doi_status": self.doi_status,
            "doi_channel": self.doi_channel,
            "granted_at": None if self.granted_at is None else format_time(self.granted_at),
            "revoked_at": None if self.revoked_at is None else format_time(self.revoked_at),
            "created_at": format_time(self.created_at),
        }


@final
@frozen(kw_only=True)
class ContactRecord:
    """One contact, with its consent records, oldest first."""

    id: str
    external_id: str | None = field(default=None, repr=hidden)
    email: str | None = field(default=None, repr=hidden)
    phone: str | None = field(default=None, repr=hidden)
    first_name: str | None = field(default=None, repr=hidden)
    last_name: str | None = field(default=None, repr=hidden)
    status: str = "ACTIVE"
    source: str
    tags: tuple[str, ...] = field(default=(), repr=hidden)
    custom_fields: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)
    consents: tuple[ConsentRecord, ...] = ()
    created_at: float
    updated_at: float

    def to_json(self) -> dict[str, object]:
        """Return the contact without its consent records (docs: /api/contacts/create-contact)."""
        times = {"created_at": format_time(self.created_at), "updated_at": format_time(self.updated_at)}
        return {"id": self.id, **{name: getattr(self, name) for name in GIVEN_FIELDS}, **times}

    @property
    def is_suppressed(self) -> bool:
        """Whether no message may be sent to this contact."""
        return self.status in _SUPPRESSED

    def consents_to(self, channel_type: str, message_type: str) -> bool:
        """Return whether a consent to this message type on this channel is granted."""
        wanted = (channel_type, message_type, "GRANTED")
        return any((one.channel_type, one.message_type, one.status) == wanted for one in self.consents)


@final
@define(eq=False, repr=False)
class ContactRecords:
    """All contacts, by id, email, phone and external id."""

    changes: ChangeFeed = field(factory=ChangeFeed)
    _by_id: dict[str, ContactRecord] = field(factory=dict, init=False)
    _by_email: dict[str, str] = field(factory=dict, init=False)
    _by_external_id: dict[str, str] = field(factory=dict, init=False)
    _by_phone: dict[str, set[str]] = field(factory=dict, init=False)

    def __len__(self) -> int:
        """Return the number of contacts."""
        return len(self._by_id)

    def __iter__(self) -> Iterator[ContactRecord]:
        """Iterate over the contacts, oldest first."""
        return iter(self._by_id.values())

    def find(self, contact_id: str | None) -> ContactRecord | None:
        """Return a contact by its id."""
        return self._by_id.get(contact_id or "")

    def find_by_email(self, email: str | None) -> ContactRecord | None:
        """Return the contact with this *email*, without regard to case."""
        return None if email is None else self.find(self._by_email.get(email.casefold()))

    def find_by_external_id(self, external_id: str | None) -> ContactRecord | None:
        """Return the contact with this *external_id*."""
        return None if external_id is None else self.find(self._by_external_id.get(external_id))

    def find_by_recipient(self, to: str) -> tuple[ContactRecord, ...]:
        """Return every contact with this email address or phone number."""
        if not self._by_id:
            return ()
        ids = {*self._by_phone.get(to, ()), self._by_email.get(to.casefold(), "")}
        return tuple(self._by_id[one] for one in sorted(ids) if one)

    def put(self, contact: ContactRecord) -> None:
        """Add a contact, or replace the one with its id."""
        before = self._by_id.get(contact.id)
        if before is not None:
            self._remove_from_indexes(before)
        self._by_id[contact.id] = contact
        if contact.email is not None:
            self._by_email[contact.email.casefold()] = contact.id
        if contact.external_id is not None:
            self._by_external_id[contact.external_id] = contact.id
        if contact.phone is not None:
            self._by_phone.setdefault(contact.phone, set()).add(contact.id)
        self.changes.add("contacts")

    def index(self) -> None:
        """Derive the indexes from the contacts, which were set from a snapshot."""
        contacts, self._by_id = self._by_id, {}
        for contact in contacts.values():
            self.put(contact)

    def remove(self, contact: ContactRecord) -> None:
        """Remove a contact with its consent records."""
        self._remove_from_indexes(contact)
        del self._by_id[contact.id]
        self.changes.add("contacts")

    def _remove_from_indexes(self, contact: ContactRecord) -> None:
        if contact.email is not None:
            del self._by_email[contact.email.casefold()]
        if contact.external_id is not None:
            del self._by_external_id[contact.external_id]
        if contact.phone is not None:
            self._by_phone[contact.phone].discard(contact.id)
            if not self._by_phone[contact.phone]:
                del self._by_phone[contact.phone]
