"""forms: a call, or what is wrong with what it was to be made of."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given
from nouns import sent
from sendable import JUNK, Kilos, Point

from msgapi import Detail, agents, contacts, messages, testagent, webhooks
from msgapi import billing as payments
from msgapi.billing import models as billing
from msgapi.schema.requests import Schema, build_call, query_value
from msgapi.schema.validators import flag, month, nonempty_text

FORMS = (*agents.SCHEMAS, *contacts.SCHEMAS, *testagent.SCHEMAS, *webhooks.SCHEMAS, billing.TOP_UP, billing.AUTO_RELOAD)


@frozen
class Thing:
    name: str = "x"


def test_what_concerns_the_whole_is_asked_only_where_each_field_is_right() -> None:
    form = Schema(Thing, {"name": nonempty_text}, lambda _: [Detail("", "is never right")])
    assert form.check(Thing("")) == (Detail("name", "must not be empty"),)
    assert form.check(Thing("x")) == (Detail("", "is never right"),)


def test_a_form_is_a_rule_for_a_field_of_another() -> None:
    outer = Schema(Thing, {"name": Schema(Thing, {"name": nonempty_text}).rule})
    inner: Any = Thing("")
    assert outer.check(Thing(inner)) == (Detail("name.name", "must not be empty"),)


@given(JUNK)
def test_no_form_raises_for_what_is_in_its_fields(junk: object) -> None:
    for form in FORMS:
        assert form.check(junk)
        given_everywhere = form.model(**dict.fromkeys(form.rules, junk))
        assert isinstance(form.check(given_everywhere), tuple)


def test_what_is_none_is_left_out_of_a_query() -> None:
    assert (
        build_call("GET", "/v1/x", Thing, query={"a": (nonempty_text, None), "b": (nonempty_text, "1")}).target
        == "/v1/x?b=1"
    )


def test_everything_that_is_wrong_is_told_at_once() -> None:
    call = build_call(
        "POST",
        "/v1/{x_id}",
        Thing,
        ids={"x_id": ".."},
        query={"month": (month, "May"), "all": (flag, 1)},
        body=Thing(""),
        form=Schema(Thing, {"name": nonempty_text}),
        idempotency_key="a b",
    )
    assert call.invalid is not None
    assert [one.field for one in call.invalid.details] == ["x_id", "month", "all", "name", "idempotency_key"]
    assert (call.path, call.idempotency_key, call.body) == ("/v1/{x_id}", None, None)


def test_a_body_that_needs_no_form_is_a_mapping() -> None:
    body: Mapping[str, object] = {"a": [1, None]}
    assert sent(build_call("POST", "/v1/x", Thing, body=body)) == {"a": [1, None]}


def test_values_of_a_query_are_written_as_the_docs_have_them() -> None:
    berlin = datetime(2026, 5, 4, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    values = (berlin, datetime(2026, 5, 4, tzinfo=UTC), date(2026, 5, 4), True, False, 7, "x y")
    assert [query_value(value) for value in values] == [
        "2026-05-04T07:30:00Z",
        "2026-05-04T00:00:00Z",
        "2026-05-04",
        "true",
        "false",
        "7",
        "x y",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Kilos(1.5), 1.5),
        ([Kilos(1.5)], [1.5]),
        (Point(Kilos(0.1), "y"), [0.1, "y"]),
        ({"a": Point(None, (Decimal("1.5"),))}, {"a": [None, [1.5]]}),
    ],
)
def test_what_a_library_has_of_its_own_goes_out_as_what_it_is(value: object, expected: object) -> None:
    contact = contacts.NewContact(source="API", email="a@shop.example", custom_fields={"a": value})
    mail = messages.Email(channel_id="c", to="a@shop.example", template_id="t", template_data={"a": value})
    for call in (contacts.create(contact), messages.send(mail), payments.add_payment_method({"a": value})):
        body: Any = sent(call)
        assert body.get("custom_fields", body.get("template_data", body)) == ({"a": expected})
    assert payments.add_payment_method({"a": Kilos("nan")}).invalid is not None


@given(JUNK)
def test_whatever_a_rule_lets_through_can_be_written(junk: object) -> None:
    call = payments.add_payment_method({"a": junk})
    assert (call.body is None) == (call.invalid is not None)
