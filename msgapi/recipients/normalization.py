"""Normalise a recipient: one function for phone numbers and e-mail addresses."""

from .cleaning import Normalized, RecipientKind, RefusedRecipient
from .email import normalize_email
from .phone import normalize_phone


def normalize(text: object, region: str | None = None, *, kind: RecipientKind | None = None) -> Normalized:
    """Return *text* in the form in which it can be sent, or why it is refused. Never raises for a text.

    A phone number is returned in E.164. What is changed needs no guess: spaces, punctuation, invisible characters,
    digits of other scripts, `(0)`, `00` for `+`, and what spreadsheets add to a number. An e-mail address stays as it
    is, but for spaces, quotes and invisible characters around it. The result of `normalize` is returned unchanged when
    it is normalised again.

    A number is checked to be possible, not to be in use: it has a country code that exists, and a length and first
    digits that occur with it. No domain is looked up.

    Args:
        text: What a person or a file has as the recipient. A value that is not a string is refused.
        region: The country of a number without a country code: an ISO 3166 code such as `DE`, or a usual name such as
            `Germany`, in any case. Without it such a number is refused. It is not used for any other number.
        kind: What the recipient must be. By default a text with an `@` is an e-mail address.

    Raises:
        ModuleNotFoundError: A number without a country code, or an unusual e-mail address, is judged by a library of
            the extra `cli`, which is not installed. The message names the extra.
    """
    if not isinstance(text, str):
        return RefusedRecipient("not_text", "is not a text")
    if kind == "email" or (kind is None and "@" in text):
        return normalize_email(text)
    return normalize_phone(text, region)
