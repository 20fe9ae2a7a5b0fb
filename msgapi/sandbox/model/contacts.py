"""People: the contacts of the account and the consent that they gave.

Rules:
- Contacts are found by their email in any case; no two have the same. A phone may belong to several.
- No two have the same external id.
"""

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias, final

from attrs import define, field, frozen

from ...privacy import hidden
from ..http.responses import iso

Figures: TypeAlias = dict[str, object]
_SUPPRESSED: Final = frozenset({"UNSUBSCRIBED", "BLOCKED", "BOUNCED"})
TOLD: Final = (
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
"""The fields of a contact that can be given."""


def _moment(moment: float | None) -> str | None:
    return None if moment is None else iso(moment)


@final
@frozen(kw_only=True)
class Consent:
    """One consent record; moments are in Unix seconds."""

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

    def figures(self) -> Figures:
        """Write the record as the API shows it (docs: /api/contacts/consent)."""
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
            "granted_at": _moment(self.granted_at),
            "revoked_at": _moment(self.revoked_at),
            "created_at": iso(self.created_at),
        }


@final
@frozen(kw_only=True)
class Person:
    """One contact, with its consent records, the oldest first."""

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
    consents: tuple[Consent, ...] = ()
    created_at: float
    updated_at: float

    def figures(self) -> Figures:
        """Write the contact as the API shows it, without its consent records (docs: /api/contacts/create-contact)."""
        moments = {"created_at": iso(self.created_at), "updated_at": iso(self.updated_at)}
        return {"id": self.id, **{name: getattr(self, name) for name in TOLD}, **moments}

    @property
    def suppressed(self) -> bool:
        """Whether nothing may be sent to this contact."""
        return self.status in _SUPPRESSED

    def consents_to(self, channel_type: str, message_type: str) -> bool:
        """Tell whether there is a consent for this kind of message on this channel that is granted."""
        asked = (channel_type, message_type, "GRANTED")
        return any((one.channel_type, one.message_type, one.status) == asked for one in self.consents)


@final
@define(eq=False, repr=False)
class People:
    """All contacts, found by their id, email, phone and external id."""

    _people: dict[str, Person] = field(factory=dict, init=False)
    _by_email: dict[str, str] = field(factory=dict, init=False)
    _by_external_id: dict[str, str] = field(factory=dict, init=False)
    _by_phone: dict[str, set[str]] = field(factory=dict, init=False)

    def __iter__(self) -> Iterator[Person]:
        """Go through the contacts, the oldest first."""
        return iter(self._people.values())

    def find(self, contact_id: str | None) -> Person | None:
        """Find a contact by its id."""
        return self._people.get(contact_id or "")

    def with_email(self, email: str | None) -> Person | None:
        """Find the contact with this *email*, in any case."""
        return None if email is None else self.find(self._by_email.get(email.casefold()))

    def with_external_id(self, external_id: str | None) -> Person | None:
        """Find the contact with this *external_id*."""
        return None if external_id is None else self.find(self._by_external_id.get(external_id))

    def reached_by(self, to: str) -> tuple[Person, ...]:
        """Find every contact that a message *to* this address or number reaches."""
        if not self._people:
            return ()
        ids = {*self._by_phone.get(to, ()), self._by_email.get(to.casefold(), "")}
        return tuple(self._people[one] for one in sorted(ids) if one)

    def put(self, person: Person) -> None:
        """Enter a contact, in place of the one with its id if there is one."""
        before = self._people.get(person.id)
        if before is not None:
            self._forget(before)
        self._people[person.id] = person
        if person.email is not None:
            self._by_email[person.email.casefold()] = person.id
        if person.external_id is not None:
            self._by_external_id[person.external_id] = person.id
        if person.phone is not None:
            self._by_phone.setdefault(person.phone, set()).add(person.id)

    def drop(self, person: Person) -> None:
        """Forget a contact and its consent."""
        self._forget(person)
        del self._people[person.id]

    def _forget(self, person: Person) -> None:
        if person.email is not None:
            del self._by_email[person.email.casefold()]
        if person.external_id is not None:
            del self._by_external_id[person.external_id]
        if person.phone is not None:
            self._by_phone[person.phone].discard(person.id)
            if not self._by_phone[person.phone]:
                del self._by_phone[person.phone]
