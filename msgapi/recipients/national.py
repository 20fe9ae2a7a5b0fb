"""Phone numbers without a country code, completed by the metadata of phonenumberslite. It is imported on first use.

Rules:
- A number is completed only if one reading is left. The readings are: the national format of the region; that without
  its leading 0, as spreadsheets write it; the way to dial another country from the region; and a number of any country
  that has lost its +.
- Digits never change: the result ends with the digits given, without the prefix of the national format.
- The parser of the library is asked only about a number that begins with what it may remove: it keeps the digits of
  any other.
- A number that may have lost its 0 or its + must be valid, not only possible.
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, final

from attrs import frozen

from ..config import needing_extra
from .cleaning import RecipientChange, RefusedRecipient
from .country_codes import CountryCode, find_country_code, is_possible, regions

if TYPE_CHECKING:
    from types import ModuleType

_LONGEST_FIXED: Final = 11  # digits of a national number that is not mobile; the metadata allow more
_NEVER: Final = r"(?!)"  # matches no text
_LEAST_ALONE: Final = 12  # digits from which a number without + may be one with a country code, in any region


@final
@frozen(repr=False)
class Completed:
    """A number in E.164, how it was completed, and the version of the *metadata*."""

    text: str
    change: RecipientChange
    metadata: str


@final
@frozen(eq=False, repr=False)
class _Region:
    """What the metadata say about the numbers of a region.

    *trunk* is the prefix of the national format, empty if there is none, and *dials* finds that for another country.
    *stripped* finds what the parser of the library may remove from a number with the country code.
    """

    code: CountryCode
    trunk: str
    dials: re.Pattern[str] | None
    stripped: re.Pattern[str]


@cache
def _region(region: str) -> _Region:
    library, code = load(), regions()[region]
    metadata = library.PhoneMetadata.metadata_for_region(region)
    # A number with a country code is parsed by the rules of the main region of the code.
    main = library.PhoneMetadata.metadata_for_region(library.region_code_for_country_code(int(code.code)))
    prefix = "" if main is None else main.national_prefix_for_parsing or _NEVER  # "": only the parser knows
    return _Region(
        code=code,
        trunk=metadata.national_prefix or "",
        dials=re.compile(metadata.international_prefix) if metadata.international_prefix else None,
        stripped=re.compile(prefix),
    )


def metadata_version() -> str:
    """Return the version of phonenumberslite that is installed."""
    return f"{load().__version__}"


def complete(digits: str, region: str) -> Completed | RefusedRecipient:
    """Return the number of *digits* that were written in *region*, without + or 00."""
    known = _region(region)
    code, trunk = known.code, known.trunk
    if trunk and digits.startswith(trunk) and (trunk != "1" or len(digits) not in code.lengths):
        return _complete_national(digits, digits[len(trunk) :], known)
    plain = _number(code, digits)
    alone = f"+{digits}"
    if not trunk or trunk == "1":
        # In the national format of the region a number begins with no prefix, so that nothing was lost.
        if is_possible(plain) and (_is_valid(plain) or not (is_possible(alone) and _is_valid(alone))):
            return _completed(plain, "national")
    elif _is_credible(plain, region):
        if is_possible(alone) and _is_valid(alone):
            return _AMBIGUOUS
        return _completed(plain, "lost_zero")
    if digits.startswith(code.code) and is_possible(alone) and _is_valid(alone):
        return _completed(alone, "lost_plus")
    return _dialled(digits, known) or complete_lost_plus(digits) or _unreadable(plain, trunk)


def complete_lost_plus(digits: str) -> Completed | None:
    """Return the number of *digits* if it can only be one with a country code that has lost its +, else None."""
    alone = f"+{digits}"
    code = find_country_code(digits)
    if len(digits) < _LEAST_ALONE or code is None or not is_possible(alone) or not _is_valid(alone):
        return None
    others = _mobile_regions().get(len(digits), ())
    if any(_is_credible(_number(regions()[one], digits), one) for one in others):
        return None
    return _completed(alone, "lost_plus")


@cache
def load() -> "ModuleType":
    """Import phonenumberslite. Raise ModuleNotFoundError with the extra if it is not installed."""
    with needing_extra("recipients.normalize", "cli", "phonenumbers"):
        import phonenumbers
    return phonenumbers


_AMBIGUOUS: Final = RefusedRecipient(
    "ambiguous",
    "may be a national number that has lost its leading 0, or a number of another country that has lost its +: "
    "write it with + and the country code",
)


def _complete_national(digits: str, rest: str, known: _Region) -> Completed | RefusedRecipient:
    code = known.code
    number = _number(code, rest)
    dialled = _dialled(digits, known)
    if dialled is not None and not (is_possible(number) and _is_valid(number)):
        return dialled
    if not is_possible(number):
        return _unreadable(number, "")
    if len(rest) >= _LEAST_ALONE and rest.startswith(code.code) and is_possible(f"+{rest}"):
        return RefusedRecipient("ambiguous", "has one 0 before the country code: write it with + or 00")
    if known.stripped.match(rest) and _changes_digits(number):
        return RefusedRecipient(
            "digits_differ", "is dialled with other digits from abroad: write it with + and the country code"
        )
    return _completed(number, "national")


def _dialled(digits: str, known: _Region) -> Completed | None:
    # As another country is dialled from the region, such as 011 in the United States.
    prefix = known.dials.match(digits) if known.dials else None
    if prefix is None:
        return None
    number = f"+{digits[prefix.end() :]}"
    return _completed(number, "double_zero") if is_possible(number) and _is_valid(number) else None


def _unreadable(number: str, trunk: str) -> RefusedRecipient:
    if is_possible(number) and trunk:
        return RefusedRecipient(
            "no_country",
            f"has neither a country code nor the leading {trunk} of its region: write it with + and the country code",
        )
    return RefusedRecipient(
        "length", "has more or fewer digits than a phone number of its region can have, or other first digits"
    )


def _completed(number: str, change: RecipientChange) -> Completed:
    return Completed(number, change, metadata_version())


def _number(code: CountryCode, digits: str) -> str:
    return f"+{code.code}{digits}"


def _parse(number: str) -> Any:  # noqa: ANN401 - of the library
    # Built, not parsed: parsing drops digits.
    code = find_country_code(number[1:])
    assert code is not None  # noqa: S101 - of a possible number
    rest = number[1 + len(code.code) :]
    zeros = len(rest) - len(rest.lstrip("0"))
    return load().PhoneNumber(
        country_code=int(code.code),
        national_number=int(rest),
        italian_leading_zero=zeros > 0 or None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


def _is_valid(number: str) -> bool:
    return bool(load().is_valid_number(_parse(number)))


def _changes_digits(number: str) -> bool:
    library = load()
    try:
        parsed = library.parse(number)
    except library.NumberParseException:
        return True
    return bool(library.format_number(parsed, library.PhoneNumberFormat.E164) != number)


def _is_credible(number: str, region: str) -> bool:
    # Valid in the region, and not one of the long numbers that exist in the metadata only.
    if not is_possible(number):
        return False
    library, parsed = load(), _parse(number)
    if not library.is_valid_number_for_region(parsed, region):
        return False
    kinds = library.PhoneNumberType
    is_mobile = library.number_type(parsed) in {kinds.MOBILE, kinds.FIXED_LINE_OR_MOBILE}
    return is_mobile or len(number) - 1 - len(regions()[region].code) <= _LONGEST_FIXED


@cache
def _mobile_regions() -> dict[int, list[str]]:
    # The regions with mobile numbers of a length from which a number may have lost its +.
    found = dict[int, list[str]]()
    for region in regions():
        metadata = load().PhoneMetadata.metadata_for_region(region)
        for length in metadata.mobile.possible_length or () if metadata.mobile else ():
            if length >= _LEAST_ALONE:
                found.setdefault(length, []).append(region)
    return found
