"""The routes of contacts and their consents (docs: /api/contacts)."""

from ...contacts import (
    CHANGES,
    CONSENT,
    IMPORT_ROW,
    MAX_IMPORT_ROWS,
    NEW,
    ContactChanges,
    ImportRow,
    ImportRows,
    NewConsent,
    NewContact,
)
from ...results import Detail
from ...schema.validators import prefix_path
from ..http.codecs import read_model
from ..http.requests import RouteRequest, parse_body
from ..http.responses import (
    SimulatedResponse,
    created,
    details_to_json,
    error_response,
    invalid_request,
    json_response,
    not_found,
)
from ..model.contacts import GIVEN_FIELDS, ConsentRecord, ContactRecord
from ..model.state import AccountState
from ..rules.account import add_consent, add_contact, change_contact


def create(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Create a contact, or update the one with its email (docs: /api/contacts/create-contact)."""
    given = parse_body(NEW, NewContact, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    known = state.contacts.find_by_email(given.email)
    other = state.contacts.find_by_external_id(given.external_id)
    if other is not None and (known is None or other.id != known.id):
        return _already_exists("external_id")
    if known is not None:
        return json_response(_update(state, known, given, request.now).to_json())
    fields = {name: getattr(given, name) for name in GIVEN_FIELDS if name != "status"}
    contact = add_contact(state, request.now, {**fields, "custom_fields": given.custom_fields or {}})
    return created(contact.to_json(), f"/v1/contacts/{contact.id}")


def show(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Return a contact with its consent records (docs: /api/contacts/get-contact)."""
    contact = state.contacts.find(request.id)
    if contact is None:
        return not_found("contact")
    return json_response({**contact.to_json(), "consent_records": [one.to_json() for one in contact.consents]})


def update(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Update a contact (docs: /api/contacts/update-contact)."""
    contact = state.contacts.find(request.id)
    if contact is None:
        return not_found("contact")
    given = parse_body(CHANGES, ContactChanges, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    other = state.contacts.find_by_email(given.email)
    if other is not None and other.id != contact.id:
        return _already_exists("email")
    return json_response(_update(state, contact, given, request.now).to_json())


def delete(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Delete a contact with its consents and its suppression (docs: /api/contacts/delete-contact)."""
    contact = state.contacts.find(request.id)
    if contact is None:
        return not_found("contact")
    state.contacts.remove(contact)
    return json_response({"success": True})


def import_rows(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Import the contacts that do not exist yet (docs: /api/contacts/import-contacts)."""
    listed = request.fields.get("contacts")
    if isinstance(listed, list) and len(listed) > MAX_IMPORT_ROWS:
        too_many = details_to_json([Detail("contacts", f"must be at most {MAX_IMPORT_ROWS}, and are {len(listed)}")])
        return error_response(422, "limit_exceeded", "Too many rows for one import.", details=too_many)
    rows, details = read_model(request.fields, ImportRows)
    if rows is None or details:
        return invalid_request(details)
    if not rows.contacts:
        return invalid_request([Detail("contacts", "must not be empty")])
    used = [(at, row) for at, row in enumerate(rows.contacts) if row.email is not None or row.phone is not None]
    problems = [detail for at, row in used for detail in prefix_path(f"contacts[{at}]", IMPORT_ROW.check(row))]
    if problems:
        return invalid_request(problems)
    return json_response({"imported": sum(_import(state, row, request.now) for _, row in used)})


def list_consents(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """List the consent records of a contact, oldest first (docs: /api/contacts/consent)."""
    contact = state.contacts.find(request.id)
    if contact is None:
        return not_found("contact")
    return json_response({"consent_records": [one.to_json() for one in contact.consents]})


def create_consent(state: AccountState, request: RouteRequest) -> SimulatedResponse:
    """Record a consent, which is granted at once, or when the contact confirms it (docs: /api/contacts/consent)."""
    contact = state.contacts.find(request.id)
    if contact is None:
        return not_found("contact")
    given = parse_body(CONSENT, NewConsent, request.fields)
    if isinstance(given, SimulatedResponse):
        return given
    doi = given.enforced_doi
    consent = ConsentRecord(
        id=state.new_id("cr_"),
        contact_id=contact.id,
        channel_type=given.channel_type,
        message_type=given.message_type,
        status="PENDING" if doi else "GRANTED",
        source=given.source,
        proof_text=given.proof_text,
        enforced_doi=doi,
        doi_status="DOI_SEND" if doi else None,
        doi_channel=given.doi_channel or given.channel_type if doi else None,
        granted_at=None if doi else request.now,
        created_at=request.now,
    )
    add_consent(state, contact, consent, request.now)
    return created(consent.to_json(), f"/v1/contacts/{contact.id}/consent")


def _import(state: AccountState, row: ImportRow, now: float) -> bool:
    if state.contacts.find_by_email(row.email) is not None:
        return False
    fields = {name: getattr(row, name) for name in ("email", "phone", "first_name", "last_name")}
    _ = add_contact(state, now, {**fields, "source": "IMPORT"})
    return True


def _update(
    state: AccountState, contact: ContactRecord, given: NewContact | ContactChanges, now: float
) -> ContactRecord:
    # A field that is not given stays as it is. The source never changes.
    fields = {name: getattr(given, name, None) for name in GIVEN_FIELDS if name != "source"}
    if isinstance(given, NewContact):
        fields["tags"] = given.tags or None
    if given.custom_fields is not None:
        fields["custom_fields"] = {**contact.custom_fields, **given.custom_fields}
    return change_contact(state, contact, now, {name: part for name, part in fields.items() if part is not None})


def _already_exists(field: str) -> SimulatedResponse:
    details = details_to_json([Detail(field, "belongs to another contact")])
    return error_response(409, "already_exists", "Another contact has this already.", details=details)
