"""Orders: what the routes of `controls` are given, and what they answer with."""

from typing import Final, Literal, TypeAlias, final

from attrs import field, frozen

from ...forms import Form
from ...layout import lay_flat
from ...privacy import hidden
from ...rules import free, number, one_of, written
from ..model.agents import CARRIERS, Launched, Settled

Halting: TypeAlias = Literal["PAUSED_ERROR", "PAUSED_BALANCE"]
_MOST: Final = 2**31 - 1  # executions


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
class Halted:
    """Why a campaign stops by itself."""

    status: Halting = "PAUSED_ERROR"


@final
@frozen(kw_only=True)
class Failures:
    """How many of the pending executions of a campaign fail."""

    executions: int = 1


@final
@frozen(kw_only=True)
class Noted:
    """The message that a user's answer is in the log."""

    message_id: str


@final
@frozen(kw_only=True)
class Reviewed:
    """An agent with the id and the status that it has from now on."""

    agent_id: str
    status: Literal["APPROVED", "REJECTED"]


@final
@frozen(kw_only=True)
class Placed:
    """What a carrier has made of an agent."""

    agent_id: str
    carrier: str
    status: Settled


@final
@frozen(kw_only=True)
class Stopped:
    """A campaign that has stopped."""

    campaign_id: str
    status: Halting


@final
@frozen(kw_only=True)
class Failed:
    """How many more executions of a campaign have failed."""

    campaign_id: str
    failed: int


@final
@frozen(kw_only=True)
class Confirmed:
    """A consent that is granted now."""

    id: str
    status: Literal["GRANTED"] = "GRANTED"


def _carrier(value: object) -> str | None:
    return None if value in CARRIERS else f"must be one of {', '.join(CARRIERS)}"


def _count(value: object) -> str | None:
    return None if type(value) is int and 1 <= value <= _MOST else f"must be a whole number from 1 to {_MOST}"


WRITTEN: Final = Form(Written, {"agent_id": written, "user": number, "text": free})
TAPPED: Final = Form(Tapped, {"message_id": written, "text": written})
REJECTION: Final = Form(Rejection, {"reason": written})
LAUNCHED: Final = Form(Launched, {"carrier": _carrier, "status": one_of(Settled), "reason": written})
HALTED: Final = Form(Halted, {"status": one_of(Halting)})
FAILURES: Final = Form(Failures, {"executions": _count})

lay_flat(Written, Tapped, Rejection, Launched, Halted, Failures)
