"""Testing: the routes of the test agent (docs: /guides/quickstart-rcs-sandbox).

Rules:
- Whatever it does not do is one and the same 403, so that nothing can be found out about numbers.
- Its messages cost nothing, and count for no tier.
"""

from attrs import evolve

from ... import messages, testagent
from ...codec import Problems
from ...messages.models import Email, Message
from ..http.intake import take
from ..http.responses import Reply, invalid, refuse, say
from ..model.state import Ask, State
from ..model.trial import MOST, TEST_AGENT
from ..rules.billing import FREE, price
from .sending import accept

_REGISTRATION, _VERIFICATION = testagent.FORMS


def register(state: State, ask: Ask) -> Reply:
    """Send a code to a number."""
    given = take(_REGISTRATION, testagent.Registration, ask.value)
    if isinstance(given, Reply):
        return given
    state.trial.waiting = given.phone
    return say({"phone": given.phone, "status": "code_sent"})


def verify(state: State, ask: Ask) -> Reply:
    """Bind a number to the workspace by the code that was sent there."""
    given = take(_VERIFICATION, testagent.Verification, ask.value)
    if isinstance(given, Reply):
        return given
    return say(state.trial.figures()) if state.trial.verify(given.phone, given.code) else _forbidden()


def send(state: State, ask: Ask) -> Reply:
    """Send a message to the verified number; a `message_type` that is left out is MESSAGE."""
    message = messages.read({"message_type": "MESSAGE", **ask.value})
    if isinstance(message, Problems):
        return invalid(message.details)
    details = messages.check(message)
    if details:
        return invalid(details)
    if not _allowed(state, message):
        return _forbidden()
    cost = price(state, message, ask.now)
    if isinstance(cost, Reply):
        return cost
    state.trial.sent += 1
    free = evolve(cost, price=FREE, counts=False)
    return accept(state, ask, message, free, channel_id=TEST_AGENT.channel_id)


def status(state: State, _: Ask) -> Reply:
    """Tell the quota that is left and the number that is bound."""
    return say(state.trial.figures())


def _allowed(state: State, message: Message) -> bool:
    if isinstance(message, Email) or message.message_type == "NEWSLETTER":
        return False
    trial = state.trial
    return (message.agent_id, message.to) == (TEST_AGENT.agent_id, trial.phone) and trial.sent < MOST


def _forbidden() -> Reply:
    return refuse(403, "forbidden", "The test agent does not do this.")
