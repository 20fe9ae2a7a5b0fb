"""Consents: recording them, and what becomes of them when a message is bounced, reported or unsubscribed from."""

from attrs import evolve

from ...contacts import NewConsent
from ...contacts.models import CONSENT
from ..http.intake import take
from ..http.responses import Reply, iso, made, say
from ..model.contacts import Consent, Person
from ..model.messages import Entry, Status
from ..model.state import Ask, State
from .contacts import alter, unknown


def list_consents(state: State, ask: Ask) -> Reply:
    """List the consent records of a contact, the oldest first (docs: /api/contacts/consent)."""
    person = state.people.find(ask.id)
    return unknown() if person is None else say({"consent_records": [one.figures() for one in person.consents]})


def create(state: State, ask: Ask) -> Reply:
    """Record a consent: granted at once, or when it is confirmed (docs: /api/contacts/consent)."""
    person = state.people.find(ask.id)
    if person is None:
        return unknown()
    given = take(CONSENT, NewConsent, ask.value)
    if isinstance(given, Reply):
        return given
    doi = given.enforced_doi
    consent = Consent(
        id=state.new_id("cr_"),
        contact_id=person.id,
        channel_type=given.channel_type,
        message_type=given.message_type,
        status="PENDING" if doi else "GRANTED",
        source=given.source,
        proof_text=given.proof_text,
        enforced_doi=doi,
        doi_status="DOI_SEND" if doi else None,
        doi_channel=given.doi_channel or given.channel_type if doi else None,
        granted_at=None if doi else ask.now,
        created_at=ask.now,
    )
    state.people.put(evolve(person, consents=(*person.consents, consent)))
    told = {"enforced_doi": doi, "doi_status": consent.doi_status, "created_at": iso(ask.now)}
    state.emit("consent.created", ask.now, {**_about(consent), **told})
    return made(consent.figures(), f"/v1/contacts/{person.id}/consent")


def confirm(state: State, record_id: str, now: float) -> bool:
    """Let a contact confirm the consent that was asked for twice; False if none of this id is pending."""
    for person in state.people:
        for one in person.consents:
            if (one.id, one.status) == (record_id, "PENDING"):
                granted = evolve(one, status="GRANTED", doi_status="DOI_ACCEPTED", granted_at=now)
                _replace(state, person, granted, now)
                return True
    return False


def affect(state: State, entry: Entry, status: Status, now: float) -> None:
    """Let what has become of an email have its effect on the contacts with this address, if there are any.

    A hard bounce suppresses them; a complaint or an unsubscription revokes their consent to newsletters by email.
    """
    if entry.channel != "EMAIL":
        return
    for person in state.people.reached_by(entry.to):
        if status == "BOUNCED" and entry.error_code != "full" and not person.suppressed:
            _ = alter(state, person, now, {"status": "BOUNCED"})
        elif status in {"COMPLAINED", "UNSUBSCRIBED"}:
            _revoke(state, person, now)


def _revoke(state: State, person: Person, now: float) -> None:
    for one in person.consents:
        if (one.channel_type, one.message_type) == ("EMAIL", "NEWSLETTER") and one.status != "REVOKED":
            _replace(state, person, evolve(one, status="REVOKED", revoked_at=now), now)


def _replace(state: State, person: Person, consent: Consent, now: float) -> None:
    before = next(one for one in person.consents if one.id == consent.id)
    current = state.people.find(person.id) or person
    state.people.put(
        evolve(current, consents=tuple(consent if one.id == consent.id else one for one in current.consents))
    )
    told = {"previous_status": before.status, "doi_status": consent.doi_status, "updated_at": iso(now)}
    state.emit("consent.updated", now, {**_about(consent), **told})


def _about(consent: Consent) -> dict[str, object]:
    return {
        "contact_id": consent.contact_id,
        "consent_record_id": consent.id,
        "channel_type": consent.channel_type,
        "message_type": consent.message_type,
        "status": consent.status,
        "source": consent.source,
    }
