"""Event samples: made-up data for each event, with the fields that the docs show, to test an endpoint with."""

from collections.abc import Mapping
from typing import Final

from ..http.responses import format_time

_CONSENT: Final = "contact_id consent_record_id channel_type message_type status source doi_status"
EVENT_FIELDS: Final[Mapping[str, str]] = {
    "message.queued": "message_id agent_id to status queued_at",
    "message.delivered": "message_id agent_id to status delivered_at",
    "message.read": "message_id agent_id to status read_at",
    "message.failed": "message_id agent_id to status failed_at failure_reason",
    "message.expired": "message_id agent_id to status expired_at",
    "message.revoked": "message_id agent_id revoked_at",
    "conversation.started": "agent_id from session_expires_at user_message",
    "conversation.ended": "agent_id with ended_at reason",
    "email.delivered": "message_id channel_id to subject delivered_at",
    "email.bounced": "message_id channel_id to bounce_type bounce_code bounce_message bounced_at",
    "email.opened": "message_id channel_id to opened_at",
    "email.clicked": "message_id channel_id to url clicked_at",
    "email.complained": "message_id channel_id to complained_at",
    "email.unsubscribed": "message_id channel_id to unsubscribed_at",
    "agent.approved": "agent_id display_name approved_at",
    "agent.rejected": "agent_id display_name rejected_at reason",
    "contact.created": "contact_id source created_at",
    "contact.updated": "contact_id updated_fields updated_at",
    "consent.created": f"{_CONSENT} enforced_doi created_at",
    "consent.updated": f"{_CONSENT} previous_status updated_at",
    "billing.balance_low": "balance threshold currency",
    "billing.auto_reload_success": "amount_added currency balance payment_method reloaded_at",
    "billing.auto_reload_failed": "attempted_amount currency failure_reason balance failed_at",
}
"""The fields that the docs show for the data of each event."""

_VALUES: Final[Mapping[str, object]] = {
    "message_id": "msg_test",
    "agent_id": "ag_live_test",
    "channel_id": "ch_test",
    "contact_id": "c_test",
    "consent_record_id": "cr_test",
    "to": "+447700900000",
    "from": "+447700900000",
    "with": "+447700900000",
    "failure_reason": "UNKNOWN_RCS_USER",
    "user_message": {"type": "text", "text": "A test"},
    "reason": "ttl_expired",
    "subject": "A test",
    "bounce_type": "hard",
    "bounce_code": "550",
    "bounce_message": "No such mailbox.",
    "url": "https://link.example/",
    "display_name": "A test",
    "source": "API",
    "updated_fields": ["status"],
    "channel_type": "EMAIL",
    "message_type": "NEWSLETTER",
    "status": "GRANTED",
    "previous_status": "PENDING",
    "enforced_doi": False,
    "doi_status": None,
    "balance": {"free": 9.5, "reserved": 0.5, "total": 10.0},
    "threshold": 10.0,
    "currency": "EUR",
    "amount_added": 50.0,
    "attempted_amount": 50.0,
    "payment_method": "credit_card",
}
_OTHER: Final[Mapping[str, Mapping[str, object]]] = {
    "email": {"to": "ada@shop.example"},
    "billing": {"failure_reason": "card_declined"},
    "agent": {"reason": "A test"},
}


def sample_data(event: str, now: float) -> dict[str, object]:
    """Return made-up data of an *event* at *now*."""
    noun, _, verb = event.partition(".")
    values = {**_VALUES, **_OTHER.get(noun, {}), **({"status": verb} if noun == "message" else {})}
    return {name: format_time(now) if name.endswith("_at") else values[name] for name in EVENT_FIELDS[event].split()}
