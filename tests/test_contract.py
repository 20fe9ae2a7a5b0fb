"""The contract, copied word for word, held against the code: what is missing in the code is missed here.

Nothing in these tables is made from the code.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import orjson
import pytest

from msgapi import (
    Balance,
    Call,
    Conflict,
    Forbidden,
    InsufficientBalance,
    Invalid,
    NotFound,
    Response,
    ServerFault,
    Throttled,
    Unauthorized,
    Unavailable,
    Unprocessable,
    VirtualClock,
    agents,
    billing,
    campaigns,
    codec,
    contacts,
    messages,
    webhooks,
)
from msgapi.decode import decode
from msgapi.sandbox import Sandbox
from msgapi.sandbox.openapi.operations import OPERATIONS
from tests.support.call_bodies import sent
from tests.support.sandbox_requests import NOW, TO, email, request, said, text

AT = "2026-05-04T07:30:00Z"

ROUTES = """
POST /v1/messages
GET /v1/messages
GET /v1/messages/{id}
DELETE /v1/messages/{id}
POST /v1/test/register
POST /v1/test/verify
POST /v1/test/messages
GET /v1/test/status
POST /v1/rcs/agents
GET /v1/rcs/agents/{id}
PATCH /v1/rcs/agents/{id}
POST /v1/rcs/agents/{id}/submit
GET /v1/rcs/agents/{id}/launch
POST /v1/contacts
GET /v1/contacts/{id}
PATCH /v1/contacts/{id}
DELETE /v1/contacts/{id}
POST /v1/contacts/import
GET /v1/contacts/{id}/consent
POST /v1/contacts/{id}/consent
POST /v1/campaigns/{id}/trigger
POST /v1/campaigns/{id}/pause
POST /v1/campaigns/{id}/resume
GET /v1/campaigns/{id}/status
GET /v1/billing/balance
GET /v1/billing/usage
GET /v1/billing/usage/detailed
GET /v1/billing/tier
POST /v1/billing/topup
GET /v1/billing/payment-methods
POST /v1/billing/payment-methods
GET /v1/billing/auto-reload
PUT /v1/billing/auto-reload
PUT /v1/billing/alerts
GET /v1/billing/transactions
GET /v1/billing/invoices
POST /v1/webhooks
GET /v1/webhooks
PATCH /v1/webhooks/{id}
DELETE /v1/webhooks/{id}
POST /v1/webhooks/{id}/test
"""

BALANCE = {"free": 72.4, "reserved": 2.6, "total": 75.0}
EVENTS: Mapping[str, dict[str, object]] = {
    "message.queued": {"message_id": "m", "agent_id": "a", "to": TO, "status": "queued", "queued_at": AT},
    "message.delivered": {"message_id": "m", "agent_id": "a", "to": TO, "status": "delivered", "delivered_at": AT},
    "message.read": {"message_id": "m", "agent_id": "a", "to": TO, "status": "read", "read_at": AT},
    "message.failed": {
        "message_id": "m",
        "agent_id": "a",
        "to": TO,
        "status": "failed",
        "failed_at": AT,
        "failure_reason": "REJECTED_SPAM",
    },
    "message.expired": {"message_id": "m", "agent_id": "a", "to": TO, "status": "expired", "expired_at": AT},
    "message.revoked": {"message_id": "m", "agent_id": "a", "revoked_at": AT},
    "conversation.started": {
        "agent_id": "a",
        "from": TO,
        "session_expires_at": AT,
        "user_message": {"type": "suggested_reply", "text": "Yes", "postback_data": "eWVz"},
    },
    "conversation.ended": {"agent_id": "a", "with": TO, "ended_at": AT, "reason": "ttl_expired"},
    "email.delivered": {"message_id": "m", "channel_id": "c", "to": "a@b.example", "subject": "S", "delivered_at": AT},
    "email.bounced": {
        "message_id": "m",
        "channel_id": "c",
        "to": "a@b.example",
        "bounce_type": "hard",
        "bounce_code": "550",
        "bounce_message": "No such mailbox",
        "bounced_at": AT,
    },
    "email.opened": {"message_id": "m", "channel_id": "c", "to": "a@b.example", "opened_at": AT},
    "email.clicked": {"message_id": "m", "channel_id": "c", "to": "a@b.example", "url": "https://x", "clicked_at": AT},
    "email.complained": {"message_id": "m", "channel_id": "c", "to": "a@b.example", "complained_at": AT},
    "email.unsubscribed": {"message_id": "m", "channel_id": "c", "to": "a@b.example", "unsubscribed_at": AT},
    "agent.approved": {"agent_id": "a", "display_name": "Shop", "approved_at": AT},
    "agent.rejected": {"agent_id": "a", "display_name": "Shop", "rejected_at": AT, "reason": "logo"},
    "contact.created": {"contact_id": "c", "source": "API", "created_at": AT},
    "contact.updated": {"contact_id": "c", "updated_fields": ["tags"], "updated_at": AT},
    "consent.created": {
        "contact_id": "c",
        "consent_record_id": "cr",
        "channel_type": "RCS",
        "message_type": "NEWSLETTER",
        "status": "PENDING",
        "source": "form",
        "enforced_doi": True,
        "doi_status": "DOI_SEND",
        "created_at": AT,
    },
    "consent.updated": {
        "contact_id": "c",
        "consent_record_id": "cr",
        "channel_type": "RCS",
        "message_type": "NEWSLETTER",
        "previous_status": "PENDING",
        "status": "GRANTED",
        "source": "form",
        "doi_status": "DOI_ACCEPTED",
        "updated_at": AT,
    },
    "billing.balance_low": {"balance": BALANCE, "threshold": 80.0, "currency": "EUR"},
    "billing.auto_reload_success": {
        "amount_added": 50.0,
        "currency": "EUR",
        "balance": BALANCE,
        "payment_method": "credit_card",
        "reloaded_at": AT,
    },
    "billing.auto_reload_failed": {
        "attempted_amount": 50.0,
        "currency": "EUR",
        "failure_reason": "card_declined",
        "balance": BALANCE,
        "failed_at": AT,
    },
}

RECORD = {
    "id": "cr_1",
    "contact_id": "c_1",
    "channel_type": "RCS",
    "message_type": "NEWSLETTER",
    "status": "GRANTED",
    "source": "form",
    "proof_text": "yes",
    "enforced_doi": True,
    "doi_status": "DOI_ACCEPTED",
    "doi_channel": "RCS",
    "granted_at": AT,
    "revoked_at": AT,
    "created_at": AT,
}
LOGGED = {
    "id": "msg_1",
    "direction": "OUTBOUND",
    "channel_id": "ch_1",
    "contact_id": "c_1",
    "campaign_id": "x",
    "message_type": "MESSAGE",
    "content_type": "TEXT",
    "status": "READ",
    "cost": 0.07,
    "sent_at": AT,
    "delivered_at": AT,
    "read_at": AT,
    "created_at": AT,
}
AGENT = {
    "agent_id": "ag_live_1",
    "status": "APPROVED",
    "display_name": "Shop",
    "description": "A shop",
    "logo_url": "https://x.example/l.png",
    "website": "https://x.example",
    "region": "EUROPE",
    "use_case": "OTP",
    "billing_category": "CONVERSATIONAL",
    "newsletter_enabled": True,
    "approved_at": AT,
    "created_at": AT,
    "submitted_at": AT,
    "rejection_reason": "logo",
    "rejected_at": AT,
}
ANSWERS: list[tuple[type, dict[str, Any]]] = [
    (
        messages.Accepted,
        {
            "message_id": "msg_1",
            "status": "queued",
            "created_at": AT,
            "billing": {
                "channel": "RCS",
                "message_type": "single_message",
                "hold_amount": 0.11,
                "message_price": 0.11,
                "balance": BALANCE,
                "tier": {"channel": "RCS", "current": "tier_1", "volume_used": 310},
                "in_session": True,
                "mau_charged": False,
            },
        },
    ),
    (messages.Page, {"messages": [LOGGED]}),
    (
        messages.MessageRecord,
        LOGGED
        | {
            "content": {"text": "Hi"},
            "error_code": "E",
            "error_message": "no",
            "events": [{"type": "queued", "at": AT}, {"type": "sent", "at": AT}],
        },
    ),
    (messages.Revoked, {"id": "msg_1", "status": "REVOKED", "revoked_at": AT}),
    (agents.Agent, AGENT),
    (
        agents.Submitted,
        {"agent_id": "a", "status": "REJECTED", "submitted_at": AT, "estimated_review_days": "5-10"},
    ),
    (
        agents.LaunchStatus,
        {
            "agent_id": "a",
            "agent_status": "APPROVED",
            "carriers": [{"carrier": "vodafone_de", "status": "REJECTED", "launched_at": AT, "rejection_reason": "no"}],
        },
    ),
    (
        contacts.Contact,
        {
            "id": "c_1",
            "external_id": "7",
            "email": "a@b.example",
            "phone": TO,
            "first_name": "Ada",
            "last_name": "L",
            "status": "ACTIVE",
            "source": "API",
            "tags": ["t"],
            "custom_fields": {"size": 7},
            "consent_records": [RECORD],
            "created_at": AT,
            "updated_at": AT,
        },
    ),
    (contacts.Consent, RECORD),
    (contacts.Deleted, {"success": False}),
    (contacts.Imported, {"imported": 7}),
    (campaigns.CampaignRun, {"run_id": "r", "status": "STARTED"}),
    (campaigns.CampaignStatus, {"status": "PAUSED"}),
    (Balance, BALANCE),
    (billing.AutoReloadSettings, {"enabled": True, "trigger_threshold": 5.0, "reload_amount": 20.0}),
]

NEW_AGENT = {
    "display_name": "Shop",
    "region": "EUROPE",
    "billing_category": "CONVERSATIONAL",
    "use_case": "OTP",
    "newsletter_enabled": True,
}
PROFILE = {
    "display_name": "Shop",
    "description": "A shop",
    "color": "#000000",
    "logo_url": "https://x.example/l.png",
    "banner_url": "https://x.example/b.png",
    "phone": TO,
    "email": "a@b.example",
    "website": "https://x.example",
    "privacy_policy_url": "https://x.example/p",
    "terms_of_service_url": "https://x.example/t",
}
ROW = {"email": "a@b.example", "phone": TO, "first_name": "Ada", "last_name": "L"}
NEW_CONTACT = {**ROW, "external_id": "7", "source": "API", "tags": ["t"], "custom_fields": {"size": 7}}
CHANGES = {**ROW, "status": "ACTIVE", "tags": ["t"], "custom_fields": {"size": 7}}
CONSENT = {
    "channel_type": "RCS",
    "message_type": "NEWSLETTER",
    "source": "form",
    "proof_text": "yes",
    "enforced_doi": True,
    "doi_channel": "RCS",
}
HOOK = {"url": "https://x.example", "events": ["message.read"], "secret": "whsec_1"}


def made(model: Any, fields: Mapping[str, object]) -> Any:  # noqa: ANN401 - a class, and one of it
    return model(**{name: tuple(part) if isinstance(part, list) else part for name, part in fields.items()})


REQUESTS: list[tuple[Call[Any], Mapping[str, object]]] = [
    (agents.create(made(agents.NewAgent, NEW_AGENT)), NEW_AGENT),
    (agents.update("a", made(agents.AgentChanges, PROFILE)), PROFILE),
    (contacts.create(made(contacts.NewContact, NEW_CONTACT)), NEW_CONTACT),
    (contacts.update("c", made(contacts.ContactChanges, CHANGES)), CHANGES),
    (next(contacts.import_contacts([made(contacts.ImportRow, ROW)])), {"contacts": [ROW]}),
    (contacts.create_consent("c", made(contacts.NewConsent, CONSENT)), CONSENT),
    (campaigns.trigger("x", idempotency_key="k"), {"idempotency_key": "k"}),
    (
        billing.top_up(Decimal(10), payment_method_id="pm_1"),
        {"amount": 10.0, "currency": "EUR", "payment_method_id": "pm_1"},
    ),
    (
        billing.set_auto_reload(
            billing.AutoReload(enabled=True, trigger_threshold=Decimal(5), reload_amount=Decimal(20))
        ),
        {"enabled": True, "trigger_threshold": 5.0, "reload_amount": 20.0},
    ),
    (billing.set_alert(billing.Alert(low_balance_threshold=Decimal(5))), {"low_balance_threshold": 5.0}),
    (webhooks.create(made(webhooks.NewEndpoint, HOOK)), HOOK),
    (webhooks.update("w", made(webhooks.EndpointChanges, HOOK)), HOOK),
]

DAY = date(2026, 5, 4)
QUERIES: list[tuple[Call[Any], str]] = [
    (
        messages.list(
            direction="INBOUND",
            status="READ",
            channel_id="ch",
            contact_id="c",
            campaign_id="x",
            message_type="MESSAGE",
            since=DAY,
            until=DAY,
        ),
        "limit offset direction status channel_id contact_id campaign_id message_type from to",
    ),
    (billing.usage("2026-05"), "month"),
    (billing.detailed_usage(since=DAY, until=DAY, group_by="day"), "from to group_by"),
    (billing.tier("RCS"), "channel"),
    (billing.transactions(cursor="c", limit=1, since=DAY, until=DAY), "cursor limit from to"),
]

ERRORS: list[tuple[int, Any]] = [
    (400, Invalid),
    (401, Unauthorized),
    (402, InsufficientBalance),
    (403, Forbidden),
    (404, NotFound),
    (409, Conflict),
    (422, Unprocessable),
    (429, Throttled),
    (500, ServerFault),
    (503, Unavailable),
]


def test_every_route_of_the_contract_has_its_function_and_no_other_is_there() -> None:
    assert [f"{one.method} {one.path}" for one in OPERATIONS] == ROUTES.split("\n")[1:-1]


def test_every_event_of_the_contract_has_its_class() -> None:
    assert list(webhooks.EVENT_TYPES) == list(EVENTS)


@pytest.mark.parametrize("name", EVENTS)
def test_every_field_of_an_event_is_read(name: str) -> None:
    body = orjson.dumps({"id": "evt_1", "event": name, "timestamp": AT, "data": EVENTS[name]})
    event = webhooks.read({"X-Arowana-Signature": webhooks.sign(body, secret="s")}, body, secret="s")
    assert isinstance(event, webhooks.EVENT_TYPES[name])
    assert orjson.loads(webhooks.write(event)) == orjson.loads(body)


@pytest.mark.parametrize(("model", "body"), ANSWERS, ids=lambda one: getattr(one, "__name__", ""))
def test_every_field_of_an_answer_is_read(model: type, body: dict[str, Any]) -> None:
    found = codec.from_json(orjson.dumps(body), model)
    assert isinstance(found, model), found
    assert not getattr(found, "extra", None)
    plain = {name: part for name, part in codec.to_dict(found).items() if name != "extra"}
    assert without(plain) == body


def without(value: Any) -> Any:  # noqa: ANN401 - JSON has no better type
    """Leave out, on every level, what was kept and was nothing, and the steps that only one message is shown with."""
    if isinstance(value, dict):
        return {name: without(part) for name, part in value.items() if name not in {"extra", "events"} or part}
    return [without(part) for part in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(("call", "body"), REQUESTS, ids=lambda one: getattr(one, "path", ""))
def test_every_field_of_a_request_is_written(call: Call[Any], body: Mapping[str, object]) -> None:
    assert sent(call) == body


@pytest.mark.parametrize(("call", "names"), QUERIES, ids=lambda one: getattr(one, "path", ""))
def test_every_parameter_of_a_query_is_written(call: Call[Any], names: str) -> None:
    assert call.invalid is None
    assert [name for name, _ in call.query] == names.split()


@pytest.mark.parametrize(("status", "kind"), ERRORS)
def test_every_field_of_an_error_is_read(status: int, kind: Any) -> None:  # noqa: ANN401 - a class
    told = {
        "error": "the_code",
        "message": "The words.",
        "details": [{"field": "status", "message": "no"}],
        "balance": BALANCE,
        "required_amount": 0.12,
        "topup_url": "https://top.example",
        "retry_after": 7,
    }
    found: Any = decode(messages.get("msg_1"), Response(status, {}, orjson.dumps(told)))
    assert isinstance(found, kind)
    assert (found.code, found.message) == ("the_code", "The words.")
    if status in {400, 422}:
        assert [(one.field, one.message) for one in found.details] == [("status", "no")]
    if status == 402:
        assert codec.to_dict(found.balance) == BALANCE
        assert (found.required_amount, found.topup_url) == (Decimal("0.12"), "https://top.example")
    if status == 429:
        assert found.retry_after == 7


# What the sandbox is said to emulate, it does: every event comes from what really happens in it.


def life(clock: VirtualClock) -> Sandbox:
    box = Sandbox(clock=clock, balance=Decimal(20))

    def asked(method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON has no better type
        response = box.handle(request(method, path, body=body)).response
        assert response.status < 300, response.body
        return said(response)

    for to in (TO, "+447700900701"):  # the second one fails
        asked("POST", "/v1/messages", text(to=to))
    asked("POST", "/v1/messages", text(to="+447700900710", ttl="60s"))  # never arrives
    asked("DELETE", f"/v1/messages/{asked('POST', '/v1/messages', text())['message_id']}")
    for name in ("bounce", "click", "complain", "unsubscribe"):
        asked("POST", "/v1/messages", email(to=f"{name}@ending.example"))
    _ = box.reply_from(TO, "ag_live_demo")
    for approves in (True, False):
        agent = asked("POST", "/v1/rcs/agents", NEW_AGENT)["agent_id"]
        asked("PATCH", f"/v1/rcs/agents/{agent}", PROFILE)
        asked("POST", f"/v1/rcs/agents/{agent}/submit")
        if approves:
            _ = box.approve(agent)
        else:
            box.reject(agent, "logo")
    contact = asked("POST", "/v1/contacts", {"source": "API", "phone": TO})["id"]
    asked("PATCH", f"/v1/contacts/{contact}", {"tags": ["t"]})
    box.confirm(asked("POST", f"/v1/contacts/{contact}/consent", CONSENT)["id"])
    asked("PUT", "/v1/billing/alerts", {"low_balance_threshold": 19})
    reload = {"enabled": True, "trigger_threshold": 19, "reload_amount": 10}
    _ = [asked("POST", "/v1/messages", text()) for _ in range(20)]
    asked("PUT", "/v1/billing/auto-reload", reload)  # fails: there is nothing to pay with
    asked("POST", "/v1/billing/payment-methods", {"type": "credit_card"})
    asked("PUT", "/v1/billing/auto-reload", reload)
    clock.advance(100_000)
    return box


def test_every_event_really_happens_in_the_sandbox_with_the_fields_of_the_contract() -> None:
    happened = {one.event: one for one in life(VirtualClock(NOW)).events}
    assert set(happened) == set(EVENTS)
    for name, one in happened.items():
        data = orjson.loads(one.body())["data"]
        assert set(data) == set(EVENTS[name]), name
