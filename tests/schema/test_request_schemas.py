"""schema.requests: a call is built from checked input, or carries the problems found."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given

from msgapi import Detail, agents, contacts, messages, testagent, webhooks
from msgapi import billing as payments
from msgapi.billing import models as billing
from msgapi.schema.requests import Schema, build_call, format_query_value
from msgapi.schema.validators import boolean, month, non_empty
from tests.support.call_bodies import sent
from tests.support.strategies import JUNK, Kilos, Point

FORMS = (*agents.SCHEMAS, *contacts.SCHEMAS, *testagent.SCHEMAS, *webhooks.SCHEMAS, billing.TOP_UP, billing.AUTO_RELOAD)


@frozen
class Thing:
    name: str = "x"


def test_the_whole_is_checked_only_if_every_field_is_valid() -> None:
    form = Schema(Thing, {"name": non_empty}, lambda _: [Detail("", "is never right")])
    assert form.check(Thing("")) == (Detail("name", "must not be empty"),)
    assert form.check(Thing("x")) == (Detail("", "is never right"),)


def test_the_check_of_a_schema_is_a_validator_for_a_field_of_another() -> None:
    outer = Schema(Thing, {"name": Schema(Thing, {"name": non_empty}).check})
    inner: Any = Thing("")
    assert outer.check(Thing(inner)) == (Detail("name.name", "must not be empty"),)


@given(JUNK)
def test_no_schema_raises_whatever_its_fields_hold(junk: object) -> None:
    for form in FORMS:
        assert form.check(junk)
        given_everywhere = form.model(**dict.fromkeys(form.validators, junk))
        assert isinstance(form.check(given_everywhere), tuple)


def test_a_query_value_of_none_is_omitted() -> None:
    assert (
        build_call("GET", "/v1/x", Thing, query={"a": (non_empty, None), "b": (non_empty, "1")}).target == "/v1/x?b=1"
    )


def test_all_problems_of_a_call_are_returned_together() -> None:
    call = build_call(
        "POST",
        "/v1/{x_id}",
        Thing,
        path_params={"x_id": ".."},
        query={"month": (month, "May"), "all": (boolean, 1)},
        body=Thing(""),
        schema=Schema(Thing, {"name": non_empty}),
        idempotency_key="a b",
    )
    assert call.invalid is not None
    assert [one.field for one in call.invalid.details] == ["x_id", "month", "all", "name", "idempotency_key"]
    assert (call.path, call.idempotency_key, call.body) == ("/v1/{x_id}", None, None)


def test_a_body_without_a_schema_is_a_mapping() -> None:
    body: Mapping[str, object] = {"a": [1, None]}
    assert sent(build_call("POST", "/v1/x", Thing, body=body)) == {"a": [1, None]}


def test_query_values_are_formatted_as_in_the_docs() -> None:
    berlin = datetime(2026, 5, 4, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    values = (berlin, datetime(2026, 5, 4, tzinfo=UTC), date(2026, 5, 4), True, False, 7, "x y")
    assert [format_query_value(value) for value in values] == [
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
        ({"a": Point(None, (Decimal("1.5"),))}, {"a": [None, ["1.5"]]}),
    ],
)
def test_subclasses_of_json_types_are_written_as_their_base_type(value: object, expected: object) -> None:
    contact = contacts.NewContact(source="API", email="a@shop.example", custom_fields={"a": value})
    mail = messages.Email(channel_id="c", to="a@shop.example", template_id="t", template_data={"a": value})
    for call in (contacts.create(contact), messages.send(mail), payments.add_payment_method({"a": value})):
        body: Any = sent(call)
        assert body.get("custom_fields", body.get("template_data", body)) == ({"a": expected})
    assert payments.add_payment_method({"a": Kilos("nan")}).invalid is not None


@given(JUNK)
def test_every_value_that_is_valid_can_be_written(junk: object) -> None:
    call = payments.add_payment_method({"a": junk})
    assert (call.body is None) == (call.invalid is not None)
