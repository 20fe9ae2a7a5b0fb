"""The log of emitted events."""

import orjson

from msgapi.sandbox.model.webhooks import EventLog
from tests.support.sandbox_requests import NOW


def test_events_are_kept_in_order_and_written_as_documented() -> None:
    log = EventLog()
    _ = log.add("evt_1", "message.read", NOW, {"message_id": "msg_1"})
    _ = log.add("evt_2", "message.failed", NOW + 1, {})
    assert [one.id for one in log] == ["evt_1", "evt_2"]
    assert len(log) == 2
    assert orjson.loads(next(iter(log)).body()) == {
        "id": "evt_1",
        "event": "message.read",
        "timestamp": "2026-05-04T00:00:00.000Z",
        "data": {"message_id": "msg_1"},
    }
