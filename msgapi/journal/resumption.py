"""Rows: what identifies a row, its idempotency key, and what follows for the next run from its entry in a journal.

Rules of the identity:
- A row without an id of its own is identified by what it says: method, target and body, without the idempotency key.
  The order of the rows does not matter, and equal rows have the same id.
- The letter case of an email address makes no other row and no other recipient. The address is sent as it was given.
- A changed id would send a batch a second time. Whatever changes the ids and keys made here needs another
  `RULE_VERSION`, which journals store.

Rules of the verdict:
- A settled row is not sent again. A row is settled if the service has carried its call out, or has refused it for a
  reason that concerns the row. An answer that is not the service's settles no row.
- A row whose outcome is unknown is sent again under its previous key, but only while the service is sure to remember
  that key. After that the user decides. The same holds for rows that others may have sent.
- An unknown outcome stays unknown: if such a row is not processed in the next run, for example because of a 401, its
  outcome is still unknown.
- A row with a fallback continues at the leg that was recorded last, under the key of that leg: the service has refused
  the legs before it. With another request it is begun at its first leg.
- A row that was accepted, or may have been, is not sent with another request. One that was refused or not sent is sent
  with it, under another key than before.
"""

import re
from collections.abc import Iterable
from enum import Enum, IntEnum, unique
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Literal, TypeAlias, final

import orjson
from attrs import evolve, frozen

from ..calls import Call, as_uuid
from ..codegen import constructor
from ..redact import mask
from ..results import ApiError, Conflict, Invalid, Meta, Ok, Result, Unanswered, Unreadable

RULE_VERSION: Final = 1
"""The version of the rule by which the ids of rows are made."""

RECIPIENT_SIZE: Final = 8  # bytes
_SIZE: Final = 16  # bytes

CHANGED: Final = "row_changed"
"""The code of a row with other content under the id of a row that was accepted, or may have been."""

KEY_USED: Final = "key_used"
"""The code of a row whose idempotency key was used for other content."""

REPEATED: Final = "row_repeated"
"""The code of a row with the id of an earlier row of the same run."""

UNKNOWN: Final = "outcome_unknown"
"""The code of a row that may have been sent too long ago to be sent again under its key."""

OUTDATED: Final = "journal_outdated"
"""The code of a row that a worker may have sent since the journal was merged, too long ago for its key."""

_TO: Final = b'"to":'  # in a string, the quotes have backslashes
_FOLDED: Final = re.compile(_TO + rb'"[^"\\A-Z\x80-\xff]*"')  # a recipient that `casefold` leaves as it is
_CLOCK_SLACK: Final = 300.0  # seconds by which the system clock may have been set back


@lru_cache(512)  # a row that is sent needs its key several times
def key_of(batch: str, row: str) -> str:
    """Return the idempotency key of a *row* of a *batch*: a UUID (version 8) that is always the same."""
    return as_uuid(blake2b(row.encode(), digest_size=_SIZE, key=_hash(batch)).hexdigest(), "8")


def changed_key(batch: str, row: str, digest: bytes) -> str:
    """Return the idempotency key of a *row* that is sent again, with another request that has this *digest*."""
    return key_of(batch, changed_id(row, digest))


@lru_cache(16)
def _hash(batch: str) -> bytes:
    return blake2b(batch.encode()).digest()


def request_digest(*legs: Call[object]) -> bytes:
    """Return a hash of the request of a row without its key. Another digest is another request.

    A row with a fallback has several *legs*; all of them count.
    """
    digest = blake2b(digest_size=_SIZE)
    for leg in legs:
        digest.update(f"{leg.method} {leg.target}\0".encode())
        digest.update(_fold(leg.body or b""))
    return digest.digest()


def content_id(digest: bytes, count: int = 1) -> str:
    """Return the id of a row without an id of its own; *count* numbers equal rows from 1."""
    return f"{digest.hex()}#{count}"


def changed_id(row: str, digest: bytes) -> str:
    """Return the id under which a *row* is recorded that was left out since its request has this *digest* now."""
    return f"{row}/{digest.hex()}"


def row_number_id(number: int) -> str:
    """Return the id under which a row that is never sent is recorded: it may have no content."""
    return f"row {number}"


def recipient_hashes(batch: str, *legs: Call[object]) -> bytes:
    """Return the hashes of the recipients of *legs*, 8 bytes each: pseudonyms that differ in each *batch*."""
    return b"".join(_recipient_hash(batch, leg) for leg in legs)


def split_hashes(hashes: bytes) -> Iterable[bytes]:
    """Return the single hashes in *hashes*, which `recipient_hashes` has made."""
    return (hashes[at : at + RECIPIENT_SIZE] for at in range(0, len(hashes), RECIPIENT_SIZE))


def _recipient_hash(batch: str, leg: Call[object]) -> bytes:
    to = _recipient(leg.body or b"")
    return b"" if to is None else blake2b(to.casefold().encode(), digest_size=RECIPIENT_SIZE, key=_hash(batch)).digest()


def _recipient(body: bytes) -> str | None:
    found = orjson.loads(body) if _TO in body else None
    to = found.get("to") if isinstance(found, dict) else None
    return to if isinstance(to, str) else None


def _fold(body: bytes) -> bytes:
    if b"@" not in body or (body.count(_TO) == 1 and _FOLDED.search(body) is not None):
        return body
    to = _recipient(body)
    if to is None or "@" not in to:
        return body
    return body.replace(_TO + orjson.dumps(to), _TO + orjson.dumps(to.casefold()), 1)


@unique
class State(IntEnum):
    """The state of a row. The numbers are stored in the files.

    - `STARTED`: it was about to be sent, and has no result: the run was interrupted.
    - `ACCEPTED`, `REFUSED`: the service has accepted or refused it. Both are settled.
    - `NOT_SENT`: it was not carried out, for example because of a 402 or an outage. The next run sends it.
    - `UNKNOWN`: it was sent, and its result is not known. The next run sends it again under its key.
    - `INVALID`: its input is not valid, and it was not sent.
    - `CHANGED`: it differs from a row that was sent, to its recipient or under its id, and was not sent.
    """

    STARTED = 0
    ACCEPTED = 1
    REFUSED = 2
    NOT_SENT = 3
    UNKNOWN = 4
    INVALID = 5
    CHANGED = 6


MAYBE_SENT: Final = frozenset({State.STARTED, State.UNKNOWN})
SENT: Final = frozenset({State.ACCEPTED, *MAYBE_SENT})
SETTLED_STATES: Final = frozenset({State.ACCEPTED, State.REFUSED})

PRECEDENCE: Final = (
    State.CHANGED,
    State.NOT_SENT,
    State.INVALID,
    State.STARTED,
    State.UNKNOWN,
    State.REFUSED,
    State.ACCEPTED,
)
"""The states from the one that says least about a row to the one that says most, for merging."""


class _Settled(Enum):
    SETTLED = "settled"


SETTLED: Final = _Settled.SETTLED
"""The verdict on a row that is skipped, because an earlier run has settled it."""


@final
@frozen
class Send:
    """The row is to be sent under *key*; *maybe_sent* if it may have been sent before, at the Unix time *started*.

    *leg* is the number of the leg of a fallback from which it is sent; *key* is that of its first leg.
    """

    key: str | None
    maybe_sent: bool
    started: float
    leg: int = 1


new_send: Final = constructor(Send)
"""Return a `Send` with these values: a faster constructor."""

Verdict: TypeAlias = Send | ApiError | Literal[_Settled.SETTLED]
"""What to do with a row: send it, report an error without sending it, or skip it because it is settled."""


@final
@frozen
class Entry:
    """What the journal has stored about a row.

    *key* is None if it is the derived one, *own_key* the part of it that the user gave: None if the row had no key of
    its own. *run* is the number of the run in which the row was begun last. *state* and *started* are about the *leg*
    of a fallback with this number: the service has refused the legs before it. *in_file* is False if the last file of
    the batch did not have the row with this request.
    """

    digest: bytes
    state: State
    started: float
    key: str | None
    own_key: str | None = None
    run: int = 0
    leg: int = 1
    in_file: bool = True


@final
@frozen
class RowRequest:
    """What is to be sent for a row in this run.

    *digest* is that of its request, *own_key* the key that the user gave it. *changed_key* is the key under which it is
    sent if the journal has the row with another request.
    """

    digest: bytes
    repeatable: bool
    own_key: str | None = None
    changed_key: str | None = None


@final
@frozen
class ResumeRules:
    """How rows of earlier runs are judged.

    The service remembers keys for *remembered* seconds; *resend* sends rows with an unknown outcome that are older.
    Since the Unix time *merged_at* others may have sent rows that are not settled: under their keys, before this run.
    Since *lost_since* an earlier run may have sent them, because the journal lacks what that run has recorded.
    If *run* is the number of this run, a row that was begun in it before is repeated.
    """

    remembered: float
    resend: bool
    merged_at: float | None = None
    lost_since: float | None = None
    run: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether a row or leg that the journal lacks was certainly not sent."""
        return self.lost_since is None

    def leg_since(self, now: float) -> float:
        """Return the Unix time from which the key of a leg counts that the journal lacks, if it is sent *now*."""
        return self.lost_since if self.lost_since is not None and self._is_remembered(self.lost_since, now) else now

    def judge(self, entry: Entry | None, new: Send, request: RowRequest) -> Verdict:
        """Return the verdict on a row with *entry*, or None if the journal lacks it; a new row is sent as *new*."""
        if entry is None or entry.state is State.INVALID:
            return self._judge_unsent(new, request)
        if entry.state is State.CHANGED or is_changed(entry, request):
            return self._judge_changed(entry, new, request)
        if entry.state in SETTLED_STATES:
            return REPEATED_ROW if entry.run == self.run else SETTLED
        key = entry.key or new.key
        if entry.state not in MAYBE_SENT:
            return self._judge_unsent(evolve(new, key=key, leg=entry.leg), request)
        return self._judge_unknown(entry, key, new.started, request)

    def _judge_unknown(self, entry: Entry, key: str | None, now: float, request: RowRequest) -> Verdict:
        remembered = request.repeatable and self._is_remembered(entry.started, now) and not self.is_outdated(now)
        if remembered or self.resend:
            return Send(key, maybe_sent=True, started=entry.started if remembered else now, leg=entry.leg)
        return _unknown_outcome(entry.started, entry.key, now, entry.leg)

    def is_outdated(self, now: float) -> bool:
        """Return whether, at the Unix time *now*, others may have sent rows whose keys may be forgotten."""
        return self.merged_at is not None and not self._is_remembered(self.merged_at, now)

    def _judge_changed(self, entry: Entry, new: Send, request: RowRequest) -> Verdict:
        if entry.run == self.run:
            return REPEATED_ROW
        if entry.state in SENT or entry.state is State.CHANGED:
            return CHANGED_ROW
        if reuses_key(entry, request):
            return KEY_USED_ROW
        key = request.own_key or request.changed_key
        return self._judge_unsent(evolve(new, key=key), request)

    def _judge_unsent(self, new: Send, request: RowRequest) -> Verdict:
        now, lost = new.started, self.lost_since
        if self.is_outdated(now):
            return evolve(new, maybe_sent=True) if self.resend else _OUTDATED_ROW
        if lost is None:
            return new
        remembered = request.repeatable and self._is_remembered(lost, now)
        if remembered or self.resend:
            return evolve(new, maybe_sent=True, started=lost if remembered else now)
        return _unknown_outcome(lost, new.key, now, new.leg)

    def _is_remembered(self, since: float, now: float) -> bool:
        return -_CLOCK_SLACK <= now - since <= self.remembered


def is_changed(entry: Entry, request: RowRequest) -> bool:
    """Return whether *request* is another one than that of *entry*, or has another key of its own."""
    return entry.digest != request.digest or entry.own_key != request.own_key


def reuses_key(entry: Entry, request: RowRequest) -> bool:
    """Return whether another *request* has the key that the user gave that of *entry*."""
    return request.own_key is not None and entry.own_key == request.own_key and entry.digest != request.digest


def state_of(result: Result[object], *, maybe_sent: bool) -> State:
    """Return the state of a row that ended in *result*; *maybe_sent* if it may have been sent before."""
    if isinstance(result, Ok) or (isinstance(result, Unreadable) and result.from_service):
        return State.ACCEPTED
    if result.may_have_happened:
        return State.UNKNOWN
    if was_not_processed(result):
        return State.UNKNOWN if maybe_sent else State.NOT_SENT
    return State.REFUSED


def is_settled(result: Result[object]) -> bool:
    """Return whether *result* settles a row: the service has carried its call out, or has refused it for certain."""
    return state_of(result, maybe_sent=False) in SETTLED_STATES


def was_not_processed(error: ApiError) -> bool:
    """Return whether *error* came before the service looked at the row: it says nothing about an earlier attempt."""
    return error.scope in {"account", "service", "foreign"} and not error.may_have_happened


def leaves_unknown(error: ApiError) -> bool:
    """Return whether *error* in answer to a row that may have been sent before leaves its outcome unknown.

    A conflict of keys does: the service has a request under this key, with an address in another letter case.
    """
    return was_not_processed(error) or (isinstance(error, Conflict) and error.code == "idempotency_conflict")


COLUMNS: Final = ("kind", "code", "status", "message", "message_id", "unit", "price", "hold")
StoredResult: TypeAlias = tuple[str, str | None, int | None, str | None, str | None, str | None, str | None, str | None]
"""What a journal stores of a result, in the order of `COLUMNS`: no recipient and no content."""


def stored_result(result: Result[object]) -> StoredResult:
    """Return what a report needs of *result*."""
    status = result.meta.status
    if not isinstance(result, Ok):
        return type(result).__name__, result.code, status, mask(result.message), None, None, None, None
    name, billing = getattr(result.value, "message_id", None), getattr(result.value, "billing", None)
    if billing is None:
        return "Accepted", None, status, None, name, None, None, None
    price, hold = billing.message_price, billing.hold_amount
    price, hold = None if price is None else str(price), None if hold is None else str(hold)
    return "Accepted", None, status, None, name, billing.message_type, price, hold


CHANGED_ROW: Final = Invalid(
    code=CHANGED,
    message="the journal has this row with other content: give the changed row a new id",
    own_words=True,
)
KEY_USED_ROW: Final = Invalid(
    code=KEY_USED,
    message="its idempotency key was used for other content: give the changed row a new key",
    own_words=True,
)
_OUTDATED_ROW: Final = Unanswered(
    "a worker may have sent it since the journal was merged, too long ago for its key to be remembered",
    code=OUTDATED,
    message="a worker may have sent it: merge the journal again to find out",
)
REPEATED_ROW: Final = Invalid(
    code=REPEATED, message="an earlier row has the same id: give each row its own id", own_words=True
)


def _unknown_outcome(started: float, key: str | None, now: float, leg: int) -> Unanswered:
    hours = (now - started) / 3600
    return Unanswered(
        f"started {hours:.1f} hours ago and never settled; the service may have forgotten its key by now",
        code=UNKNOWN,
        message="it may have been sent, and sending it again may send it twice: look for it in the message log",
        meta=Meta(idempotency_key=key, leg=leg),
    )
