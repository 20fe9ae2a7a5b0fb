"""Entries: what a journal says of a row, and what follows from it for the next run.

Rules:
- A row that is settled is not sent again. Settled is what the service has carried out, or has
  refused for a reason of the row's own.
- A row whose answer is in doubt goes out again under its old key, and only while the service
  surely remembers that key; after that it is for the user to decide. So does one that others may have
  sent, once their keys may be forgotten.
- Doubt is not lost: a row that was in doubt and is now held up, say by a 401, stays in doubt.
"""

from enum import Enum, IntEnum, unique
from typing import Final, Literal, TypeAlias, final

from attrs import frozen

from ..privacy import mask
from ..results import (
    ApiError,
    InsufficientBalance,
    Invalid,
    Meta,
    NotSent,
    Ok,
    Result,
    Throttled,
    Unanswered,
    Unauthorized,
    Unreadable,
)

CHANGED: Final = "row_changed"
REPEATED: Final = "row_repeated"
UNKNOWN: Final = "outcome_unknown"
OUTDATED: Final = "journal_outdated"
_CLOCK_SLACK: Final = 300.0  # seconds by which the clock may have gone back since


@unique
class State(IntEnum):
    """How far a row has come; the numbers stand in the files."""

    STARTED = 0
    ACCEPTED = 1
    REFUSED = 2
    HELD_UP = 3
    DOUBTFUL = 4
    INVALID = 5


IN_DOUBT: Final = frozenset({State.STARTED, State.DOUBTFUL})
_SETTLED: Final = frozenset({State.ACCEPTED, State.REFUSED})

WEIGHTS: Final = (State.HELD_UP, State.INVALID, State.STARTED, State.DOUBTFUL, State.REFUSED, State.ACCEPTED)
"""From what says least of a row to what says most, where two have found something about it."""


class _Settled(Enum):
    SETTLED = "settled"


SETTLED: Final = _Settled.SETTLED


@final
@frozen
class Go:
    """The row may be sent under *key*; *doubtful* if it may have happened already, *started* at this Unix time."""

    key: str | None
    doubtful: bool
    started: float


Verdict: TypeAlias = Go | ApiError | Literal[_Settled.SETTLED]
"""What becomes of a row: it goes out, it is refused before it is sent, or it is settled since an earlier run."""


@final
@frozen
class Entry:
    """What stands in the journal about a row; *key* only if it is not the derived one."""

    mark: bytes
    state: State
    started: float
    key: str | None


@final
@frozen
class Terms:
    """What to go by: keys are *remembered* for so many seconds; *resend* what is older all the same.

    Since the Unix time *elsewhere* others may have sent what is not settled: under its key, but before we did.
    """

    remembered: float
    resend: bool
    elsewhere: float | None = None

    def judge(self, entry: Entry | None, new: Go, mark: bytes, *, repeatable: bool) -> Verdict:
        """Tell what becomes of a row that *entry*, if any, is known of, and that would go as *new* if none were."""
        if entry is None or entry.state is State.INVALID:
            return self._unsent(new)
        if entry.mark != mark:
            return CHANGED_ROW
        if entry.state in _SETTLED:
            return SETTLED
        now, key = new.started, entry.key or new.key
        if entry.state not in IN_DOUBT:
            return self._unsent(Go(key, doubtful=False, started=now))
        remembered = repeatable and self._remembered(entry.started, now) and not self.doubts(now)
        if remembered or self.resend:
            return Go(key, doubtful=True, started=entry.started if remembered else now)
        return _unknown(entry, now)

    def doubts(self, now: float) -> bool:
        """Tell whether others may have sent rows whose keys may be forgotten at the Unix time *now*."""
        return self.elsewhere is not None and not self._remembered(self.elsewhere, now)

    def _unsent(self, new: Go) -> Verdict:
        if not self.doubts(new.started):
            return new
        return Go(new.key, doubtful=True, started=new.started) if self.resend else _ELSEWHERE

    def _remembered(self, since: float, now: float) -> bool:
        return -_CLOCK_SLACK <= now - since <= self.remembered


def state_of(result: Result[object], *, doubtful: bool) -> State:
    """Tell how far *result* brings a row that was *doubtful* before."""
    if isinstance(result, Ok | Unreadable):
        return State.ACCEPTED
    if result.may_have_happened:
        return State.DOUBTFUL
    if held_up(result):
        return State.DOUBTFUL if doubtful else State.HELD_UP
    return State.REFUSED


def held_up(error: ApiError) -> bool:
    """Tell whether *error* came before the service had a look at the row: it says nothing of an earlier attempt."""
    match error:
        case Unauthorized() | InsufficientBalance() | NotSent():
            return True
        case Throttled():
            return error.rate_limited
        case _:
            return False


COLUMNS: Final = ("kind", "code", "status", "message", "message_id", "unit", "price", "hold")
Finding: TypeAlias = tuple[str, str | None, int | None, str | None, str | None, str | None, str | None, str | None]
"""What a journal keeps of a result, by `COLUMNS`: no recipient, no content."""


def finding_of(result: Result[object]) -> Finding:
    """Take from *result* what a report needs."""
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
    code=CHANGED, message="the journal has this row with other content: what changed is a new row, so give it a new id"
)
_ELSEWHERE: Final = Unanswered(
    "a worker may have sent it since the journal was collected, too long ago for its key to be known",
    code=OUTDATED,
    message="it may have been sent by a worker: collect the journal anew, which tells",
)
REPEATED_ROW: Final = Invalid(code=REPEATED, message="an earlier row has the same id: give each row an id of its own")


def _unknown(entry: Entry, now: float) -> Unanswered:
    hours = (now - entry.started) / 3600
    return Unanswered(
        f"started {hours:.1f} hours ago and never settled; the service may have forgotten its key by now",
        code=UNKNOWN,
        message="it may have been sent, and sending it again may send it twice: look for it in the message log",
        meta=Meta(idempotency_key=entry.key),
    )
