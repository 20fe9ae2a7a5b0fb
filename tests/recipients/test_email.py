"""E-mail addresses: sent as given but for what surrounds them, or refused with a reason."""

import email_validator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi.recipients import Recipient, RecipientChange, RefusedRecipient, normalize
from msgapi.recipients import email as module
from msgapi.recipients.email import is_usual


@pytest.mark.parametrize(
    ("given", "expected", "changes"),
    [
        ("ann@example.org", "ann@example.org", ()),
        ("Ann.Lee+news@Mail.Example.ORG", "Ann.Lee+news@Mail.Example.ORG", ()),
        ("o'neil@example.org", "o'neil@example.org", ()),
        ("ann@x.test", "ann@x.test", ()),
        ("ann@b\u00fccher.de", "ann@b\u00fccher.de", ()),
        ("ann@b\u00fccher.test", "ann@b\u00fccher.test", ()),
        ("ann@xn--bcher-kva.de", "ann@xn--bcher-kva.de", ()),
        ("j\u00f6rg@example.org", "j\u00f6rg@example.org", ()),
        (" ann@example.org\u00a0", "ann@example.org", ("spaces",)),
        ("\ufeffann@example.org", "ann@example.org", ("invisible",)),
        ("ann@exam\u200bple.org", "ann@example.org", ("invisible",)),
        ("j\u00f6rg@example.org\u200b ", "j\u00f6rg@example.org", ("spaces", "invisible")),
        ("'ann@example.org", "ann@example.org", ("spreadsheet",)),
        ('="ann@example.org"', "ann@example.org", ("spreadsheet",)),
        ('"ann@example.org"', "ann@example.org", ("spreadsheet",)),
        ("ann@example.org;", "ann@example.org", ("punctuation",)),
    ],
)
def test_an_address_is_sent_as_given_but_for_what_surrounds_it(
    given: str, expected: str, changes: tuple[RecipientChange, ...]
) -> None:
    found = normalize(given)
    assert found == Recipient(expected, "email", changes)
    assert "example" not in repr(found)
    assert normalize(expected) == Recipient(expected, "email")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "empty"),
        ("\u200b", "empty"),
        ("\u00a0\u200b\u3000", "empty"),
        ("+4915112345678", "phone"),
        ("ann example.org", "address"),
        ("mailto:ann@example.org", "scheme"),
        ("j@example.org;k@example.org", "several"),
        ("j@example.org k@example.org", "several"),
        ("ann@@example.org", "address"),
        ("Ann <ann@example.org>", "display_name"),
        ("<ann@example.org>", "display_name"),
        ("ann @example.org", "space"),
        ("ann@\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com", "invisible"),
        ("@example.org", "address"),
        ("ann@", "address"),
        (".ann@example.org", "local_part"),
        ("ann.@example.org", "local_part"),
        ("j..k@example.org", "local_part"),
        ("ann,lee@example.org", "local_part"),
        ("a" * 65 + "@example.org", "local_part"),
        ("ann@example.org.", "domain"),
        ("ann@example..org", "domain"),
        ("j@-example.org", "domain"),
        ("j@example-.org", "domain"),
        ("ann@exam_ple.org", "domain"),
        ("ann@localhost", "domain"),
        ("ann@test", "domain"),
        ("ann@firm.local", "domain"),
        ("ann@10.0.0.1", "domain"),
        ("ann@[10.0.0.1]", "domain"),
        ("ann@ex--ample.org", "domain"),
        ("ann@xn--zz.de", "domain"),
        (f"ann@{'a' * 64}.org", "domain"),
        (f"ann@{'a.' * 130}org", "address"),
        ("ann@exa\x00mple.org", "domain"),
        ("ann@exa\ud800mple.org", "domain"),
        ("ann@example.c", "domain"),
    ],
)
def test_what_is_no_address_is_refused_with_its_reason(given: str, reason: str) -> None:
    found = normalize(given, kind="email")
    assert isinstance(found, RefusedRecipient)
    assert found.reason == reason
    assert "example" not in found.message


def is_valid(text: str) -> bool:
    try:
        _ = email_validator.validate_email(text, check_deliverability=False, test_environment=True, strict=True)
    except email_validator.EmailNotValidError:
        return False
    return len(text.rpartition(".")[2]) > 1  # no top-level domain is one letter: a second one is missing


PART = st.text(alphabet=st.sampled_from("abzAZ019-_.+'=!"), min_size=1, max_size=8)
DOMAIN = st.lists(st.text(alphabet=st.sampled_from("abnxZ09-"), min_size=1, max_size=6), min_size=1, max_size=3)


@settings(max_examples=200)
@given(PART, DOMAIN, st.sampled_from(["org", "test", "local", "invalid", "o1", "c", "xn--a", "Localhost"]))
def test_the_pattern_accepts_only_what_the_library_accepts(local: str, labels: list[str], last: str) -> None:
    text = f"{local}@{'.'.join(labels)}.{last}"
    if is_usual(text):
        assert is_valid(text)
    found = normalize(text)
    assert isinstance(found, Recipient) == is_valid(found.text if isinstance(found, Recipient) else text.lstrip("'"))


@settings(max_examples=100)
@given(st.text(max_size=20).map(lambda text: text + "@example.org") | st.text(max_size=30))
def test_no_text_raises(given: str) -> None:
    found = normalize(given, kind="email")
    if isinstance(found, Recipient):
        assert normalize(found.text, kind="email") == Recipient(found.text, "email")


def test_the_domains_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_KEPT", 3)
    monkeypatch.setattr(module, "_domains", {})
    assert all(is_usual(f"ann@example{at}.org") for at in range(7))
    assert not is_usual(f"ann@{'a.' * 200}org")
    assert len(module._domains) <= 3
