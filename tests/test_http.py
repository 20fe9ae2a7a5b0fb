"""http: the two values at the edge."""

import pytest

from msgapi import Request, Response, http
from msgapi.http import TimeLimits
from msgapi.transports.common.http1 import decode_headers


def test_header_names_of_a_response_are_found_in_lower_case() -> None:
    assert Response(200, {"X-RateLimit-Limit": "5"}).headers == {"x-ratelimit-limit": "5"}


def test_a_request_shows_neither_key_nor_query_nor_body() -> None:
    request = Request("POST", "https://h.example/v1/messages?to=%2B49151", {"Authorization": "Bearer sk"}, b"secret")
    assert repr(request) == "Request(POST h.example/v1/messages, 6 bytes)"


def test_a_recipient_in_the_path_is_hidden() -> None:
    assert repr(Request("GET", "https://h.example/v1/x/+4915112345678")) == "Request(GET h.example/v1/x/***, no body)"


def test_a_request_without_a_body_says_so() -> None:
    assert repr(Request("GET", "/v1/messages/a")) == "Request(GET /v1/messages/a, no body)"


def test_a_response_shows_its_size_and_not_its_body() -> None:
    assert repr(Response(200, {}, b"secret")) == "Response(200, 6 bytes)"


@pytest.mark.parametrize(
    ("method", "headers", "repeatable"),
    [
        ("GET", {}, True),
        ("HEAD", {}, True),
        ("POST", {}, False),
        ("PUT", {}, False),
        ("DELETE", {"X-Other": "1"}, False),
        ("POST", {"Idempotency-Key": "k"}, True),
        ("DELETE", {"idempotency-key": "k"}, True),
    ],
)
def test_a_request_may_be_repeated_if_its_method_is_safe_or_it_has_a_key(
    method: str, headers: dict[str, str], *, repeatable: bool
) -> None:
    assert Request(method, "https://h.example", headers).repeatable is repeatable


def test_a_response_is_of_one_attempt_if_its_transport_says_nothing() -> None:
    assert Response(200).attempts == 1


def test_headers_that_arrive_are_lowered_and_the_last_of_a_name_counts() -> None:
    headers = [(b"X-Limit", b"5"), (b"Server", b"caf\xe9"), (b"x-limit", "\u00e9".encode())]
    assert decode_headers(headers) == {"x-limit": "\u00e9", "server": "caf\udce9"}


def test_limits_that_begin_while_the_time_is_frozen_end_by_the_same_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "monotonic", lambda: 1e9)  # as freezegun does
    limits = TimeLimits(total_timeout=3.0)
    assert limits.left == limits.exchange(30.0) == 3.0
    assert limits.connecting(10.0, 30.0) == pytest.approx(2.7)
