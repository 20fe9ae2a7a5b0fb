"""rows: the ids of rows. Golden values: another value would send every unfinished batch a second time."""

import attrs
import pytest

from msgapi import Call, journal, messages
from msgapi.journal.resumption import (
    RULE_VERSION,
    changed_key,
    content_id,
    recipient_hashes,
    request_digest,
    split_hashes,
)
from msgapi.messages import Email, Text

RCS = Text(agent_id="ag_live_demo", to="+4915100000001", traffic_type="TRANSACTION", text="Hi Jörg", ttl="900s")
EMAIL = Email(channel_id="ch_demo", to="Ann@Example.org", subject="Hi", template_id="t", template_data={"to": "A@b.c"})


def digest(message: Text | Email) -> bytes:
    return request_digest(messages.send(message))


def test_the_ids_and_keys_of_rows_stay_the_same_in_every_version() -> None:
    assert RULE_VERSION == 1
    assert content_id(digest(RCS)) == "c0becb7eb854240b719768d51e02824f#1"
    assert content_id(digest(EMAIL), 2) == "44e1ed030c792a9593cd3cd6fcbf00eb#2"
    assert request_digest(messages.send(RCS), messages.send(EMAIL)).hex() == "b399a50fe03e59dc71f6f1a2402f90d7"
    assert request_digest(Call("DELETE", "/v1/messages/msg_1", object)).hex() == "ce7e318ed99a19f0af8d42f4804ec599"
    assert journal.key_of("b1", "row") == "77dc1fba-778a-8aac-a811-38eb44668ad9"
    assert changed_key("b1", "row", b"\x01" * 16) == "b1523929-7138-8beb-8deb-0817aa2ba3e7"
    assert recipient_hashes("b1", messages.send(RCS)).hex() == "c11f5d149c6fd535"


def test_an_id_does_not_depend_on_the_key() -> None:
    assert request_digest(messages.send(RCS)) == request_digest(messages.send(RCS, idempotency_key="mine"))


@pytest.mark.parametrize("change", [{"to": "+4915100000002"}, {"text": "Ho"}, {"ttl": "901s"}, {"agent_id": "ag_2"}])
def test_another_recipient_or_content_is_another_id(change: dict[str, str]) -> None:
    assert digest(attrs.evolve(RCS, **change)) != digest(RCS)  # type: ignore[arg-type]


def test_the_case_of_an_email_address_is_no_difference_and_that_of_a_text_is_one() -> None:
    lower = attrs.evolve(EMAIL, to="ann@example.org")
    assert digest(lower) == digest(EMAIL)
    assert recipient_hashes("b", messages.send(lower)) == recipient_hashes("b", messages.send(EMAIL))
    assert digest(attrs.evolve(EMAIL, subject="hi")) != digest(EMAIL)
    assert digest(attrs.evolve(EMAIL, template_data={"to": "a@b.c"})) != digest(EMAIL)
    assert b"Ann@Example.org" in (messages.send(EMAIL).body or b"")


def test_a_text_with_an_at_sign_is_taken_word_for_word() -> None:
    assert digest(attrs.evolve(RCS, text="A@b")) != digest(attrs.evolve(RCS, text="a@b"))
    assert request_digest(Call("POST", "/v1/x", object, body=b'{"note":"A@b"}')) != request_digest(
        Call("POST", "/v1/x", object, body=b'{"note":"a@b"}')
    )


def test_a_recipient_is_a_pseudonym_of_one_batch() -> None:
    call, other = messages.send(RCS), messages.send(EMAIL)
    assert recipient_hashes("b1", call) != recipient_hashes("b2", call)
    both = recipient_hashes("b1", call, other)
    assert list(split_hashes(both)) == [recipient_hashes("b1", call), recipient_hashes("b1", other)]
    assert len(both) == 16


@pytest.mark.parametrize("body", [None, b'[{"to":"x"}]', b'{"to":3}', b'{"a":1}'])
def test_a_call_that_is_no_message_has_no_recipient(body: bytes | None) -> None:
    assert recipient_hashes("b1", Call("POST", "/v1/x", object, body=body)) == b""
