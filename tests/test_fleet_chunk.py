"""fleet.chunk: rows that travel as JSON, and what is refused on the way in and out."""

import pytest

from msgapi import billing, messages
from msgapi.fleet import Chunk, InvalidChunk, make_row
from msgapi.fleet.chunk import load_chunk

TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi ☺")


def test_a_row_is_the_same_request_at_the_other_end_to_the_byte() -> None:
    call = messages.send(TEXT, idempotency_key="k")
    chunk = Chunk(batch="may", id="000001", rows=(make_row("a", call),))
    loaded = load_chunk(chunk.dump())
    assert loaded == chunk
    assert [row.call for row in loaded.rows] == [call]


def test_a_row_that_was_refused_before_travels_with_what_is_wrong() -> None:
    call = messages.send(messages.Text(agent_id="", to="5", traffic_type="TRANSACTION", text=""))
    loaded = load_chunk(Chunk(batch="may", id="000001", rows=(make_row("a", call),)).dump())
    assert isinstance(loaded, Chunk)
    assert loaded.rows[0].call.invalid == call.invalid


def test_a_call_that_sends_no_message_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="calls that send messages, not Call"):
        _ = make_row("a", billing.balance())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it is not JSON"),
        (b"<html>", "it is not JSON"),
        (b"[]", "must be an object, not an array @ $"),
        (b'{"version":2}', "it is of another version of msgapi-sdk"),
        (b'{"batch":"may","id":"1"}', "is required @ $.rows"),
        (b'{"batch":"","id":"1","rows":[]}', "a name or a body is missing"),
        (b'{"batch":"may","id":"1","rows":[{"id":"a"}]}', "a name or a body is missing"),
    ],
)
def test_what_is_no_chunk_is_unfit_and_says_why(body: bytes, why: str) -> None:
    assert load_chunk(body) == InvalidChunk(why)
