"""The RCS agents of the account, each with its profile, its review and its launch; and the test agent.

Rules:
- An approved agent gets a new id. The id of its draft refers to it for ever.
- A send depends on the `SandboxAgent` of the record, and on nothing else of it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, TypeAlias, final, get_args

from attrs import define, evolve, field, frozen

from ... import agents
from ...redact import hidden
from ...results import Detail
from ..http.responses import format_time
from .changes import ChangeFeed

AgentStatus: TypeAlias = Literal["DRAFT", "PENDING_REVIEW", "APPROVED", "REJECTED"]
UseCase: TypeAlias = Literal["OTP", "TRANSACTIONAL", "PROMOTIONAL", "MULTI_USE"]
Carrier: TypeAlias = Literal["vodafone_de", "telekom_de", "telefonica_de"]
"""A carrier on which an agent can be launched."""
CARRIERS: Final[tuple[str, ...]] = get_args(Carrier)
CarrierStatus: TypeAlias = Literal["PENDING", "LAUNCHED", "REJECTED", "SUSPENDED"]
"""The launch status that a carrier can set; before that it is `UNLAUNCHED`."""
CARRIER_REASON: Final = "The carrier rejected the agent."
_REACHABLE_FROM: Final[Mapping[CarrierStatus, frozenset[str]]] = {
    "PENDING": frozenset({"UNLAUNCHED", "REJECTED"}),
    "LAUNCHED": frozenset({"UNLAUNCHED", "PENDING", "REJECTED", "SUSPENDED"}),
    "REJECTED": frozenset({"UNLAUNCHED", "PENDING"}),
    "SUSPENDED": frozenset({"LAUNCHED"}),
}
_CREATED: Final = 1_767_225_600.0  # 2026-01-01T00:00:00Z: when the agents of a new sandbox were created
_REQUIRED: Final = ("description", "color", "logo_url", "banner_url", "privacy_policy_url", "terms_of_service_url")
_CONTACT_FIELDS: Final = ("phone", "email", "website")
_FIELDS_BY_STATUS: Final[Mapping[str, tuple[str, ...]]] = {
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
class SandboxAgent:
    """An RCS agent; *channel_id* is its id in the message log.

    By default it is approved, launched on every carrier, for any use case, and sends no newsletters.
    """

    agent_id: str
    channel_id: str
    use_case: UseCase = "MULTI_USE"
    status: AgentStatus = "APPROVED"
    launched: bool = True
    newsletter_enabled: bool = False


AGENTS: Final = (
    SandboxAgent(agent_id="ag_live_demo", channel_id="ch_rcs_demo", newsletter_enabled=True),
    SandboxAgent(agent_id="ag_live_otp", channel_id="ch_rcs_otp", use_case="OTP"),
    SandboxAgent(agent_id="ag_live_shop", channel_id="ch_rcs_shop", use_case="TRANSACTIONAL"),
    SandboxAgent(agent_id="ag_live_promo", channel_id="ch_rcs_promo", use_case="PROMOTIONAL"),
    SandboxAgent(agent_id="ag_live_unlaunched", channel_id="ch_rcs_unlaunched", launched=False),
    SandboxAgent(agent_id="ag_draft_demo", channel_id="ch_rcs_draft", status="DRAFT"),
)
"""The agents of a new sandbox."""
TEST_AGENT: Final = SandboxAgent(agent_id="ag_test_demo", channel_id="ch_rcs_test")
"""The agent that sends test messages."""
TEST_CODE: Final = "000000"
"""The verification code that every test number receives."""
MAX_TEST_MESSAGES: Final = 5


@final
@frozen(kw_only=True)
class CarrierDecision:
    """The launch status that a *carrier* sets for an agent; *reason* is that of a rejection."""

    carrier: str
    status: CarrierStatus = "LAUNCHED"
    reason: str = CARRIER_REASON


@final
@frozen(kw_only=True)
class CarrierState:
    """The launch on one carrier; *at* is when it was launched."""

    status: str = "UNLAUNCHED"
    at: float | None = None
    reason: str | None = None

    def decide(self, decision: CarrierDecision, now: float) -> "CarrierState | None":
        """Return the launch after a *decision*; None if it cannot change to that status."""
        if self.status == decision.status == "LAUNCHED":
            return self
        if self.status not in _REACHABLE_FROM[decision.status]:
            return None
        at = {"LAUNCHED": now, "SUSPENDED": self.at}.get(decision.status)
        reason = decision.reason if decision.status == "REJECTED" else None
        return CarrierState(status=decision.status, at=at, reason=reason)

    def to_json(self) -> dict[str, object]:
        """Return the launch as the API shows it, without the name of the carrier."""
        rejected = {} if self.reason is None else {"rejection_reason": self.reason}
        return {"status": self.status, "launched_at": None if self.at is None else format_time(self.at), **rejected}


@final
@frozen(kw_only=True)
class AgentRecord:
    """An agent with its profile, its review, and its *launches* by carrier."""

    agent: SandboxAgent
    display_name: str
    region: str = "EUROPE"
    billing_category: str = "CONVERSATIONAL"
    profile: agents.AgentChanges = field(factory=agents.AgentChanges)
    created_at: float = _CREATED
    submitted_at: float | None = None
    approved_at: float | None = None
    rejected_at: float | None = None
    rejection_reason: str | None = None
    launches: Mapping[str, CarrierState] = field(factory=dict, hash=False)

    @property
    def is_editable(self) -> bool:
        """Whether it may be changed and submitted."""
        return self.agent.status in {"DRAFT", "REJECTED"}

    def to_json(self) -> dict[str, object]:
        """Return the fields that the docs show for its status (docs: /api/rcs/agents-get)."""
        known = self.all_fields()
        return {name: known.get(name) for name in ("agent_id", "status", *_FIELDS_BY_STATUS[self.agent.status])}

    def all_fields(self) -> dict[str, object]:
        """Return all fields that have a value."""
        times = ("created_at", "submitted_at", "approved_at", "rejected_at")
        found: dict[str, object] = {
            "agent_id": self.agent.agent_id,
            "status": self.agent.status,
            **{one: getattr(self.profile, one) for one in (*_REQUIRED, *_CONTACT_FIELDS)},
            "display_name": self.display_name,
            "region": self.region,
            "use_case": self.agent.use_case,
            "billing_category": self.billing_category,
            "newsletter_enabled": self.agent.newsletter_enabled,
            "rejection_reason": self.rejection_reason,
            **{name: format_time(at) for name in times if (at := getattr(self, name)) is not None},
        }
        return {name: part for name, part in found.items() if part is not None}

    def launches_to_json(self) -> list[dict[str, object]]:
        """Return the launch on each carrier (docs: /api/rcs/agents-launch)."""
        return [{"carrier": one, **self.launches.get(one, CarrierState()).to_json()} for one in CARRIERS]

    def decide_launch(self, decision: CarrierDecision, now: float) -> "AgentRecord | None":
        """Return the agent after the *decision* of a carrier; None if the decision is not possible."""
        launch = self.launches.get(decision.carrier, CarrierState()).decide(decision, now)
        if launch is None or decision.carrier not in CARRIERS or self.agent.status != "APPROVED":
            return None
        launches = {**self.launches, decision.carrier: launch}
        launched = any(one.status == "LAUNCHED" for one in launches.values())
        return evolve(self, agent=evolve(self.agent, launched=launched), launches=launches)

    def missing(self) -> list[Detail]:
        """Return the fields that a review requires and the profile lacks (docs: /api/rcs/agents-submit)."""
        details = [Detail(name, "is required") for name in _REQUIRED if not getattr(self.profile, name)]
        if not any(getattr(self.profile, name) for name in _CONTACT_FIELDS):
            details.append(Detail("phone", "is required, or an email, or a website"))
        return details


@final
@define(eq=False, repr=False)
class AgentRecords:
    """All agents, by the ids that they have or had."""

    _by_id: dict[str, AgentRecord] = field(factory=dict)
    changes: ChangeFeed = field(factory=ChangeFeed)
    _renamed: dict[str, str] = field(factory=dict, init=False)

    def __iter__(self) -> Iterator[AgentRecord]:
        """Iterate over the agents, in the order in which they got their ids."""
        return iter(self._by_id.values())

    def find(self, agent_id: str) -> AgentRecord | None:
        """Return the record of an agent."""
        return self._by_id.get(self._renamed.get(agent_id, agent_id))

    def sender(self, agent_id: str) -> SandboxAgent | None:
        """Return an agent, as a send needs it."""
        found = self.find(agent_id)
        return None if found is None else found.agent

    def put(self, record: AgentRecord) -> None:
        """Add an agent, or replace the one with its id."""
        self._by_id[record.agent.agent_id] = record
        self.changes.add("agents")

    def rename(self, record: AgentRecord, agent_id: str) -> AgentRecord:
        """Give an agent a new id; its old id refers to the new one."""
        renamed = evolve(record, agent=evolve(record.agent, agent_id=agent_id))
        del self._by_id[record.agent.agent_id]
        self._renamed[record.agent.agent_id] = agent_id
        self.put(renamed)
        return renamed


def create_records(given: Iterable[SandboxAgent], changes: ChangeFeed) -> AgentRecords:
    """Return the records of the agents of a new sandbox."""
    return AgentRecords({agent.agent_id: create_record(agent) for agent in given}, changes)


def create_record(agent: SandboxAgent) -> AgentRecord:
    """Return the record of a new agent, launched on all carriers or on none."""
    status = agent.status
    return AgentRecord(
        agent=agent,
        display_name=agent.agent_id,
        submitted_at=None if status == "DRAFT" else _CREATED,
        approved_at=_CREATED if status == "APPROVED" else None,
        rejected_at=_CREATED if status == "REJECTED" else None,
        rejection_reason="The review rejected the agent." if status == "REJECTED" else None,
        launches=dict.fromkeys(CARRIERS, CarrierState(status="LAUNCHED", at=_CREATED)) if agent.launched else {},
    )


@final
@define(eq=False)
class TestAgentState:
    """The test agent: the number that *awaits_code*, the verified *phone*, and the number of messages *sent*."""

    awaits_code: str | None = field(default=None, init=False, repr=hidden)
    phone: str | None = field(default=None, init=False, repr=hidden)
    sent: int = field(default=0, init=False)

    def verify(self, phone: str, code: str) -> bool:
        """Bind *phone* to the account if it awaits this *code*."""
        if (phone, code) != (self.awaits_code, TEST_CODE):
            return False
        self.phone, self.awaits_code = phone, None
        return True
