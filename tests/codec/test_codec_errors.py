"""codec: error values, which are kept in files and cross process boundaries."""

import pickle
from typing import Any, cast, get_args

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import (
    ApiError,
    Balance,
    Conflict,
    Detail,
    Forbidden,
    InsufficientBalance,
    Invalid,
    Meta,
    NotFound,
    NotSent,
    RateLimit,
    ServerFault,
    Throttled,
    Unanswered,
    Unauthorized,
    Unavailable,
    Unexpected,
    Unprocessable,
    Unreadable,
)
from msgapi.codec import Problems, to_json
from msgapi.codec.json import error_from_json
from tests.support.strategies import JSON

COUNTS = st.none() | st.integers(0, 2**53)
SECONDS = st.floats(0, 1e9)
AMOUNTS = st.none() | st.decimals(allow_nan=False, allow_infinity=False)
EXTRA = st.dictionaries(st.text(), JSON, max_size=3)
DETAILS = st.lists(st.builds(Detail, st.text(), st.text()), max_size=3).map(tuple)
METAS = st.builds(
    Meta,
    status=COUNTS,
    attempts=st.integers(0, 9),
    elapsed=SECONDS,
    idempotency_key=st.none() | st.text(),
    location=st.none() | st.text(),
    rate_limit=st.none() | st.builds(RateLimit, limit=COUNTS, remaining=COUNTS, reset=st.none() | SECONDS),
    server_time=st.none() | SECONDS,
    retry_after=st.none() | SECONDS,
)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "code": st.text(),
    "message": st.text(),
    "may_have_happened": st.booleans(),
    "meta": METAS,
    "extra": EXTRA,
    "from_service": st.booleans(),
    "own_words": st.booleans(),
}
AFTER = {"retry_after": st.none() | SECONDS}
OWN: dict[type, dict[str, st.SearchStrategy[Any]]] = {
    Invalid: {"details": DETAILS},
    Unauthorized: {},
    InsufficientBalance: {
        "balance": st.none() | st.builds(Balance, free=AMOUNTS, reserved=AMOUNTS, total=AMOUNTS),
        "required_amount": AMOUNTS,
        "topup_url": st.none() | st.text(),
    },
    Forbidden: {},
    NotFound: {},
    Conflict: {},
    Unprocessable: {"details": DETAILS},
    Throttled: AFTER,
    ServerFault: AFTER,
    Unavailable: AFTER,
    Unexpected: {},
    Unreadable: {"problems": st.lists(st.text(), max_size=3).map(tuple)},
    NotSent: {"reason": st.text()},
    Unanswered: {"reason": st.text()},
}
ERRORS: st.SearchStrategy[ApiError] = st.one_of(
    *(st.builds(cast("Any", kind), **COMMON, **own) for kind, own in OWN.items())
)


def test_every_kind_of_error_is_tried() -> None:
    assert set(OWN) == set(get_args(ApiError))
    for kind, own in OWN.items():
        assert {*COMMON, *own} == {one.name for one in attrs.fields(kind)}


@given(ERRORS)
def test_an_error_survives_json_and_pickle(error: ApiError) -> None:
    assert error_from_json(to_json(error)) == error
    assert pickle.loads(pickle.dumps(error)) == error  # noqa: S301 - our own bytes


@pytest.mark.parametrize("error", [NotSent("refused"), Unanswered("reset"), Unauthorized(), Invalid()])
def test_an_error_with_its_defaults_survives_json(error: ApiError) -> None:
    assert error_from_json(to_json(error)) == error


@pytest.mark.parametrize("value", [{}, {"kind": "Ok"}, {"kind": ["Invalid"]}, {"kind": None}, [], None, "Invalid"])
def test_what_is_no_error_is_a_problem(value: object) -> None:
    said = Detail("", "must be an object with the kind of an error")
    assert error_from_json(orjson.dumps(value)) == Problems((said,))


def test_a_broken_error_says_where() -> None:
    body = b'{"kind":"Invalid","details":[{"field":"to"}],"meta":{"attempts":"1"}}'
    found = error_from_json(body)
    assert isinstance(found, Problems)
    assert set(found.lines()) == {
        "is required @ $.details[0].message",
        "must be a whole number, not a string @ $.meta.attempts",
    }


SECRET = st.from_regex(r"[a-z]{6} [a-z]{6}", fullmatch=True)


@given(SECRET, st.sampled_from([*OWN]))
def test_no_repr_of_an_error_shows_a_sentence_or_a_recipient(secret: str, kind: type) -> None:
    number, address = "+4915112345678", f"{secret.replace(' ', '.')}@example.org"
    texts: dict[str, Any] = {"code": secret, "extra": {secret: secret}}
    if kind not in {NotSent, Unanswered}:  # their message is in words of this package
        texts |= {"message": secret, "meta": Meta(status=400)}
    own: dict[str, Any] = {
        "details": (Detail(secret, secret), Detail(number, secret), Detail(address, secret)),
        "topup_url": f"https://x.example/{secret}",
        "problems": (),
        "reason": f"to {number} or {address}",
    }
    error = kind(**texts, **{name: value for name, value in own.items() if name in OWN[kind]})
    for hidden in (secret, number, address):
        assert hidden not in repr(error)
