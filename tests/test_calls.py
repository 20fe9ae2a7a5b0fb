"""calls: one operation as a value."""

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID

import pytest

from msgapi import Balance, Call, Detail, Invalid
from msgapi.calls import new_key

KEY = "0b8f7c0e-8a52-4b0e-9f57-6a1f7a0c9e11"


@pytest.mark.parametrize(
    ("method", "key", "repeatable"),
    [
        ("GET", None, True),
        *((method, None, False) for method in ("DELETE", "PUT", "PATCH", "POST")),
        *((method, KEY, True) for method in ("DELETE", "PUT", "PATCH", "POST")),
    ],
)
def test_a_call_that_changes_something_may_be_repeated_only_with_a_key(
    method: str, key: str | None, repeatable: bool
) -> None:
    assert Call(method, "/v1/x", Balance, idempotency_key=key).repeatable is repeatable


def test_the_band_is_the_kind_of_endpoint_whatever_the_id() -> None:
    assert Call("GET", "/v1/messages/msg_1", Balance).endpoint_class == "GET messages"
    assert Call("POST", "/v1/messages", Balance).endpoint_class == "POST messages"
    assert Call("GET", "/healthz", Balance).endpoint_class == "GET"


def test_the_target_percent_encodes_the_query() -> None:
    assert (
        Call("GET", "/v1/messages", Balance, (("to", "a b+c"), ("x", "ü"))).target
        == "/v1/messages?to=a%20b%2Bc&x=%C3%BC"
    )
    assert Call("GET", "/v1/messages", Balance).target == "/v1/messages"


def test_a_call_shows_its_route_and_its_key_and_nothing_of_query_and_body() -> None:
    call = Call("POST", "/v1/messages", Balance, (("to", "+4915112345678"),), b"secret", KEY)
    assert repr(call) == f"Call(POST /v1/messages -> Balance, key='{KEY}')"


def test_a_key_that_was_made_from_something_else_is_hidden() -> None:
    assert repr(Call("POST", "/v1/x", Balance, idempotency_key="otp-+4915112345678")).endswith("key=***)")


def test_a_recipient_in_the_path_is_hidden() -> None:
    assert repr(Call("GET", "/v1/messages/+4915112345678", Balance)) == "Call(GET /v1/messages/*** -> Balance)"


def test_a_call_says_that_its_input_is_bad() -> None:
    call = Call("POST", "/v1/x", Balance, invalid=Invalid(details=(Detail("to", "secret"),)))
    assert "invalid" in repr(call).lower()
    assert "secret" not in repr(call)


def test_a_call_survives_pickle() -> None:
    call = Call("POST", "/v1/x", Balance, (("a", "b"),), b"{}", KEY)
    assert pickle.loads(pickle.dumps(call)) == call  # noqa: S301 - our own bytes


FORK = """
import os
from msgapi.calls import new_key
_ = [new_key() for _ in range(3)]
read, write = os.pipe()
if not os.fork():
    os.write(write, " ".join(new_key() for _ in range(40)).encode())
    os._exit(0)
own = [new_key() for _ in range(40)]
os.wait()
print(*own, os.read(read, 4096).decode())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_no_key_of_a_forked_process_is_one_of_its_parent() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)  # noqa: S603
    assert len(set(done.stdout.split())) == 80


def test_threads_never_get_the_same_key() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = [key for keys in pool.map(lambda _: [new_key() for _ in range(2000)], range(8)) for key in keys]
    assert len(set(found)) == len(found)


def test_every_new_key_is_another_uuid() -> None:
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(UUID(key).version == 4 for key in keys)


def test_a_key_has_122_random_bits() -> None:
    keys = [UUID(new_key()) for _ in range(1000)]
    assert {key.variant for key in keys} == {RFC_4122}
    varying = 0
    for key in keys:
        varying |= key.int ^ keys[0].int
    assert varying.bit_count() == 122
