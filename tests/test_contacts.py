"""contacts: what is sent, what is refused before it is sent, and what is returned."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import repeat
from typing import Any, cast

import pytest

from msgapi import Call, codec, contacts
from msgapi.contacts import ContactChanges, ImportRow, NewConsent, NewContact
from tests.support.call_bodies import answered, route, sent, wrong

AT = "2026-05-04T07:30:00Z"


def test_a_contact_is_created_with_the_given_fields() -> None:
    call = contacts.create(
        NewContact(source="API", email="ada@shop.example", tags=("vip",), custom_fields={"size": 7, "deep": {"a": []}})
    )
    assert route(call) == ("POST", "/v1/contacts")
    assert sent(call) == {
        "source": "API",
        "email": "ada@shop.example",
        "tags": ["vip"],
        "custom_fields": {"size": 7, "deep": {"a": []}},
    }
    assert not call.repeatable


def test_a_contact_requires_an_email_or_a_phone() -> None:
    assert wrong(contacts.create(NewContact(source="API"))) == {"": "must have an email or a phone"}


def test_every_field_of_a_contact_is_checked() -> None:
    bad: Any = {
        "source": "CSV",
        "email": "nobody",
        "phone": "0151",
        "external_id": "",
        "first_name": "a" * 101,
        "last_name": 7,
        "tags": ["vip"],
        "custom_fields": {"a": object()},
    }
    assert set(wrong(contacts.create(NewContact(**bad)))) == {*bad, "custom_fields.a"} - {"custom_fields"}


def test_a_value_that_is_not_a_contact_is_invalid_and_does_not_raise() -> None:
    nothing: Any = None
    assert wrong(contacts.create(nothing)) == {"": "must be a NewContact"}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (contacts.get("c_1"), ("GET", "/v1/contacts/c_1")),
        (contacts.get("a/b?c"), ("GET", "/v1/contacts/a%2Fb%3Fc")),
        (contacts.delete("c_1"), ("DELETE", "/v1/contacts/c_1")),
        (contacts.list_consents("c_1"), ("GET", "/v1/contacts/c_1/consent")),
        (contacts.update("c_1", ContactChanges(tags=())), ("PATCH", "/v1/contacts/c_1")),
    ],
)
def test_the_id_is_in_the_path(call: Call[object], expected: tuple[str, str]) -> None:
    assert route(call) == expected
    assert call.repeatable is (call.method == "GET")


@pytest.mark.parametrize("contact_id", ["", ".", "..", cast("str", 7), cast("str", None)])
def test_a_value_that_cannot_be_an_id_is_invalid(contact_id: str) -> None:
    assert set(wrong(contacts.get(contact_id))) == {"contact_id"}


def test_only_the_changed_fields_are_sent() -> None:
    assert sent(contacts.update("c_1", ContactChanges(status="BLOCKED"))) == {"status": "BLOCKED"}
    assert sent(contacts.update("c_1", ContactChanges(tags=()))) == {"tags": []}
    assert wrong(contacts.update("c_1", ContactChanges())) == {"": "must change something"}
    assert wrong(contacts.update("", ContactChanges())) == {
        "contact_id": "must not be empty",
        "": "must change something",
    }


def test_an_import_is_split_lazily_into_calls_of_ten_thousand_rows() -> None:
    taken = 0

    def rows() -> Iterator[ImportRow]:
        nonlocal taken
        for row in repeat(ImportRow(email="ada@shop.example"), 25_000):
            taken += 1
            yield row

    calls = contacts.import_contacts(rows())
    assert len(sent(next(calls))["contacts"]) == 10_000  # type: ignore[index]
    assert taken == 10_000
    assert [len(sent(call)["contacts"]) for call in calls] == [10_000, 5_000]  # type: ignore[index]


def test_an_empty_import_has_no_calls() -> None:
    assert list(contacts.import_contacts([])) == []


def test_an_invalid_row_costs_no_other_and_is_named_by_its_place_in_the_input() -> None:
    rows = [
        ImportRow(phone="+4915112345678"),
        ImportRow(first_name="Ada"),
        ImportRow(phone="no"),
        ImportRow(email="a@b.de"),
    ]
    valid, invalid = contacts.import_contacts(rows)
    assert sent(valid) == {"contacts": [{"phone": "+4915112345678"}, {"email": "a@b.de"}]}
    assert set(wrong(invalid)) == {"contacts[1]", "contacts[2].phone"}
    assert wrong(invalid)["contacts[1]"] == "must have an email or a phone"
    assert invalid.body is None


def test_places_count_over_all_calls_of_an_import() -> None:
    row, broken = ImportRow(email="ada@shop.example"), ImportRow(email="no")
    calls = [*contacts.import_contacts([*[row] * 11_000, broken, *[row] * 999])]
    assert [len(sent(call)["contacts"]) for call in calls[:2]] == [10_000, 1_999]  # type: ignore[index]
    assert set(wrong(calls[2])) == {"contacts[11000].email"}


def test_invalid_rows_alone_make_a_call_for_each_ten_thousand() -> None:
    sizes = [len(wrong(call)) for call in contacts.import_contacts([ImportRow()] * 10_001)]
    assert sizes == [10_000, 1]


def test_an_empty_cell_is_an_absent_field() -> None:
    rows = [ImportRow(email="a@b.de", phone="", first_name=" ", last_name="Byron"), ImportRow(email="", phone="")]
    valid, invalid = contacts.import_contacts(rows)
    assert sent(valid) == {"contacts": [{"email": "a@b.de", "last_name": "Byron"}]}
    assert wrong(invalid) == {"contacts[1]": "must have an email or a phone"}


def test_a_consent_is_recorded() -> None:
    given = NewConsent(channel_type="RCS", message_type="NEWSLETTER", source="shop", enforced_doi=True)
    call = contacts.create_consent("c_1", given)
    assert route(call) == ("POST", "/v1/contacts/c_1/consent")
    assert sent(call) == {
        "channel_type": "RCS",
        "message_type": "NEWSLETTER",
        "source": "shop",
        "enforced_doi": True,
    }
    long = NewConsent(channel_type="RCS", message_type="NEWSLETTER", source="shop", proof_text="x" * 5001)
    assert set(wrong(contacts.create_consent("c_1", long))) == {"proof_text"}


def test_a_contact_is_read_with_all_fields_and_unknown_ones_are_kept() -> None:
    body = {
        "id": "c_1",
        "email": "ada@shop.example",
        "external_id": None,
        "tags": ["vip"],
        "custom_fields": {"size": 7},
        "consent_records": [{"record_id": "cr_1", "status": "GRANTED", "granted_at": AT, "new": 1}],
        "created_at": AT,
        "score": 9,
    }
    contact = answered(contacts.get("c_1"), body)
    assert (contact.id, contact.tags, contact.custom_fields, contact.extra) == (
        "c_1",
        ("vip",),
        {"size": 7},
        {"score": 9},
    )
    assert contact.created_at == datetime(2026, 5, 4, 7, 30, tzinfo=UTC)
    assert (contact.consent_records[0].id, contact.consent_records[0].extra) == ("cr_1", {"new": 1})
    assert "ada" not in repr(contact)


@pytest.mark.parametrize(
    "body", [[{"id": "cr_1"}], {"consent_records": [{"id": "cr_1"}]}, {"records": [{"id": "cr_1"}]}]
)
def test_a_list_of_consents_is_read_in_each_of_its_likely_forms(body: object) -> None:
    assert [one.id for one in answered(contacts.list_consents("c_1"), body).consent_records] == ["cr_1"]


def test_the_other_answers_are_read() -> None:
    assert answered(contacts.delete("c_1"), {"success": True}).success
    assert (
        answered(next(contacts.import_contacts([ImportRow(email="ada@shop.example")])), {"imported": 1}).imported == 1
    )


@pytest.mark.parametrize("name", ["id", "record_id", "consent_record_id"])
def test_the_id_of_a_consent_record_is_read_under_each_of_its_names(name: str) -> None:
    assert codec.from_dict({name: "cr_1"}, contacts.Consent) == contacts.Consent(id="cr_1")


def test_a_record_with_two_names_keeps_both() -> None:
    found = codec.from_dict({"record_id": "cr_1", "consent_record_id": "cr_2"}, contacts.Consent)
    assert found == contacts.Consent(id="cr_1", extra={"consent_record_id": "cr_2"})
