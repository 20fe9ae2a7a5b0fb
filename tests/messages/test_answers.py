"""messages: the answers about messages, read in every form that the docs show."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import Balance, codec
from msgapi.codec import Problems
from msgapi.messages import (
    Accepted,
    Billing,
    MessageEvent,
    MessageRecord,
    Page,
    Revoked,
    Tier,
)
from tests.support.strategies import JUNK

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)

ANSWER = b"""{"message_id":"msg_9f01aa22","status":"queued","created_at":"2026-05-04T12:00:00Z",
 "billing":{"channel":"RCS","message_type":"single_message","hold_amount":0.11,"message_price":0.11,
  "balance":{"free":72.40,"reserved":2.60,"total":75.00},
  "tier":{"channel":"RCS","current":"tier_1","volume_used":310}}}"""
ACCEPTED = Accepted(
    message_id="msg_9f01aa22",
    created_at=NOON,
    billing=Billing(
        channel="RCS",
        message_type="single_message",
        hold_amount=Decimal("0.11"),
        message_price=Decimal("0.11"),
        balance=Balance(free=Decimal("72.4"), reserved=Decimal("2.6"), total=Decimal(75)),
        tier=Tier(channel="RCS", current="tier_1", volume_used=310),
    ),
)


def test_the_documented_answer_is_read_exactly() -> None:
    assert codec.from_json(ANSWER, Accepted) == ACCEPTED


def test_an_answer_is_written_with_its_documented_names() -> None:
    assert orjson.loads(codec.to_json(ACCEPTED)) == orjson.loads(ANSWER)
    assert orjson.loads(codec.to_json(Accepted(message_id="m"))) == {
        "message_id": "m",
        "status": "queued",
        "billing": {},
    }
    assert orjson.loads(codec.to_json(Revoked(id="m", revoked_at=NOON))) == {
        "id": "m",
        "status": "REVOKED",
        "revoked_at": "2026-05-04T12:00:00Z",
    }


def test_an_integer_may_be_written_with_a_decimal_point() -> None:
    assert codec.from_json(ANSWER.replace(b":310}", b":310.0}"), Accepted) == ACCEPTED
    found = codec.from_json(ANSWER.replace(b":310}", b":310.5}"), Accepted)
    assert isinstance(found, Accepted)
    assert found.billing.tier == Tier(channel="RCS", current="tier_1", extra={"volume_used": 310.5})


def test_other_fields_of_a_page_are_kept() -> None:
    body = b'{"messages":[{"id":"m","status":"READ"}],"total":7,"has_more":true}'
    page = codec.from_json(body, Page)
    assert page == Page(messages=(MessageRecord(id="m", status="READ"),), extra={"total": 7, "has_more": True})


@pytest.mark.parametrize(
    ("body", "billing"),
    [
        (b'{"id":"m"}', Billing()),
        (b'{"id":"m","billing":null,"status":null,"created_at":null}', Billing()),
        (b'{"message_id":"m","in_session":true}', Billing(in_session=True)),
        (
            b'{"message_id":"m","mau_charged":false,"billing":{"channel":"RCS"}}',
            Billing(channel="RCS", mau_charged=False),
        ),
        (b'{"message_id":"m","in_session":true,"billing":null}', Billing(in_session=True)),
        (b'{"message_id":"m","in_session":true,"billing":{"in_session":false}}', Billing(in_session=False)),
        (b'{"message_id":"m","billing":{"tier":null}}', Billing()),
    ],
)
def test_an_answer_is_read_in_every_form_that_the_docs_show(body: bytes, billing: Billing) -> None:
    assert codec.from_json(body, Accepted) == Accepted(message_id="m", billing=billing)


def test_an_answer_that_cannot_be_read_has_problems() -> None:
    found = codec.from_json(b'{"status":1,"in_session":true,"billing":[1]}', Accepted)
    assert isinstance(found, Problems)
    assert set(found.lines()) == {
        "is required @ $.message_id",
    }


def test_unknown_fields_of_an_answer_are_kept_at_their_level() -> None:
    body = b'{"message_id":"m","new":[],"billing":{"balance":{"free":1,"currency":"EUR"},"new":1,"tier":{"next":2}}}'
    assert codec.from_json(body, Accepted) == Accepted(
        message_id="m",
        extra={"new": []},
        billing=Billing(
            balance=Balance(free=Decimal(1), extra={"currency": "EUR"}), tier=Tier(extra={"next": 2}), extra={"new": 1}
        ),
    )


def test_the_log_is_read_in_either_spelling() -> None:
    one = b'{"message_id":"m","status":"sent","cost":"0.1100","events":[{"type":"queued","at":null}],"content":null}'
    assert codec.from_json(one, MessageRecord) == MessageRecord(
        id="m", status="SENT", cost=Decimal("0.11"), events=(MessageEvent(type="queued"),)
    )
    page = b'{"messages":[{"id":"m","status":"SENT","events":null}],"total":1}'
    assert codec.from_json(page, Page) == Page(messages=(MessageRecord(id="m", status="SENT"),), extra={"total": 1})


@pytest.mark.parametrize("spelt", ["id", "message_id"])
def test_a_revoked_message_is_read_in_either_spelling(spelt: str) -> None:
    assert codec.from_json(b'{"%s":"m"}' % spelt.encode(), Revoked) == Revoked(id="m")


@pytest.mark.parametrize(
    ("standalone", "expected"),
    [
        ({"title": "T", "orientation": "VERTICAL"}, {"orientation": "VERTICAL", "content": {"title": "T"}}),
        ({"media": {}, "suggestions": []}, {"content": {"media": {}, "suggestions": []}}),
        ({"content": {"title": "T"}, "title": "U"}, {"content": {"title": "T"}, "title": "U"}),
        ({"orientation": "VERTICAL"}, {"orientation": "VERTICAL"}),
        ("odd", "odd"),
    ],
)
def test_a_flat_card_of_the_log_is_nested_as_in_sends(standalone: object, expected: object) -> None:
    value = {"id": "m", "status": "SENT", "content": {"rich_card": {"standalone": standalone}}}
    before = json.dumps(value)
    found = codec.from_dict(value, MessageRecord)
    assert found == MessageRecord(id="m", status="SENT", content={"rich_card": {"standalone": expected}})
    assert json.dumps(value) == before


@given(JUNK | st.dictionaries(st.sampled_from(["id", "status", "content", "billing", "in_session", "events"]), JUNK))
def test_reading_an_answer_never_raises(value: object) -> None:
    for model in (Accepted, MessageRecord, Revoked, Page):
        assert isinstance(codec.from_dict(value, model), (model, Problems))
