"""Replying: what a user writes to an agent, or taps in one of its messages."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson

from ..http.responses import fit
from ..model.messages import Entry
from ..model.state import State
from ..model.trial import TEST_AGENT
from .telling import started


def reply(state: State, user: str, agent_id: str, now: float, message: dict[str, object]) -> Entry | None:
    """Let *user* answer *agent_id* with *message*: opens a session, or keeps it open for 24 hours more.

    The docs show the types `text` and `suggested_reply`; a tapped action is told as the latter. None if
    there is no such agent, or if it is not approved and launched.
    """
    agent = TEST_AGENT if agent_id == TEST_AGENT.agent_id else state.agents.get(agent_id)
    if agent is None or agent.status != "APPROVED" or not agent.launched:
        return None
    entry = Entry(
        id=state.new_id("msg_"),
        to=user,
        sender=agent.agent_id,
        channel="RCS",
        channel_id=agent.channel_id,
        contact_id=state.contact_of(user),
        message_type="CONVERSATION",
        content_type="TEXT" if message["type"] == "text" else "INTERACTIVE",
        unit="",
        hold=Decimal(0),
        created_at=now,
        body=fit(orjson.dumps({"content": {name: part for name, part in message.items() if name != "type"}})),
        status="DELIVERED",
        events=(("received", now),),
        direction="INBOUND",
    )
    state.log.add(entry)
    pair = (agent.agent_id, user)
    session = state.sessions.reply(pair, now)
    state.deliveries.end(pair, session.ends)
    started(state, pair, now, session.ends, message)
    return entry


def suggestion(entry: Entry, text: str) -> dict[str, object] | None:
    """Find the suggestion with this *text* in a message, as what the user answers by tapping it.

    None if there is none, or if the message was not sent or is given up.
    """
    if not entry.received:
        return None
    for chip in _chips(orjson.loads(entry.body)):
        inner = chip.get("reply") or chip.get("action")
        if isinstance(inner, dict) and inner.get("text") == text:
            data = inner.get("postback_data")
            return {"type": "suggested_reply", "text": text, **({"postback_data": data} if data else {})}
    return None


def _chips(value: object) -> Iterator[dict[str, Any]]:
    # Wherever in a message there are suggestions: under the text, or on its cards.
    if isinstance(value, dict):
        for name, part in value.items():
            if name == "suggestions" and isinstance(part, list):
                yield from (one for one in part if isinstance(one, dict))
            else:
                yield from _chips(part)
    elif isinstance(value, list):
        for part in value:
            yield from _chips(part)
