"""Models: what is sent and returned about RCS agents."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias, final

from attrs import field, frozen

from ..schema.answers import map_answer
from ..schema.mapping import map_fields_by_name

Region: TypeAlias = Literal["EUROPE"]
BillingCategory: TypeAlias = Literal["CONVERSATIONAL", "NON_CONVERSATIONAL"]
UseCase: TypeAlias = Literal["OTP", "TRANSACTIONAL", "PROMOTIONAL", "MULTI_USE"]


@final
@frozen(kw_only=True)
class NewAgent:
    """An agent to create as a draft. *newsletter_enabled* cannot be changed later.

    The docs contradict each other on whether *region*, *billing_category* and *use_case* can be changed before the
    launch; here they cannot.
    """

    display_name: str
    region: Region
    billing_category: BillingCategory
    use_case: UseCase
    newsletter_enabled: bool = False


@final
@frozen(kw_only=True)
class AgentChanges:
    """The fields for `update` to change; a field that is None is left as it is.

    *description* must not contain HTML, JSON, script, escaped characters or commands. They are recognised by
    patterns, so the service may still refuse a description that is valid here. *color* is `#rrggbb` with a contrast
    to white of at least 4.5 to 1. *logo_url* is an image of at least 224 x 224 pixels and at most 50 kB,
    *banner_url* one of 1440 x 448 pixels and at most 200 kB (JPEG or PNG); only the service checks the images.
    """

    display_name: str | None = None
    description: str | None = None
    color: str | None = None
    logo_url: str | None = None
    banner_url: str | None = None
    phone: str | None = None
    email: str | None = None
    website: str | None = None
    privacy_policy_url: str | None = None
    terms_of_service_url: str | None = None


@final
@frozen(kw_only=True)
class Agent:
    """An agent. *status* is `DRAFT`, `PENDING_REVIEW`, `APPROVED` or `REJECTED`; the other fields depend on it.

    The id of an approved agent may differ from the id of its draft, so use the id in the answer. Times are in UTC.
    Unknown fields are in *extra*.
    """

    agent_id: str
    status: str | None = None
    display_name: str | None = None
    description: str | None = None
    color: str | None = None
    logo_url: str | None = None
    banner_url: str | None = None
    phone: str | None = None
    email: str | None = None
    website: str | None = None
    privacy_policy_url: str | None = None
    terms_of_service_url: str | None = None
    region: str | None = None
    use_case: str | None = None
    billing_category: str | None = None
    newsletter_enabled: bool | None = None
    created_at: datetime | None = None
    submitted_at: datetime | None = None
    approved_at: datetime | None = None
    rejected_at: datetime | None = None
    rejection_reason: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Submitted:
    """An agent under review. *estimated_review_days* is text, such as `5-10`."""

    agent_id: str
    status: str = "PENDING_REVIEW"
    submitted_at: datetime | None = None
    estimated_review_days: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class CarrierLaunch:
    """The launch on one *carrier*, such as `vodafone_de`.

    *status* is `UNLAUNCHED`, `PENDING`, `LAUNCHED`, `REJECTED` (then with a reason) or `SUSPENDED`.
    """

    carrier: str
    status: str | None = None
    launched_at: datetime | None = None
    rejection_reason: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class LaunchStatus:
    """The launch of an approved agent, by carrier."""

    agent_id: str
    agent_status: str | None = None
    carriers: tuple[CarrierLaunch, ...] = ()
    extra: Mapping[str, object] = field(factory=dict, repr=False, hash=False)


map_fields_by_name(NewAgent, AgentChanges)
map_answer(Agent, aliases={"id": "agent_id"})
