"""Advice: what to do about each way in which a message can fail, in one sentence."""

from typing import Any, assert_never

from .. import codec
from ..redact import mask
from ..results import (
    ApiError,
    Conflict,
    Forbidden,
    InsufficientBalance,
    Invalid,
    NotFound,
    NotSent,
    ServerFault,
    Throttled,
    Unanswered,
    Unauthorized,
    Unavailable,
    Unexpected,
    Unprocessable,
    Unreadable,
)


def advise(error: ApiError) -> str:  # noqa: C901, PLR0911, PLR0912 - one case for each kind
    """Say what to do about *error*."""
    match error:
        case Invalid(code="duplicate_row"):
            return "Nothing: the first one counts. To send them all the same, give --allow-duplicates."
        case Invalid():
            return "Mend the rows as their details say, and send them again."
        case Unauthorized():
            return "Check the API key (MSGAPI_API_KEY): it is missing, mistyped or revoked."
        case InsufficientBalance(topup_url=url):
            return f"Top up{f' at {url}' if url else ''}, then send again what failed."
        case Forbidden():
            return "Check that the agent is approved, the sender verified and the key allowed to send."
        case NotFound():
            return "Reach these by another channel: unknown, or a device without RCS."
        case Conflict():
            return "See whether they were sent before under the same key: if not, use a new key."
        case Unprocessable():
            return "Leave these out: no consent, suppressed, or no open session; the code tells."
        case Throttled() if error.rate_limited:
            return "Send again what failed more slowly: --rate, and no other sender on this key."
        case Throttled():
            return "Send these again another day: their recipients have had their share."
        case ServerFault() | Unavailable():
            return "Send again what failed later: their keys keep them from going out twice."
        case Unexpected():
            return "Check MSGAPI_BASE_URL and any proxy: the answer is not the service's."
        case Unreadable():
            return "Don't send these again: they were accepted, only the answer was not readable."
        case NotSent():
            return "Check the network and MSGAPI_BASE_URL, then send again what failed."
        case Unanswered(code="outcome_unknown"):
            return "Look for these in the message log; those that are not there go out again by --resend-unknown."
        case Unanswered(code="journal_outdated"):
            return "Collect the journal anew by `msgapi fleet report --journal`, and then --resume."
        case Unanswered():
            return "Send again what failed: under their keys nothing goes out twice."
        case _:
            assert_never(error)


def explain(error: ApiError) -> str:
    """Say what *error* is in one line, with no recipient and no line break in it."""
    details = "; ".join(f"{one.field} {one.message}".strip() for one in getattr(error, "details", ()))
    return mask(" ".join((details or error.message).split()))


def facts(error: ApiError) -> dict[str, Any]:
    """Put *error* into plain JSON, with what every error has even where it is as usual."""
    plain: dict[str, Any] = codec.to_plain(error)
    return plain | {"code": error.code, "message": error.message, "may_have_happened": error.may_have_happened}
