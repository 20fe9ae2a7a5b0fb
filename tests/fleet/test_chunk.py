"""fleet.chunk: rows as JSON, and what is refused when a chunk is made or read."""

import pytest

from msgapi import billing, messages
from msgapi.fleet import Chunk, InvalidChunk, make_row
from msgapi.fleet.chunk import load_chunk

TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi ☺")


def test_a_row_is_byte_for_byte_the_same_request_after_transport() -> None:
    call = messages.send(TEXT, idempotency_key="k")
    chunk = Chunk(batch="may", id="000001", rows=(make_row("a", call),))
    loaded = load_chunk(chunk.dump())
    assert loaded == chunk
    assert [row.call for row in loaded.rows] == [call]


def test_an_invalid_row_is_part_of_the_chunk_with_its_error() -> None:
    call = messages.send(messages.Text(agent_id="", to="5", traffic_type="TRANSACTION", text=""))
    loaded = load_chunk(Chunk(batch="may", id="000001", rows=(make_row("a", call),)).dump())
    assert isinstance(loaded, Chunk)
    assert loaded.rows[0].call.invalid == call.invalid


def test_a_call_that_sends_no_message_raises_a_value_error() -> None:
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
def test_a_malformed_chunk_is_invalid_with_a_reason(body: bytes, why: str) -> None:
    assert load_chunk(body) == InvalidChunk(why)
