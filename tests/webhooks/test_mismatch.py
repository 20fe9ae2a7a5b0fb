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
        ('"whsec_1"', b"whsec_1", "it has quotation marks"),
        ("'whsec_1'", b"whsec_1", "it has quotation marks"),
        ("whsec_1", b'"whsec_1"', "the sender's has quotation marks"),
        ("whsec_1", b"'whsec_1'", "the sender's has quotation marks"),
        ("whsec_1", b"whsec_1\\n", "(a backslash and n)"),
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


@pytest.mark.parametrize(
    ("signature", "cause"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("md5=0", "is not `sha256=` and 64"),
        ("sha256=123", "is not `sha256=` and 64"),
        ("0" * 64, "lacks `sha256=`"),
        (f"sha256={'0' * 64}, sha256={'1' * 64}", "several signatures"),
    ],
)
def test_a_signature_of_another_form_is_named(signature: str, cause: str) -> None:
    for given_signature in (
        signature,
        {"x-arowana-signature": signature},
        {b"X-Arowana-Signature": signature.encode()},
    ):
        found: Any = given_signature
        assert cause in str(explain_mismatch(found, BODY, secret="s"))


@pytest.mark.parametrize(
    ("headers", "cause"),
    [
        ({}, "a proxy or web server before yours may have removed it"),
        ({"Host": "x"}, "a proxy or web server before yours may have removed it"),
        ({"HTTP_X_AROWANA_SIGNATURE": "x", "CONTENT_TYPE": ""}, "not its environment"),
        ({"X_Arowana_Signature": "x"}, "has renamed it"),
        ({"Host": "x", "X-Hub-Signature-256": "x"}, "but 'X-Hub-Signature-256'"),
    ],
)
def test_a_header_that_is_missing_is_named_with_what_there_is(headers: dict[str, str], cause: str) -> None:
    in_bytes = {name.encode(): value.encode() for name, value in headers.items()}
    for given_headers in (headers, in_bytes):
        found: Any = given_headers
        explained = str(explain_mismatch(found, BODY, secret="s"))
        assert explained.startswith("there is no X-Arowana-Signature header")
        assert cause in explained


def test_of_several_secrets_the_one_that_fits_is_named_by_its_position() -> None:
    secrets = ["old", '"new"', "other"]
    assert explain_mismatch(sign(BODY, secret="other"), BODY, secret=secrets) == (
        "the signature matches the body (secret 3 of 3)"
    )
    assert explain_mismatch(sign(BODY, secret="new"), BODY, secret=secrets) == (
        "it is the secret: it has quotation marks around it (secret 2 of 3)"
    )
    assert "white space at its ends" in str(explain_mismatch(sign(BODY, secret="old"), BODY + b"\n", secret=secrets))
    assert "(secret 1 of 3)" in str(explain_mismatch(sign(BODY, secret="old"), BODY + b"\n", secret=secrets))


def test_a_changed_body_and_a_wrong_secret_at_once_are_both_named() -> None:
    signature = sign(BODY, secret="whsec_1")
    found = str(explain_mismatch(signature, SPACED, secret=["old", " whsec_1"]))
    assert "written anew (the signed body is compact)" in found
    assert "; and it is the secret: it has white space at its ends (secret 2 of 2)" in found
    assert explain_mismatch(signature, SPACED, secret=" whsec_1", combined=False) is None
    long = json.dumps({**VALUE, "more": "x" * 2**17}, separators=(",", ":"), ensure_ascii=False).encode()
    assert explain_mismatch(sign(long, secret="whsec_1"), long + b"\n", secret=" whsec_1") is None
    assert "white space" in str(explain_mismatch(sign(long, secret="whsec_1"), long + b"\n", secret="whsec_1"))


def test_an_empty_body_is_named() -> None:
    assert "the body is empty" in str(explain_mismatch(sign(BODY, secret="s"), b"", secret="s"))
    assert explain_mismatch(sign(b"", secret="s"), b"", secret="s") == "the signature matches the body"


def test_no_text_quotes_a_secret_a_signature_or_the_body() -> None:
    for secret, body in (("whsec_hush ", BODY), ("whsec_hush", SPACED), ('"whsec_hush"', SPACED)):
        found = str(explain_mismatch(sign(BODY, secret="whsec_hush"), body, secret=secret))
        assert found != "None"
        assert "hush" not in found
        assert "evt_1" not in found


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
