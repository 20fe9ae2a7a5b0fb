"""Calls: create, read, change and submit agents, and read the status of their launch; the documented limits first."""

import re
from collections.abc import Iterator
from math import floor
from typing import Final

from ..calls import Call
from ..codec import parse
from ..results import Detail
from ..schema.requests import Schema, build_call
from ..schema.validators import any_string, boolean, email_address, non_empty, one_of, optional, phone_number, url
from .models import Agent, AgentChanges, BillingCategory, LaunchStatus, NewAgent, Region, Submitted, UseCase

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


_ROUTE: Final = "/v1/rcs/agents"
_ONE: Final = f"{_ROUTE}/{{agent_id}}"


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
