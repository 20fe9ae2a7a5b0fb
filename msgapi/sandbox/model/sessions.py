"""Sessions and newsletter months: what has been paid for once and is free until it ends."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TypeAlias, final

from attrs import define, field

DAY: Final = 86_400.0
Pair: TypeAlias = tuple[str, str]  # an agent's id and a recipient


def month_of(moment: float) -> str:
    """Tell the calendar month in UTC of a *moment* in Unix seconds, as `2026-05`."""
    return _month(moment // DAY)


@lru_cache(maxsize=8)
def _month(day: float) -> str:
    return datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m")


def next_day(moment: float) -> float:
    """Tell the next midnight in UTC after a *moment*, both in Unix seconds."""
    return (moment // DAY + 1) * DAY


@final
@define(eq=False)
class Session:
    """A conversation that a user's reply has opened; *paid_by* is the message that holds its price."""

    ends: float
    paid_by: str | None = None


@final
@define(eq=False, repr=False)
class Sessions:
    """The open conversations: each reply moves the end to 24 hours from then."""

    _open: dict[Pair, Session] = field(factory=dict, init=False)

    def reply(self, pair: Pair, now: float) -> Session:
        """Count a user's reply: opens the session, or keeps it open for longer."""
        session = self.find(pair, now)
        if session is None:
            session = self._open[pair] = Session(now + DAY)
        session.ends = now + DAY
        return session

    def find(self, pair: Pair, now: float) -> Session | None:
        """Find the session that is open at *now*."""
        session = self._open.get(pair)
        return session if session is not None and now < session.ends else None

    def close(self, pair: Pair, now: float) -> bool:
        """Forget the session of *pair* if it is over at *now*; False if it goes on, or was closed before."""
        session = self._open.get(pair)
        if session is None or now < session.ends:
            return False
        del self._open[pair]
        return True

    def pay(self, pair: Pair, message_id: str) -> None:
        """Let *message_id* pay for the session of *pair*, unless that is paid for."""
        session = self._open[pair]
        session.paid_by = session.paid_by or message_id

    def undo(self, pair: Pair, message_id: str) -> None:
        """Forget that *message_id* paid: the next message of the session does."""
        session = self._open.get(pair)
        if session is not None and session.paid_by == message_id:
            session.paid_by = None


@final
@define(eq=False)
class Subscriber:
    """One recipient of one agent's newsletter: when the last one was sent, and who paid the month.

    *month* is the last one that has counted for the tier, whatever has become of its messages.
    """

    month: str = ""
    paid_by: str | None = None
    day: float = -1.0
    sent_by: str | None = None


@final
@define(eq=False, repr=False)
class Newsletters:
    """The newsletters of the month: one price a month, one message a day, for each pair."""

    _seen: dict[Pair, Subscriber] = field(factory=dict, init=False)

    def capped(self, pair: Pair, now: float) -> bool:
        """Tell whether the recipient had a newsletter of this agent today."""
        seen = self._seen.get(pair)
        return seen is not None and seen.day == now // DAY

    def paid(self, pair: Pair, now: float) -> bool:
        """Tell whether this month is paid for."""
        seen = self._seen.get(pair)
        return seen is not None and seen.month == month_of(now) and seen.paid_by is not None

    def counted(self, pair: Pair, now: float) -> bool:
        """Tell whether the recipient is counted for this month."""
        seen = self._seen.get(pair)
        return seen is not None and seen.month == month_of(now)

    def count(self, pair: Pair, message_id: str, now: float) -> None:
        """Count a newsletter sent *now*; it pays the month if that was unpaid."""
        paid = self.paid(pair, now)
        seen = self._seen.setdefault(pair, Subscriber())
        seen.paid_by = seen.paid_by if paid else message_id
        seen.month, seen.day, seen.sent_by = month_of(now), now // DAY, message_id

    def undo(self, pair: Pair, message_id: str) -> None:
        """Forget that *message_id* was sent: the day is free again, and the month unpaid if it paid."""
        seen = self._seen.get(pair)
        if seen is not None and seen.paid_by == message_id:
            seen.paid_by = None
        if seen is not None and seen.sent_by == message_id:
            seen.day = -1.0
