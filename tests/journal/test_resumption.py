"""rows: the ids of rows. Golden values: another value would send every unfinished batch a second time."""

from hashlib import blake2b
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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


def digest_by_the_rule(call: Call[object]) -> bytes:
    """Return the digest as the rule of version 1 says it: in an email, the recipient has no letter case."""
    body = call.body or b""
    found: Any = orjson.loads(body)
    to = found.get("to") if isinstance(found, dict) else None
    if isinstance(to, str) and "@" in to:
        body = body.replace(b'"to":' + orjson.dumps(to), b'"to":' + orjson.dumps(to.casefold()), 1)
    return blake2b(f"{call.method} {call.target}\0".encode() + body, digest_size=16).digest()


NAMES = st.sampled_from(["to", "TO", "text", "a@b", '"to":'])
TEXTS = st.text(st.sampled_from('aB@.+"\\ ß:to{'), max_size=8) | st.sampled_from(["ann@example.org", "Ann@example.org"])
VALUES = st.recursive(
    TEXTS | st.none(), lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=2)
)


@given(st.dictionaries(NAMES, VALUES, max_size=4) | VALUES, st.sampled_from([0, orjson.OPT_INDENT_2]))
@example({"to": "ann@example.org", "text": 'x "to": y'}, 0)
@example({"data": {"to": "ann@example.org"}, "to": "Ann@example.org"}, 0)
def test_the_digest_of_every_body_is_that_of_the_rule(value: object, option: int) -> None:
    call = Call("POST", "/v1/messages", object, body=orjson.dumps(value, option=option))
    assert request_digest(call) == digest_by_the_rule(call)


def test_a_recipient_is_a_pseudonym_of_one_batch() -> None:
    call, other = messages.send(RCS), messages.send(EMAIL)
    assert recipient_hashes("b1", call) != recipient_hashes("b2", call)
    both = recipient_hashes("b1", call, other)
    assert list(split_hashes(both)) == [recipient_hashes("b1", call), recipient_hashes("b1", other)]
    assert len(both) == 16


@pytest.mark.parametrize("body", [None, b'[{"to":"x"}]', b'{"to":3}', b'{"a":1}'])
def test_a_call_that_is_no_message_has_no_recipient(body: bytes | None) -> None:
    assert recipient_hashes("b1", Call("POST", "/v1/x", object, body=body)) == b""
