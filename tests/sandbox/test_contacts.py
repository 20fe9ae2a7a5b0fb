"""Contacts of the sandbox: create, update, delete and import them."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import Conflict, NotFound, contacts
from msgapi.contacts import ContactChanges, ImportRow, NewConsent, NewContact
from msgapi.sandbox import Sandbox
from tests.support.sandbox_calls import call, done, emitted, post
from tests.support.sandbox_requests import NOW, TO, fields_of, get, refusal, said, still

ADA = NewContact(source="API", email="ada@shop.example", phone=TO, first_name="Ada", tags=("vip",))
MOMENT = "2026-05-04T00:00:00.000Z"
DAY = 86_400.0


def ada(box: Sandbox, **fields: Any) -> str:  # noqa: ANN401 - those of a contact
    return done(
        box, contacts.create(NewContact(**{"source": "API", "email": "ada@shop.example", "phone": TO, **fields}))
    ).id


def test_the_response_to_a_new_contact_has_its_location_and_all_its_fields() -> None:
    box = still()
    answer = post(box, "/v1/contacts", {"source": "API", "phone": TO, "custom_fields": {"plan": [1, None]}})
    assert answer.status == 201
    contact = said(answer)
    assert answer.headers["location"] == f"/v1/contacts/{contact['id']}"
    assert contact == {
        "id": contact["id"],
        "external_id": None,
        "email": None,
        "phone": TO,
        "first_name": None,
        "last_name": None,
        "status": "ACTIVE",
        "source": "API",
        "tags": [],
        "custom_fields": {"plan": [1, None]},
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }
    assert contact["id"].startswith("c_")
    assert said(get(box, answer.headers["location"])) == {**contact, "consent_records": []}
    assert emitted(box, "contact.created") == [{"contact_id": contact["id"], "source": "API", "created_at": MOMENT}]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["source"]),
        ({"source": "API"}, [""]),
        ({"source": "API", "email": None, "phone": None}, [""]),
        ({"source": "WEB", "email": "ada"}, ["email", "source"]),
        ({"source": "API", "phone": "0151", "first_name": "x" * 101, "tags": [""]}, ["phone", "first_name", "tags[0]"]),
        ({"source": "API", "phone": TO, "status": "ACTIVE", "x": None}, ["status", "x"]),
        ({"source": "API", "phone": 1, "tags": "vip", "custom_fields": []}, ["phone", "tags", "custom_fields"]),
    ],
)
def test_the_problems_of_a_contact_are_returned_field_by_field(body: object, fields: list[str]) -> None:
    box = still()
    assert sorted(fields_of(post(box, "/v1/contacts", body))) == sorted(fields)
    assert list(box.account.state.contacts) == []


def test_creating_a_contact_with_a_known_email_updates_it() -> None:
    box = still()
    first = done(box, contacts.create(ADA))
    again = NewContact(source="MANUAL", email="ADA@shop.example", last_name="L", custom_fields={"a": 1})
    answer = post(box, "/v1/contacts", orjson.loads(contacts.create(again).body or b""), now=NOW + 1)
    assert answer.status == 200
    contact = done(box, contacts.get(first.id))
    assert (contact.source, contact.first_name, contact.last_name, contact.tags) == ("API", "Ada", "L", ("vip",))
    assert (contact.email, contact.custom_fields) == ("ADA@shop.example", {"a": 1})
    (event,) = emitted(box, "contact.updated")
    assert event["updated_fields"] == ["email", "last_name", "custom_fields"]
    assert event["updated_at"] == "2026-05-04T00:00:01.000Z"


def test_a_change_that_changes_nothing_emits_no_event() -> None:
    box = still()
    one = done(box, contacts.create(ADA))
    assert done(box, contacts.create(ADA), now=NOW + 1).updated_at == one.updated_at
    assert (
        done(box, contacts.update(one.id, ContactChanges(first_name="Ada")), now=NOW + 1).updated_at == one.updated_at
    )
    assert emitted(box, "contact.updated") == []


def test_an_external_id_belongs_to_one_contact() -> None:
    box = still()
    one = ada(box, external_id="7")
    assert ada(box, external_id="7") == one
    for other in (
        NewContact(source="API", phone=TO, external_id="7"),
        NewContact(source="API", email="bob@shop.example", external_id="7"),
    ):
        assert isinstance(call(box, contacts.create(other)), Conflict)
    assert ada(box, external_id="8") == one
    assert done(box, contacts.create(NewContact(source="API", phone=TO, external_id="7"))).id != one


def test_a_phone_may_belong_to_several_contacts() -> None:
    box = still()
    ids = {done(box, contacts.create(NewContact(source="API", phone=TO))).id for _ in range(3)}
    assert len(ids) == 3
    gone, *_ = ids
    assert done(box, contacts.delete(gone)).success
    assert len(box.account.state.contacts.find_by_recipient(TO)) == 2


def test_a_change_replaces_tags_and_merges_custom_fields() -> None:
    box = still()
    one = ada(box, tags=("a", "b"), custom_fields={"a": 1, "b": 2})
    changes = ContactChanges(tags=("c",), custom_fields={"b": 3, "c": 4}, last_name="L", phone="+4915100000000")
    changed = done(box, contacts.update(one, changes))
    assert (changed.tags, changed.custom_fields) == (("c",), {"a": 1, "b": 3, "c": 4})
    assert done(box, contacts.update(one, ContactChanges(tags=()))).tags == ()
    assert box.account.state.contacts.find_by_recipient(TO) == ()
    assert [event["updated_fields"] for event in emitted(box, "contact.updated")] == [
        ["phone", "last_name", "tags", "custom_fields"],
        ["tags"],
    ]


def test_a_contact_cannot_get_the_email_of_another() -> None:
    box = still()
    one, other = ada(box), ada(box, email="bob@shop.example")
    assert isinstance(call(box, contacts.update(other, ContactChanges(email="Ada@Shop.example"))), Conflict)
    assert done(box, contacts.update(one, ContactChanges(email="Ada@Shop.example"))).email == "Ada@Shop.example"
    assert done(box, contacts.update(one, ContactChanges(email="ada.l@shop.example"))).email == "ada.l@shop.example"
    assert done(box, contacts.update(other, ContactChanges(email="ada@shop.example"))).id == other


@pytest.mark.parametrize(
    ("body", "fields"), [({}, [""]), ({"status": "GONE"}, ["status"]), ({"source": "API"}, ["source", ""])]
)
def test_the_problems_of_a_change_are_returned(body: object, fields: list[str]) -> None:
    box = still()
    assert fields_of(post(box, f"/v1/contacts/{ada(box)}", body, method="PATCH")) == fields


def test_a_contact_that_is_unknown_or_deleted_is_not_found() -> None:
    box = still()
    one = ada(box, external_id="7")
    assert done(box, contacts.delete(one)).success
    consent = NewConsent(channel_type="RCS", message_type="NEWSLETTER", source="form")
    for made in (
        contacts.get(one),
        contacts.update("c_none", ContactChanges(first_name="x")),
        contacts.delete(one),
        contacts.list_consents(one),
        contacts.create_consent(one, consent),
    ):
        assert isinstance(call(box, made), NotFound)
    assert ada(box, external_id="7") != one


def test_an_import_counts_new_rows_and_skips_known_emails() -> None:
    box = still()
    one = ada(box)
    rows = [
        {"email": "ADA@shop.example", "first_name": "Other"},
        {"email": "bob@shop.example", "phone": None},
        {"email": "bob@shop.example"},
        {"phone": TO},
        {"first_name": "Nobody"},
        {},
    ]
    assert said(post(box, "/v1/contacts/import", {"contacts": rows})) == {"imported": 2}
    assert done(box, contacts.get(one)).first_name is None
    assert [event["source"] for event in emitted(box, "contact.created")] == ["API", "IMPORT", "IMPORT"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["contacts"]),
        ({"contacts": None}, ["contacts"]),
        ({"contacts": {}}, ["contacts"]),
        ({"contacts": []}, ["contacts"]),
        ({"contacts": [1, {"email": 1}]}, ["contacts[0]", "contacts[1].email"]),
        (
            {"contacts": [{}, {"email": "ada"}, {"phone": "1", "last_name": ""}]},
            ["contacts[1].email", "contacts[2].phone", "contacts[2].last_name"],
        ),
        ({"contacts": [{"email": "ada@shop.example", "tags": []}]}, ["contacts[0].tags"]),
        ({"contacts": [{}], "x": 1}, ["x"]),
    ],
)
def test_an_import_with_an_invalid_row_is_refused_whole(body: object, fields: list[str]) -> None:
    box = still()
    assert fields_of(post(box, "/v1/contacts/import", body)) == fields
    assert list(box.account.state.contacts) == []


def test_an_import_accepts_ten_thousand_rows_of_any_length_and_no_more() -> None:
    box = still()
    row = {"phone": TO, "first_name": "x" * 100, "last_name": "y" * 100}
    full = [ImportRow(email=f"{number:05}@shop.example", **row) for number in range(10_000)]
    (made,) = contacts.import_contacts(full)
    assert len(made.body or b"") > 1_048_576
    assert done(box, made).imported == 10_000
    answer = post(box, "/v1/contacts/import", {"contacts": [{}] * 10_001})
    assert refusal(answer) == (422, "limit_exceeded")


def test_a_query_with_half_a_character_is_answered() -> None:
    assert fields_of(get(still(), "/v1/messages?\ud800=1")) == ["?"]


_EMAILS = st.sampled_from([None, "a@x.example", "A@x.example", "b@x.example"])
_PHONES = st.sampled_from([None, TO, "+4915100000000"])
_IDS = st.sampled_from([None, "1", "2"])
_STEP = st.tuples(st.sampled_from(["POST", "PATCH", "DELETE"]), _EMAILS, _PHONES, _IDS, st.integers(0, 9))


@given(st.lists(_STEP, max_size=30))
def test_no_two_contacts_have_the_same_email_or_external_id(steps: list[tuple[str, Any, Any, Any, int]]) -> None:
    box = still()
    for method, address, phone, external_id, number in steps:
        people = list(box.account.state.contacts)
        target = f"/v1/contacts/{people[number % len(people)].id if people else 'c_none'}"
        fields = {"email": address, "phone": phone}
        if method == "POST":
            _ = post(box, "/v1/contacts", {**fields, "external_id": external_id, "source": "API"})
        else:
            _ = post(box, target, fields if method == "PATCH" else None, method=method)
    people = list(box.account.state.contacts)
    for values in ([one.email and one.email.casefold() for one in people], [one.external_id for one in people]):
        known = [value for value in values if value]
        assert len(known) == len(set(known))
    for one in people:
        assert not one.email or box.account.state.contacts.find_by_email(one.email) == one
        assert not one.phone or one in box.account.state.contacts.find_by_recipient(one.phone)
