"""Consents and suppressions of the sandbox: what may be sent to a contact, and what changes that."""

from typing import Any

import pytest

from msgapi import contacts
from msgapi.contacts import ContactChanges, NewConsent, NewContact
from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox
from msgapi.sandbox.rules.controls import confirm
from tests.support.sandbox_calls import done, emitted, post
from tests.support.sandbox_requests import (
    NOW,
    TO,
    email,
    fields_of,
    get,
    refusal,
    refused,
    said,
    send,
    still,
    subscribe,
    text,
)

ADA = NewContact(source="API", email="ada@shop.example", phone=TO, first_name="Ada", tags=("vip",))
MOMENT = "2026-05-04T00:00:00.000Z"
DAY = 86_400.0


def ada(box: Sandbox, **fields: Any) -> str:  # noqa: ANN401 - those of a contact
    return done(
        box, contacts.create(NewContact(**{"source": "API", "email": "ada@shop.example", "phone": TO, **fields}))
    ).id


def newsletter(**fields: object) -> dict[str, object]:
    return text(message_type="NEWSLETTER", traffic_type="PROMOTION", **fields)


def test_a_consent_is_granted_at_once() -> None:
    box = still()
    one = ada(box)
    answer = post(
        box, f"/v1/contacts/{one}/consent", {"channel_type": "RCS", "message_type": "NEWSLETTER", "source": "form 7"}
    )
    assert answer.status == 201
    record = said(answer)
    assert record == {
        "id": record["id"],
        "contact_id": one,
        "channel_type": "RCS",
        "message_type": "NEWSLETTER",
        "status": "GRANTED",
        "source": "form 7",
        "proof_text": None,
        "enforced_doi": False,
        "doi_status": None,
        "doi_channel": None,
        "granted_at": MOMENT,
        "revoked_at": None,
        "created_at": MOMENT,
    }
    assert record["id"].startswith("cr_")
    assert said(get(box, f"/v1/contacts/{one}/consent")) == {"consent_records": [record]}
    assert said(get(box, f"/v1/contacts/{one}"))["consent_records"] == [record]
    assert emitted(box, "consent.created") == [
        {
            "contact_id": one,
            "consent_record_id": record["id"],
            "channel_type": "RCS",
            "message_type": "NEWSLETTER",
            "status": "GRANTED",
            "source": "form 7",
            "enforced_doi": False,
            "doi_status": None,
            "created_at": MOMENT,
        }
    ]


def test_a_consent_with_double_opt_in_is_pending_until_it_is_confirmed() -> None:
    box = still()
    one = ada(box)
    asked = NewConsent(channel_type="RCS", message_type="NEWSLETTER", source="form", enforced_doi=True)
    record = done(box, contacts.create_consent(one, asked))
    assert (record.status, record.doi_status, record.doi_channel, record.granted_at) == (
        "PENDING",
        "DOI_SEND",
        "RCS",
        None,
    )
    by_email = NewConsent(
        channel_type="RCS", message_type="MESSAGE", source="f", enforced_doi=True, doi_channel="EMAIL"
    )
    assert done(box, contacts.create_consent(one, by_email)).doi_channel == "EMAIL"
    assert refusal(send(box, newsletter())) == (422, "consent_missing")
    confirm(box.account.state, record.id, NOW + 5)
    assert refused(confirm, box.account.state, record.id, NOW + 5)
    first, second = done(box, contacts.list_consents(one)).consent_records
    assert (first.status, first.doi_status, second.status) == ("GRANTED", "DOI_ACCEPTED", "PENDING")
    (event,) = emitted(box, "consent.updated")
    assert (event["previous_status"], event["status"], event["doi_status"]) == ("PENDING", "GRANTED", "DOI_ACCEPTED")
    assert send(box, newsletter()).status == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["channel_type", "message_type", "source"]),
        (
            {"channel_type": "FAX", "message_type": "CONVERSATION", "source": ""},
            ["channel_type", "message_type", "source"],
        ),
        (
            {
                "channel_type": "SMS",
                "message_type": "MESSAGE",
                "source": "f",
                "proof_text": "x" * 5001,
                "enforced_doi": 1,
            },
            ["enforced_doi"],
        ),
        ({"channel_type": "SMS", "message_type": "MESSAGE", "source": "f", "proof_text": "x" * 5001}, ["proof_text"]),
    ],
)
def test_the_problems_of_a_consent_are_returned(body: object, fields: list[str]) -> None:
    box = still()
    assert fields_of(post(box, f"/v1/contacts/{ada(box)}/consent", body)) == fields


def grant(box: Sandbox, contact_id: str, channel: Any = "RCS", kind: Any = "NEWSLETTER") -> None:  # noqa: ANN401
    _ = done(
        box, contacts.create_consent(contact_id, NewConsent(channel_type=channel, message_type=kind, source="form"))
    )


def test_a_newsletter_without_a_consent_record_is_refused() -> None:
    box = still()
    sent = [send(box, body) for body in (email(message_type="NEWSLETTER"), newsletter())]
    assert [refusal(one) for one in sent] == [(422, "consent_missing")] * 2
    assert box.messages == ()
    assert [send(box, body).status for body in (email(), text())] == [200, 200]
    one = subscribe(box)
    assert send(box, newsletter()).status == 200
    assert done(box, contacts.delete(one)).success
    assert refusal(send(box, newsletter(), now=NOW + DAY)) == (422, "consent_missing")


def test_the_fault_of_a_magic_recipient_comes_before_the_consent_check() -> None:
    box, to = still(), {one.fault: one.phone for one in MAGIC_RECIPIENTS}
    assert refusal(send(box, newsletter(to=to["430"]))) == (429, "newsletter_daily_cap")
    assert refusal(send(box, newsletter(to=to["lost"]))) == (422, "consent_missing")
    _ = subscribe(box, to["lost"])
    assert send(box, newsletter(to=to["lost"])).status == 200


def test_a_newsletter_to_a_contact_needs_its_consent_on_that_channel() -> None:
    box = still()
    mail = email(message_type="NEWSLETTER")
    one = ada(box)
    assert [refusal(send(box, body)) for body in (mail, newsletter())] == [(422, "consent_missing")] * 2
    grant(box, one, kind="MESSAGE")
    grant(box, one, "EMAIL")
    assert refusal(send(box, newsletter())) == (422, "consent_missing")
    assert send(box, mail).status == 200
    grant(box, one)
    assert send(box, newsletter()).status == 200


def test_a_message_to_a_contact_needs_no_consent() -> None:
    box = still()
    one = ada(box)
    assert [send(box).status, send(box, email(to="Ada@shop.example")).status] == [200, 200]
    _ = box.reply_from(TO, "ag_live_demo")
    listed = said(get(box, f"/v1/messages?contact_id={one}"))["messages"]
    assert [message["direction"] for message in listed] == ["INBOUND", "OUTBOUND", "OUTBOUND"]


@pytest.mark.parametrize("status", ["UNSUBSCRIBED", "BLOCKED", "BOUNCED"])
def test_a_suppressed_contact_receives_nothing_until_it_is_active_or_deleted(status: Any) -> None:  # noqa: ANN401
    box = still()
    one = ada(box)
    grant(box, one)
    _ = done(box, contacts.update(one, ContactChanges(status=status)))
    for body in (text(), newsletter(), email()):
        assert refusal(send(box, body)) == (422, "recipient_suppressed")
    assert send(box, text(to="+4915100000000")).status == 200
    _ = done(box, contacts.update(one, ContactChanges(status="ACTIVE")))
    assert send(box).status == 200
    _ = done(box, contacts.update(one, ContactChanges(status=status)))
    assert done(box, contacts.delete(one)).success
    assert send(box).status == 200
    _ = subscribe(box)
    assert send(box, newsletter()).status == 200


DELIVERY_OUTCOMES = [
    ("bounce", "BOUNCED", "GRANTED"),
    ("full", "ACTIVE", "GRANTED"),
    ("complain", "ACTIVE", "REVOKED"),
    ("unsubscribe", "ACTIVE", "REVOKED"),
]


@pytest.mark.parametrize(("name", "status", "consent"), DELIVERY_OUTCOMES)
def test_the_status_of_an_email_changes_the_contact(name: str, status: str, consent: str) -> None:
    box, to = Sandbox(), f"{name}@ending.example"
    one = ada(box, email=to)
    for channel, kind in (("EMAIL", "NEWSLETTER"), ("EMAIL", "MESSAGE"), ("RCS", "NEWSLETTER")):
        grant(box, one, channel, kind)
    assert send(box, email(to=to, message_type="NEWSLETTER")).status == 200
    assert send(box, newsletter()).status == 200
    _ = get(box, "/v1/messages", now=NOW + DAY)
    contact = done(box, contacts.get(one), now=NOW + DAY)
    assert (contact.status, [record.status for record in contact.consent_records]) == (
        status,
        [consent, "GRANTED", "GRANTED"],
    )
    expected = [("GRANTED", "REVOKED")] if consent == "REVOKED" else []
    assert [(event["previous_status"], event["status"]) for event in emitted(box, "consent.updated")] == expected
    again = send(box, email(to=to, message_type="NEWSLETTER"), now=NOW + DAY)
    wanted = {"bounce": "recipient_suppressed", "full": None}.get(name, "consent_missing")
    assert said(again).get("error") == wanted


def test_a_contact_that_is_blocked_stays_so_when_its_email_bounces() -> None:
    box = Sandbox()
    one = ada(box, email="bounce@ending.example")
    assert send(box, email(to="bounce@ending.example")).status == 200
    _ = done(box, contacts.update(one, ContactChanges(status="BLOCKED")))
    assert done(box, contacts.get(one), now=NOW + DAY).status == "BLOCKED"


def test_the_repr_of_contacts_and_consents_contains_no_personal_data() -> None:
    box = still()
    one = ada(box, first_name="Ada", tags=("vip",), custom_fields={"plan": "gold"})
    grant(box, one)
    shown = repr(list(box.account.state.contacts)) + repr(box.account.state.contacts)
    for secret in ("ada@", TO, "Ada", "vip", "gold"):
        assert secret not in shown
