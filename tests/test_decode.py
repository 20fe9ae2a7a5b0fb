"""decode: every row of the status table, and every way in which an answer can be broken."""

import re
from decimal import Decimal
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import msgapi
from msgapi import Balance, Call, Detail, Ok, Response
from msgapi.codec.json import error_from_json
from msgapi.decode import DEEPEST, decode
from msgapi.journal import State
from msgapi.journal.resumption import state_of
from msgapi.messages.models import Accepted
from msgapi.retry import may_be_retried

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
CODES = st.sampled_from(["not_found", "rate_limit_exceeded", "newsletter_daily_cap", "x1", "Not Found", "", "1x", "é"])
CODED = st.fixed_dictionaries(
    {"error": CODES, "message": st.text() | JSON}, optional={"message_id": st.text() | JSON, "details": JSON}
)
MORE_STATUSES = (200, 201, 202, 204, 203, 206, 301, 307, 406, 408, 413, 421, 425, 499, 100, 700, -1)
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


FOREIGN: list[bytes] = [
    b"",
    b"{}",
    b'{"error":"Not Found","message":"no such route"}',
    b'{"error":"not-found","message":"no such route"}',
    b'{"error":"_found","message":"no such route"}',
    b'{"error":"not_found\\n","message":"no such route"}',
    b'{"error":"","message":"no such route"}',
    b'{"error":"not_found"}',
    b'{"error":"not_found","message":null}',
    b'{"error":{"code":"not_found"},"message":"m"}',
    b'{"message":"no Route matched with those values"}',
    b'[{"error":"not_found","message":"m"}]',
]


@pytest.mark.parametrize(("status", "kind"), KINDS.items())
@pytest.mark.parametrize(
    "body",
    [
        *FOREIGN,
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
    assert error.message == f"HTTP {status}, but not from the service: {len(body)} bytes text/html"
    assert error.meta.status == status
    assert not error.from_service
    assert error.may_have_happened is (not 300 <= status <= 499)
    assert error.scope == ("service" if (status >= 500 and status != 600) or status == 429 else "foreign")


def test_an_error_without_words_says_its_status() -> None:
    error = failure(404, {"error": "not_found", "message": ""}, Content_Type="application/json")
    assert (error.code, error.message) == ("not_found", "HTTP 404 without a message: 34 bytes application/json")
    assert error.from_service


def test_the_fields_of_an_error_that_is_not_the_services_are_only_kept_aside() -> None:
    body = {
        "error": "Payment Required",
        "details": [{"field": "to"}],
        "topup_url": "https://evil.example",
        "balance": {},
    }
    error = failure(402, body)
    assert (error.code, error.topup_url, error.balance, error.extra) == ("http_402", None, None, body)


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://user:pw@api.example.org:8443/v1/messages?token=1#2", "https://api.example.org:8443/v1/messages"),
        ("/login?next=%2Fv1", "/login"),
        ("//other.example/x", "//other.example/x"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
        ("https://[x", "an address that is not a URL"),
        ("https://h.example:port/", "an address that is not a URL"),
        ("https://h.example/\x1b[2J\u202e", "https://h.example/\\x1b[2J\\u202e"),
        ("https://h.example/v1/contacts/+4915112345678", "https://h.example/v1/contacts/***"),
        ("https://h.example/" + "x" * 500, "https://h.example/" + "x" * 182),
    ],
)
def test_the_message_of_a_redirect_names_where_to_without_its_secrets(location: str, shown: str) -> None:
    foreign = failure(302, b"", Location=location)
    assert foreign.message == f"HTTP 302 to {shown}, but not from the service: 0 bytes of no stated type"
    service = failure(308, {"error": "moved", "message": "Moved."}, Location=location)
    assert service.message == f"Moved. (HTTP 308 to {shown})"
    assert "to " not in failure(404, b"", Location=location).message.partition("service")[0]


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
    fields = {"balance": "much", "required_amount": True}
    error = failure(402, {"error": "insufficient_balance", "message": "m"} | fields)
    assert (error.balance, error.required_amount, error.topup_url) == (None, None, None)
    assert error.extra == {"balance": "much", "required_amount": True}


def test_a_part_of_the_balance_that_cannot_be_read_does_not_cost_the_others() -> None:
    error = failure(402, {"error": "insufficient_balance", "message": "m", "balance": {"free": "much", "total": 2}})
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
        ({}, {"Retry_After": "Fri, 15 Jan 2027 08:00:30 GMT"}, 40.0),
        ({}, {"Retry_After": "Friday, 15-Jan-27 08:00:30 GMT"}, 40.0),
        ({}, {"Retry_After": "Fri Jan 15 08:00:30 2027"}, 40.0),
        ({}, {"Retry_After": "Fri Jan 15 08:00:30 2027", "Date": "Friday, 15-Jan-27 08:00:00 GMT"}, 30.0),
        ({}, {"Retry_After": "30s"}, 30.0),
        ({"retry_after": "30s"}, {}, 30.0),
        ({"retry_after": "2h"}, {"Retry_After": "30s"}, 7200.0),
        ({"retry_after": "Fri, 15 Jan 2027 08:00:30 GMT"}, {}, 40.0),
        ({"retry_after": "2027-01-15T08:00:30Z"}, {}, 40.0),
        ({"retry_after": None}, {}, None),
        ({}, {"Retry_After": "Fri, 31 Feb 2027 08:00:30 GMT", "Date": "Fri, 15 Jan 2027 08:00:00 GMT"}, None),
        ({}, {"Retry_After": "Fri, 15 Xyz 2027 08:00:30 GMT", "Date": "Fri, 15 Jan 2027 08:00:00 GMT"}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_retry_after_is_the_larger_of_body_and_header(
    status: int, body: object, headers: dict[str, str], expected: float | None
) -> None:
    for more in ({}, {"error": "some_code", "message": "m"}):  # whether it is the service's or not
        response = answer(status, {**body, **more} if isinstance(body, dict) else body, **headers)
        error: Any = decode(CALL, response, now=lambda: 1_800_000_000.0 - 10)
        assert error.retry_after == expected
        assert ("retry_after" in error.extra) is (isinstance(body, dict) and body.get("retry_after") in (True, "soon"))


@pytest.mark.parametrize("status", [302, 403, 404, 408, 425, 429, 503])
@pytest.mark.parametrize("body", [b"<html>", b'{"error":"some_code","message":"m"}'])
def test_the_retry_after_of_any_error_is_kept(status: int, body: bytes) -> None:
    error = failure(status, body, Retry_After="30")
    assert (error.meta.retry_after, error.retry_after) == (30, 30)
    assert failure(status, body, Retry_After="soon").meta.retry_after is None


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_success_with_an_empty_id_is_not_from_the_service(status: int) -> None:
    body = {"message_id": "", "status": "queued", "created_at": "2026-05-04T07:30:00Z"}
    result = decode(CALL, answer(status, body))
    assert isinstance(result, msgapi.Unreadable)
    assert (result.from_service, result.may_have_happened, result.scope) == (False, True, "foreign")
    assert result.message.startswith(f"HTTP {status}, but its id is empty")
    assert result.problems == ("has an empty id @ $",)
    assert state_of(result, maybe_sent=False) is State.UNKNOWN
    assert isinstance(decode(CALL, answer(status, {**body, "message_id": "msg_1", "more": ""})), Ok)


def test_only_the_keys_rate_limit_counts_as_rate_limited() -> None:
    assert failure(429, {"error": "rate_limit_exceeded", "message": "m", "retry_after": 1}).rate_limited
    assert failure(429, b"<html>slow down</html>").rate_limited
    assert not failure(429, {"error": "newsletter_daily_cap", "message": "m", "retry_after": 40_000}).rate_limited


def test_the_test_agents_generic_403_is_forbidden_with_what_there_is() -> None:
    error = failure(403, {"error": "forbidden", "message": "Forbidden"})
    assert (type(error), error.code, error.extra) == (msgapi.Forbidden, "forbidden", {})


def test_unexpected_tells_its_status() -> None:
    assert failure(302, b"", Location="https://elsewhere.example").status == 302


@pytest.mark.parametrize("status", [500, 502, 503, 408, 206])
def test_what_a_server_failed_at_may_have_happened(status: int) -> None:
    assert failure(status, b"").may_have_happened


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 429])
def test_what_a_server_refused_has_not_happened(status: int) -> None:
    assert not failure(status, b"").may_have_happened
    assert not failure(status, {"error": "some_code", "message": "m"}).may_have_happened


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
    assert error.from_service is (b'"m"' in body)  # the id could be read
    assert error.scope == ("request" if error.from_service else "foreign")


@pytest.mark.parametrize("returns", [Accepted, Balance])
@pytest.mark.parametrize("more", [{}, {"message_id": "msg_1", "free": 1}])
def test_an_error_with_the_status_of_a_success_is_not_taken_for_one(returns: type, more: dict[str, object]) -> None:
    body = {"error": "not_found", "message": "m", **more}
    error = decode(attrs.evolve(CALL, returns=returns), answer(200, body))
    assert isinstance(error, msgapi.Unreadable)
    assert (error.from_service, error.may_have_happened, error.extra) == (False, True, body)


@pytest.mark.parametrize(
    "body",
    [{"message_id": "m", "error": None}, {"message_id": "m", "error": "x", "message": 1}, {"id": "m", "status": ""}],
)
def test_a_success_may_have_fields_that_are_called_as_those_of_an_error(body: object) -> None:
    assert isinstance(decode(CALL, answer(200, body)), Ok)


@pytest.mark.parametrize("body", [{"message_id": 5, "created_at": 1}, {"ids": "m"}, ["message_id"]])
def test_only_the_id_that_the_result_requires_shows_that_a_success_is_the_services(body: object) -> None:
    assert not failure(200, body).from_service


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
    assert error_from_json(msgapi.codec.to_json(error)) == error


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
    kept = failure(400, {"error": "code", "message": "m", "more": deep})
    assert kept.extra == {"more": deep}
    assert error_from_json(msgapi.codec.to_json(kept)) == kept
    dropped = failure(400, {"error": "code", "message": "m", "more": [deep]})
    assert (dropped.code, dropped.extra, dropped.from_service) == ("code", {}, True)


@pytest.mark.parametrize("reset", ["", "soon", "-5", "1e9", "\u0661", "9" * 400])
def test_rate_limit_figures_that_are_no_numbers_are_none(reset: str) -> None:
    result = decode(CALL, answer(200, {"message_id": "m"}, X_RateLimit_Limit=reset, X_RateLimit_Reset=reset))
    assert result.meta.rate_limit == msgapi.RateLimit()


@given(status=st.integers(-1, 1000), headers=st.dictionaries(st.text(), st.text()), body=st.binary())
def test_it_never_raises_for_any_status_headers_and_bytes(status: int, headers: dict[str, str], body: bytes) -> None:
    result = decode(CALL, Response(status, headers, body))
    assert isinstance(result, Ok | msgapi.ApiError)


def expected_of_table(status: int, body: Any) -> tuple[type, bool, bool, tuple[bool, bool]]:  # noqa: ANN401 - any JSON
    """Return class, from_service, may_have_happened and whether it is repeated: with a key, and without one."""
    envelope = (
        isinstance(body, dict)
        and isinstance(body.get("error"), str)
        and re.fullmatch("[a-z][a-z0-9_]*", body["error"], re.ASCII) is not None
        and isinstance(body.get("message"), str)
    )
    success = status in {200, 201, 202, 204}
    readable = isinstance(body, dict) and isinstance(body.get("message_id"), str) and body["message_id"] != ""
    service = readable and not envelope if success else envelope
    kind = msgapi.Unreadable if success else KINDS.get(status, msgapi.Unexpected)
    unknown = success or kind in {msgapi.ServerFault, msgapi.Unavailable, msgapi.Unexpected}
    if status == 429:
        limited = not service or body["error"] == "rate_limit_exceeded"
        return kind, service, False, (limited, limited)
    if not service:
        unknown = not 300 <= status <= 499 or status == 408
        return kind, False, unknown, (True, False)
    retried = kind in {msgapi.ServerFault, msgapi.Unavailable} or status in {408, 421, 425}
    return kind, service, unknown, (retried, False)


@given(status=st.sampled_from([*KINDS, *MORE_STATUSES]), body=ENVELOPES | CODED | JSON)
def test_for_any_status_and_body_the_result_is_the_one_in_the_table(status: int, body: Any) -> None:  # noqa: ANN401
    result = decode(CALL, Response(status, {}, orjson.dumps(body)))
    if isinstance(result, Ok):
        assert status in {200, 201, 202, 204}
        assert isinstance(body["message_id"], str)
        assert expected_of_table(status, body)[1]
        return
    retried = tuple(may_be_retried(result, repeatable=repeatable) for repeatable in (True, False))
    assert (type(result), result.from_service, result.may_have_happened, retried) == expected_of_table(status, body)
    assert (
        state_of(result, maybe_sent=False) is (State.UNKNOWN if result.may_have_happened else State.NOT_SENT)
        or result.from_service
    )


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
        assert error_from_json(msgapi.codec.to_json(result)) == result


@given(
    secret=st.sampled_from(["+4915112345678", "jane.roe@example.org", "the secret words"]), where=ENVELOPES.map(list)
)
def test_no_repr_shows_what_a_server_echoed(secret: str, where: list[str]) -> None:
    body: dict[str, object] = dict.fromkeys(where, secret)
    body["details"] = [{"field": secret, "message": secret}]
    for status in KINDS:
        assert secret not in repr(failure(status, body, Location=secret))
