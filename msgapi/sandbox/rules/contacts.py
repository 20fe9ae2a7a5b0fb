"""Changes of contacts and their consents, with the events that they cause."""

from typing import Any

from attrs import evolve

from ..http.responses import format_time
from ..model.contacts import ConsentRecord, ContactRecord
from ..model.messages import LogEntry, MessageStatus
from ..model.state import AccountState


def add_contact(state: AccountState, now: float, fields: dict[str, Any]) -> ContactRecord:
    """Add a contact with these *fields*, and emit `contact.created`."""
    contact = ContactRecord(id=state.new_id("c_"), created_at=now, updated_at=now, **fields)
    state.contacts.put(contact)
    data = {"contact_id": contact.id, "source": contact.source, "created_at": format_time(now)}
    state.emit_event("contact.created", now, data)
    return contact


def change_contact(state: AccountState, contact: ContactRecord, now: float, fields: dict[str, Any]) -> ContactRecord:
    """Set *fields* of a contact and emit `contact.updated`; if no value changes, do nothing."""
    changed = [name for name, part in fields.items() if getattr(contact, name) != part]
    if not changed:
        return contact
    updated = evolve(contact, **fields, updated_at=now)
    state.contacts.put(updated)
    data = {"contact_id": contact.id, "updated_fields": changed, "updated_at": format_time(now)}
    state.emit_event("contact.updated", now, data)
    return updated


def add_consent(state: AccountState, contact: ContactRecord, consent: ConsentRecord, now: float) -> None:
    """Add a consent record to a contact, and emit `consent.created`."""
    state.contacts.put(evolve(contact, consents=(*contact.consents, consent)))
    data = {
        "enforced_doi": consent.enforced_doi,
        "doi_status": consent.doi_status,
        "created_at": format_time(consent.created_at),
    }
    state.emit_event("consent.created", now, {**_consent_data(consent), **data})


def change_consent(state: AccountState, contact: ContactRecord, consent: ConsentRecord, now: float) -> ContactRecord:
    """Replace the consent record with the id of *consent*, and emit `consent.updated`; return the changed contact."""
    before = next(one for one in contact.consents if one.id == consent.id)
    consents = tuple(consent if one.id == consent.id else one for one in contact.consents)
    changed = evolve(contact, consents=consents)
    state.contacts.put(changed)
    data = {"previous_status": before.status, "doi_status": consent.doi_status, "updated_at": format_time(now)}
    state.emit_event("consent.updated", now, {**_consent_data(consent), **data})
    return changed


def apply_email_status(state: AccountState, entry: LogEntry, status: MessageStatus, now: float) -> None:
    """Apply the new *status* of an email to the contacts with its address.

    A hard bounce suppresses them. A complaint or an unsubscription revokes their consent to newsletters by email.
    """
    if entry.channel != "EMAIL":
        return
    for contact in state.contacts.find_by_recipient(entry.to):
        if status == "BOUNCED" and entry.error_code != "full" and not contact.is_suppressed:
            _ = change_contact(state, contact, now, {"status": "BOUNCED"})
        elif status in {"COMPLAINED", "UNSUBSCRIBED"}:
            _revoke_newsletter_consent(state, contact, now)


def _revoke_newsletter_consent(state: AccountState, contact: ContactRecord, now: float) -> None:
    for one in contact.consents:
        if (one.channel_type, one.message_type) == ("EMAIL", "NEWSLETTER") and one.status != "REVOKED":
            contact = change_consent(state, contact, evolve(one, status="REVOKED", revoked_at=now), now)


def _consent_data(consent: ConsentRecord) -> dict[str, object]:
    return {
        "contact_id": consent.contact_id,
        "consent_record_id": consent.id,
        "channel_type": consent.channel_type,
        "message_type": consent.message_type,
        "status": consent.status,
        "source": consent.source,
    }
