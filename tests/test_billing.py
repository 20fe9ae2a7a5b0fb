"""billing: the balance, and the unit of each message."""

from decimal import Decimal

import pytest

from msgapi import Balance, Call, billing, codec, messages
from msgapi.messages import Card, Carousel, Email, Message, MessageType, Reply, RichCard, Text

CARD = Card(title="T")


def text(body: str = "Hi", *chips: Reply, kind: MessageType = "MESSAGE") -> Text:
    return Text(
        agent_id="a",
        to="+4915112345678",
        traffic_type="TRANSACTION",
        text=body,
        suggestions=chips,
        message_type=kind,
    )


def test_the_balance_is_asked_for() -> None:
    assert billing.balance() == Call("GET", "/v1/billing/balance", Balance)
    assert billing.balance().repeatable


def test_the_balance_is_read_as_decimals() -> None:
    found = codec.load(b'{"free":72.4,"reserved":2.6,"total":75}', billing.balance().returns)
    assert found == billing.Balance(free=Decimal("72.4"), reserved=Decimal("2.6"), total=Decimal(75))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (text("x" * 160), "basic_message"),
        (text("\U0001f600" * 160), "basic_message"),
        (text("x" * 161), "single_message"),
        (text("x", Reply(text="y")), "single_message"),
        (RichCard(agent_id="a", to="+4915112345678", traffic_type="PROMOTION", card=CARD), "single_message"),
        (Carousel(agent_id="a", to="+4915112345678", traffic_type="PROMOTION", cards=(CARD, CARD)), "single_message"),
        (text(kind="CONVERSATION"), "conversation"),
        (text("x" * 161, kind="NEWSLETTER"), "mau"),
        (Email(channel_id="c", to="a@b.example", subject="s", text="x" * 161), "basic_message"),
        (Email(channel_id="c", to="a@b.example", template_id="t", message_type="NEWSLETTER"), "basic_message"),
    ],
)
def test_a_message_is_billed_by_the_unit_of_the_docs(message: Message, expected: str) -> None:
    assert billing.unit(message) == expected
    assert messages.unit is billing.unit
