"""Phone numbers: what is normalised, what is refused and why, and that digits do not change."""

import re
from collections.abc import Iterator
from unicodedata import decimal
from unittest import mock

import phonenumbers
import pytest
from attrs import evolve
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from msgapi import recipients
from msgapi.recipients import CHANGES, Normalized, Recipient, RefusedRecipient, national, normalize, phone
from msgapi.recipients.country_codes import is_possible, regions
from msgapi.sandbox import MAGIC_RECIPIENTS

MOBILE = "+4915100000001"


def text_of(given: str, region: str | None = None) -> str:
    found = normalize(given, region, kind="phone")
    assert isinstance(found, Recipient), found
    assert found.kind == "phone"
    return found.text


def reason_of(given: object, region: str | None = None) -> str:
    found = normalize(given, region, kind="phone")
    assert isinstance(found, RefusedRecipient), found
    assert not re.search(r"[0-9]{5}", found.message), "a message quotes no number"
    return found.reason


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ("+4915100000001", ()),
        (" +49 151 0000 0001\t", ("spaces",)),
        ("+49\u00a0151\u202f0000\u20090001", ("spaces",)),
        ("+49-151-0000-0001", ("punctuation",)),
        ("+49\u2010151\u20110000\u20130001", ("punctuation",)),
        ("+49.151.0000.0001", ("punctuation",)),
        ("+49/151/00000001", ("punctuation",)),
        ("+49 (151) 0000 0001", ("spaces", "punctuation")),
        ("(+49) 15100000001", ("spaces", "punctuation")),
        ("+49 \uff08151\uff09 00000001", ("spaces", "punctuation")),
        ("+49 (0)151 00000001", ("spaces", "bracketed_zero")),
        ("+49 (0) 151 / 0000 0001", ("spaces", "punctuation", "bracketed_zero")),
        ("0049 ( 0 ) 151 00000001", ("spaces", "double_zero", "bracketed_zero")),
        ("004915100000001", ("double_zero",)),
        ("00 49 151 0000 0001", ("spaces", "double_zero")),
        ("\ufeff+4915100000001", ("invisible",)),
        ("+49151\u200b00000001\u00ad", ("invisible",)),
        ("\u202a+4915100000001\u202c", ("invisible",)),
        ("\u200e+49151 00000001", ("spaces", "invisible")),
        ("\uff0b\uff14\uff19\uff11\uff15\uff11\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff11", ("digits",)),
        ("+\u0664\u0669\u0661\u0665\u0661\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0661", ("digits",)),
        ("tel:+49-151-00000001", ("punctuation", "prefix")),
        ("TEL: +4915100000001", ("prefix",)),
        ("tel://+4915100000001", ("prefix",)),
        ("whatsapp:+4915100000001", ("prefix",)),
        ("p:+4915100000001", ("prefix",)),  # the lead forms of Facebook
        ("'+4915100000001", ("spreadsheet",)),
        ("\u2019+4915100000001", ("spreadsheet",)),
        ("'+4915100000001'", ("spreadsheet",)),
        ("\u201c+4915100000001\u201d", ("spreadsheet",)),
        ("\u201e+4915100000001\u201c", ("spreadsheet",)),
        ('="+4915100000001"', ("spreadsheet",)),
        ('"=""+4915100000001"""', ("spreadsheet",)),
        ("=+4915100000001", ("spreadsheet",)),
        ('"+4915100000001"', ("spreadsheet",)),
        ("+4915100000001.0", ("decimal",)),
        ("4915100000001.0", ("decimal", "lost_plus")),
        ("4915100000001", ("lost_plus",)),
        ("+4915100000001,", ("punctuation",)),
    ],
)
def test_what_surrounds_a_number_is_removed_and_said(given: str, changes: tuple[str, ...]) -> None:
    found = normalize(given)
    assert isinstance(found, Recipient)
    assert (found.text, found.changes) == (MOBILE, changes)
    assert (found.metadata is None) == ("lost_plus" not in changes), "only a guess about the country needs the library"
    assert "151" not in repr(found)


@pytest.mark.parametrize(
    ("given", "region", "expected"),
    [
        ("0151 00000001", "DE", MOBILE),
        ("0151/00000001", "de", MOBILE),
        ("(0)151 00000001", "Germany", MOBILE),
        ("0151 00000001", "Deutschland", MOBILE),
        ("0151 00000001", " deu ", MOBILE),
        ("15112345678", "DE", "+4915112345678"),
        ("15112345678.0", "DE", "+4915112345678"),
        ("1701234567", "DE", "+491701234567"),
        ("4915112345678", "DE", "+4915112345678"),
        ("030 12345-0", "DE", "+4930123450"),
        ("07700 900123", "UK", "+447700900123"),
        ("(415) 555-0100", "US", "+14155550100"),
        ("1 415 555 0100", "US", "+14155550100"),
        ("011 49 151 00000001", "US", MOBILE),
        ("0011 49 151 00000001", "AU", MOBILE),
        ("0049 151 00000001", "US", MOBILE),
        ("06 1234 5678", "IT", "+390612345678"),
        ("333 1234567", "IT", "+393331234567"),
        ("393331234567", "IT", "+393331234567"),
        ("8 916 123-45-67", "RU", "+79161234567"),
        ("9161234567", "RU", "+79161234567"),
        ("06 20 123 4567", "HU", "+36201234567"),
        ("612 345 678", "ES", "+34612345678"),
        ("12 34 56 78", "DK", "+4512345678"),
        ("20-11-20-30", "DK", "+4520112030"),
        ("- 0151 / 123 45 678", "DE", "+4915112345678"),
        ("090-1234-5678", "JP", "+819012345678"),
        ("010 49 151 00000001", "JP", MOBILE),
        ("33612345678", "FR", "+33612345678"),
        ("436641234567", "DE", "+436641234567"),
        ("+44 7700 900123", "DE", "+447700900123"),
    ],
)
def test_a_number_without_a_country_code_is_completed_by_its_region(given: str, region: str, expected: str) -> None:
    assert text_of(given, region) == expected


@pytest.mark.parametrize(
    ("given", "region", "reason"),
    [
        (None, None, "not_text"),
        (4915100000001, None, "not_text"),
        ("", None, "empty"),
        (" \u200b ", None, "empty"),
        ("''", None, "empty"),
        ("ann@example.org", None, "email"),
        ("4.91510E+12", None, "scientific"),
        ("4,9151e12", "DE", "scientific"),
        ("3.24238227E-09", "DE", "scientific"),
        ("-4,9151e12", None, "scientific"),
        ("2026-11-30", "DE", "date"),
        ("30.11.2026", "DE", "date"),
        ("1/2/1990", "GB", "date"),
        ("11/30/2026", None, "date"),
        ("2026-11-30 10:00:00", "DK", "date"),
        ("2026-11-30T10:00:00Z", "DK", "date"),
        ("-15112344952", "DE", "negative"),
        ("\u22124915112345678", None, "negative"),
        ("15112344952-", "DE", "negative"),
        ("+4915100000001 / +4915100000009", None, "several"),
        ("+49 30 12345 / 0151 1234567", None, "several"),
        ("+4915100000001, +4915100000009", None, "several"),
        ("+4915100000001 ::: +4915100000009", None, "several"),
        ("0151 1234567 or 0170 1234567", "DE", "several"),
        ("0151 1234567\n0170 1234567", "DE", "several"),
        ("+49 151 1234567/8", None, "several"),
        ("+49 151 1234567 ext 5", None, "extension"),
        ("+49 151 1234567 x5", None, "extension"),
        ("tel:+49-151-1234567;ext=5", None, "extension"),
        ("n/a", None, "words"),
        ("#N/A", None, "words"),
        ("keine", None, "words"),
        ("...", None, "words"),
        ("+1 800 FLOWERS", None, "words"),
        ("Tel.: +49 151 12345678", None, "scheme"),
        ("+49 151 * 12345678", None, "character"),
        ("+49 151\ufffd12345678", None, "character"),
        ("+49 151\u00b212345678", None, "character"),
        ("+49151\x0012345678", None, "character"),
        ("+49151\ud80012345678", None, "character"),
        ("++4915112345678", None, "plus"),
        ("49 151+12345678", None, "plus"),
        ("0151 00000001", None, "no_country"),
        ("14155550100", None, "no_country"),
        ("819012345678", None, "no_country"),
        ("447700900123", "DE", "no_country"),
        ("1234567", "DE", "no_country"),
        ("15122345678", "DE", "ambiguous"),
        ("33612345678", "DE", "ambiguous"),
        ("04915112345678", "DE", "ambiguous"),
        ("0151 00000001", "Atlantis", "unknown_region"),
        ("+49015100000001", None, "leading_zero"),
        ("+49 (0151) 00000001", None, "leading_zero"),
        ("+81 090 1234 5678", None, "leading_zero"),
        ("+0049 151 00000001", None, "leading_zero"),
        ("00049 151 00000001", None, "leading_zero"),
        ("+34 (0)612345678", None, "bracketed_zero"),
        ("+999 12345678", None, "country_code"),
        ("+1 123 456 7890", None, "country_code"),
        ("0011 161 412 34567", "AU", "country_code"),
        ("+4915", None, "length"),
        ("+49123", None, "length"),
        ("+1234567", None, "length"),
        ("+1 415 555 01000", None, "length"),
        ("+7 123 456 789 012", None, "length"),
        ("+49 151 1234567 0170 1234567", None, "length"),
        ("0151 1234567 0170 1234567", "DE", "length"),
        ("1" + " " * 10**6 + "1", "DE", "length"),
        ("110", "DE", "length"),
        ("0110", "GB", "length"),
        ("45 12 34 56 78", "DK", "length"),
        ("011 15 2345-6789", "AR", "length"),
        ("0 15 11 91234-5678", "BR", "length"),
        ("8 8869073", "BY", "digits_differ"),
    ],
)
def test_what_is_no_number_or_would_need_a_guess_is_refused_with_its_reason(
    given: object, region: str | None, reason: str
) -> None:
    assert reason_of(given, region) == reason


def test_a_number_that_the_library_cannot_parse_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: str) -> None:
        raise phonenumbers.NumberParseException(0, number)

    monkeypatch.setattr(phonenumbers, "parse", fail)
    assert reason_of("011 2345-6789", "AR") == "digits_differ"


def test_a_zero_in_brackets_stays_where_numbers_begin_with_it() -> None:
    assert text_of("+39 (0)6 12345678") == "+390612345678"


def test_recipients_with_faults_of_the_sandbox_are_possible() -> None:
    for one in MAGIC_RECIPIENTS:
        assert normalize(one.phone) == Recipient(one.phone, "phone")
        assert normalize(one.email) == Recipient(one.email, "email")


GOLDEN = {
    ("+49 (0)151 0000 0001", None): "+4915100000001",
    ("0049 151 00000001", None): "+4915100000001",
    ("+39 (0)6 12345678", None): "+390612345678",
    ("+44 (0)7700 900123", None): "+447700900123",
    ("0151 00000001", "DE"): "+4915100000001",
    ("07700 900123", "GB"): "+447700900123",
}


@pytest.mark.parametrize(("given", "expected"), GOLDEN.items(), ids=str)
def test_the_numbers_by_which_rows_are_identified_stay_the_same(given: tuple[str, str], expected: str) -> None:
    """If this has to change, the version of the rule for row ids has to change, too (`journal.resumption`)."""
    assert text_of(*given) == expected


SIGNS = "0123456789+-./() \u00a0\u200b\uff10\u0660\u0665,;'\"=eE:#xat\n"
REGIONS = st.sampled_from([None, "DE", "US", "IT", "RU", "AR", "JP", "HU", "ES", "xx", ""])


@settings(max_examples=200)
@given(st.text(alphabet=st.sampled_from(SIGNS), max_size=24) | st.text(max_size=20), REGIONS)
def test_no_text_raises_and_the_result_stays_as_it_is(given: str, region: str | None) -> None:
    found = normalize(given, region)
    if isinstance(found, Recipient):
        assert normalize(found.text, region) == Recipient(found.text, found.kind)
        assert set(found.changes) <= set(CHANGES)
        assert bool(found.changes) == (found.text != given)


USUAL = st.builds(
    lambda head, parts: head + "".join(parts),
    st.sampled_from(["", "+", "0", "00", "+49 ", "(0151) ", "+49 (151)", "(0)", "+49 (0)", "19", "01-02-", "1/"]),
    st.lists(st.from_regex(r"[ /()-]{0,2}[0-9]{1,5}", fullmatch=True), min_size=1, max_size=6),
)


def full(given: str, region: str | None) -> Normalized:
    """Return what all steps make of *given*."""
    with mock.patch.object(phone, "_is_usual", return_value=False):
        return phone.normalize_phone(given, region)


@settings(max_examples=1_000)
@given(USUAL, REGIONS)
def test_a_number_of_the_usual_form_is_what_all_steps_make_of_it(given: str, region: str | None) -> None:
    assert normalize(given, region, kind="phone") == full(given, region)


@pytest.mark.parametrize(
    ("given", "region", "is_usual"),
    [
        ("+49 151 0000-0001", None, True),
        ("0049 (151) 00000001", None, True),
        ("(0151) 0000 0001", "DE", True),
        ("0151/00000001", "DE", True),
        ("+49 (0)151 00000001", None, False),
        ("+49151000000/01", None, False),
        ("0151 00000001 / 02", "DE", False),
        ("2026-12-01", "DE", False),
        ("1510000000.00", "DE", False),
        ("0151 00000001 ", "DE", False),
        ("0151\u00a000000001", "DE", False),
        ("0151 \u06600000001", "DE", False),
        ("0151 00000001\n", "DE", False),
        ("0151 0000" + " 0001" * 50, "DE", False),
    ],
)
def test_the_usual_form_is_one_number_with_its_noise(given: str, region: str | None, *, is_usual: bool) -> None:
    assert phone._is_usual(given) is is_usual
    assert normalize(given, region, kind="phone") == full(given, region)


def numbers_of(region: str) -> Iterator[str]:
    """Yield examples of the numbers of *region* without prefix, and others that differ in one digit or in length."""
    kinds = [one for one in vars(phonenumbers.PhoneNumberType).values() if isinstance(one, int)]
    examples = [phonenumbers.example_number_for_type(region, one) for one in kinds]
    for number in {phonenumbers.national_significant_number(one) for one in examples if one is not None}:
        yield from (number, f"{number}7", f"0{number[1:]}", f"{number[:3]}1{number[4:]}")


@pytest.mark.parametrize("region", regions())
def test_a_number_that_the_parser_is_not_asked_about_is_what_the_parser_makes_of_it(region: str) -> None:
    known = national._region(region)
    asked = evolve(known, stripped=re.compile(""))
    for number in numbers_of(region):
        for digits in {known.trunk + number, number}:
            with mock.patch.object(national, "_region", return_value=asked):
                expected = national.complete(digits, region)
            assert national.complete(digits, region) == expected


@settings(max_examples=500)
@given(st.sampled_from([*regions()]), st.data())
def test_the_parser_keeps_the_digits_of_a_number_that_does_not_begin_with_what_it_removes(
    region: str, data: st.DataObject
) -> None:
    known = national._region(region)
    length = data.draw(st.sampled_from(sorted(known.code.lengths)))
    digits = data.draw(st.from_regex(rf"[1-9][0-9]{{{length - 1}}}", fullmatch=True))
    number = f"+{known.code.code}{digits}"
    assume(is_possible(number) and not known.stripped.match(digits))
    assert not national._changes_digits(number)


def digits_of(text: str) -> str:
    return "".join(str(decimal(sign)) for sign in text if sign.isdecimal())


@settings(max_examples=200)
@given(st.text(alphabet=st.sampled_from("0123456789" * 3 + "+-./() \u0660\uff11'"), min_size=7, max_size=20), REGIONS)
def test_a_number_keeps_its_digits(given: str, region: str | None) -> None:
    found = normalize(given, region, kind="phone")
    if not isinstance(found, Recipient):
        return
    before, after = digits_of(given), digits_of(found.text)
    if "bracketed_zero" in found.changes:
        assert sorted(before.removeprefix("00") if "double_zero" in found.changes else before) == sorted("0" + after)
    elif found.metadata is None:
        assert after == (before[2:] if "double_zero" in found.changes else before)
    else:
        national = found.text[1:]
        while national and not before.endswith(national):
            national = national[1:]
        assert len(national) >= 4
        assert len(before) - len(national) <= 4, "at most the prefix of the national format, or of another country"


NOISE = st.lists(st.sampled_from(["", " ", "-", ".", "\u00a0", "\u200b"]), min_size=11, max_size=11)


@settings(max_examples=100)
@given(st.integers(10**7, 10**10), st.sampled_from(["+49", "0049", "+49 (0)"]), NOISE)
def test_noise_in_a_number_with_a_country_code_changes_nothing(number: int, head: str, noise: list[str]) -> None:
    plain = normalize(f"+49{number}")
    found = normalize(head + "".join(f"{digit}{noise[at]}" for at, digit in enumerate(f"{number}")))
    if isinstance(plain, Recipient):
        assert isinstance(found, Recipient)
        assert found.text == plain.text
    else:
        assert found == plain


def test_the_module_is_loaded_on_first_use() -> None:
    import msgapi

    assert msgapi.recipients is recipients


def test_a_very_long_text_in_many_quotes_is_refused_at_once() -> None:
    for sign in ("`", '"', "\u2019"):
        assert reason_of(f"{sign * 200_000}{MOBILE}") == "length"
