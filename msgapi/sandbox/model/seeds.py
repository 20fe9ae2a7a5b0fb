"""The seed of a sandbox: a JSON object, written by hand, with what a sandbox has at the start, or what is added to it.

Every field is optional, also `{}` is a seed. An unknown field is an error. For example:

    {
      "balance": 50,
      "prices": {"single_message": 0.09, "email": 0.004},
      "agents": [{"agent_id": "ag_live_parcels", "display_name": "Parcels", "use_case": "TRANSACTIONAL"}],
      "channels": [{"channel_id": "ch_parcels"}],
      "templates": [{"template_id": "tpl_invoice", "versions": ["1", "2"]}],
      "campaigns": [{"campaign_id": "9d27c0de-5b8f-4f6e-9d27-5b8f0a6c1e10", "executions": 50, "price": 0.05}],
      "contacts": [
        {
          "phone": "+4915112345678",
          "first_name": "Ada",
          "tags": ["vip"],
          "consents": [{"channel_type": "RCS", "message_type": "NEWSLETTER"}]
        },
        {"email": "bob@shop.example", "status": "UNSUBSCRIBED"}
      ],
      "webhooks": [
        {"url": "http://localhost:8000/hook", "events": ["message.delivered", "message.failed"], "secret": "whsec_1"}
      ],
      "messages": [
        {
          "send": {
            "agent_id": "ag_live_parcels",
            "to": "+4915112345678",
            "message_type": "MESSAGE",
            "traffic_type": "TRANSACTION",
            "content": {"text": "Your parcel is here"}
          },
          "status": "READ",
          "ago": "2h"
        },
        {"reply": {"agent_id": "ag_live_parcels", "user": "+4915112345678", "text": "Thanks"}, "ago": "90m"}
      ]
    }

- `balance` is the free balance in EUR, whatever the messages cost. `prices` replaces single prices.
- `agents`, `channels`, `templates` and `campaigns` replace those with the same id. They need no other field than their
  id, and a template its `versions`. An agent is approved and launched unless its `status` or `launched` says otherwise.
- `contacts` have the fields of `POST /v1/contacts` (`source` is `API` by default), a `status`, and `consents` with the
  fields of `POST /v1/contacts/{id}/consent`, granted unless their `status` is `PENDING` or `REVOKED`. One with the
  email of another one changes that one.
- `webhooks` have the fields of `POST /v1/webhooks`. One with the URL of another one changes that one.
- `messages` are accepted messages and replies. `send` is the body of `POST /v1/messages`, and the message has the
  `status` `DELIVERED` unless it is given: `QUEUED` (it continues as any other), `SENT`, `DELIVERED`, `READ`, `FAILED`
  (for a `reason`) or `EXPIRED`. `reply` is a text of a user to an agent. They happened `ago` (`45s`, `90m`, `2h`,
  `3d`), or `at` a time in ISO 8601, or now. No webhooks are sent for what is in a seed.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, TypeAlias, final

from attrs import field, fields, frozen

from ...contacts import ChannelType, ConsentType, Source, Status
from ...redact import hidden
from ...results import Detail
from ...schema.requests import Schema
from ...schema.validators import any_string, integer, non_empty, one_of, optional, tuple_of
from .agents import AgentStatus, UseCase
from .billing import amount_problem
from .messages import EmailChannel, EmailTemplate

SeedStatus: TypeAlias = Literal["QUEUED", "SENT", "DELIVERED", "READ", "FAILED", "EXPIRED"]
ConsentStatus: TypeAlias = Literal["GRANTED", "PENDING", "REVOKED"]
CampaignStart: TypeAlias = Literal["DRAFT", "SCHEDULED"]
AGO: Final = re.compile(r"[0-9]{1,9}[smhd]")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST: Final = 365 * 86_400  # seconds


@final
@frozen(kw_only=True)
class SeedPrices:
    """The prices of units in EUR; one that is None stays as it is."""

    basic_message: Decimal | None = None
    single_message: Decimal | None = None
    conversation: Decimal | None = None
    mau: Decimal | None = None
    email: Decimal | None = None


@final
@frozen(kw_only=True)
class SeedAgent:
    """An RCS agent."""

    agent_id: str
    display_name: str | None = None
    channel_id: str | None = None
    use_case: UseCase = "MULTI_USE"
    status: AgentStatus = "APPROVED"
    launched: bool = True
    newsletter_enabled: bool = False


@final
@frozen(kw_only=True)
class SeedCampaign:
    """A campaign."""

    campaign_id: str
    by_api: bool = True
    status: CampaignStart = "SCHEDULED"
    executions: int = 100
    seconds: float = 1.0
    price: Decimal = Decimal("0.07")


@final
@frozen(kw_only=True)
class SeedConsent:
    """A consent of a contact."""

    channel_type: ChannelType
    message_type: ConsentType
    source: str = "seed"
    proof_text: str | None = field(default=None, repr=hidden)
    status: ConsentStatus = "GRANTED"


@final
@frozen(kw_only=True)
class SeedContact:
    """A contact, with its consents."""

    phone: str | None = field(default=None, repr=hidden)
    email: str | None = field(default=None, repr=hidden)
    external_id: str | None = field(default=None, repr=hidden)
    first_name: str | None = field(default=None, repr=hidden)
    last_name: str | None = field(default=None, repr=hidden)
    source: Source = "API"
    status: Status = "ACTIVE"
    tags: tuple[str, ...] = ()
    custom_fields: Mapping[str, object] | None = field(default=None, repr=hidden, hash=False)
    consents: tuple[SeedConsent, ...] = ()


@final
@frozen(kw_only=True)
class SeedWebhook:
    """A webhook endpoint."""

    url: str = field(repr=hidden)
    events: tuple[str, ...]
    secret: str = field(repr=hidden)


@final
@frozen(kw_only=True)
class SeedReply:
    """A text that a user has written to an agent."""

    agent_id: str
    user: str = field(repr=hidden)
    text: str = field(repr=hidden)


@final
@frozen(kw_only=True)
class SeedMessage:
    """A message that was accepted, as the body of its request, or a reply; and when that was."""

    send: Mapping[str, object] | None = field(default=None, repr=hidden, hash=False)
    reply: SeedReply | None = None
    status: SeedStatus = "DELIVERED"
    reason: str | None = None
    at: datetime | None = None
    ago: str | None = None

    def time(self, now: float) -> float:
        """Return when it was, in Unix seconds."""
        if self.at is not None:
            return self.at.timestamp()
        return now if self.ago is None else now - int(self.ago[:-1]) * _SECONDS[self.ago[-1]]


@final
@frozen(kw_only=True)
class SeedDocument:
    """A seed."""

    balance: Decimal | None = None
    prices: SeedPrices | None = None
    agents: tuple[SeedAgent, ...] = ()
    channels: tuple[EmailChannel, ...] = ()
    templates: tuple[EmailTemplate, ...] = ()
    campaigns: tuple[SeedCampaign, ...] = ()
    contacts: tuple[SeedContact, ...] = ()
    webhooks: tuple[SeedWebhook, ...] = ()
    messages: tuple[SeedMessage, ...] = ()


def _check_ago(value: object) -> str | None:
    if isinstance(value, str) and AGO.fullmatch(value) and int(value[:-1]) * _SECONDS[value[-1]] <= _LONGEST:
        return None
    return "must be a time of up to a year, such as 45s, 90m, 2h or 3d"


def _check_message(given: SeedMessage) -> Iterable[Detail]:
    if (given.send is None) == (given.reply is None):
        yield Detail("", "must have exactly one of send, reply")
    if given.at is not None and given.ago is not None:
        yield Detail("ago", "must not be given beside at")
    if given.reason is not None and given.status != "FAILED":
        yield Detail("reason", "is only for the status FAILED")


def _positive(value: object) -> str | None:
    return None if isinstance(value, float) and 0 < value <= _LONGEST else "must be more than 0 seconds, up to a year"


_AGENT: Final = Schema(
    SeedAgent,
    {
        "agent_id": non_empty,
        "display_name": optional(non_empty),
        "channel_id": optional(non_empty),
        "use_case": one_of(UseCase),
        "status": one_of(AgentStatus),
    },
)
_CHANNEL: Final = Schema(
    EmailChannel, {"channel_id": non_empty, "message_types": tuple_of(one_of(Literal["MESSAGE", "NEWSLETTER"]))}
)
_TEMPLATE: Final = Schema(EmailTemplate, {"template_id": non_empty, "versions": tuple_of(non_empty)})
_CAMPAIGN: Final = Schema(
    SeedCampaign,
    {
        "campaign_id": non_empty,
        "status": one_of(CampaignStart),
        "executions": integer(1, 2**31 - 1),
        "seconds": _positive,
        "price": amount_problem,
    },
)
_CONSENT: Final = Schema(SeedConsent, {"status": one_of(ConsentStatus)})
_CONTACT: Final = Schema(SeedContact, {"status": one_of(Status), "consents": tuple_of(_CONSENT.check)})
_REPLY: Final = Schema(SeedReply, {"text": any_string})
_MESSAGE: Final = Schema(
    SeedMessage,
    {"reply": optional(_REPLY.check), "status": one_of(SeedStatus), "ago": optional(_check_ago)},
    _check_message,
)
_PRICE_LIST: Final = Schema(SeedPrices, {one.name: optional(amount_problem) for one in fields(SeedPrices)})
SEED: Final = Schema(
    SeedDocument,
    {
        "balance": optional(amount_problem),
        "prices": optional(_PRICE_LIST.check),
        "agents": tuple_of(_AGENT.check),
        "channels": tuple_of(_CHANNEL.check),
        "templates": tuple_of(_TEMPLATE.check),
        "campaigns": tuple_of(_CAMPAIGN.check),
        "contacts": tuple_of(_CONTACT.check),
        "messages": tuple_of(_MESSAGE.check),
    },
)
"""The rules for a seed. Those for contacts, consents, webhook endpoints and messages are those of their routes."""
