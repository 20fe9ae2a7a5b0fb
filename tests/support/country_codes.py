"""Makes the table of `msgapi/recipients/country_codes.py` from the metadata of phonenumberslite.

Run it as `python -m tests.support.country_codes`.
"""

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import phonenumbers

import msgapi

TABLE = Path(msgapi.__file__).parent / "recipients" / "country_codes.py"
DIGITS = "0123456789"
_ROWS = re.compile(r'(?<=TABLE: Final = """\n).*?(?=""")', re.DOTALL)
_VERSION = re.compile(r'(?<=VERSION: Final = ")[^"]*')


def rows() -> Iterator[str]:
    """Yield the lines of the table by the installed metadata, in order of the country codes."""
    for code, regions in sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()):
        every = [_metadata(code, region) for region in regions]
        main = every[0]
        trunk = main.national_prefix or "-"
        begins = set[str]().union(*(beginnings(one.general_desc.national_number_pattern) for one in every))
        never = ",".join(_never(sorted({"0", trunk[0]} - {"-"}), begins)) or "-"
        names = "-" if regions == ("001",) else " ".join(regions)
        yield f"{code} {_ranges(main.general_desc.possible_length)} {trunk} {never} {names}"


def beginnings(pattern: str) -> set[str]:
    """Return the first two digits of each text that matches *pattern*."""
    parser: Any = import_module("re._parser")
    return _beginnings(parser.parse(pattern))


def _never(digits: Iterable[str], begins: set[str]) -> Iterator[str]:
    for digit in digits:
        if not any(one.startswith(digit) for one in begins):
            yield digit
        else:
            yield from (digit + other for other in DIGITS if digit + other not in begins)


def _beginnings(parsed: Any) -> set[str]:  # noqa: ANN401 - of a library without types
    found = {""}
    for operation, value in parsed:
        found = {(one + more)[:2] for one in found for more in _parts(str(operation), value)}
    return found


def _parts(operation: str, value: Any) -> set[str]:  # noqa: ANN401 - of a library without types
    match operation:
        case "LITERAL":
            return {chr(value)}
        case "IN":
            return {digit for digit in DIGITS if _is_in(digit, value)}
        case "BRANCH":
            return set[str]().union(*map(_beginnings, value[1]))
        case "SUBPATTERN":
            return _beginnings(value[-1])
        case "MAX_REPEAT":
            least, most, item = value
            return set[str]().union(
                *(_beginnings(list(item) * times) for times in range(min(least, 2), min(most, 2) + 1))
            )
        case _:
            raise NotImplementedError(operation)


def _is_in(digit: str, value: Any) -> bool:  # noqa: ANN401 - of a library without types
    for operation, one in value:
        match str(operation):
            case "LITERAL" if one == ord(digit):
                return True
            case "RANGE" if one[0] <= ord(digit) <= one[1]:
                return True
            case "CATEGORY":
                return True
            case _:
                pass
    return False


def _metadata(code: int, region: str) -> Any:  # noqa: ANN401 - of a library without types
    if region == "001":
        return phonenumbers.PhoneMetadata.metadata_for_nongeo_region(code)
    return phonenumbers.PhoneMetadata.metadata_for_region(region)


def _ranges(lengths: tuple[int, ...]) -> str:
    parts = list[list[int]]()
    for length in sorted(lengths):
        if parts and parts[-1][1] == length - 1:
            parts[-1][1] = length
        else:
            parts.append([length, length])
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in parts)


def main() -> None:
    """Write the table."""
    text = _ROWS.sub("".join(f"{row}\n" for row in rows()), TABLE.read_text(), count=1)
    _ = TABLE.write_text(_VERSION.sub(phonenumbers.__version__, text, count=1))


if __name__ == "__main__":
    main()
