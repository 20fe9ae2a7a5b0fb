"""privacy: what of a value may be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi.redact import HIDDEN, hidden, key, mask, word

NUMBERS = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("call +4915112345678 now", "call *** now"),
        ("+49 (151) 123-45678", "***"),
        ("0151.123456", "***"),
        ("ann@example.org,bob+x@münchen.example", "***,***"),
        ("<ann@example.org>", "<***>"),
        ("msg_123456789", "msg_123456789"),
        ("12345", "12345"),
        ("123456", "***"),
        ("503 after 10.5 s", "503 after 10.5 s"),
        ("connect to 127.0.0.1:8080: refused", "connect to 127.0.0.1:8080: refused"),
        ("[::1]:443 and 192.168.100.200:65535", "[::1]:443 and 192.168.100.200:65535"),
        ("192.168.100.200", "***"),
        ("192.168.100.300:80", "***:80"),
        ("+49.151.12.34:80", "***:80"),
        ("49.151.12.34:123456", "***:***"),
        ("49.151.12.34.56:80", "***:80"),
        ("", ""),
    ],
)
def test_addresses_and_numbers_are_masked_and_ids_stay(text: str, masked: str) -> None:
    assert mask(text) == masked


@given(NUMBERS, st.text(st.characters(categories=["P", "Z"])))
def test_a_number_is_masked_wherever_it_stands(number: str, around: str) -> None:
    assert number[1:] not in mask(f"{around} {number} {around}")


@pytest.mark.parametrize("text", ["", "insufficient_balance", "content.suggestions[0].reply.text", "$.a", "x" * 80])
def test_a_word_of_a_machine_is_shown(text: str) -> None:
    assert word(text) == repr(text)


@pytest.mark.parametrize(
    "text", ["two words", "ann@example.org", "+4915112345678", "a4915112345678", "x" * 81, "a\nb", "1a", "ä", "a'b"]
)
def test_anything_else_is_hidden(text: str) -> None:
    assert word(text) == HIDDEN


@given(NUMBERS, st.text(max_size=5), st.text(max_size=5))
def test_no_word_shows_a_number(number: str, before: str, after: str) -> None:
    assert number[1:] not in word(f"{before}{number}{after}")
    assert number[1:] not in word(f"{before}{number[1:]}{after}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, "None"),
        ("1b4e28ba-2fa1-41d2-883f-0016d3cca427", "'1b4e28ba-2fa1-41d2-883f-0016d3cca427'"),
        ("1b4e28ba-2fa1-41d2-883f-0016d3cca427\n", HIDDEN),
        ("order-4711", HIDDEN),
        ("", HIDDEN),
    ],
)
def test_a_key_is_shown_if_it_is_a_uuid(text: str | None, shown: str) -> None:
    assert key(text) == shown


@pytest.mark.parametrize(("value", "shown"), [(None, "None"), ("", "''"), ("x", HIDDEN), (5, HIDDEN), ({}, HIDDEN)])
def test_a_hidden_value_shows_only_whether_it_is_there(value: object, shown: str) -> None:
    assert hidden(value) == shown


@pytest.mark.parametrize(
    "path", ["/v1/contacts/%2B4915112345678", "/v1/contacts/+4915112345678", "/a/%2b4915112345678"]
)
def test_a_number_in_a_path_is_hidden_however_its_plus_is_written(path: str) -> None:
    assert "4915112345678" not in mask(path)
