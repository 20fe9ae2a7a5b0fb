"""Controls: what the API has no route for, as somebody else does it: a user answers, a reviewer or a carrier decides.

They stand below `/_sandbox`, so that nobody takes them for routes of the service.
"""

from typing import Final, final

from attrs import field, frozen

from ..forms import Form
from ..layout import lay_flat
from ..privacy import hidden
from ..rules import free, number, written
from . import agency, consents
from .answers import Reply, refuse, say
from .dossiers import CARRIERS
from .intake import take
from .log import Entry
from .replying import reply as answer
from .replying import suggestion
from .state import Ask, State


@final
@frozen(kw_only=True)
class Written:
    """What a user writes, and to which agent."""

    agent_id: str
    user: str = field(repr=hidden)
    text: str = field(repr=hidden)


@final
@frozen(kw_only=True)
class Tapped:
    """The text of the suggestion that the recipient of a message taps."""

    message_id: str
    text: str = field(repr=hidden)


@final
@frozen(kw_only=True)
class Rejection:
    """Why an agent does not pass the review."""

    reason: str


@final
@frozen(kw_only=True)
class Launched:
    """On which carrier an agent is launched."""

    carrier: str


def reply(state: State, ask: Ask) -> Reply:
    """Let a user write to an agent: `{"agent_id", "user", "text"}`."""
    given = take(_WRITTEN, Written, ask.value)
    if isinstance(given, Reply):
        return given
    return _told(answer(state, given.user, given.agent_id, ask.now, {"type": "text", "text": given.text}))


def tap(state: State, ask: Ask) -> Reply:
    """Let the recipient of a message tap one of its suggestions: `{"message_id", "text"}`."""
    given = take(_TAPPED, Tapped, ask.value)
    if isinstance(given, Reply):
        return given
    entry = state.log.find(given.message_id)
    found = None if entry is None else suggestion(entry, given.text)
    if entry is None or found is None:
        return refuse(404, "not_found", "There is no such message, or no suggestion with this text in it.")
    return _told(answer(state, entry.to, entry.sender, ask.now, found))


def approve(state: State, ask: Ask) -> Reply:
    """Let an agent pass its review; the answer has the id that it has from now on."""
    live = agency.approve(state, ask.id, ask.now)
    return _no_agent() if live is None else say({"agent_id": live, "status": "APPROVED"})


def reject(state: State, ask: Ask) -> Reply:
    """Let an agent not pass its review: `{"reason"}`."""
    given = take(_REJECTION, Rejection, ask.value)
    if isinstance(given, Reply):
        return given
    done = agency.reject(state, ask.id, given.reason, ask.now)
    return say({"agent_id": ask.id, "status": "REJECTED"}) if done else _no_agent()


def launch(state: State, ask: Ask) -> Reply:
    """Let a carrier launch an approved agent: `{"carrier"}`."""
    given = take(_LAUNCHED, Launched, ask.value)
    if isinstance(given, Reply):
        return given
    done = agency.launch(state, ask.id, given.carrier, ask.now)
    return say({"agent_id": ask.id, "carrier": given.carrier, "status": "LAUNCHED"}) if done else _no_agent()


def confirm(state: State, ask: Ask) -> Reply:
    """Let a contact confirm the consent with this id, as in a double opt-in."""
    if not consents.confirm(state, ask.id, ask.now):
        return refuse(404, "not_found", "There is no consent with this id that waits to be confirmed.")
    return say({"id": ask.id, "status": "GRANTED"})


def _told(entry: Entry) -> Reply:
    return say({"message_id": entry.id}, 201)


def _no_agent() -> Reply:
    return refuse(404, "not_found", "There is no agent with this id in the state for that.")


def _carrier(value: object) -> str | None:
    return None if value in CARRIERS else f"must be one of {', '.join(CARRIERS)}"


_WRITTEN: Final = Form(Written, {"agent_id": written, "user": number, "text": free})
_TAPPED: Final = Form(Tapped, {"message_id": written, "text": written})
_REJECTION: Final = Form(Rejection, {"reason": written})
_LAUNCHED: Final = Form(Launched, {"carrier": _carrier})

lay_flat(Written, Tapped, Rejection, Launched)
