"""The table of country codes: what it says, and how far it is from the installed metadata."""

import phonenumbers
import pytest

from msgapi.recipients import country_codes, find_region
from msgapi.recipients.country_codes import is_possible, regions
from tests.support.country_codes import beginnings, rows


def test_the_table_has_the_shape_of_its_metadata() -> None:
    stored = country_codes.TABLE.strip().splitlines()
    now = list(rows())
    if phonenumbers.__version__ == country_codes.VERSION:
        assert stored == now
    # Another version of the library does not break the tests: few lines differ from one to the next.
    assert len(set(stored) & set(now)) / len(now) > 0.9


def test_the_table_agrees_with_the_library_about_examples_of_every_region() -> None:
    mobile, as_e164 = phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberFormat.E164
    every = [phonenumbers.example_number_for_type(region, mobile) for region in phonenumbers.SUPPORTED_REGIONS]
    examples = [phonenumbers.format_number(one, as_e164) for one in every if one is not None]
    assert len(examples) > 200
    assert sum(map(is_possible, examples)) / len(examples) > 0.95, "a few numbers are shorter than the service takes"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "+4",
        "4915100000001",
        "+49151000\u0660\u0660001",
        "+49 15100000001",
        "+4915100000001\n",
        "+\u0664915100000001",
    ],
)
def test_only_ascii_digits_after_a_plus_are_possible(text: str) -> None:
    assert not is_possible(text)


def test_the_prefixes_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(country_codes, "_MOST_KEPT", 3)
    monkeypatch.setattr(country_codes, "_masks", {})
    assert all(is_possible(f"+4915{at}00000001") for at in range(10))
    assert len(country_codes._masks) <= 3


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("DE", "DE"),
        (" de ", "DE"),
        ("DEU", "DE"),
        ("Germany", "DE"),
        ("\u00f6sterreich", "AT"),
        ("United  Kingdom", "GB"),
        ("uk", "GB"),
        ("EL", "GR"),
        ("", None),
        ("49", None),
        ("Atlantis", None),
    ],
)
def test_a_region_is_found_by_code_or_name(text: str, region: str | None) -> None:
    assert find_region(text) == region


def test_every_name_is_that_of_one_region() -> None:
    names = [name for line in country_codes.NAMES.strip().splitlines() for name in line.split(" ", 1)[1].split("|")]
    assert len({name.casefold() for name in names}) == len(names)
    assert {line.split(" ", 1)[0] for line in country_codes.NAMES.strip().splitlines()} <= regions().keys()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (
            r"0?[12]\d{3}",
            {"01", "02", *(f"{at}" for at in range(10, 30))},
        ),
        (r"(?:1|23)(?:4){2,3}", {"14", "23"}),
        (r"[3-5]", {"3", "4", "5"}),
    ],
)
def test_the_first_digits_of_a_pattern_are_found(pattern: str, expected: set[str]) -> None:
    assert beginnings(pattern) == expected


def test_an_operation_that_is_not_known_is_an_error() -> None:
    with pytest.raises(NotImplementedError):
        _ = beginnings("(?=1)1")
