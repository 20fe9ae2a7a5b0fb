"""Dossiers: the RCS agents of the account, each with its profile, its review and its launch.

Rules:
- An agent that is approved gets a new id; its draft's id leads to it for ever.
- What a send goes by is the `senders.Agent` in the dossier, and nothing else.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, final

from attrs import define, evolve, field, frozen

from ... import agents
from ...results import Detail
from ..http.responses import iso
from .email_channels import Agent

Figures: TypeAlias = dict[str, object]
CARRIERS: Final = ("vodafone_de", "telekom_de", "telefonica_de")
"""The carriers on which an agent can be launched."""
Settled: TypeAlias = Literal["PENDING", "LAUNCHED", "REJECTED", "SUSPENDED"]
"""What a carrier can make of an agent; before that it is `UNLAUNCHED`."""
FAULT: Final = "The carrier found fault with it."
_FROM: Final[Mapping[Settled, frozenset[str]]] = {
    "PENDING": frozenset({"UNLAUNCHED", "REJECTED"}),
    "LAUNCHED": frozenset({"UNLAUNCHED", "PENDING", "REJECTED", "SUSPENDED"}),
    "REJECTED": frozenset({"UNLAUNCHED", "PENDING"}),
    "SUSPENDED": frozenset({"LAUNCHED"}),
}
_OPENED: Final = 1_767_225_600.0  # 2026-01-01T00:00:00Z: when those agents were made that a sandbox begins with
_NEEDED: Final = ("description", "color", "logo_url", "banner_url", "privacy_policy_url", "terms_of_service_url")
_REACHED: Final = ("phone", "email", "website")
_SHOWN: Final[Mapping[str, tuple[str, ...]]] = {
    "DRAFT": ("created_at",),
    "PENDING_REVIEW": ("submitted_at",),
    "REJECTED": ("rejection_reason", "rejected_at"),
    "APPROVED": (
        "display_name",
        "description",
        "logo_url",
        "website",
        "region",
        "use_case",
        "billing_category",
        "newsletter_enabled",
        "approved_at",
        "created_at",
    ),
}


@final
@frozen(kw_only=True)
class Launched:
    """What a *carrier* makes of an agent; the *reason* is that of a rejection."""

    carrier: str
    status: Settled = "LAUNCHED"
    reason: str = FAULT


@final
@frozen(kw_only=True)
class Placing:
    """How far the launch on one carrier is; *at* is when it was launched, in Unix seconds."""

    status: str = "UNLAUNCHED"
    at: float | None = None
    reason: str | None = None

    def settle(self, given: Launched, now: float) -> "Placing | None":
        """Tell how far it is once it came to what is *given*; None if there is no way from here to there."""
        if self.status == given.status == "LAUNCHED":
            return self
        if self.status not in _FROM[given.status]:
            return None
        at = {"LAUNCHED": now, "SUSPENDED": self.at}.get(given.status)
        return Placing(status=given.status, at=at, reason=given.reason if given.status == "REJECTED" else None)

    def figures(self) -> Figures:
        """Write it as the API shows it, but for the name of the carrier."""
        rejected = {} if self.reason is None else {"rejection_reason": self.reason}
        return {"status": self.status, "launched_at": None if self.at is None else iso(self.at), **rejected}


@final
@frozen(kw_only=True)
class Dossier:
    """One agent and all that is known of it; moments are in Unix seconds, *placings* by carrier."""

    agent: Agent
    display_name: str
    region: str = "EUROPE"
    billing_category: str = "CONVERSATIONAL"
    profile: agents.Changes = field(factory=agents.Changes)
    created_at: float = _OPENED
    submitted_at: float | None = None
    approved_at: float | None = None
    rejected_at: float | None = None
    rejection_reason: str | None = None
    placings: Mapping[str, Placing] = field(factory=dict, hash=False)

    @property
    def editable(self) -> bool:
        """Whether it may be changed and submitted."""
        return self.agent.status in {"DRAFT", "REJECTED"}

    def figures(self) -> Figures:
        """Write the agent with the fields that the docs show for its status (docs: /api/rcs/agents-get)."""
        known = self.whole()
        return {name: known.get(name) for name in ("agent_id", "status", *_SHOWN[self.agent.status])}

    def whole(self) -> Figures:
        """Write everything that is known of the agent."""
        moments = ("created_at", "submitted_at", "approved_at", "rejected_at")
        said: Figures = {
            "agent_id": self.agent.agent_id,
            "status": self.agent.status,
            **{one: getattr(self.profile, one) for one in (*_NEEDED, *_REACHED)},
            "display_name": self.display_name,
            "region": self.region,
            "use_case": self.agent.use_case,
            "billing_category": self.billing_category,
            "newsletter_enabled": self.agent.newsletter_enabled,
            "rejection_reason": self.rejection_reason,
            **{name: iso(at) for name in moments if (at := getattr(self, name)) is not None},
        }
        return {name: part for name, part in said.items() if part is not None}

    def carriers(self) -> list[Figures]:
        """Write how far the launch is on each carrier (docs: /api/rcs/agents-launch)."""
        return [{"carrier": one, **self.placings.get(one, Placing()).figures()} for one in CARRIERS]

    def settle(self, given: Launched, now: float) -> "Dossier | None":
        """Tell what the dossier is once a carrier came to what is *given*; None if it cannot."""
        placing = self.placings.get(given.carrier, Placing()).settle(given, now)
        if placing is None or given.carrier not in CARRIERS or self.agent.status != "APPROVED":
            return None
        placings = {**self.placings, given.carrier: placing}
        launched = any(one.status == "LAUNCHED" for one in placings.values())
        return evolve(self, agent=evolve(self.agent, launched=launched), placings=placings)

    def missing(self) -> list[Detail]:
        """Tell what a review needs and the profile does not have (docs: /api/rcs/agents-submit)."""
        details = [Detail(name, "is required") for name in _NEEDED if not getattr(self.profile, name)]
        if not any(getattr(self.profile, name) for name in _REACHED):
            details.append(Detail("phone", "is required, or an email, or a website"))
        return details


@final
@define(eq=False, repr=False)
class Dossiers:
    """All agents, found by the ids that they have or had."""

    _by_id: dict[str, Dossier] = field(factory=dict)
    _now: dict[str, str] = field(factory=dict, init=False)

    def find(self, agent_id: str) -> Dossier | None:
        """Find the dossier of an agent."""
        return self._by_id.get(self._now.get(agent_id, agent_id))

    def get(self, agent_id: str) -> Agent | None:
        """Find an agent, as a send needs it."""
        found = self.find(agent_id)
        return None if found is None else found.agent

    def put(self, dossier: Dossier) -> None:
        """Enter an agent, in place of the one with its id if there is one."""
        self._by_id[dossier.agent.agent_id] = dossier

    def rename(self, dossier: Dossier, agent_id: str) -> Dossier:
        """Give an agent another id; the one that it had leads there."""
        renamed = evolve(dossier, agent=evolve(dossier.agent, agent_id=agent_id))
        del self._by_id[dossier.agent.agent_id]
        self._now[dossier.agent.agent_id] = agent_id
        self.put(renamed)
        return renamed


def book(given: Mapping[str, Agent]) -> Dossiers:
    """Open the book with the agents of a new sandbox, each launched on all carriers or on none."""
    return Dossiers({name: _dossier(agent) for name, agent in given.items()})


def _dossier(agent: Agent) -> Dossier:
    status = agent.status
    return Dossier(
        agent=agent,
        display_name=agent.agent_id,
        submitted_at=None if status == "DRAFT" else _OPENED,
        approved_at=_OPENED if status == "APPROVED" else None,
        rejected_at=_OPENED if status == "REJECTED" else None,
        rejection_reason="The review found fault with it." if status == "REJECTED" else None,
        placings=dict.fromkeys(CARRIERS, Placing(status="LAUNCHED", at=_OPENED)) if agent.launched else {},
    )
