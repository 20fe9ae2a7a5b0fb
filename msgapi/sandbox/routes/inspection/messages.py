"""The messages as they are: with their recipient, their content and their state; and the conversations.

Rules:
- What came from a message is data. Only the page of a mail is markup, and its policy lets it do nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from html import escape
from typing import Any, Final, final

from attrs import asdict, frozen

from ....http import Response
from ...http.requests import Parser, RouteRequest, parse_choice, parse_integer
from ...http.responses import SimulatedResponse, Wait, json_response, to_datetime
from ...model.faults import parse_ttl
from ...model.inspection import (
    CHANNEL_NAMES,
    DIRECTIONS,
    STATUSES,
    MessageFilter,
    find_awaited,
    find_messages,
    has_text,
    sent_fields,
)
from ...model.messages import LogEntry, MessageStatus, template_of
from ...model.state import AccountState
from ...rules.controls import tappable
from .listing import PAGED, Missing, Query, after_cursor, page, parse_recipient, parse_text

MAIL_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The Content-Security-Policy of the page of a mail: no script, no form, nothing from outside."""
MAIL_HEADERS: Final[Mapping[str, str]] = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": MAIL_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "x-dns-prefetch-control": "off",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_NUMBER: Final = parse_integer(0, 2**63 - 1)
_FILTERS: Final[Mapping[str, Parser]] = {
    "to": parse_recipient,
    "sender": parse_text,
    "status": parse_choice(*STATUSES),
    "direction": parse_choice(*DIRECTIONS),
    "channel": parse_choice(*CHANNEL_NAMES),
    "contains": parse_text,
    "idempotency_key": parse_text,
    "after": _NUMBER,
}
LIST_PARAMETERS: Final[Mapping[str, Parser]] = {
    **_FILTERS,
    "before": _NUMBER,
    "order": parse_choice("newest", "oldest"),
    **PAGED,
}
WAIT_PARAMETERS: Final[Mapping[str, Parser]] = {**_FILTERS, "timeout": parse_integer(0, 60, digits=2)}
SEARCH_PARAMETERS: Final[Mapping[str, Parser]] = {"search": parse_recipient, **PAGED}
_DEFAULT_TIMEOUT: Final = 30


@final
@frozen(kw_only=True)
class MessageEventView:
    """A change of the status of a message."""

    type: str
    at: datetime


@final
@frozen(kw_only=True)
class MessageView:
    """A message of the log, as it was sent or received.

    *hold* is the amount that is or was reserved for it, and *cost* what it costs, both in EUR. *taps* are the texts of
    the suggestions that its recipient can tap. An email with *has_html* has a page of its own.
    """

    id: str
    number: int
    direction: str
    channel: str
    to: str
    sender: str
    sender_name: str
    message_type: str
    content_type: str
    status: MessageStatus
    cost: float | None
    hold: float
    created_at: datetime
    expires_at: datetime | None
    events: tuple[MessageEventView, ...]
    error_code: str | None
    error_message: str | None
    campaign_id: str | None
    contact_id: str
    idempotency_key: str | None
    content: Mapping[str, object]
    subject: str | None
    has_html: bool
    revocable: bool
    taps: tuple[str, ...]


@final
@frozen(kw_only=True)
class MessageViews:
    """One page of messages."""

    data: tuple[MessageView, ...]
    next_cursor: str | None


@final
@frozen(kw_only=True)
class AwaitedMessage:
    """The message that was waited for; null if none has come in time."""

    message: MessageView | None


@final
@frozen(kw_only=True)
class SenderView:
    """An agent or an email channel."""

    sender: str
    sender_name: str
    channel: str


@final
@frozen(kw_only=True)
class SessionView:
    """An open session of a conversation, and whether a message has paid for it."""

    agent_id: str
    expires_at: datetime
    paid: bool


@frozen(kw_only=True)
class ConversationView:
    """The conversation with one recipient, by its newest message."""

    recipient: str
    channel: str
    last_at: datetime
    last_text: str
    last_status: MessageStatus
    last_number: int
    last_direction: str
    sender: str
    sender_name: str


@final
@frozen(kw_only=True)
class ConversationViews:
    """One page of conversations."""

    data: tuple[ConversationView, ...]
    next_cursor: str | None


@final
@frozen(kw_only=True)
class ConversationDetails(ConversationView):
    """The conversation with one recipient, who may be a contact, with those who wrote to it and the open sessions."""

    senders: tuple[SenderView, ...]
    contact_id: str | None
    suppressed: bool
    sessions: tuple[SessionView, ...]


def messages(state: AccountState, _: RouteRequest, query: Query) -> MessageViews:
    """List messages, newest first or oldest first."""
    newest_first = query.get("order", "newest") == "newest"
    wanted = _filter_of(query)
    found = find_messages(state.log, state.conversations, wanted, newest_first=newest_first)
    rest = after_cursor(found, query, newest_first=newest_first)
    data, following = page(rest, query, lambda one: message_view(state, one))
    return MessageViews(data=data, next_cursor=following)


def message(state: AccountState, request: RouteRequest, _: Query) -> MessageView | Missing:
    """Return one message with its content."""
    entry = state.log.find(request.id)
    return Missing("message") if entry is None else message_view(state, entry)


def wait(state: AccountState, _: RouteRequest, query: Query) -> SimulatedResponse:
    """Wait for a message that matches: the first one after the number `after`, without it the newest of all."""
    wanted = _filter_of(query)
    entry = find_awaited(state.log, state.conversations, wanted)
    found = AwaitedMessage(message=None if entry is None else message_view(state, entry))
    response = json_response(found).response
    timeout: int = query.get("timeout", _DEFAULT_TIMEOUT)
    return SimulatedResponse(response, wait=Wait(timeout, wanted.matches) if entry is None and timeout else None)


def mail(state: AccountState, request: RouteRequest, _: Query) -> SimulatedResponse | Missing:
    """Return the HTML of an email as a page that can do nothing."""
    entry = state.log.find(request.id)
    if entry is None or entry.channel != "EMAIL":
        return Missing("email")
    sent = sent_fields(entry)
    html = _object(sent, "content").get("html")
    if not isinstance(html, str):
        html = _plain_mail(sent)
    return SimulatedResponse(Response(200, MAIL_HEADERS, html.encode(errors="replace")))


def conversations(state: AccountState, _: RouteRequest, query: Query) -> ConversationViews:
    """List the conversations by their newest messages; `search` is a part of a recipient, or of such a message."""
    wanted = query.get("search", "").casefold()
    found = (
        entry
        for entry in after_cursor(state.conversations.newest_first(), query)
        if wanted in entry.to.casefold() or has_text(entry, wanted)
    )
    data, following = page(found, query, lambda one: _conversation_view(state, one))
    return ConversationViews(data=data, next_cursor=following)


def conversation(state: AccountState, request: RouteRequest, _: Query) -> ConversationDetails | Missing:
    """Return the conversation with one recipient; the id is its phone number or email address."""
    entries = [*state.conversations.entries(request.id, newest_first=True)]
    if not entries:
        return Missing("conversation")
    newest, contacts = entries[0], state.contacts.find_by_recipient(request.id)
    senders = {entry.sender: entry.channel for entry in reversed(entries)}
    return ConversationDetails(
        **asdict(_conversation_view(state, newest)),
        senders=tuple(
            SenderView(sender=name, sender_name=sender_name(state, name), channel=channel)
            for name, channel in senders.items()
        ),
        contact_id=contacts[0].id if contacts else None,
        suppressed=any(contact.is_suppressed for contact in contacts),
        sessions=tuple(_sessions(state, newest.to, senders, request.now)),
    )


def message_view(state: AccountState, entry: LogEntry) -> MessageView:
    """Return a message as it is shown."""
    sent = sent_fields(entry)
    content, subject = _object(sent, "content"), sent.get("subject")
    ttl = parse_ttl(sent.get("ttl"))
    return MessageView(
        id=entry.id,
        number=entry.number,
        direction=entry.direction,
        channel=entry.channel,
        to=entry.to,
        sender=entry.sender,
        sender_name=sender_name(state, entry.sender),
        message_type=entry.message_type,
        content_type=entry.content_type,
        status=entry.status,
        cost=None if entry.cost is None else float(entry.cost),
        hold=float(entry.hold),
        created_at=to_datetime(entry.created_at),
        expires_at=None if ttl is None else to_datetime(entry.created_at + ttl),
        events=tuple(MessageEventView(type=name, at=to_datetime(at)) for name, at in entry.events),
        error_code=entry.error_code,
        error_message=entry.error_message,
        campaign_id=entry.campaign_id,
        contact_id=entry.contact_id,
        idempotency_key=entry.idempotency_key,
        content=template_of(sent) or content,
        subject=subject if isinstance(subject, str) else None,
        has_html=entry.channel == "EMAIL" and bool(content.get("html")),
        revocable=entry.direction == "OUTBOUND" and entry.is_revocable,
        taps=tappable(entry),
    )


def sender_name(state: AccountState, sender: str) -> str:
    """Return the name of an agent, or the id of a channel."""
    found = state.agents.find(sender)
    return sender if found is None else found.display_name


def _filter_of(query: Query) -> MessageFilter:
    return MessageFilter(**{name: part for name, part in query.items() if name in {*_FILTERS, "before"}})


def _conversation_view(state: AccountState, entry: LogEntry) -> ConversationView:
    return ConversationView(
        recipient=entry.to,
        channel=entry.channel,
        last_at=to_datetime(entry.created_at),
        last_text=_text_of(entry),
        last_status=entry.status,
        last_number=entry.number,
        last_direction=entry.direction,
        sender=entry.sender,
        sender_name=sender_name(state, entry.sender),
    )


def _sessions(state: AccountState, to: str, senders: Iterable[str], now: float) -> Iterator[SessionView]:
    for agent_id in senders:
        session = state.sessions.find((agent_id, to), now)
        if session is not None:
            paid = session.paid_by is not None
            yield SessionView(agent_id=agent_id, expires_at=to_datetime(session.ends), paid=paid)


def _text_of(entry: LogEntry) -> str:
    """Return what a list shows of a message: its text, its subject, the title of its first card, or its template."""
    sent = sent_fields(entry)
    content = _object(sent, "content")
    card = _object(content, "rich_card")
    several = _object(card, "carousel").get("cards")
    cards = several if isinstance(several, list) else [_object(card, "standalone").get("content")]
    titles = [one.get("title") or one.get("description") for one in cards if isinstance(one, dict)]
    texts = [sent.get("subject"), content.get("text"), *titles, sent.get("template_id")]
    return next((one for one in texts if isinstance(one, str) and one), "")


def _object(owner: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    # The content of a message from a snapshot may be anything.
    found = owner.get(name)
    return found if isinstance(found, dict) else {}


def _plain_mail(sent: Mapping[str, Any]) -> str:
    text = _object(sent, "content").get("text")
    if not isinstance(text, str):
        template, version = sent.get("template_id"), sent.get("template_version")
        named = f"{template}, version {version}" if version else f"{template}"
        text = f"This email was sent from the template {named}. The sandbox has no content of templates."
    return f'<!doctype html><meta charset="utf-8"><title>Email</title><pre>{escape(text)}</pre>'
