"""State: everything that an account holds between two requests."""

from collections.abc import Mapping
from hashlib import blake2b
from random import Random
from typing import final
from uuid import UUID

from attrs import define, field, frozen

from ..http.idempotency import Keys
from .agents import Dossiers, book
from .billing import Payments
from .campaigns import Campaign, Run
from .contacts import People
from .deliveries import Deliveries
from .email_channels import Channel, Template
from .endpoints import Endpoints
from .faults import Chance
from .messages import Log
from .outbox import Outbox
from .prices import Prices
from .purse import Purse
from .sessions import Newsletters, Sessions
from .trial import Trial
from .webhooks import Couriers


@final
@define(eq=False, kw_only=True, repr=False)
class State:
    """What an account holds. Moments come in from outside; ids come from the seed."""

    purse: Purse
    prices: Prices
    chance: Chance
    agents: Dossiers = field(converter=book)
    channels: dict[str, Channel]
    templates: dict[str, Template]
    campaigns: Mapping[str, Campaign]
    slow: float
    random: Random
    salt: bytes
    log: Log = field(factory=Log, init=False)
    keys: Keys = field(factory=Keys, init=False)
    sessions: Sessions = field(factory=Sessions, init=False)
    newsletters: Newsletters = field(factory=Newsletters, init=False)
    outbox: Outbox = field(factory=Outbox, init=False)
    people: People = field(factory=People, init=False)
    endpoints: Endpoints = field(factory=Endpoints, init=False)
    payments: Payments = field(factory=Payments, init=False)
    trial: Trial = field(factory=Trial, init=False)
    runs: dict[str, Run] = field(factory=dict, init=False)
    deliveries: Deliveries = field(factory=lambda: Deliveries(None))
    couriers: Couriers = field(factory=Couriers)
    _volumes: dict[tuple[str, str], int] = field(factory=dict, init=False)

    def new_id(self, prefix: str) -> str:
        """Make an id, such as `msg_` and 16 hex digits."""
        return f"{prefix}{self.random.getrandbits(64):016x}"

    def new_uuid(self) -> str:
        """Make a UUID."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def made_up(self, prefix: str, name: str) -> str:
        """Make the id that *name* has in this account, always the same."""
        return f"{prefix}{blake2b(name.encode(errors='replace'), digest_size=8, key=self.salt).hexdigest()}"

    def contact_of(self, to: str) -> str:
        """Tell the id of the contact with this address; without one, the same for every message to it."""
        reached = self.people.reached_by(to)
        return reached[0].id if reached else self.made_up("c_", to)

    def emit(self, event: str, now: float, data: Mapping[str, object]) -> None:
        """Note that *event* has happened at *now*, for the webhooks that ask for it."""
        happening = self.outbox.add(self.new_id("evt_"), event, now, dict(data))
        self.couriers.bring(happening, (one.id for one in self.endpoints.asking(event)), now)

    def tier(self, channel: str, month: str, *, more: int = 0) -> dict[str, object]:
        """Count *more* messages on *channel* in a *month* such as `2026-05`, and tell the tier of that month."""
        name = (channel, month)
        used = self._volumes.get(name, 0) + more
        if more:
            self._volumes[name] = used
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
