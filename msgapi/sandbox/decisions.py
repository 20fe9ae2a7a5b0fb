"""Decisions: what the public contract leaves open and what the sandbox does about it, and its error codes."""

from typing import Final, final

from attrs import frozen


@final
@frozen
class Decision:
    """One thing that the docs leave open, and what was chosen."""

    topic: str
    choice: str


@final
@frozen
class Code:
    """One error code that the sandbox answers with; *documented* tells whether the docs name it."""

    status: int
    code: str
    when: str
    documented: bool = False


DECISIONS: Final = (
    Decision("key check", "the key is checked before anything else, the route included"),
    Decision("rate limit of a 401", "not counted; its headers show an untouched window"),
    Decision("rate limit window", "fixed, beginning at multiples of its length on the clock"),
    Decision("rate limit bands", "sends, other message routes, billing, and unknown routes are counted apart"),
    Decision("rate limit count", "every request that is let through counts, replays and faults too; a 429 does not"),
    Decision("unknown method", "a method that a route does not have is 404 not_found, as 405 is not documented"),
    Decision("content type", "a request that writes must say application/json, else 400"),
    Decision("size of a body", "at most 1 MiB, else 400"),
    Decision("unknown fields", "refused with 400: a misspelt field that is passed over is worse"),
    Decision("form of an idempotency key", "1 to 255 visible ASCII characters; a UUID is not required"),
    Decision("two idempotency keys", "header and body field may both be there if they are the same, else 400"),
    Decision("same key, same body", "the first answer again, byte for byte, at no cost; rate-limit headers are fresh"),
    Decision("same key, other body", "409 idempotency_conflict; bodies are compared byte for byte"),
    Decision("what a key remembers", "only an answer of acceptance: what was refused may be tried again under its key"),
    Decision("how long a key is kept", "24 hours, for each route by itself"),
    Decision("required_amount", "the hold that the message needs, not the shortfall"),
    Decision("balance in a 402", "always there, with details an empty array; by bad luck it shows nothing free"),
    Decision("prices", "illustrative; hold_amount and message_price are the same"),
    Decision("length of a text", "characters are Unicode code points"),
    Decision("use case", "a message_type or traffic_type that the agent's use case forbids is 422 with details"),
    Decision("agent not launched", "403 agent_not_launched"),
    Decision("end of a session", "24 hours after the last reply (rolling); a session that never lapses is paid once"),
    Decision("conversation price", "held by the first message of a session; those after it cost nothing"),
    Decision("in_session, mau_charged", "stand inside billing"),
    Decision("calendar of newsletters", "days and months are UTC"),
    Decision("newsletter day cap", "429 newsletter_daily_cap; retry_after is the time until midnight UTC"),
    Decision("newsletter consent", "every recipient has consented, but for those that bring bad luck"),
    Decision("revoked or failed payer", "its hold is released; the next of its session, month or day pays anew"),
    Decision("when a message is charged", "on delivery, a newsletter too; until then it is a hold"),
    Decision("second revoke", "409 already_revoked; a delivered message is 404 already_delivered"),
    Decision("order of the log", "newest first; the page has only `messages`, no totals"),
    Decision("query of the log", "an unknown, repeated or malformed parameter is 400 with details"),
    Decision("dates in the log's query", "a date stands for its whole day in UTC; a time without a zone is UTC"),
    Decision("cost in the log", "the hold, and 0 for a message that failed or was revoked"),
    Decision("contacts", "the log makes up a contact id from the recipient"),
    Decision("tier", "always tier_1; a newsletter counts once for each month and subscriber"),
)
"""What the docs leave open, and what was chosen; in the order in which a request meets it."""

CODES: Final = (
    Code(400, "validation_error", "the request is not valid; details say what", documented=True),
    Code(401, "unauthorized", "the API key is missing, malformed or wrong"),
    Code(402, "insufficient_balance", "the free balance does not cover the hold", documented=True),
    Code(403, "agent_not_approved", "the agent is not approved; agent_status says what it is"),
    Code(403, "agent_not_launched", "the agent is not launched on any carrier"),
    Code(403, "newsletter_not_enabled", "the agent was created without newsletters"),
    Code(403, "sender_not_verified", "the email channel is not verified"),
    Code(403, "forbidden", "a policy forbids it", documented=True),
    Code(404, "not_found", "no such route, agent, channel or message", documented=True),
    Code(404, "template_not_found", "no such template, or no such version of it"),
    Code(404, "not_rcs_capable", "the recipient's device cannot receive RCS"),
    Code(404, "already_delivered", "too late to revoke"),
    Code(409, "idempotency_conflict", "the idempotency key belongs to another body"),
    Code(409, "already_revoked", "the message was revoked before"),
    Code(422, "no_active_session", "a conversation without an open session", documented=True),
    Code(422, "message_type_not_allowed", "not for this use case, or not on this channel"),
    Code(422, "traffic_type_not_allowed", "not for this use case"),
    Code(422, "recipient_suppressed", "the recipient is suppressed or has not consented"),
    Code(422, "template_not_published", "the template has no published version"),
    Code(422, "subject_missing", "neither the message nor the template has a subject"),
    Code(429, "rate_limit_exceeded", "too many requests with this key; retry_after says when", documented=True),
    Code(429, "newsletter_daily_cap", "a second newsletter to one recipient on one day"),
    Code(500, "internal_error", "by bad luck or chance only"),
    Code(503, "service_unavailable", "by bad luck or chance only"),
)
"""Every error code that the sandbox answers with. Beside them, a proxy's HTML page comes with 502."""
