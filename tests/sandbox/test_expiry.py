"""A message with a ttl expires by the clock, also in a sandbox that delivers nothing by itself."""

from decimal import Decimal

import pytest

from msgapi import VirtualClock
from msgapi.sandbox.rules.lifecycle import change_status
from tests.support.sandbox_requests import NOW, get, request, said, send, still, text


@pytest.mark.parametrize(("ttl", "seconds"), [("900s", 900.0), ("0.5s", 0.5), ("24h", 86_400.0)])
def test_a_queued_message_expires_by_the_clock_where_nothing_delivers_it(ttl: str, seconds: float) -> None:
    box = still()
    name = said(send(box, text(ttl=ttl)))["message_id"]
    before = said(get(box, f"/v1/messages/{name}", now=NOW + seconds - 0.01))
    assert (before["status"], box.account.state.wallet.reserved) == ("QUEUED", Decimal("0.07"))
    expired = said(get(box, f"/v1/messages/{name}", now=NOW + seconds))
    assert (expired["status"], expired["error_code"], expired["cost"]) == ("EXPIRED", "MESSAGE_EXPIRED", "0.0000")
    assert box.account.state.wallet.reserved == 0
    assert [event.event for event in box.account.state.events] == ["message.queued", "message.expired"]


def test_messages_expire_in_the_order_of_their_times_whatever_the_order_in_which_they_were_sent() -> None:
    box = still()
    names = {ttl: said(send(box, text(ttl=ttl), key=ttl))["message_id"] for ttl in ("900s", "30s", "60s", "1200s")}
    assert box.account.state.schedule.next_at() == NOW + 30
    _ = get(box, "/v1/messages", now=NOW + 5000)
    expired = [event for event in box.account.state.events if event.event == "message.expired"]
    assert [event.data["message_id"] for event in expired] == [names[ttl] for ttl in ("30s", "60s", "900s", "1200s")]
    assert [event.at for event in expired] == [NOW + after for after in (30, 60, 900, 1200)]
    assert box.account.state.schedule.next_at() is None


def test_a_message_that_expired_is_read_so_without_a_request() -> None:
    clock = VirtualClock()
    box = still(clock=clock)
    asked = request("POST", "/v1/messages", body=text(ttl="900s"))
    _ = box.handle(asked)
    assert box.due_at == clock.time() + 900
    clock.advance(900)
    assert [entry.status for entry in box.messages] == ["EXPIRED"]
    assert box.balance.reserved == 0


def test_a_message_that_was_delivered_in_time_or_has_no_ttl_does_not_expire() -> None:
    box = still()
    names = [said(send(box, text(**fields)))["message_id"] for fields in ({"ttl": "900s"}, {})]
    _ = change_status(box.account.state, names[0], "DELIVERED", NOW)
    statuses = {said(get(box, f"/v1/messages/{name}", now=NOW + 10**6))["status"] for name in names}
    assert statuses == {"DELIVERED", "QUEUED"}
