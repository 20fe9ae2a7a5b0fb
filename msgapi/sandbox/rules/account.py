"""Changes of the balance and of the contacts, with what they cause: events, and the automatic reload of the balance."""

from decimal import Decimal
from typing import Any, Final

from attrs import evolve

from ..http.responses import format_time
from ..model.contacts import ConsentRecord, ContactRecord
from ..model.messages import LogEntry, MessageStatus
from ..model.state import AccountState, ReloadRetry

MAX_BALANCE: Final = Decimal(5000)
"""The highest balance in EUR that a top-up may reach."""


def hold(state: AccountState, message_id: str, amount: Decimal, now: float) -> None:
    """Reserve *amount*, which must be free, for a message; emit `billing.balance_low` and reload if needed."""
    before = state.wallet.free
    state.wallet.hold(message_id, amount)
    _react_to_balance(state, before, now)


def set_balance(state: AccountState, free: Decimal, now: float) -> None:
    """Set the free balance, without a transaction; emit `billing.balance_low` and reload if needed."""
    before = state.wallet.free
    state.wallet.free = free
    state.changes.add("account")
    _react_to_balance(state, before, now)


def _react_to_balance(state: AccountState, before: Decimal, now: float) -> None:
    threshold = state.payments.low_balance_threshold
    if threshold is not None and state.wallet.free < threshold <= before:
        data = {"balance": state.wallet.to_json(), "threshold": float(threshold), "currency": "EUR"}
        state.emit_event("billing.balance_low", now, data)
    reload_if_low(state, now)


def fits_balance(state: AccountState, amount: Decimal) -> bool:
    """Return whether the balance stays within its maximum if *amount* is added."""
    return state.wallet.total + amount <= MAX_BALANCE


def reload_if_low(state: AccountState, now: float) -> None:
    """Top up the balance if this is enabled and the balance is below the trigger (docs: /api/billing)."""
    payments, wallet = state.payments, state.wallet
    trigger, amount = payments.auto_reload.trigger_threshold, payments.auto_reload.reload_amount
    if trigger is None or amount is None or not payments.auto_reload.enabled or wallet.free >= trigger:
        return
    if not payments.may_reload(now) or not fits_balance(state, amount):
        return
    method = payments.reload_method()
    reason = "payment_method_missing" if method is None else method.failure
    payments.count_reload(now, failed=reason is not None)
    if method is None or reason is not None:
        failed = {"attempted_amount": float(amount), "currency": "EUR", "failure_reason": reason}
        times = {"balance": wallet.to_json(), "failed_at": format_time(now)}
        state.emit_event("billing.auto_reload_failed", now, {**failed, **times})
        if payments.retry_at is not None:
            state.schedule.add(ReloadRetry(), payments.retry_at)
        return
    wallet.add(amount, now, "topup")
    added = {"amount_added": float(amount), "currency": "EUR", "payment_method": method.type}
    times = {"balance": wallet.to_json(), "reloaded_at": format_time(now)}
    state.emit_event("billing.auto_reload_success", now, {**added, **times})


def retry_reload(state: AccountState, now: float) -> None:
    """Retry a failed reload, unless its failure was reset or it has failed again since."""
    retry_at = state.payments.retry_at
    if retry_at is not None and retry_at <= now:
        reload_if_low(state, now)


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
    """Apply the new *status* of *entry*, an email, to the contacts with its address.

    A hard bounce suppresses them. A complaint or an unsubscription revokes their consent to newsletters by email.
    """
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
