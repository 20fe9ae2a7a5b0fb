"""sandbox.outbox: what has happened, as webhooks carry it."""

import orjson
from sandboxing import NOW

from msgapi.sandbox.model.webhooks import EventLog


def test_events_are_kept_in_their_order_and_written_as_the_docs_show_them() -> None:
    outbox = EventLog()
    _ = outbox.add("evt_1", "message.read", NOW, {"message_id": "msg_1"})
    _ = outbox.add("evt_2", "message.failed", NOW + 1, {})
    assert [one.id for one in outbox] == ["evt_1", "evt_2"]
    assert len(outbox) == 2
    assert orjson.loads(next(iter(outbox)).body()) == {
        "id": "evt_1",
        "event": "message.read",
        "timestamp": "2026-05-04T00:00:00.000Z",
        "data": {"message_id": "msg_1"},
    }
