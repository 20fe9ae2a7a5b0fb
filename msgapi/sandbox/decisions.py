"""What the docs of the API leave open and what the sandbox does, and the error codes of the sandbox."""

from typing import Final, final

from attrs import frozen

from .contract_gaps.account import ACCOUNT
from .contract_gaps.messages import MESSAGES
from .contract_gaps.requests import REQUESTS, Decision

__all__ = ["CODES", "DECISIONS", "Code", "Decision"]


@final
@frozen
class Code:
    """One error code: its HTTP status, *when* it is returned, and whether the docs name it."""

    status: int
    code: str
    when: str
    documented: bool = False


DECISIONS: Final = (*REQUESTS, *MESSAGES, *ACCOUNT)
"""What the docs leave open, and what the sandbox does, in the order in which it matters for a request."""

CODES: Final = (
    Code(400, "validation_error", "the request is not valid; details name the fields", documented=True),
    Code(401, "unauthorized", "the API key is missing, malformed or wrong"),
    Code(402, "insufficient_balance", "the free balance does not cover the hold", documented=True),
    Code(403, "agent_not_approved", "the agent is not approved; agent_status is its status"),
    Code(403, "agent_not_launched", "the agent is not launched on any carrier"),
    Code(403, "newsletter_not_enabled", "the agent was created without newsletters"),
    Code(403, "sender_not_verified", "the email channel is not verified"),
    Code(403, "forbidden", "a policy forbids it", documented=True),
    Code(404, "not_found", "no such route, or nothing with this id", documented=True),
    Code(404, "template_not_found", "no such template, or no such version of it"),
    Code(404, "not_rcs_capable", "the recipient's device cannot receive RCS"),
    Code(404, "already_delivered", "too late to revoke: delivered, or an email that was sent"),
    Code(409, "idempotency_conflict", "the idempotency key belongs to another body"),
    Code(409, "already_revoked", "the message was revoked before"),
    Code(409, "already_exists", "another contact has this email or external id"),
    Code(409, "wrong_state", "the status of the agent, the campaign or the message does not allow this"),
    Code(409, "not_api_triggered", "the campaign is not triggered over the API"),
    Code(422, "no_active_session", "a conversation without an open session", documented=True),
    Code(422, "message_type_not_allowed", "not for this use case, or not on this channel"),
    Code(422, "traffic_type_not_allowed", "not for this use case"),
    Code(422, "recipient_suppressed", "the recipient is suppressed"),
    Code(422, "consent_missing", "a newsletter to a recipient without a consent record"),
    Code(422, "template_not_published", "the template has no published version"),
    Code(422, "subject_missing", "neither the message nor the template has a subject"),
    Code(422, "limit_exceeded", "an import of more than 10,000 rows", documented=True),
    Code(422, "agent_incomplete", "the agent lacks fields that a review requires; details name them"),
    Code(422, "balance_limit_exceeded", "the balance after the top-up would exceed 5,000 EUR"),
    Code(422, "payment_failed", "the payment failed; failure_reason is the reason"),
    Code(429, "rate_limit_exceeded", "too many requests with this key; retry_after is the wait", documented=True),
    Code(429, "newsletter_daily_cap", "a second newsletter to one recipient on one day"),
    Code(500, "internal_error", "only as a simulated fault"),
    Code(503, "service_unavailable", "only as a simulated fault"),
)
"""Every error code of the sandbox. In addition, a 502 has the HTML page of a proxy."""
