"""E-mail addresses: usual ones are recognised by a pattern, the others are judged by email-validator.

Rules:
- An address is sent as it is given, but for spaces and signs around it and invisible characters.
- The pattern accepts only what email-validator accepts, and refuses nothing by itself.
- No domain is looked up.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..config import needing_extra
from .cleaning import Cleaning, Normalized, Recipient, RefusedRecipient, is_invisible, name_of, without_invisible

if TYPE_CHECKING:
    from types import ModuleType

_ATOM: Final = r"[a-zA-Z0-9_!#$%&'*+\-/=?^`{|}~]+"
_LABEL: Final = r"(?!..--)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_LOCAL: Final = re.compile(rf"(?!'){_ATOM}(?:\.{_ATOM})*")
_DOMAIN: Final = re.compile(
    rf"(?:{_LABEL}\.)+(?!(?:arpa|invalid|local|localhost|onion)\Z)(?!..--)[a-zA-Z][a-zA-Z0-9-]{{0,61}}[a-zA-Z]",
    re.IGNORECASE,
)
_LONGEST_LOCAL: Final = 64
_LONGEST: Final = 254
_SPACE: Final = re.compile(r"\s")
_BETWEEN: Final = re.compile(r"[,;|\s]|:::")
_TRAILING: Final = ",;"
_NO_ADDRESS: Final = "must be an e-mail address"


_MOST_KEPT: Final = 10_000
_domains: Final[dict[str, bool]] = {}


def is_usual(text: str) -> bool:
    """Return whether *text* is an address of the usual form, which needs no library. Others may be valid, too."""
    local, _, domain = text.partition("@")
    known = _domains.get(domain)
    if known is None:
        known = _check_domain(domain)
    return known and len(local) <= _LONGEST_LOCAL and len(text) <= _LONGEST and _LOCAL.fullmatch(local) is not None


def _check_domain(domain: str) -> bool:
    if len(_domains) >= _MOST_KEPT:
        _domains.clear()
    found = _DOMAIN.fullmatch(domain) is not None
    if len(domain) <= _LONGEST:
        _domains[domain] = found
    return found


def normalize_email(text: str) -> Normalized:
    """Return the e-mail address *text* without what surrounds it, or why it is refused; see `normalize`."""
    if is_usual(text):
        return Recipient(text, "email")
    work = Cleaning(text)
    visible = without_invisible(text)
    work.replace(visible if visible.isascii() else _strip_invisible(text), "invisible")
    work.unwrap()
    work.replace(work.text.rstrip(_TRAILING).rstrip(), "punctuation")
    problem = next(_problems(work.text), None) or _validate(work.text)
    return problem or Recipient(work.text, "email", work.changes)


def _strip_invisible(text: str) -> str:
    # Only those around it: in some scripts a joiner is a part of a name.
    shown = [at for at, sign in enumerate(text) if not is_invisible(sign) and not sign.isspace()]
    if not shown:
        return without_invisible(text)
    first, last = shown[0], shown[-1] + 1
    return without_invisible(text[:first]) + text[first:last] + without_invisible(text[last:])


def _problems(text: str) -> Iterator[RefusedRecipient]:
    if not text:
        yield RefusedRecipient("empty", "is empty")
    if "@" not in text:
        is_number = sum(map(str.isdigit, text)) > len(text) // 2
        yield RefusedRecipient("phone" if is_number else "address", f"{_NO_ADDRESS}, and has no @")
    if text.casefold().startswith("mailto:"):
        yield RefusedRecipient("scheme", "begins with mailto:, and must be an e-mail address alone")
    if text.count("@") > 1:
        if _BETWEEN.search(text):
            yield RefusedRecipient("several", "has more than one e-mail address: keep one of them")
        yield RefusedRecipient("address", "has more than one @")
    if "<" in text or ">" in text:
        yield RefusedRecipient("display_name", "has a name or angle brackets: keep the e-mail address alone")
    if _SPACE.search(text):
        yield RefusedRecipient("space", "has a space inside the e-mail address")
    for sign in text:
        if is_invisible(sign):
            yield RefusedRecipient("invisible", f"has the invisible character {name_of(sign)}")


def _validate(text: str) -> RefusedRecipient | None:
    if len(text) > _LONGEST:
        return RefusedRecipient("address", f"has more than {_LONGEST} characters, and no e-mail address has")
    local, _, domain = text.partition("@")
    library = _load()
    try:
        _ = library.validate_email(text, check_deliverability=False, test_environment=True, strict=True)
    except library.EmailNotValidError:
        return _explain(local, domain)
    if len(domain.rpartition(".")[2]) < 2 or "." not in domain:  # noqa: PLR2004 - `test` is passed for tests
        return _explain(local, domain)
    return None


def _explain(local: str, domain: str) -> RefusedRecipient:
    if not local or not domain:
        return RefusedRecipient("address", f"{_NO_ADDRESS}, and has nothing {'after' if local else 'before'} the @")
    for reason, part, where in (("local_part", local, "before"), ("domain", domain, "after")):
        if part.startswith(".") or part.endswith(".") or ".." in part:
            return RefusedRecipient(reason, f"has a dot too many {where} the @")  # type: ignore[arg-type]
    if any(one.startswith("-") or one.endswith("-") for one in domain.split(".")):
        return RefusedRecipient("domain", "has a domain with a hyphen at the beginning or end of a part")
    if "." not in domain:
        return RefusedRecipient("domain", "has a domain without a dot")
    if not _is_local_part(local):
        return RefusedRecipient("local_part", "has a part before the @ that no e-mail address has")
    return RefusedRecipient("domain", "has a domain that cannot exist or receive e-mail")


def _is_local_part(local: str) -> bool:
    library = _load()
    try:
        _ = library.validate_email(f"{local}@example.org", check_deliverability=False, strict=True)
    except library.EmailNotValidError:
        return False
    return True


def _load() -> "ModuleType":
    with needing_extra("recipients.normalize", "cli", "email_validator"):
        import email_validator
    return email_validator
