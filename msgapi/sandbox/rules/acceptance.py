"""Policy: whether a sender may send a message at all, and to this recipient, before anything is charged."""

from ...messages import USE_CASES
from ...messages.models import Email, Message, Rcs
from ...results import Detail
from ..http.responses import Reply, refuse, written
from ..model.email_channels import Agent, Channel
from ..model.state import State


def sender_of(state: State, message: Message) -> Agent | Channel | Reply:
    """Find the agent or the email channel of *message*, or refuse what it may not send."""
    return _channel(state, message) if isinstance(message, Email) else _agent(state, message)


def barred(state: State, message: Message) -> Reply | None:
    """Refuse a message to a contact that is suppressed, or a newsletter to anyone who has not consented to it."""
    people = state.people.reached_by(message.to)
    if any(one.suppressed for one in people):
        return refuse(422, "recipient_suppressed", "The recipient is suppressed.", details=[])
    if message.message_type != "NEWSLETTER":
        return None
    channel = "EMAIL" if isinstance(message, Email) else "RCS"
    if any(one.consents_to(channel, "NEWSLETTER") for one in people):
        return None
    return refuse(422, "consent_missing", "The recipient has not consented to newsletters by this channel.", details=[])


def _agent(state: State, message: Rcs) -> Agent | Reply:
    agent = state.agents.get(message.agent_id)
    if agent is None:
        return refuse(404, "not_found", "There is no such agent.")
    if agent.status != "APPROVED":
        return refuse(403, "agent_not_approved", "The agent is not approved.", agent_status=agent.status)
    if not agent.launched:
        return refuse(403, "agent_not_launched", "The agent is not launched on any carrier.")
    allowed = USE_CASES[agent.use_case]
    for name, value, values in (
        ("message_type", message.message_type, allowed.message_types),
        ("traffic_type", message.traffic_type, allowed.traffic_types),
    ):
        if value not in values:
            return _not_allowed(name, f"is not allowed for the use case {agent.use_case}")
    if message.message_type == "NEWSLETTER" and not agent.newsletter_enabled:
        return refuse(403, "newsletter_not_enabled", "The agent was created without newsletters.")
    return agent


def _channel(state: State, message: Email) -> Channel | Reply:
    channel = state.channels.get(message.channel_id)
    if channel is None:
        return refuse(404, "not_found", "There is no such email channel.")
    if not channel.verified:
        return refuse(403, "sender_not_verified", "The email channel is not verified.")
    if message.message_type not in channel.message_types:
        return _not_allowed("message_type", "is not allowed on this channel")
    return _template(state, message) or channel


def _template(state: State, message: Email) -> Reply | None:
    if message.template_id is None:
        return None
    template = state.templates.get(message.template_id)
    if template is None:
        return refuse(404, "template_not_found", "There is no such template.")
    if not template.versions:
        return refuse(422, "template_not_published", "The template has no published version.", details=[])
    if message.template_version is not None and message.template_version not in template.versions:
        return refuse(404, "template_not_found", "The template has no such version.")
    if message.subject is None and not template.has_subject:
        return refuse(422, "subject_missing", "Neither message nor template has a subject.", details=[])
    return None


def _not_allowed(field: str, message: str) -> Reply:
    details = written([Detail(field, message)])
    return refuse(422, f"{field}_not_allowed", "The sender may not send this.", details=details)
