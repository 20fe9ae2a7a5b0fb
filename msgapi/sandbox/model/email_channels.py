"""Senders: the agents, email channels and templates of the account, and who may send what."""

from typing import Final, Literal, TypeAlias, final

from attrs import frozen

AgentStatus: TypeAlias = Literal["DRAFT", "PENDING_REVIEW", "APPROVED", "REJECTED"]
UseCase: TypeAlias = Literal["OTP", "TRANSACTIONAL", "PROMOTIONAL", "MULTI_USE"]


@final
@frozen(kw_only=True)
class Agent:
    """An RCS agent; *channel_id* is the one under which the log knows it."""

    agent_id: str
    channel_id: str
    use_case: UseCase = "MULTI_USE"
    status: AgentStatus = "APPROVED"
    launched: bool = True
    newsletter_enabled: bool = False


@final
@frozen(kw_only=True)
class Channel:
    """An email channel, and the message types that it was set up for."""

    channel_id: str
    verified: bool = True
    message_types: tuple[str, ...] = ("MESSAGE", "NEWSLETTER")


@final
@frozen(kw_only=True)
class Template:
    """An email template: its published *versions*, oldest first, and whether it brings a subject."""

    template_id: str
    versions: tuple[str, ...]
    has_subject: bool = True


AGENTS: Final = (
    Agent(agent_id="ag_live_demo", channel_id="ch_rcs_demo", newsletter_enabled=True),
    Agent(agent_id="ag_live_otp", channel_id="ch_rcs_otp", use_case="OTP"),
    Agent(agent_id="ag_live_shop", channel_id="ch_rcs_shop", use_case="TRANSACTIONAL"),
    Agent(agent_id="ag_live_promo", channel_id="ch_rcs_promo", use_case="PROMOTIONAL"),
    Agent(agent_id="ag_live_unlaunched", channel_id="ch_rcs_unlaunched", launched=False),
    Agent(agent_id="ag_draft_demo", channel_id="ch_rcs_draft", status="DRAFT"),
)
"""The agents that a new sandbox has."""

CHANNELS: Final = (
    Channel(channel_id="ch_demo"),
    Channel(channel_id="ch_receipts", message_types=("MESSAGE",)),
    Channel(channel_id="ch_unverified", verified=False),
)
"""The email channels that a new sandbox has."""

TEMPLATES: Final = (
    Template(template_id="tpl_welcome", versions=("1", "2", "3", "4")),
    Template(template_id="tpl_bare", versions=("1",), has_subject=False),
    Template(template_id="tpl_draft", versions=()),
)
"""The email templates that a new sandbox has."""
