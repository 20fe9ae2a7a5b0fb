"""Agents: RCS agents from the draft to the launch, and the calls about them (docs: /api/rcs/agents-create).

The docs show no route that lists or deletes agents, or that starts a launch. The documented limits are checked before
a call is sent.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import floor
from typing import Final, Literal, TypeAlias, final

from attrs import field

from .calls import Call
from .codec.json import parse
from .models import frozen
from .results import Detail
from .schema.mapping import map_answer, map_fields_by_name
from .schema.requests import Schema, build_call
from .schema.validators import any_string, boolean, email_address, non_empty, one_of, optional, phone_number, url

__all__ = [
    "SCHEMAS",
    "Agent",
    "AgentChanges",
    "BillingCategory",
    "CarrierLaunch",
    "LaunchStatus",
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
_MIN_CONTRAST: Final = 4.5
_COLOR: Final = re.compile(r"#[0-9A-Fa-f]{6}")
_UNSAFE: Final = re.compile(
    r"""
    <[a-z/!?]                                                             # a tag, but not `we <3 parcels`
    | &(?:\#[0-9]+|\#x[0-9a-f]+|lt|gt|amp|quot|apos|nbsp);                # a character reference
    | [{\[]\s*"                                                           # JSON inside the text
    | \b(?:javascript|vbscript|data:text/html)\s*[:,;] | \b(?:alert|eval)\(
    | %(?:[0-9][0-9a-f]|[a-f][0-9]) | (?<![0-9])%[a-f]{2}                 # `%2f`, but not `100%ecological`
    | \\(?:[nrt0]|u[0-9a-f]{4}|x[0-9a-f]{2})
    | ` | \$[({]                                                          # what a shell expands
    | (?:;|&&|\|)\s*(?:rm|ls|sh|bash|zsh|wget|chmod|chown|sudo)\b | \b(?:curl|wget)\s+(?:-|http)
    | \bsudo\s+[a-z] | \brm\s+-[a-z] | \bcat\s+/ | \bchmod\s+[0-7+] | /bin/(?:ba)?sh\b | /etc/passwd
    """,
    re.IGNORECASE | re.VERBOSE,
)


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


def contrast(color: str) -> float:
    """Return the contrast of a `#rrggbb` color to white, from 1 to 21, as WCAG 2 defines it."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)  # noqa: PLR2004 - sRGB
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def _color(value: object) -> str | None:
    if not isinstance(value, str) or not _COLOR.fullmatch(value):
        return "must be a color such as #1a2b3c"
    ratio = contrast(value)
    shown = floor(ratio * 1000) / 1000  # not rounded: 4.4995 must not be shown as the required 4.5
    return None if ratio >= _MIN_CONTRAST else f"must have a contrast to white of 4.5 to 1, and has {shown:.3f}"


def _description(value: object) -> str | None:
    if any_string(value) is not None or not isinstance(value, str):
        return "must be a string"
    unsafe = _UNSAFE.search(value) or isinstance(parse(value.encode()), dict | list)
    return "must have no HTML, JSON, script, escaped characters or commands" if unsafe else None


def _check_changes(changes: AgentChanges) -> Iterator[Detail]:
    if changes == AgentChanges():
        yield Detail("", "must change something")


_file_url: Final = optional(url("https"))
_page_url: Final = optional(url("http", "https"))
NEW: Final = Schema(
    NewAgent,
    {
        "display_name": non_empty,
        "region": one_of(Region),
        "billing_category": one_of(BillingCategory),
        "use_case": one_of(UseCase),
        "newsletter_enabled": boolean,
    },
)
CHANGES: Final = Schema(
    AgentChanges,
    {
        "display_name": optional(non_empty),
        "description": optional(_description),
        "color": optional(_color),
        "logo_url": _file_url,
        "banner_url": _file_url,
        "phone": optional(phone_number),
        "email": optional(email_address),
        "website": _page_url,
        "privacy_policy_url": _page_url,
        "terms_of_service_url": _page_url,
    },
    check_own=_check_changes,
)
SCHEMAS: Final = (NEW, CHANGES)
"""The schemas of all request bodies."""


def create(agent: NewAgent) -> Call[Agent]:
    """Return the call that creates an agent as a draft (docs: /api/rcs/agents-create).

    If *agent* is not valid, the call returns `Invalid` with details and is not sent. No idempotency key is
    documented here, so the call is not repeated automatically once a byte may have been sent.
    """
    return build_call("POST", _ROUTE, Agent, body=agent, schema=NEW)


def get(agent_id: str) -> Call[Agent]:
    """Return the call that reads an agent (docs: /api/rcs/agents-get). It may be repeated.

    An unknown id is `NotFound`.
    """
    return build_call("GET", _ONE, Agent, path_params={"agent_id": agent_id})


def update(agent_id: str, changes: AgentChanges, *, strict: bool = True) -> Call[Agent]:
    """Return the call that changes a draft or a rejected agent (docs: /api/rcs/agents-update).

    It has no idempotency key, so it is not repeated automatically once a byte may have been sent.

    If *changes* is not valid, or empty and *strict*, the call returns `Invalid` with details and is not sent. An
    unknown id is `NotFound`, an agent in another state is `Conflict`.
    """
    params = {"agent_id": agent_id}
    return build_call("PATCH", _ONE, Agent, path_params=params, body=changes, schema=CHANGES, strict=strict)


def submit(agent_id: str) -> Call[Submitted]:
    """Return the call that submits a draft or a rejected agent for review (docs: /api/rcs/agents-submit).

    An incomplete agent is `Unprocessable` with the missing fields in its details, a wrong state is `Conflict`.
    The call is not repeated automatically: if it is `Unanswered`, read the status of the agent with `get`.
    """
    return build_call("POST", f"{_ONE}/submit", Submitted, path_params={"agent_id": agent_id})


def launch_status(agent_id: str) -> Call[LaunchStatus]:
    """Return the call that reads the launch of an approved agent, by carrier (docs: /api/rcs/agents-launch).

    It may be repeated. An unknown id is `NotFound`, an agent that is not approved is `Conflict` in the sandbox;
    the docs do not name the error.
    """
    return build_call("GET", f"{_ONE}/launch", LaunchStatus, path_params={"agent_id": agent_id})
