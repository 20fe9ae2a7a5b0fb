"""History: reading the message log, and taking a message back."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Final, TypeAlias
from urllib.parse import parse_qsl

from ...results import Detail
from ..http.dates import MOMENT
from ..http.responses import Reply, invalid, iso, refuse, say, shown
from ..model.messages import FREE, STATUSES, Entry
from ..model.state import Ask, State
from ..rules.lifecycle import move

Test: TypeAlias = Callable[[Entry], bool]

_LIMIT: Final = 50
_MOST: Final = 200
_FURTHEST: Final = 2**63 - 1
_NUMBER: Final = re.compile(r"\d{1,19}", re.ASCII)
_MOST_PARAMETERS: Final = 50
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "direction": ("OUTBOUND", "INBOUND"),
    "status": STATUSES,
    "message_type": ("MESSAGE", "CONVERSATION", "NEWSLETTER"),
}
_FIELDS: Final = ("direction", "status", "channel_id", "contact_id", "campaign_id", "message_type")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class _Wrong(ValueError):
    pass  # a parameter that does not fit; the text says how


def list_messages(state: State, ask: Ask) -> Reply:
    """List messages, the newest first (docs: /api/messages/list-messages)."""
    tests: list[Test] = []
    page = {"limit": _LIMIT, "offset": 0}
    details = []
    try:
        given = parse_qsl(ask.query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return invalid([Detail("query", f"has more than {_MOST_PARAMETERS} parameters")])
    for index, (name, value) in enumerate(given):
        try:
            if any(name == other for other, _ in given[:index]):
                raise _Wrong("is given twice")
            if name in page:
                page[name] = _count(name, value)
            else:
                tests.append(_test(name, value))
        except _Wrong as wrong:
            details.append(Detail(name, str(wrong)))
    if details:
        return invalid(details)
    found = (entry for entry in state.log.newest() if all(test(entry) for test in tests))
    start = min(page["offset"], len(state.log))
    return say({"messages": [entry.summary() for entry in islice(found, start, start + page["limit"])]})


def show(state: State, ask: Ask) -> Reply:
    """Show one message with its content and events (docs: /api/messages/get-message)."""
    entry = state.log.find(ask.id)
    return _unknown() if entry is None else say(entry.whole())


def revoke(state: State, ask: Ask) -> Reply:
    """Take a message back that was not delivered yet (docs: /api/messages/revoke-and-status)."""
    entry = state.log.find(ask.id)
    if entry is None:
        return _unknown()
    if entry.status == "REVOKED":
        return refuse(409, "already_revoked", "The message was revoked before.")
    if entry.status in FREE:
        said = "The message was not delivered and will not be: there is nothing to revoke."
        return refuse(409, "wrong_state", said, message_status=entry.status)
    moved = move(state, ask.id, "REVOKED", ask.now)
    if moved is None:
        return refuse(404, "already_delivered", "The message cannot be revoked any more.")
    return say({"id": moved.id, "status": moved.status, "revoked_at": iso(ask.now)})


def _unknown() -> Reply:
    return refuse(404, "not_found", "There is no such message.")


def _count(name: str, value: str) -> int:
    least, most = (1, _MOST) if name == "limit" else (0, _FURTHEST)
    if not _NUMBER.fullmatch(value) or not least <= int(value) <= most:
        raise _Wrong(f"must be a whole number from {least} to {most}")
    return int(value)


def _test(name: str, value: str) -> Test:
    if name in {"from", "to"}:
        start, end = _span(value)
        if name == "from":
            return lambda entry: shown(entry.created_at) >= start
        return lambda entry: shown(entry.created_at) < end
    if name not in _FIELDS:
        raise _Wrong("is not a known parameter")
    choices = _CHOICES.get(name)
    if choices is not None and value not in choices:
        raise _Wrong(f"must be one of {', '.join(choices)}")
    return lambda entry: getattr(entry, name) == value


def _span(value: str) -> tuple[datetime, datetime]:
    # What a date or a time stands for: where it begins, and where the next one does.
    said = "must be an ISO 8601 date or time such as 2026-05-04 or 2026-05-04T07:30:00Z"
    try:
        if MOMENT.fullmatch(value) is None:
            raise _Wrong(said)
        if _DATE.fullmatch(value):
            day = datetime.combine(date.fromisoformat(value), time(), UTC)
            return day, day + timedelta(days=1)
        moment = datetime.fromisoformat(value)
        start = moment.replace(tzinfo=moment.tzinfo or UTC, microsecond=moment.microsecond // 1000 * 1000).astimezone(
            UTC
        )
        return start, start + timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise _Wrong(said) from None
