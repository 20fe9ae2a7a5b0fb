"""Agents: RCS agents from the draft to the launch, and the calls about them (docs: /api/rcs/agents-create).

The docs show no route that lists or deletes agents, or that starts a launch.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import floor
from typing import Final, Literal, TypeAlias, final

from attrs import field, frozen

from .calls import Call
from .codec import parse
from .results import Detail
from .schema.requests import Schema, build_call
from .schema.undocumented import allow_undocumented
from .schema.validators import address, any_text, flag, nonempty_text, number, one_of, optional, url
from .schema.wire_mapping import map_flat

__all__ = [
    "SCHEMAS",
    "Agent",
    "AgentChanges",
    "BillingCategory",
    "Carrier",
    "Launch",
    "NewAgent",
    "Region",
    "Submitted",
    "UseCase",
    "contrast",
    "create",
    "get",
    "launch_status",
    "submit",
    "update",
]

Region: TypeAlias = Literal["EUROPE"]
BillingCategory: TypeAlias = Literal["CONVERSATIONAL", "NON_CONVERSATIONAL"]
UseCase: TypeAlias = Literal["OTP", "TRANSACTIONAL", "PROMOTIONAL", "MULTI_USE"]

_ROUTE: Final = "/v1/rcs/agents"
_ONE: Final = f"{_ROUTE}/{{agent_id}}"
_LEAST_CONTRAST: Final = 4.5
_COLOR: Final = re.compile(r"#[0-9A-Fa-f]{6}")
_UNSAFE: Final = re.compile(
    r"""
    <[a-z/!?]                                                             # a tag, but not `we <3 parcels`
    | &(?:\#[0-9]+|\#x[0-9a-f]+|lt|gt|amp|quot|apos|nbsp);                # a character reference
    | [{\[]\s*"                                                           # JSON amid the text
    | \b(?:javascript|vbscript|data:text/html)\s*[:,;] | \b(?:alert|eval)\(
    | %(?:[0-9][0-9a-f]|[a-f][0-9]) | (?<![0-9])%[a-f]{2}                 # `%2f`, but not `100%ecological`
    | \\(?:[nrt0]|u[0-9a-f]{4}|x[0-9a-f]{2})
    | ` | \$[({]                                                          # what a shell fills in
    | (?:;|&&|\|)\s*(?:rm|ls|sh|bash|zsh|wget|chmod|chown|sudo)\b | \b(?:curl|wget)\s+(?:-|http)
    | \bsudo\s+[a-z] | \brm\s+-[a-z] | \bcat\s+/ | \bchmod\s+[0-7+] | /bin/(?:ba)?sh\b | /etc/passwd
    """,
    re.IGNORECASE | re.VERBOSE,
)


@final
@frozen(kw_only=True)
class NewAgent:
    """An agent to be created as a draft. *newsletter_enabled* cannot be changed later.

    Whether *region*, *billing_category* and *use_case* can be changed before the launch, the docs
    say in several ways; here they cannot.
    """

    display_name: str
    region: Region
    billing_category: BillingCategory
    use_case: UseCase
    newsletter_enabled: bool = False


@final
@frozen(kw_only=True)
class AgentChanges:
    """What `update` is to change; None leaves a field as it is.

    *description* has no HTML, JSON, script, escaped characters or commands, which we tell by what they
    look like: what passes here the service may still refuse. *color* is `#rrggbb` with
    a contrast to white of at least 4.5 to 1. *logo_url* is an image of at least 224 x 224 pixels and
    at most 50 kB, *banner_url* one of 1440 x 448 pixels and at most 200 kB (JPEG or PNG): these two
    the service checks, not we.
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
    """An agent: *status* is `DRAFT`, `PENDING_REVIEW`, `APPROVED` or `REJECTED`; which fields come depends on it.

    The id of an approved agent may be another than that of its draft: go by what the answer says.
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
    """An agent is under review; *estimated_review_days* is text such as `5-10`."""

    agent_id: str
    status: str = "PENDING_REVIEW"
    submitted_at: datetime | None = None
    estimated_review_days: str | None = None


@final
@frozen(kw_only=True)
class Carrier:
    """The launch on one *carrier*: `UNLAUNCHED`, `PENDING`, `LAUNCHED`, `REJECTED` (with a reason) or `SUSPENDED`."""

    carrier: str
    status: str | None = None
    launched_at: datetime | None = None
    rejection_reason: str | None = None


@final
@frozen(kw_only=True)
class Launch:
    """How far the launch of an approved agent is, carrier by carrier."""

    agent_id: str
    agent_status: str | None = None
    carriers: tuple[Carrier, ...] = ()


def create(agent: NewAgent) -> Call[Agent]:
    """Make the call that creates a draft (docs: /api/rcs/agents-create).

    No idempotency key is documented here, so it is never repeated by itself once a byte may have left.
    """
    return build_call("POST", _ROUTE, Agent, body=agent, form=_NEW)


def get(agent_id: str) -> Call[Agent]:
    """Make the call that reads an agent (docs: /api/rcs/agents-get)."""
    return build_call("GET", _ONE, Agent, ids={"agent_id": agent_id})


def update(agent_id: str, changes: AgentChanges) -> Call[Agent]:
    """Make the call that changes a draft or a rejected agent (docs: /api/rcs/agents-update). It may be repeated."""
    return build_call("PATCH", _ONE, Agent, ids={"agent_id": agent_id}, body=changes, form=_CHANGES)


def submit(agent_id: str) -> Call[Submitted]:
    """Make the call that submits an agent for review (docs: /api/rcs/agents-submit).

    What is missing is `Unprocessable` with details, a wrong state `Conflict`. It is not repeated by
    itself: after an unanswered one, `get` tells whether it is under review.
    """
    return build_call("POST", f"{_ONE}/submit", Submitted, ids={"agent_id": agent_id})


def launch_status(agent_id: str) -> Call[Launch]:
    """Make the call that reads the launch of an approved agent (docs: /api/rcs/agents-launch)."""
    return build_call("GET", f"{_ONE}/launch", Launch, ids={"agent_id": agent_id})


def contrast(color: str) -> float:
    """Tell the contrast of a `#rrggbb` color to white, from 1 to 21, as WCAG 2 defines it."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)  # noqa: PLR2004 - sRGB
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _color(value: object) -> str | None:
    if not isinstance(value, str) or not _COLOR.fullmatch(value):
        return "must be a color such as #1a2b3c"
    found = contrast(value)
    cut = floor(found * 1000) / 1000  # not rounded: 4.48 is not the 4.5 that is asked for
    return None if found >= _LEAST_CONTRAST else f"must have a contrast to white of 4.5 to 1, and has {cut:.3f}"


def _prose(value: object) -> str | None:
    said = any_text(value)
    if isinstance(said, str) or not isinstance(value, str):
        return "must be a string"
    unsafe = _UNSAFE.search(value) or isinstance(parse(value.encode()), dict | list)
    return "must have no HTML, JSON, script, escaped characters or commands" if unsafe else None


def _something(changes: AgentChanges) -> Iterator[Detail]:
    if changes == AgentChanges():
        yield Detail("", "must change something")


_https: Final = optional(url("https"))
_page: Final = optional(url("http", "https"))
_NEW: Final = Schema(
    NewAgent,
    {
        "display_name": nonempty_text,
        "region": one_of(Region),
        "billing_category": one_of(BillingCategory),
        "use_case": one_of(UseCase),
        "newsletter_enabled": flag,
    },
)
_CHANGES: Final = Schema(
    AgentChanges,
    {
        "display_name": optional(nonempty_text),
        "description": optional(_prose),
        "color": optional(_color),
        "logo_url": _https,
        "banner_url": _https,
        "phone": optional(number),
        "email": optional(address),
        "website": _page,
        "privacy_policy_url": _page,
        "terms_of_service_url": _page,
    },
    _something,
)
SCHEMAS: Final = (_NEW, _CHANGES)
"""What may be sent, for whoever reads it."""

map_flat(NewAgent, AgentChanges)
allow_undocumented(Agent, same={"id": "agent_id"})
