"""Contacts: the routes that create, read, change, delete and import them."""

from typing import Any

from attrs import evolve

from ...codec import Problems, read
from ...contacts import MOST_ROWS, Changes, NewContact, Row, Rows
from ...contacts.models import CHANGES, NEW, ROW
from ...results import Detail
from ...rules import below
from ..http.intake import take
from ..http.responses import Reply, invalid, iso, made, refuse, say, written
from ..model.contacts import TOLD, Person
from ..model.state import Ask, State


def create(state: State, ask: Ask) -> Reply:
    """Create a contact, or update the one with its email (docs: /api/contacts/create-contact)."""
    given = take(NEW, NewContact, ask.value)
    if isinstance(given, Reply):
        return given
    known = state.people.with_email(given.email)
    namesake = state.people.with_external_id(given.external_id)
    if namesake is not None and (known is None or namesake.id != known.id):
        return _taken("external_id")
    if known is not None:
        return say(_change(state, known, given, ask.now).figures())
    fields = {name: getattr(given, name) for name in TOLD if name != "status"}
    person = _enter(state, ask.now, {**fields, "custom_fields": given.custom_fields or {}})
    return made(person.figures(), f"/v1/contacts/{person.id}")


def show(state: State, ask: Ask) -> Reply:
    """Show a contact with its consent records (docs: /api/contacts/get-contact)."""
    person = state.people.find(ask.id)
    if person is None:
        return unknown()
    return say({**person.figures(), "consent_records": [one.figures() for one in person.consents]})


def update(state: State, ask: Ask) -> Reply:
    """Change a contact (docs: /api/contacts/update-contact)."""
    person = state.people.find(ask.id)
    if person is None:
        return unknown()
    given = take(CHANGES, Changes, ask.value)
    if isinstance(given, Reply):
        return given
    namesake = state.people.with_email(given.email)
    if namesake is not None and namesake.id != person.id:
        return _taken("email")
    return say(_change(state, person, given, ask.now).figures())


def delete(state: State, ask: Ask) -> Reply:
    """Delete a contact, with its consent and suppression (docs: /api/contacts/delete-contact)."""
    person = state.people.find(ask.id)
    if person is None:
        return unknown()
    state.people.drop(person)
    return say({"success": True})


def import_rows(state: State, ask: Ask) -> Reply:
    """Import contacts that are not there yet (docs: /api/contacts/import-contacts)."""
    listed = ask.value.get("contacts")
    if isinstance(listed, list) and len(listed) > MOST_ROWS:
        said = f"must be at most {MOST_ROWS}, and are {len(listed)}"
        details = written([Detail("contacts", said)])
        return refuse(422, "limit_exceeded", "Too many rows for one import.", details=details)
    rows = read(ask.value, Rows)
    if isinstance(rows, Problems):
        return invalid(rows.details)
    if not rows.contacts:
        return invalid([Detail("contacts", "must not be empty")])
    kept = [(at, row) for at, row in enumerate(rows.contacts) if row.email is not None or row.phone is not None]
    wrong = [detail for at, row in kept for detail in below(f"contacts[{at}]", ROW.check(row))]
    return invalid(wrong) if wrong else say({"imported": sum(_import(state, row, ask.now) for _, row in kept)})


def _import(state: State, row: Row, now: float) -> bool:
    if state.people.with_email(row.email) is not None:
        return False
    fields = {name: getattr(row, name) for name in ("email", "phone", "first_name", "last_name")}
    _ = _enter(state, now, {**fields, "source": "IMPORT"})
    return True


def _enter(state: State, now: float, fields: dict[str, Any]) -> Person:
    person = Person(id=state.new_id("c_"), created_at=now, updated_at=now, **fields)
    state.people.put(person)
    data = {"contact_id": person.id, "source": person.source, "created_at": iso(now)}
    state.emit("contact.created", now, data)
    return person


def _change(state: State, person: Person, given: NewContact | Changes, now: float) -> Person:
    # What was not given stays; an upsert leaves the source as it was, as the contact came from there.
    fields = {name: getattr(given, name, None) for name in TOLD if name != "source"}
    if isinstance(given, NewContact):
        fields["tags"] = given.tags or None
    if given.custom_fields is not None:
        fields["custom_fields"] = {**person.custom_fields, **given.custom_fields}
    return alter(state, person, now, {name: part for name, part in fields.items() if part is not None})


def alter(state: State, person: Person, now: float, fields: dict[str, Any]) -> Person:
    """Set *fields* of a contact, and tell which of them have changed; where none has, nothing happens."""
    changed = [name for name, part in fields.items() if getattr(person, name) != part]
    if not changed:
        return person
    altered = evolve(person, **fields, updated_at=now)
    state.people.put(altered)
    data = {"contact_id": person.id, "updated_fields": changed, "updated_at": iso(now)}
    state.emit("contact.updated", now, data)
    return altered


def unknown() -> Reply:
    """Refuse what is about a contact that there is not."""
    return refuse(404, "not_found", "There is no such contact.")


def _taken(field: str) -> Reply:
    details = written([Detail(field, "belongs to another contact")])
    return refuse(409, "already_exists", "Another contact has this already.", details=details)
