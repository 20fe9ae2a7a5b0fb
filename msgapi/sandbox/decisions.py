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
    Decision("key check", "before anything else, the route included; /openapi.json alone needs none"),
    Decision("rate limit of a 401", "not counted; its headers show an untouched window"),
    Decision("what is no HTTP/1.0 or 1.1", "400, not counted either, and the connection is closed"),
    Decision("a slow connection", "cut where a request takes 10 seconds for its head or body; closed when idle for 75"),
    Decision("rate limit window", "fixed, beginning at multiples of its length on the clock"),
    Decision("rate limit bands", "sends are counted apart, and so is each other noun, and what is no route"),
    Decision("rate limit count", "every request that is let through counts, replays and faults too; a 429 does not"),
    Decision("unknown method", "a method that a route does not have is 404 not_found, as 405 is not documented"),
    Decision("content type", "a request that writes must say application/json, else 400"),
    Decision("size of a body", "at most 1 MiB, for an import 16 MiB, else 400"),
    Decision("packed bodies", "not unpacked, whatever Content-Encoding says: they are no JSON, and so 400"),
    Decision("a body that may be left out", "submit, pause, resume, trigger and test take none, or an empty object"),
    Decision("fields with a default", "may be left out or be null"),
    Decision("ids", "drawn from the seed and the key, so two workspaces have none in common"),
    Decision("roles", "a key has one of viewer, editor, manager; sends need an editor, all else what the docs say"),
    Decision("unknown fields", "refused with 400: a misspelt field that is passed over is worse"),
    Decision("form of an idempotency key", "1 to 255 visible ASCII characters; a UUID is not required"),
    Decision("two idempotency keys", "header and body field may both be there if they are the same, else 400"),
    Decision("same key, same body", "the first answer again, byte for byte, at no cost; rate-limit headers are fresh"),
    Decision("same key, other body", "409 idempotency_conflict; bodies are compared as JSON, without the key"),
    Decision("what a key remembers", "only an answer of acceptance: what was refused may be tried again under its key"),
    Decision("how long a key is kept", "24 hours, for each route, and each id in it, by itself"),
    Decision("key of a trigger", "in the header or in the body: the same operation"),
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
    Decision("newsletter consent", "a granted record of a contact for the channel, else 422 consent_missing"),
    Decision("a recipient that is no contact", "gets messages, but no newsletters: there is no record of its consent"),
    Decision("a recipient that brings bad luck", "brings it before anybody asks for its consent"),
    Decision("suppression", "a contact that is UNSUBSCRIBED, BLOCKED or BOUNCED gets nothing on any channel"),
    Decision("several contacts with one number", "one that is suppressed suppresses it; the consent of one is enough"),
    Decision("bounces and unsubscriptions", "have their effect on contacts; for anyone else every message ends alike"),
    Decision("a complaint", "revokes the consent to newsletters by email, as an unsubscription does"),
    Decision("revoked or failed payer", "its hold is released; the next of its session, month or day pays anew"),
    Decision("deliveries", "sent, delivered and read after so many seconds each; no carrier is ever down"),
    Decision("what is told", "what has an event page: not SENT, and for email neither its queueing nor its revoking"),
    Decision("an expired message", "has the status EXPIRED and costs nothing; an opened email the status READ"),
    Decision("the longest ttl", "1,000,000,000 seconds: what is longer counts as that"),
    Decision("an email that is reported", "has the status COMPLAINED"),
    Decision("what can be answered", "an agent that is launched, and a message that was sent and is not given up"),
    Decision("a tapped action", "is told as a suggested_reply, without postback data"),
    Decision("an inbound message", "has the status DELIVERED, and is entered once for each reply"),
    Decision(
        "schedule of webhooks", "pauses count from when the attempt before was due; the fifth failure is the last"
    ),
    Decision("a delivery that is cut off", "by the end of the posting is made when that begins again"),
    Decision("what is kept", "log, ledger and contacts; of events, attempts, deliveries and faults the last 100,000"),
    Decision("which webhooks", "those that ask for the event when it happens, whatever they ask for later"),
    Decision("an endpoint that was changed", "each attempt goes to its present URL, signed with its present secret"),
    Decision("an endpoint that was deleted", "gets nothing more: what was still to be brought is dropped"),
    Decision("when a message is charged", "on delivery, a newsletter too; until then it is a hold"),
    Decision("second revoke", "409 already_revoked; a delivered message is 404 already_delivered"),
    Decision("revoking an email", "only while it is queued; once sent the remote server has it: 404 already_delivered"),
    Decision("revoking what failed, bounced or expired", "409 wrong_state; message_status says which"),
    Decision("order of the log", "newest first; the page has only `messages`, no totals"),
    Decision("query of the log", "an unknown, repeated or malformed parameter is 400 with details"),
    Decision(
        "dates in the log's query",
        "2026-05-04 is the whole day; 2026-05-04T07:30 is UTC without a zone; no other form",
    ),
    Decision("cost in the log", "the hold, and 0 for a message that failed or was revoked"),
    Decision("contact_id in the log", "the contact's; made up from the recipient where there is no contact"),
    Decision("tier", "always tier_1; a subscriber counts once a month, though the newsletter was taken back"),
    Decision("who is the same contact", "emails are compared in any case; phones are not compared"),
    Decision("an upsert", "sets what is given, as PATCH does; tags only if there are any; the source stays"),
    Decision("external_id of another", "409 already_exists, and so is an email that PATCH gives"),
    Decision("a change that changes nothing", "200, no event, and updated_at stays"),
    Decision("import", "a row that is invalid refuses the whole import; contact.created comes for each new row"),
    Decision("doi_channel", "the channel of the consent, unless given; null where nothing is to be confirmed"),
    Decision("a further consent record", "stands beside those before; the answer is 201"),
    Decision(
        "fields of an agent", "GET gives those that the docs show for its status; POST and PATCH all that there are"
    ),
    Decision("banner_url", "needed for the review"),
    Decision("region, use_case, billing_category", "fixed when the agent is created"),
    Decision("agent in the wrong state", "409 wrong_state; agent_status says which"),
    Decision("agent id", "approval gives a new one, ag_live_; the draft's leads to it for ever, in sends too"),
    Decision("review", "takes until somebody approves or rejects it; a rejected agent keeps its draft's id"),
    Decision("launch", "an agent can send while one carrier has launched it, to everyone"),
    Decision("states of a launch", "PENDING and REJECTED come before LAUNCHED, SUSPENDED only after it"),
    Decision("description of an agent", "told by what it looks like: tags, JSON, escapes, commands; else it is prose"),
    Decision("http webhooks", "an endpoint is https, or http on this machine itself, so that it can be tried"),
    Decision("unknown event names", "400 with details; a name given twice counts once; there is no wildcard"),
    Decision("webhook secrets", "are never given back"),
    Decision("webhook test", "a made-up event, the first of those that the endpoint asks for, to this endpoint only"),
    Decision("top-up", "succeeds at once; without a payment method too, as one page shows it"),
    Decision("highest balance", "5,000 EUR with what is reserved, else 422 balance_limit_exceeded"),
    Decision("payment methods", "type credit_card or sepa; other fields are passed over"),
    Decision("a payment that fails", "by a method whose token is card_declined or another documented reason"),
    Decision(
        "auto reload", "by the method added last, when the setting or a hold (kept or refused) is below the trigger"
    ),
    Decision(
        "auto reload that failed",
        "is tried once more by itself 24 hours later; then when set anew, or with a new method",
    ),
    Decision("low balance", "told when a hold takes the free balance from the threshold or above to below it"),
    Decision("transactions", "newest first, 50 a page; amounts are positive; holds and the first balance are none"),
    Decision("usage", "what was sent in the span and not given up: charged in amount, still held in reserved"),
    Decision("group_by", "day (the default), channel, message_type or unit"),
    Decision("invoices", "one for each month with charges, in UTC; there is no PDF"),
    Decision("test agent", "ag_test_demo; the code is 000000 and does not lapse; five messages in all"),
    Decision("refusals of the test agent", "403 forbidden for all that is not a 400: number, code, agent, type, quota"),
    Decision("test messages", "cost nothing, are in the log, and count for no tier and no usage"),
    Decision("a second test number", "takes the place of the first when it is verified; the quota stays"),
    Decision("campaigns", "built in, as they cannot be made; a run sends and costs nothing, one execution a second"),
    Decision("a campaign that fails in part", "ends as COMPLETED_PARTIAL, even if every execution failed"),
    Decision("balance of a campaign", "trigger and resume need what all pending executions would cost, else 402"),
    Decision("trigger of a campaign that the API does not trigger", "409 not_api_triggered"),
    Decision("trigger of a paused campaign", "409, as its run is under way"),
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
    Code(404, "not_found", "no such route, or nothing with this id", documented=True),
    Code(404, "template_not_found", "no such template, or no such version of it"),
    Code(404, "not_rcs_capable", "the recipient's device cannot receive RCS"),
    Code(404, "already_delivered", "too late to revoke: delivered, or an email that was sent"),
    Code(409, "idempotency_conflict", "the idempotency key belongs to another body"),
    Code(409, "already_revoked", "the message was revoked before"),
    Code(409, "already_exists", "another contact has this email or external id"),
    Code(409, "wrong_state", "the agent, the campaign or the message is not in a state for this"),
    Code(409, "not_api_triggered", "the campaign is not triggered over the API"),
    Code(422, "no_active_session", "a conversation without an open session", documented=True),
    Code(422, "message_type_not_allowed", "not for this use case, or not on this channel"),
    Code(422, "traffic_type_not_allowed", "not for this use case"),
    Code(422, "recipient_suppressed", "the recipient is suppressed"),
    Code(422, "consent_missing", "a newsletter to somebody whose consent is not on record"),
    Code(422, "template_not_published", "the template has no published version"),
    Code(422, "subject_missing", "neither the message nor the template has a subject"),
    Code(422, "limit_exceeded", "an import of more than 10,000 rows", documented=True),
    Code(422, "agent_incomplete", "the agent lacks what a review needs; details say what"),
    Code(422, "balance_limit_exceeded", "the top-up would bring the balance above 5,000 EUR"),
    Code(422, "payment_failed", "the payment failed; failure_reason says why"),
    Code(429, "rate_limit_exceeded", "too many requests with this key; retry_after says when", documented=True),
    Code(429, "newsletter_daily_cap", "a second newsletter to one recipient on one day"),
    Code(500, "internal_error", "by bad luck or chance only"),
    Code(503, "service_unavailable", "by bad luck or chance only"),
)
"""Every error code that the sandbox answers with. Beside them, a proxy's HTML page comes with 502."""
