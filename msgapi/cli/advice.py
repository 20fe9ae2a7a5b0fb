"""What to do about each error: one table, for rows of a batch, for one message and for other calls."""

from collections.abc import Mapping
from math import ceil
from typing import Any, Final, final

from attrs import frozen

from .. import codec
from ..calls import Call
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
from .output import Exit

NO_COUNTRY: Final = (
    "has no country code: write it with + and the country code, or give the country of such numbers by --region DE"
)
BASE_URL: Final = "the base URL (MSGAPI_BASE_URL or the profile)"
WRONG_SERVICE: Final = f"Check {BASE_URL}, any proxy and the version of msgapi-sdk: the answer is not the service's."


@final
@frozen
class Advice:
    """What to do about one error.

    *row* is about rows of a batch, *message* about a single message, and *call* about a call that sends no message.
    `{url}` stands for where to top up, and `{wait}` for how long to wait.
    """

    row: str
    message: str
    call: str


_CHECK_KEY: Final = "Check the API key (MSGAPI_API_KEY or the profile): it is missing, mistyped or revoked."
_CHECK_SENDER: Final = "Check that the agent is approved, the sender verified and the key allowed to send."
_CHECK_URL: Final = f"Check {BASE_URL} and any proxy: the answer is not the service's."
_LATER: Final = Advice(
    "Run the same command again later: the rows keep their idempotency keys, so no row is sent twice.",
    "Send it again later with its idempotency key, so that it is not sent twice.",
    "Run it again later.",
)
_REFUSALS: Final = (Invalid, Forbidden, NotFound, Conflict, Unprocessable)
_OF_CALLS: Final = "Run it again {wait}, and less often."
_BY_KIND: Final[Mapping[type[ApiError], Advice]] = {
    Invalid: Advice(
        "Fix the rows (see details) and send them again.",
        "Fix the fields named in the details, and send it again.",
        "Fix the fields named in the details; if you did not set them, check for a newer msgapi-sdk.",
    ),
    Unauthorized: Advice(_CHECK_KEY, _CHECK_KEY, _CHECK_KEY),
    InsufficientBalance: Advice(
        "Top up{url}, then run the same command again.",
        "Top up{url}, then send it again.",
        "Top up{url}, then run it again.",
    ),
    Forbidden: Advice(
        _CHECK_SENDER,
        _CHECK_SENDER,
        "Check what the API key is allowed to do, and the state of the resource (see the error code).",
    ),
    NotFound: Advice(
        "Use another channel for these recipients: they are unknown, or their devices lack RCS.",
        "Use another channel for the recipient: unknown, or a device without RCS.",
        "Check the id: the service does not know it, or it is too late (see the error code).",
    ),
    Conflict: Advice(
        "Run the same command again in a minute: an earlier request with the key may be under way. If it is the same "
        "then, the key belongs to another message: check whether the rows were sent, and if not, use new keys.",
        "Send it again in a minute with the same key: an earlier request may be under way. If it is the same then, the "
        "key belongs to another message: check whether it was sent, and if not, use a new key.",
        "Check the state of the resource: it does not allow this, or it was done before (see the error code).",
    ),
    Unprocessable: Advice(
        "Leave these rows out: no consent, suppressed, or no open session (see the error code).",
        "Do not send it: no consent, suppressed, or no open session (see the error code).",
        "Fix what the message names: the request was understood and refused (see the error code).",
    ),
    Throttled: Advice(
        "Run the same command again with --rate, and no other sender with this key.",
        "Send it again {wait}, with no other sender using this key.",
        _OF_CALLS,
    ),
    ServerFault: _LATER,
    Unavailable: _LATER,
    Unexpected: Advice(_CHECK_URL, _CHECK_URL, WRONG_SERVICE),
    Unreadable: Advice(
        "Do not send these rows again: they were accepted, but the answer was not readable.",
        "Do not send it again: it was accepted, but the answer was not readable.",
        WRONG_SERVICE,
    ),
    NotSent: Advice(
        f"Check the network and {BASE_URL}, then run the same command again.",
        f"Check the network and {BASE_URL}, then send it again.",
        f"Check the network and {BASE_URL}, then run it again.",
    ),
    Unanswered: Advice(
        "Run the same command again: the rows keep their idempotency keys, so no row is sent twice.",
        _LATER.message,
        _LATER.call,
    ),
}
_FOREIGN: Final = Advice(
    f"{_CHECK_URL} Then run the same command again: the rows keep their idempotency keys.",
    f"{_CHECK_URL} Then send it again with its idempotency key, so that it is not sent twice.",
    WRONG_SERVICE,
)
_DAILY_CAP: Final = Advice(
    "Send these rows another day: their recipients have reached the daily limit.",
    "Send it another day: the recipient has reached the daily limit.",
    _OF_CALLS,
)
_BY_CODE: Final[Mapping[tuple[type[ApiError], str], str]] = {
    (Invalid, "duplicate_row"): "Nothing: the first of them was sent. To send duplicates too, use --allow-duplicates.",
    (Invalid, "row_changed"): "These rows differ from rows that were sent. To send them as well, use --changed send.",
    (Invalid, "key_used"): "Give these rows a new idempotency_key: theirs was used for another message.",
    (Unanswered, "outcome_unknown"): "Look for these rows in the message log, and send the missing ones with "
    "--resend-unknown.",
    (Unanswered, "journal_outdated"): "Write a new journal with `msgapi fleet report --journal`, then use --resume.",
}
_DONE_TWICE: Final = "Check whether it was done before you run it again: a second run would do it twice."
_NO_SUCH_ID: Final = f"Check the id and {BASE_URL}: the service does not know this id."
_MAYBE_DONE: Final = "Check whether it was done: an earlier attempt may have succeeded without an answer."


def advise_row(error: ApiError) -> str:
    """Return what to do about rows of a batch with *error*."""
    if _may_have_been_sent_before(error):
        return _LATER.row
    found = _BY_CODE.get((type(error), error.code))
    return _fill(_advice_for(error).row if found is None else found, error)


def advise_message(error: ApiError) -> str:
    """Return what to do about a single message with *error*."""
    if _may_have_been_sent_before(error):
        return _LATER.message
    return _fill(_advice_for(error).message, error)


def _may_have_been_sent_before(error: ApiError) -> bool:
    # The service refused the last attempt, and did not answer an earlier one: only its answer to the same key decides.
    return error.may_have_happened and error.from_service and isinstance(error, _REFUSALS)


def advise_call(error: ApiError, call: Call[Any]) -> str:
    """Return what to do about *error* of a *call* that sends no message.

    A command that is run again makes a new call, so its idempotency key does not prevent a repetition.
    """
    if error.may_have_happened and call.method == "POST":
        wrong_service = error.scope == "foreign" or isinstance(error, Unexpected | Unreadable)
        return f"{_DONE_TWICE} {WRONG_SERVICE}" if wrong_service else _DONE_TWICE
    if error.scope == "foreign":
        return WRONG_SERVICE
    if isinstance(error, NotFound) and call.method == "GET":
        return _NO_SUCH_ID
    if isinstance(error, NotFound) and error.may_have_happened:
        return _MAYBE_DONE
    return _fill(_advice_for(error).call, error)


def _advice_for(error: ApiError) -> Advice:
    if error.scope == "foreign":
        return _FOREIGN
    return _DAILY_CAP if isinstance(error, Throttled) and not error.rate_limited else _BY_KIND[type(error)]


def _fill(text: str, error: ApiError) -> str:
    url = error.topup_url if isinstance(error, InsufficientBalance) else None
    seconds = error.retry_after if isinstance(error, Throttled) else None
    return text.format(url=f" at {url}" if url else "", wait="later" if seconds is None else f"in {ceil(seconds)} s")


def describe(error: ApiError) -> str:
    """Return the kind, the code and the explanation of *error*."""
    return f"{type(error).__name__} {error.code}: {explain(error)}"


def explain(error: ApiError) -> str:
    """Return the details or the message of *error* in one line, with recipients masked in words that are not ours."""
    details = "; ".join(f"{one.field} {one.message}".strip() for one in getattr(error, "details", ()))
    text = " ".join((details or error.message).split())
    return text if isinstance(error, Invalid) and error.own_words else mask(text)


def facts(error: ApiError) -> dict[str, Any]:
    """Return *error* as plain JSON. Code, message and may_have_happened are always included."""
    return codec.to_dict(error)


def status_of(error: ApiError) -> Exit:
    """Return the exit status for *error*."""
    return Exit.CONFIGURATION if isinstance(error, Unauthorized) and error.scope == "account" else Exit.REFUSED
