"""Requests that each operation of the sandbox accepts, and requests that lead to each of its own error codes."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from attrs import evolve, frozen

from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox
from msgapi.sandbox.model.campaigns import CAMPAIGNS
from msgapi.sandbox.rules.lifecycle import change_status
from tests.support.sandbox_requests import NOW, TO, ask, delete, email, request, said, send, subscribe, text


@frozen
class Asked:
    """What an operation is asked for: the *id* in its path, its body, and the query."""

    id: str = ""
    body: object = None
    query: str = ""


Case: TypeAlias = Callable[[Sandbox], Asked]
PHONE = {recipient.fault: recipient.phone for recipient in MAGIC_RECIPIENTS}
NEW_AGENT = {"display_name": "Shop", "region": "EUROPE", "billing_category": "CONVERSATIONAL", "use_case": "OTP"}
WHOLE = {
    "description": "Parcels",
    "color": "#1a2b3c",
    "email": "ada@shop.example",
    **dict.fromkeys(("logo_url", "banner_url"), "https://shop.example/x"),
    **dict.fromkeys(("privacy_policy_url", "terms_of_service_url"), "https://shop.example/x"),
}
HOOK = {"url": "https://shop.example/hook", "events": ["message.read"], "secret": "whsec_1"}
CONSENT = {"channel_type": "RCS", "message_type": "NEWSLETTER", "source": "form"}
CONTACT = {"source": "API", "email": "ada@shop.example", "external_id": "ada"}
RUNS, NOT_BY_API, DEAR = (one.campaign_id for one in CAMPAIGNS)
NEWSLETTER = text(message_type="NEWSLETTER", traffic_type="PROMOTION")


def post(box: Sandbox, target: str, body: object = None, method: str = "POST") -> Any:  # noqa: ANN401 - JSON
    answer = ask(box, request(method, target, body=body))
    assert answer.status < 300, answer.body
    return said(answer)


def fixed(body: object = None, id: str = "", query: str = "") -> Case:  # noqa: A002 - what it is
    return lambda _: Asked(id, body, query)


def after(prepared: Callable[[Sandbox], object], body: object, *, id: str = "") -> Case:  # noqa: A002 - what it is
    def case(box: Sandbox) -> Asked:
        _ = prepared(box)
        return Asked(id, body)

    return case


def about(prepared: Callable[[Sandbox], str], body: object = None) -> Case:
    return lambda box: Asked(prepared(box), body)


def sent(box: Sandbox, **fields: object) -> str:
    return str(post(box, "/v1/messages", text(**fields))["message_id"])


def in_status(status: Any) -> Callable[[Sandbox], str]:  # noqa: ANN401 - a status
    def prepared(box: Sandbox) -> str:
        name = sent(box)
        assert change_status(box.account.state, name, status, box.clock.time()) is not None
        return name

    return prepared


def revoked(box: Sandbox) -> str:
    name = sent(box)
    assert delete(box, name).status == 200
    return name


def contact(box: Sandbox) -> str:
    return str(post(box, "/v1/contacts", CONTACT)["id"])


def second_contact(box: Sandbox) -> str:
    _ = contact(box)
    return str(post(box, "/v1/contacts", {"source": "API", "email": "eve@shop.example"})["id"])


def suppressed(box: Sandbox) -> None:
    _ = post(box, f"/v1/contacts/{subscribe(box)}", {"status": "BLOCKED"}, "PATCH")


def newsletter_sent(box: Sandbox) -> None:
    _ = subscribe(box)
    assert send(box, NEWSLETTER).status == 200


def draft(box: Sandbox) -> str:
    return str(post(box, "/v1/rcs/agents", NEW_AGENT)["agent_id"])


def whole(box: Sandbox) -> str:
    name = draft(box)
    _ = post(box, f"/v1/rcs/agents/{name}", WHOLE, "PATCH")
    return name


def pending(box: Sandbox) -> str:
    name = whole(box)
    _ = post(box, f"/v1/rcs/agents/{name}/submit")
    return name


def hook(box: Sandbox) -> str:
    return str(post(box, "/v1/webhooks", HOOK)["id"])


def triggered(box: Sandbox) -> str:
    _ = post(box, f"/v1/campaigns/{RUNS}/trigger")
    return RUNS


def paused(box: Sandbox) -> str:
    _ = post(box, f"/v1/campaigns/{triggered(box)}/pause")
    return RUNS


def paused_and_poor(box: Sandbox) -> str:
    name = paused(box)
    box.account.state.wallet.free = Decimal(0)
    return name


def registered(box: Sandbox) -> None:
    _ = post(box, "/v1/test/register", {"phone": TO})


def verified(box: Sandbox) -> None:
    registered(box)
    _ = post(box, "/v1/test/verify", {"phone": TO, "code": "000000"})


def chips_sent(box: Sandbox) -> Asked:
    name = sent(box, content={"text": "Well?", "suggestions": [{"reply": {"text": "Yes"}}]})
    assert change_status(box.account.state, name, "SENT", NOW) is not None
    return Asked(body={"message_id": name, "text": "Yes"})


def to_confirm(box: Sandbox) -> str:
    body = {**CONSENT, "enforced_doi": True}
    return str(post(box, f"/v1/contacts/{contact(box)}/consent", body)["id"])


def by_failing_card(box: Sandbox) -> Asked:
    token = {"type": "credit_card", "token": "card_declined"}
    method = post(box, "/v1/billing/payment-methods", token)["id"]
    return Asked(body={**TOP_UP, "payment_method_id": method})


def emitted(box: Sandbox) -> str:
    """Send two test events to an endpoint; give the delivery of the second one."""
    name = hook(box)
    tested = [post(box, f"/v1/webhooks/{name}/test") for _ in range(2)]
    return f"{tested[-1]['event_id']}.{name}"


SEED: Mapping[str, Any] = {
    "balance": 50,
    "prices": {"basic_message": 0.05, "single_message": 0.09, "conversation": 0.1, "mau": 0.3, "email": 0.004},
    "agents": [
        {
            "agent_id": "ag_live_parcels",
            "display_name": "Parcels",
            "channel_id": "ch_rcs_parcels",
            "use_case": "TRANSACTIONAL",
            "status": "APPROVED",
            "launched": True,
            "newsletter_enabled": False,
        }
    ],
    "channels": [{"channel_id": "ch_parcels", "verified": True, "message_types": ["MESSAGE"]}],
    "templates": [{"template_id": "tpl_invoice", "versions": ["1"], "has_subject": False}],
    "campaigns": [
        {
            "campaign_id": "c1",
            "by_api": True,
            "status": "SCHEDULED",
            "executions": 50,
            "seconds": 0.5,
            "price": 0.05,
        }
    ],
    "contacts": [
        {
            "phone": TO,
            "email": "ada@shop.example",
            "external_id": "ada",
            "first_name": "Ada",
            "last_name": "L",
            "source": "MANUAL",
            "status": "ACTIVE",
            "tags": ["vip"],
            "custom_fields": {"size": 42},
            "consents": [
                {
                    "channel_type": "RCS",
                    "message_type": "NEWSLETTER",
                    "source": "shop",
                    "proof_text": "yes",
                    "status": "GRANTED",
                }
            ],
        }
    ],
    "webhooks": [HOOK],
    "messages": [
        {"send": text(agent_id="ag_live_parcels"), "status": "FAILED", "reason": "REJECTED_SPAM", "ago": "2h"},
        {"reply": {"agent_id": "ag_live_parcels", "user": TO, "text": "Hi"}, "at": "2026-05-04T00:00:00Z"},
    ],
}


def conversed(box: Sandbox) -> str:
    """Send a message in a conversation; gives its recipient."""
    _ = post(box, "/_sandbox/replies", REPLY)
    _ = sent(box, message_type="CONVERSATION")
    return TO


def mailed(box: Sandbox) -> str:
    return str(post(box, "/v1/messages", email())["message_id"])


def attempted(box: Sandbox) -> None:
    """Send a message whose event was delivered to an endpoint once, and is to be delivered again."""
    _ = post(box, "/v1/webhooks", {**HOOK, "events": ["message.queued"]})
    _ = sent(box)
    queue = box.account.state.webhook_queue
    delivery = queue.take(NOW)
    assert delivery is not None
    _ = queue.record_attempt(delivery, NOW, status=500)


def refused_once(box: Sandbox) -> None:
    assert send(box, text(to="1")).status == 400


TOP_UP = {"amount": 10, "currency": "EUR"}
TEST = text(agent_id="ag_test_demo")
REPLY = {"agent_id": "ag_live_demo", "user": TO, "text": "Hello"}
ACCEPTED: Mapping[str, Case] = {
    "messages.send": fixed(text()),
    "messages.list": fixed(),
    "messages.get": about(sent),
    "messages.revoke": about(sent),
    "testagent.register": fixed({"phone": TO}),
    "testagent.verify": after(registered, {"phone": TO, "code": "000000"}),
    "testagent.send": after(verified, TEST),
    "testagent.status": fixed(),
    "agents.create": fixed(NEW_AGENT),
    "agents.get": about(draft),
    "agents.update": about(draft, {"display_name": "Store"}),
    "agents.submit": about(whole),
    "agents.launch_status": fixed(id="ag_live_demo"),
    "contacts.create": fixed(CONTACT),
    "contacts.get": about(contact),
    "contacts.update": about(contact, {"first_name": "Ada"}),
    "contacts.delete": about(contact),
    "contacts.import_contacts": fixed({"contacts": [{"email": "ada@shop.example"}]}),
    "contacts.list_consents": about(contact),
    "contacts.create_consent": about(contact, CONSENT),
    "campaigns.trigger": fixed(id=RUNS),
    "campaigns.pause": about(triggered),
    "campaigns.resume": about(paused),
    "campaigns.status": fixed(id=RUNS),
    "billing.balance": fixed(),
    "billing.usage": fixed(),
    "billing.detailed_usage": fixed(),
    "billing.tier": fixed(),
    "billing.top_up": fixed(TOP_UP),
    "billing.payment_methods": fixed(),
    "billing.add_payment_method": fixed({"type": "sepa"}),
    "billing.auto_reload": fixed(),
    "billing.set_auto_reload": fixed({"enabled": False}),
    "billing.set_alert": fixed({"low_balance_threshold": 5}),
    "billing.transactions": fixed(),
    "billing.invoices": fixed(),
    "webhooks.create": fixed(HOOK),
    "webhooks.list": fixed(),
    "webhooks.update": about(hook, {"secret": "whsec_2"}),
    "webhooks.delete": about(hook),
    "webhooks.test": about(hook),
    "sandbox.deliver": about(sent),
    "sandbox.read": about(in_status("DELIVERED")),
    "sandbox.fail": about(sent, {"reason": "REJECTED_SPAM"}),
    "sandbox.expire": about(sent),
    "sandbox.top_up": fixed({"amount": 10.5}),
    "sandbox.set_balance": fixed({"free": 0.05}),
    "sandbox.clock": fixed(),
    "sandbox.set_clock": fixed({"paused": True, "advance": 3600}),
    "sandbox.faults": fixed(),
    "sandbox.set_faults": fixed({"429": 0.5, "webhooks": {"late": 0.5}}),
    "sandbox.replay": about(emitted),
    "sandbox.duplicate": about(emitted),
    "sandbox.delay": about(emitted, {"seconds": 60}),
    "sandbox.reorder": about(emitted),
    "sandbox.reset": fixed(),
    "sandbox.seed": fixed(SEED),
    "sandbox.snapshot": fixed(),
    "sandbox.restore": lambda box: Asked(body=box.snapshot()),
    "sandbox.reply": fixed(REPLY),
    "sandbox.tap": chips_sent,
    "sandbox.approve": about(pending),
    "sandbox.reject": about(pending, {"reason": "logo"}),
    "sandbox.launch": fixed({"carrier": "telekom_de"}, id="ag_live_unlaunched"),
    "sandbox.halt": about(triggered, {"status": "PAUSED_BALANCE"}),
    "sandbox.fail_executions": about(triggered, {"executions": 1}),
    "sandbox.confirm": about(to_confirm),
    "sandbox.health": fixed(),
    "sandbox.account": after(sent, None),
    "sandbox.transactions": after(in_status("DELIVERED"), None),
    "sandbox.conversations": after(sent, None),
    "sandbox.conversation": about(conversed),
    "sandbox.messages": after(sent, None),
    "sandbox.wait": after(sent, None),
    "sandbox.message": about(sent),
    "sandbox.mail": about(mailed),
    "sandbox.agents": fixed(),
    "sandbox.campaigns": fixed(),
    "sandbox.contacts": after(to_confirm, None),
    "sandbox.endpoints": after(hook, None),
    "sandbox.deliveries": after(attempted, None),
    "sandbox.requests": after(refused_once, None),
}
"""What each operation accepts."""
ALSO: Mapping[tuple[str, int], Case] = {("contacts.create", 200): after(contact, CONTACT)}
"""What leads to a success with another status."""


def unfit(**fields: object) -> Case:
    return fixed(text(**fields))


def mail(**fields: object) -> Case:
    return fixed({name: part for name, part in email(**fields).items() if part is not None})


TEMPLATE: Mapping[str, object] = {"content": None, "subject": None}
OWN: Mapping[tuple[str, str], Case] = {
    ("messages.send", "insufficient_balance"): unfit(to=PHONE["402"]),
    ("messages.send", "forbidden"): unfit(to=PHONE["403"]),
    ("messages.send", "not_found"): unfit(agent_id="ag_none"),
    ("messages.send", "not_rcs_capable"): unfit(to=PHONE["404"]),
    ("messages.send", "template_not_found"): mail(**TEMPLATE, template_id="tpl_none"),
    ("messages.send", "agent_not_approved"): unfit(agent_id="ag_draft_demo"),
    ("messages.send", "agent_not_launched"): unfit(agent_id="ag_live_unlaunched"),
    ("messages.send", "newsletter_not_enabled"): fixed({**NEWSLETTER, "agent_id": "ag_live_promo"}),
    ("messages.send", "sender_not_verified"): mail(channel_id="ch_unverified"),
    ("messages.send", "no_active_session"): unfit(message_type="CONVERSATION"),
    ("messages.send", "message_type_not_allowed"): unfit(agent_id="ag_live_otp", message_type="CONVERSATION"),
    ("messages.send", "traffic_type_not_allowed"): unfit(agent_id="ag_live_otp"),
    ("messages.send", "recipient_suppressed"): after(suppressed, text()),
    ("messages.send", "consent_missing"): fixed(NEWSLETTER),
    ("messages.send", "template_not_published"): mail(**TEMPLATE, template_id="tpl_draft"),
    ("messages.send", "subject_missing"): mail(**TEMPLATE, template_id="tpl_bare"),
    ("messages.send", "newsletter_daily_cap"): after(newsletter_sent, NEWSLETTER),
    ("messages.revoke", "wrong_state"): about(in_status("FAILED")),
    ("messages.revoke", "already_delivered"): about(in_status("DELIVERED")),
    ("messages.revoke", "already_revoked"): about(revoked),
    ("contacts.create", "already_exists"): after(contact, {**CONTACT, "email": "eve@shop.example"}),
    ("contacts.update", "already_exists"): about(second_contact, {"email": "ada@shop.example"}),
    ("contacts.import_contacts", "limit_exceeded"): fixed({"contacts": [{}] * 10_001}),
    ("agents.update", "wrong_state"): fixed({"display_name": "Store"}, id="ag_live_demo"),
    ("agents.submit", "wrong_state"): fixed(id="ag_live_demo"),
    ("agents.submit", "agent_incomplete"): about(draft),
    ("agents.launch_status", "wrong_state"): about(draft),
    ("campaigns.trigger", "wrong_state"): about(triggered),
    ("campaigns.trigger", "not_api_triggered"): fixed(id=NOT_BY_API),
    ("campaigns.trigger", "insufficient_balance"): fixed(id=DEAR),
    ("campaigns.pause", "wrong_state"): fixed(id=RUNS),
    ("campaigns.resume", "wrong_state"): fixed(id=RUNS),
    ("campaigns.resume", "insufficient_balance"): about(paused_and_poor),
    ("testagent.verify", "forbidden"): fixed({"phone": TO, "code": "000000"}),
    ("testagent.send", "forbidden"): fixed(TEST),
    ("testagent.send", "no_active_session"): after(verified, {**TEST, "message_type": "CONVERSATION"}),
    ("billing.top_up", "not_found"): fixed({**TOP_UP, "payment_method_id": "pm_none"}),
    ("billing.top_up", "payment_failed"): by_failing_card,
    ("billing.top_up", "balance_limit_exceeded"): fixed({**TOP_UP, "amount": 5000}),
    ("sandbox.reply", "not_found"): fixed({**REPLY, "agent_id": "ag_none"}),
    ("sandbox.tap", "not_found"): fixed({"message_id": "msg_none", "text": "Yes"}),
}
"""What an operation refuses with a code of its own."""


def unknown(name: str) -> Case:
    """What an operation is asked for about something that there is not."""
    return lambda box: evolve(ACCEPTED[name](box), id="none")
