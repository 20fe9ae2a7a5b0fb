"""Sessions: the open conversations, and the monthly newsletters; each is paid for once, and free until it ends.

Rules:
- A reply of the user opens a conversation for 24 hours, or extends it to 24 hours from then.
- A newsletter pays for the calendar month of one recipient and one agent; one a day is allowed.
- If the message that paid fails, the next one pays.
"""

from typing import final

from attrs import define, field

from .billing import DAY, Pair, month_of


@final
@define(eq=False)
class Session:
    """A conversation that a reply of the user has opened. *paid_by* is the message that holds its price."""

    ends: float
    paid_by: str | None = None


@final
@define(eq=False, repr=False)
class Sessions:
    """The open conversations. Each reply moves the end to 24 hours from then."""

    _open: dict[Pair, Session] = field(factory=dict, init=False)

    def open_or_extend(self, pair: Pair, now: float) -> Session:
        """Open the session of *pair* for 24 hours, or extend it to 24 hours from *now*."""
        session = self.find(pair, now)
        if session is None:
            session = self._open[pair] = Session(now + DAY)
        session.ends = now + DAY
        return session

    def find(self, pair: Pair, now: float) -> Session | None:
        """Return the session that is open at *now*."""
        session = self._open.get(pair)
        return session if session is not None and now < session.ends else None

    def close_expired(self, pair: Pair, now: float) -> bool:
        """Remove the session of *pair* if it has ended; return False if it is still open or already removed."""
        session = self._open.get(pair)
        if session is None or now < session.ends:
            return False
        del self._open[pair]
        return True

    def pay(self, pair: Pair, message_id: str) -> None:
        """Let a message pay for the session of *pair*, unless it is paid."""
        session = self._open[pair]
        session.paid_by = session.paid_by or message_id

    def undo_payment(self, pair: Pair, message_id: str) -> None:
        """If this message paid for the session, let the next message pay for it."""
        session = self._open.get(pair)
        if session is not None and session.paid_by == message_id:
            session.paid_by = None


@final
@define(eq=False)
class Subscriber:
    """One recipient of one agent's newsletters: the day of the last one, and the message that paid for the month.

    *month* is the last month counted for the tier, even if its messages failed.
    """

    month: str = ""
    paid_by: str | None = None
    day: float = -1.0
    sent_by: str | None = None


@final
@define(eq=False, repr=False)
class Newsletters:
    """The newsletters: one price a month and one message a day for each agent and recipient."""

    _subscribers: dict[Pair, Subscriber] = field(factory=dict, init=False)

    def sent_today(self, pair: Pair, now: float) -> bool:
        """Return whether the recipient has received a newsletter of this agent today."""
        subscriber = self._subscribers.get(pair)
        return subscriber is not None and subscriber.day == now // DAY

    def is_paid(self, pair: Pair, now: float) -> bool:
        """Return whether this month is paid for."""
        subscriber = self._subscribers.get(pair)
        return subscriber is not None and subscriber.month == month_of(now) and subscriber.paid_by is not None

    def is_counted(self, pair: Pair, now: float) -> bool:
        """Return whether the recipient is counted for this month's tier."""
        subscriber = self._subscribers.get(pair)
        return subscriber is not None and subscriber.month == month_of(now)

    def count(self, pair: Pair, message_id: str, now: float) -> None:
        """Count a newsletter sent at *now*; it pays for the month if that is unpaid."""
        paid = self.is_paid(pair, now)
        subscriber = self._subscribers.setdefault(pair, Subscriber())
        subscriber.paid_by = subscriber.paid_by if paid else message_id
        subscriber.month, subscriber.day, subscriber.sent_by = month_of(now), now // DAY, message_id

    def undo(self, pair: Pair, message_id: str) -> None:
        """Undo a newsletter: the day is free again, and the month is unpaid if this message paid for it."""
        subscriber = self._subscribers.get(pair)
        if subscriber is not None and subscriber.paid_by == message_id:
            subscriber.paid_by = None
        if subscriber is not None and subscriber.sent_by == message_id:
            subscriber.day = -1.0
