"""State: everything that an account holds between two requests."""

from random import Random
from typing import final

from attrs import define, field, frozen

from .deliveries import Deliveries
from .keys import Keys
from .log import Log
from .luck import Chance
from .outbox import Outbox
from .prices import Prices
from .purse import Purse
from .senders import Agent, Channel, Template
from .sessions import Newsletters, Sessions, month_of


@final
@define(eq=False, kw_only=True, repr=False)
class State:
    """What an account holds. Moments come in from outside; ids come from the seed."""

    purse: Purse
    prices: Prices
    chance: Chance
    agents: dict[str, Agent]
    channels: dict[str, Channel]
    templates: dict[str, Template]
    slow: float
    random: Random
    log: Log = field(factory=Log, init=False)
    keys: Keys = field(factory=Keys, init=False)
    sessions: Sessions = field(factory=Sessions, init=False)
    newsletters: Newsletters = field(factory=Newsletters, init=False)
    outbox: Outbox = field(factory=Outbox, init=False)
    deliveries: Deliveries = field(factory=lambda: Deliveries(None))
    _volumes: dict[tuple[str, str], int] = field(factory=dict, init=False)

    def new_id(self, prefix: str) -> str:
        """Make an id, such as `msg_` and 16 hex digits."""
        return f"{prefix}{self.random.getrandbits(64):016x}"

    def emit(self, event: str, now: float, data: dict[str, object]) -> None:
        """Note that *event* has happened at *now*, for the webhooks that ask for it."""
        self.outbox.add(self.new_id("evt_"), event, now, data)

    def tier(self, channel: str, now: float, *, more: int = 0) -> dict[str, object]:
        """Count *more* messages on *channel*, and tell its tier in the month of *now*."""
        name = (channel, month_of(now))
        used = self._volumes[name] = self._volumes.get(name, 0) + more
        return {"channel": channel, "current": "tier_1", "volume_used": used}


@final
@frozen(repr=False)
class Ask:
    """An authorised request on its way to its route: the *id* out of the path, the query, the body.

    *value* is the JSON object of the body, without its idempotency key; *key* that key.
    """

    now: float
    id: str = ""
    query: str = ""
    body: bytes = b""
    value: dict[str, object] = field(factory=dict)
    key: str | None = None
