"""webhooks.explain_mismatch: the cause of a signature that does not match is named where it can be."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi.webhooks import explain_mismatch, sign

VALUE = {"id": "evt_1", "event": "email.delivered", "data": {"subject": "Größe", "n": [1, 2.5]}}
BODY = json.dumps(VALUE, separators=(",", ":"), ensure_ascii=False).encode()
SPACED = json.dumps(VALUE).encode()


@pytest.mark.parametrize(
    ("received", "signed", "cause"),
    [
        (json.dumps(VALUE, indent=2).encode(), BODY, "written anew (the signed body is compact)"),
        (json.dumps(VALUE).encode(), BODY, "written anew (the signed body is compact)"),
        (BODY, SPACED, "with blanks after commas and colons, with escapes"),
        (BODY, json.dumps(VALUE, sort_keys=True).encode(), "sorted names"),
        (BODY, json.dumps(VALUE, indent=2, ensure_ascii=False).encode(), "indented by 2"),
        (BODY, SPACED + b"\n", "written anew"),
        (json.dumps(BODY.decode()).encode(), BODY, "JSON twice"),
        (BODY + b"\r\n", BODY, "white space at its ends"),
        (BODY, BODY + b"\n", "a line break"),
        (BODY.replace(b",", b",\r\n"), BODY.replace(b",", b",\n"), "changed to CRLF"),
        (BODY.replace(b",", b",\n"), BODY.replace(b",", b",\r\n"), "changed from CRLF"),
        (b"\xef\xbb\xbf" + BODY, BODY, "byte order mark"),
        (BODY.decode().encode("latin-1"), BODY, "encoded anew, in latin-1"),
        (BODY.decode().encode("utf-16"), BODY, "encoded anew, in utf-16"),
    ],
)
def test_a_body_that_was_changed_is_named_with_the_change(received: bytes, signed: bytes, cause: str) -> None:
    found = explain_mismatch(sign(signed, secret="whsec_1"), received, secret=["old", "whsec_1"])
    assert found is not None
    assert found.startswith("the body was changed after it was signed")
    assert cause in found


@pytest.mark.parametrize(
    ("ours", "theirs", "cause"),
    [
        (" whsec_1", b"whsec_1", "white space"),
        ("whsec_1", b"whsec_1\n", "line break or blank at its end (LF)"),
        ("whsec_1", b"whsec_1\r\n", "(CRLF)"),
        ('"whsec_1"', b"whsec_1", "quotation marks"),
        ("whsec_1", b"1", "has no whsec_"),
        ("1", b"whsec_1", "has whsec_"),
        ("WHSEC_1", b"whsec_1", "case"),
        ("whsec_" + base64.b64encode(b"\xffkey").decode(), b"\xffkey", "base64"),
        ("6b6579ff", b"key\xff", "hexadecimal"),
    ],
)
def test_a_secret_that_is_nearly_right_is_named_with_the_difference(ours: str, theirs: bytes, cause: str) -> None:
    import hashlib
    import hmac

    signature = "sha256=" + hmac.new(theirs, BODY, hashlib.sha256).hexdigest()
    found = explain_mismatch(signature, BODY, secret=ours)
    assert found is not None
    assert found.startswith("it is the secret: ")
    assert cause in found


def test_a_signature_of_another_form_is_named() -> None:
    for signature in ("", "md5=0", "sha256=123", "0" * 64):
        assert "64 hexadecimal digits" in str(explain_mismatch(signature, BODY, secret="s"))


def test_no_cause_is_made_up() -> None:
    assert explain_mismatch(sign(BODY, secret="other"), BODY, secret="whsec_1") is None
    assert explain_mismatch(sign(BODY, secret="s"), b"{" * 2_000_000, secret="s") is None
    assert explain_mismatch(sign(BODY, secret="s"), b"[" * 500 + b"]" * 500, secret="s") is None
    assert explain_mismatch(sign(BODY, secret="s"), BODY, secret="s") == "the signature matches the body"


@given(st.text(), st.binary(), st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), min_size=1))
def test_it_never_raises_for_what_was_sent(signature: str, body: bytes, secret: str) -> None:
    for given_signature in (signature, sign(body + b"x", secret=secret)):
        found: Any = explain_mismatch(given_signature, body, secret=secret)
        assert found is None or isinstance(found, str)


@pytest.mark.parametrize("secret", ["whsec_1\n", "a\rb", ["whsec_1", "x\n"], "a\0"])
def test_a_secret_with_a_line_break_is_refused(secret: Any) -> None:  # noqa: ANN401 - as a caller may
    from msgapi import webhooks

    async def handle(_: object) -> None: ...

    with pytest.raises(ValueError, match="line break"):
        _ = webhooks.read({}, b"", secret=secret)
    with pytest.raises(ValueError, match="line break"):
        _ = webhooks.asgi(handle, secret=secret)
    with pytest.raises(ValueError, match="line break"):
        _ = webhooks.aiohttp(handle, secret=secret)


def test_a_secret_that_is_no_string_is_a_type_error() -> None:
    several: Any = ["whsec_1", 5]
    with pytest.raises(TypeError, match="must be a string"):
        _ = sign(b"", secret=several)
