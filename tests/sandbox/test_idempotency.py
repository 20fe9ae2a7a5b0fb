"""Repeated requests to the sandbox: idempotency keys, and the rate limit."""

from decimal import Decimal

import orjson
import pytest

from msgapi import Response
from tests.support.sandbox_requests import NOW, ask, delete, fields_of, get, refusal, request, said, send, still, text


def test_the_same_key_and_body_is_the_same_operation() -> None:
    box = still()
    first, again = send(box, key="k1"), send(box, key="k1", now=NOW + 86_399)
    assert again.body == first.body
    assert len(box.messages) == 1
    assert box.balance.reserved == Decimal("0.07")


def test_the_same_key_with_another_body_is_a_conflict() -> None:
    box = still()
    _ = send(box, key="k1")
    assert refusal(send(box, text(content={"text": "Other"}), key="k1")) == (409, "idempotency_conflict")
    assert len(box.messages) == 1


def test_a_key_expires_after_a_day() -> None:
    box = still()
    _ = send(box, key="k1")
    _ = send(box, key="k2", now=NOW + 80_000)
    assert send(box, text(content={"text": "Other"}), key="k1", now=NOW + 86_400).status == 200
    _ = send(box, key="k2", now=NOW + 86_500)
    assert len(box.messages) == 3


def test_an_expired_key_is_removed() -> None:
    box = still()
    for number in range(50):
        _ = send(box, key=f"k{number}", now=NOW + number)
    _ = send(box, key="last", now=NOW + 90_020)
    assert len(box.account.state.idempotency._stored) == 1


def test_each_of_many_responses_is_repeated_with_its_status_and_its_location() -> None:
    box = still()

    def add(number: int) -> Response:
        return ask(
            box,
            request("POST", "/v1/contacts", body={"source": "API", "email": f"{number}@a.example"}, key=f"k{number}"),
        )

    first = [add(number) for number in range(200)]
    again = [add(number) for number in range(200)]
    assert [(one.status, one.body, one.headers["location"]) for one in again] == [
        (201, one.body, one.headers["location"]) for one in first
    ]
    assert len({one.headers["location"] for one in again}) == 200


def test_responses_are_removed_once_none_of_their_block_can_be_repeated() -> None:
    box = still()
    store = box.account.state.idempotency
    bodies = [send(box, key=f"k{number}", now=NOW + number * 100).body for number in range(200)]
    assert list(store._blocks) == [0, 1, 2]
    later = NOW + 86_400 + 100 * 100
    _ = send(box, key="new", now=later)
    assert list(store._blocks) == [1, 2]
    assert send(box, key="k101", now=later).body == bodies[101]
    assert send(box, key="k199", now=later).body == bodies[199]


def test_a_refused_request_may_be_repeated_with_its_key() -> None:
    box = still(balance=Decimal(0))
    assert send(box, key="k1").status == 402
    box.top_up(Decimal(1))
    assert send(box, key="k1").status == 200
    assert send(box, key="k1").status == 200
    assert len(box.messages) == 1


def test_requests_without_a_key_are_each_an_operation() -> None:
    box = still()
    assert send(box).body != send(box).body
    assert len(box.messages) == 2


def test_the_key_may_be_in_the_body() -> None:
    box = still()
    body = text(idempotency_key="k1")
    assert send(box, body).body == send(box, body).body == send(box, body, key="k1").body
    assert [entry.idempotency_key for entry in box.messages] == ["k1"]


def test_bodies_are_compared_as_json_and_without_the_key() -> None:
    box = still()
    first = send(box, key="k1")
    turned = dict(reversed([*text(idempotency_key="k1").items()]))
    for body in (turned, orjson.dumps(text(), option=orjson.OPT_INDENT_2)):
        assert send(box, body, key="k1").body == first.body
    assert refusal(send(box, text(ttl="9s", idempotency_key="k1"))) == (409, "idempotency_conflict")
    deep = b'{"source": "API", "custom_fields": {"a": %s}}' % (b"[" * 400 + b"]" * 400)
    assert refusal(ask(box, request("POST", "/v1/contacts", body=deep, key="k1")))[0] == 400


def test_two_different_keys_are_invalid() -> None:
    assert fields_of(send(still(), text(idempotency_key="k1"), key="k2")) == ["idempotency_key"]


@pytest.mark.parametrize("key", ["", "a b", "é", "k" * 256])
def test_a_key_that_is_not_a_safe_header_value_is_invalid(key: str) -> None:
    assert fields_of(send(still(), key=key)) == ["idempotency-key"]
    assert fields_of(send(still(), text(idempotency_key=key))) == ["idempotency_key"]


def test_a_key_that_is_not_a_string_is_invalid() -> None:
    assert fields_of(send(still(), text(idempotency_key=None))) == ["idempotency_key"]


def test_the_rate_limit_accepts_its_number_of_requests_in_a_window_and_returns_retry_after() -> None:
    box = still(rate_limit=2, window=10)
    first, second, third = (send(box, now=NOW + 4.25) for _ in range(3))
    assert [one.headers["x-ratelimit-remaining"] for one in (first, second, third)] == ["1", "0", "0"]
    assert {one.headers["x-ratelimit-reset"] for one in (first, second, third)} == {str(int(NOW + 10))}
    assert refusal(third) == (429, "rate_limit_exceeded")
    wait = said(third)["retry_after"]
    assert 5.75 <= wait <= 5.76
    assert send(box, now=NOW + 4.25 + wait).status == 200
    assert len(box.messages) == 3


def test_each_endpoint_class_has_its_own_count() -> None:
    box = still(rate_limit=1, read_limit=2, window=0.3)
    statuses = [send(box).status, send(box).status, get(box, "/v1/messages").status, get(box, "/v1/messages").status]
    assert [*statuses, delete(box, "msg_0").status, get(box, "/v1/billing/balance").status] == [
        200,
        429,
        200,
        200,
        429,
        200,
    ]
    assert "." in get(box, "/v1/billing/balance", now=NOW + 0.5).headers["x-ratelimit-reset"]
