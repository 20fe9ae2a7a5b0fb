"""decode: every row of the status table, and every way in which an answer can be broken."""

from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import msgapi
from msgapi import Balance, Call, Detail, Ok, Response
from msgapi.decode import DEEPEST, decode
from msgapi.messages.models import Accepted

CALL = Call("POST", "/v1/messages", Accepted, body=b"{}", idempotency_key="k")
KINDS: dict[int, type[msgapi.ApiError]] = {
    400: msgapi.Invalid,
    401: msgapi.Unauthorized,
    402: msgapi.InsufficientBalance,
    403: msgapi.Forbidden,
    404: msgapi.NotFound,
    409: msgapi.Conflict,
    422: msgapi.Unprocessable,
    429: msgapi.Throttled,
    500: msgapi.ServerFault,
    502: msgapi.ServerFault,
    503: msgapi.Unavailable,
    504: msgapi.ServerFault,
    599: msgapi.ServerFault,
    205: msgapi.Unexpected,
    302: msgapi.Unexpected,
    405: msgapi.Unexpected,
    418: msgapi.Unexpected,
    600: msgapi.Unexpected,
}
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("error", "message", "details", "balance", "required_amount", "topup_url", "retry_after", "more")
ENVELOPES = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON))
SECRETS = st.sampled_from(["+4915112345678", "jane.roe@example.org", "the secret words"])


def answer(status: int, body: object, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, named, body if isinstance(body, bytes) else orjson.dumps(body))


def failure(status: int, body: object, **headers: str) -> Any:  # noqa: ANN401 - each test looks at its own kind
    result = decode(CALL, answer(status, body, **headers))
    assert not isinstance(result, Ok)
    return result


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_success_is_ok_with_its_value_and_how_it_was_come_by(status: int) -> None:
    response = answer(
        status,
        {"message_id": "msg_1", "status": "queued", "created_at": "2026-05-04T07:30:00Z", "surprise": 1},
        Location="/v1/messages/msg_1",
        X_RateLimit_Limit="50",
        X_RateLimit_Remaining="49",
        X_RateLimit_Reset="1800000000",
        Date="Fri, 15 Jan 2027 08:00:00 GMT",
    )
    result = decode(CALL, response, attempts=3, elapsed=1.5)
    assert isinstance(result, Ok)
    assert result.value.message_id == "msg_1"
    assert result.meta == msgapi.Meta(
        status=status,
        attempts=3,
        elapsed=1.5,
        idempotency_key="k",
        location="/v1/messages/msg_1",
        rate_limit=msgapi.RateLimit(limit=50, remaining=49, reset=1800000000.0),
        server_time=1800000000.0,
    )


@pytest.mark.parametrize(("status", "kind"), KINDS.items())
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b'{"error":"x"',
        b"<html><body>502 Bad Gateway</body></html>",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
        b'{"error":7,"message":[],"details":null,"balance":"x","required_amount":{},"topup_url":1,"retry_after":"soon"}',
    ],
)
def test_a_broken_body_is_still_the_right_value_for_its_status(
    status: int, kind: type[msgapi.ApiError], body: bytes
) -> None:
    error = failure(status, body, Content_Type="text/html; charset=utf-8")
    assert type(error) is kind
    assert error.code == f"http_{status}"
    assert error.message == f"HTTP {status} without a message: {len(body)} bytes text/html"
    assert error.meta.status == status


@pytest.mark.parametrize(("status", "kind"), KINDS.items())
def test_the_envelope_gives_code_message_and_unknown_fields(status: int, kind: type[msgapi.ApiError]) -> None:
    error = failure(status, {"error": "some_code", "message": "words", "details": [], "agent_status": "DRAFT"})
    assert (type(error), error.code, error.message) == (kind, "some_code", "words")
    assert error.extra == {"agent_status": "DRAFT"}


@pytest.mark.parametrize("status", [400, 422])
def test_validation_errors_carry_their_details(status: int) -> None:
    details = [{"field": "to", "message": "bad"}, {"field": None, "message": "worse"}, {"field": "text"}]
    error = failure(status, {"error": "validation_error", "message": "m", "details": details})
    assert error.details == (Detail("to", "bad"), Detail("", "worse"), Detail("text", ""))
    assert error.extra == {}


@pytest.mark.parametrize("details", ["text", {"field": "to"}, ["to"], [{}], [{"field": 7, "message": "m"}], [[[]]]])
def test_details_of_another_form_are_kept_aside(details: object) -> None:
    error = failure(400, {"error": "validation_error", "message": "m", "details": details})
    assert error.details == ()
    assert error.extra == {"details": details}


def test_402_carries_the_balance_the_amount_and_where_to_top_up() -> None:
    body = b"""{"error":"insufficient_balance","message":"m","details":[],"topup_url":"https://top.example/up",
        "balance":{"free":0.05,"reserved":2.60,"total":2.65,"currency":"EUR"},"required_amount":0.12}"""
    assert failure(402, body) == msgapi.InsufficientBalance(
        code="insufficient_balance",
        message="m",
        balance=Balance(
            free=Decimal("0.05"), reserved=Decimal("2.6"), total=Decimal("2.65"), extra={"currency": "EUR"}
        ),
        required_amount=Decimal("0.12"),
        topup_url="https://top.example/up",
        meta=msgapi.Meta(status=402, attempts=1, idempotency_key="k"),
    )


def test_402_without_its_documented_fields_has_none_of_them() -> None:
    error = failure(402, {"error": "insufficient_balance", "balance": "much", "required_amount": True})
    assert (error.balance, error.required_amount, error.topup_url) == (None, None, None)
    assert error.extra == {"balance": "much", "required_amount": True}


def test_a_part_of_the_balance_that_cannot_be_read_does_not_cost_the_others() -> None:
    error = failure(402, {"error": "insufficient_balance", "balance": {"free": "much", "total": 2}})
    assert error.balance == Balance(total=Decimal(2), extra={"free": "much"})


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", None])
def test_a_byte_order_mark_is_skipped(mark: bytes | None) -> None:
    def marked(body: bytes) -> bytes:
        return body.decode().encode("utf-16") if mark is None else mark + body

    poor = failure(402, marked(b'{"error":"insufficient_balance","message":"m","required_amount":0.07}'))
    assert (poor.code, poor.required_amount) == ("insufficient_balance", Decimal("0.07"))
    sent = decode(CALL, answer(200, marked(b'{"message_id":"msg_1","created_at":"2026-05-04T07:30:00Z"}')))
    assert isinstance(sent, Ok)
    assert (sent.value.message_id, sent.value.extra) == ("msg_1", {})


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"retry_after": 7}, {}, 7.0),
        ({"retry_after": 0.25}, {}, 0.25),
        ({"retry_after": "3.5"}, {}, 3.5),
        ({"retry_after": -4}, {}, 0.0),
        ({"retry_after": True}, {}, None),
        ({"retry_after": "soon"}, {}, None),
        ({}, {"Retry_After": "9"}, 9.0),
        ({"retry_after": 7}, {"Retry_After": "9"}, 9.0),
        ({"retry_after": 11}, {"Retry_After": "9"}, 11.0),
        ({}, {"Retry_After": "-1"}, None),
        ({}, {"Retry_After": "nan"}, None),
        ({}, {"Retry_After": "\u0663"}, None),
        ({}, {"Retry_After": "Fri, 15 Jan 2027 08:00:30 GMT", "Date": "Fri, 15 Jan 2027 08:00:00 GMT"}, 30.0),
        ({}, {"Retry_After": "Fri, 15 Jan 2027 07:00:30 GMT", "Date": "Fri, 15 Jan 2027 08:00:00 GMT"}, 0.0),
        ({}, {"Retry_After": "Fri, 15 Jan 2027 08:00:30 GMT"}, None),
        ({}, {"Retry_After": "Fri, 31 Feb 2027 08:00:30 GMT", "Date": "Fri, 15 Jan 2027 08:00:00 GMT"}, None),
        ({}, {"Retry_After": "Fri, 15 Xyz 2027 08:00:30 GMT", "Date": "Fri, 15 Jan 2027 08:00:00 GMT"}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_retry_after_is_the_larger_of_body_and_header(
    status: int, body: object, headers: dict[str, str], expected: float | None
) -> None:
    assert failure(status, body, **headers).retry_after == expected


def test_only_the_keys_rate_limit_counts_as_rate_limited() -> None:
    assert failure(429, {"error": "rate_limit_exceeded", "retry_after": 1}).rate_limited
    assert failure(429, b"<html>slow down</html>").rate_limited
    assert not failure(429, {"error": "newsletter_daily_cap", "retry_after": 40_000}).rate_limited


def test_the_test_agents_generic_403_is_forbidden_with_what_there_is() -> None:
    error = failure(403, {"error": "forbidden", "message": "Forbidden"})
    assert (type(error), error.code, error.extra) == (msgapi.Forbidden, "forbidden", {})


def test_unexpected_tells_its_status() -> None:
    assert failure(302, b"", Location="https://elsewhere.example").status == 302


@pytest.mark.parametrize("status", [500, 502, 503, 302])
def test_what_a_server_failed_at_may_have_happened(status: int) -> None:
    assert failure(status, b"").may_have_happened


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 429])
def test_what_a_server_refused_has_not_happened(status: int) -> None:
    assert not failure(status, b"").may_have_happened


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "is empty @ $"),
        (b"<html>", "is not JSON @ $"),
        (b"[]", "must be an object, not an array @ $"),
        (b"{}", "is required @ $.message_id"),
        (b'{"message_id":7}', "must be a string, not a number @ $.message_id"),
    ],
)
def test_a_success_that_cannot_be_read_is_unreadable_and_may_have_happened(body: bytes, problem: str) -> None:
    error = failure(200, body)
    assert type(error) is msgapi.Unreadable
    assert error.problems == (problem,)
    assert error.may_have_happened
    assert error.meta.status == 200


@pytest.mark.parametrize(
    ("body", "extra", "message_id"),
    [
        (b'{"message_id":7,"billing":{"free":1}}', {"message_id": 7, "billing": {"free": 1}}, None),
        (b'{"message_id":{},"id":"msg_1"}', {"message_id": {}, "id": "msg_1"}, "msg_1"),
        (b'{"message_id":"msg_1","created_at":"2026-05', {"message_id": "msg_1"}, "msg_1"),
        (b'\xef\xbb\xbf {"message_id" : "msg_1", "message_id":"msg_2", oops', {"message_id": "msg_1"}, "msg_1"),
        (b'{"status":"x","d":' + b"[" * 40 + b"]" * 40 + b"}", {"status": "x"}, None),
        (b'<html><script>{"message_id":"msg_1"}</script>', {}, None),
        (b'["message_id"]', {}, None),
    ],
)
def test_an_unreadable_success_keeps_what_could_be_read(body: bytes, extra: object, message_id: str | None) -> None:
    error = failure(200, body)
    assert type(error) is msgapi.Unreadable
    assert (error.extra, error.message_id) == (extra, message_id)
    assert msgapi.codec.load_error(msgapi.codec.dump(error)) == error


@pytest.mark.parametrize(
    ("body", "extra"),
    [
        (b'"created_at":"yesterday"', {"created_at": "yesterday"}),
        (b'"created_at":1777879800', {"created_at": 1777879800}),
        (b'"created_at":"2026-12-31T23:59:60Z"', {"created_at": "2026-12-31T23:59:60Z"}),
        (b'"billing":[]', {"billing": []}),
        (b'"billing":[1],"in_session":true', {"billing": [1], "in_session": True}),
        (b'"status":5,"x":1', {"status": 5, "x": 1}),
        (b'"x":NaN,"y":"\\ud83d"', {"x": None, "y": "\ufffd"}),
        (b'"x":1e999,"y":-1' + b"0" * 30 + b',"z":NaN', {"x": None, "y": -1e30, "z": None}),
    ],
)
def test_a_field_of_an_unexpected_type_does_not_cost_the_answer(body: bytes, extra: object) -> None:
    result = decode(CALL, answer(200, b'{"message_id":"msg_1",' + body + b"}"))
    assert isinstance(result, Ok)
    assert (result.value.message_id, result.value.extra) == ("msg_1", extra)


def test_a_field_nested_too_deep_to_be_written_again_is_not_kept() -> None:
    deep: object = 1
    for _ in range(DEEPEST):
        deep = [deep]
    kept = failure(400, {"error": "code", "more": deep})
    assert kept.extra == {"more": deep}
    assert msgapi.codec.load_error(msgapi.codec.dump(kept)) == kept
    dropped = failure(400, {"error": "code", "more": [deep]})
    assert (dropped.code, dropped.extra) == ("http_400", {})


@pytest.mark.parametrize("reset", ["", "soon", "-5", "1e9", "\u0661", "9" * 400])
def test_rate_limit_figures_that_are_no_numbers_are_none(reset: str) -> None:
    result = decode(CALL, answer(200, {"message_id": "m"}, X_RateLimit_Limit=reset, X_RateLimit_Reset=reset))
    assert result.meta.rate_limit == msgapi.RateLimit()


@given(status=st.integers(-1, 1000), headers=st.dictionaries(st.text(), st.text()), body=st.binary())
def test_it_never_raises_for_any_status_headers_and_bytes(status: int, headers: dict[str, str], body: bytes) -> None:
    result = decode(CALL, Response(status, headers, body))
    assert isinstance(result, Ok | msgapi.ApiError)


@given(
    status=st.sampled_from([*KINDS, 200, 201]),
    headers=st.dictionaries(
        st.sampled_from(["Retry-After", "Date", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]),
        st.text() | st.from_regex(r"\A[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\Z"),
    ),
    body=ENVELOPES | JSON,
)
def test_any_json_gives_a_value_that_survives_pickle_and_json(status: int, headers: dict[str, str], body: Any) -> None:  # noqa: ANN401
    import pickle

    result = decode(CALL, Response(status, headers, orjson.dumps(body)))
    expected = KINDS.get(status)
    if expected is not None:
        assert type(result) is expected
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - our own bytes
    if isinstance(result, msgapi.ApiError):
        assert msgapi.codec.load_error(msgapi.codec.dump(result)) == result


@given(
    secret=st.sampled_from(["+4915112345678", "jane.roe@example.org", "the secret words"]), where=ENVELOPES.map(list)
)
def test_no_repr_shows_what_a_server_echoed(secret: str, where: list[str]) -> None:
    body: dict[str, object] = dict.fromkeys(where, secret)
    body["details"] = [{"field": secret, "message": secret}]
    for status in KINDS:
        assert secret not in repr(failure(status, body, Location=secret))
