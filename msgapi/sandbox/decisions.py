"""What the docs of the API leave open and what the sandbox does, and the error codes of the sandbox."""

from typing import Final, final

from attrs import frozen


@final
@frozen
class Decision:
    """One *topic* that the docs leave open, and what the sandbox does.

    Where the docs contradict themselves or have a hole, *section* is the section of the API's contract that says so,
    and *why* is the reason for the choice.
    """

    topic: str
    choice: str
    section: str = ""
    why: str = ""


@final
@frozen
class Code:
    """One error code: its HTTP status, *when* it is returned, and whether the docs name it."""

    status: int
    code: str
    when: str
    documented: bool = False


DECISIONS: Final = (
    Decision(
        "Host and Origin",
        "403 unless it is a loopback name, the address bound to, or allowed by name; a program needs no Origin",
        "1",
        "the key of a sandbox is known to everybody, and a web page can point its own name to a loopback address",
    ),
    Decision(
        "JSON types",
        "400 unless a value has the documented type: a boolean is no number, and only null is like a missing field",
        "4",
        "what the service does with another type is not documented, so a program must not depend on it",
    ),
    Decision(
        "money in a request",
        "a JSON number; text is 400",
        "2, 4.6",
        "the docs show numbers in requests and balances; only the cost in the log is text",
    ),
    Decision(
        "size of an amount",
        "read as the shortest decimal of the number, and 400 from 10**12 on",
        "2",
        "a JSON number is a float to most programs, which is exact to the cent up to 9,007,199,254,740.93",
    ),
    Decision(
        "amount of a top-up",
        "in whole cents, from 10",
        "6",
        "a card or SEPA payment has no fraction of a cent, although an email costs 0.005",
    ),
    Decision(
        "times in a request",
        "RFC 3339 with seconds and a zone: Z or an offset",
        "2",
        "the docs show ISO 8601 in UTC; a time without a zone would be a guess",
    ),
    Decision(
        "durations",
        "longer than 0, in seconds with at most nine decimals, or in whole hours: 900s, 0.5s, 24h; not 15m, 1d or 0s",
        "2",
        "these are the two units that the docs show",
    ),
    Decision(
        "phone numbers",
        "E.164 only, on every route: + and 7 to 15 digits, the first not 0, without blanks",
        "8.32",
        "the pages of webhooks name E.164, and numbers in one form can be compared",
    ),
    Decision(
        "postback data",
        "base64 with its padding, of any bytes, at most 2,048 characters; other text is 400",
        "8.4",
        "the field is described as base64; if plain text were taken, `MENU` would have two meanings",
    ),
    Decision(
        "fields of actions",
        "dial: phone_number; open_url, open_url_in_webview: url; view_location: latitude, longitude, label; "
        "create_calendar_event: title, start_time, end_time, description; share_location: none",
        "4.1",
        "only that of open_url is shown; the others are plain names for what each action needs",
    ),
    Decision(
        "postback data of an action",
        "400, because the field is unknown there",
        "4.1",
        "no page shows it, so a program must not depend on it",
    ),
    Decision(
        "calendar event",
        "ends after it starts, and not at the same moment",
        "4.1",
        "an event that ends before it starts, or at once, is a mistake",
    ),
    Decision(
        "content_type of a message",
        "MEDIA for a card or carousel with media, INTERACTIVE for one without and for a text with chips",
        "4.1",
        "the log has four values and no rule; the most particular one is taken",
    ),
    Decision(
        "content of a card in the log",
        "nested under standalone.content, as it was sent",
        "8.7",
        "the content of a message is described as sent; the flat example contradicts that",
    ),
    Decision(
        "id and status of a message",
        "id, and the status in upper case, in the list and in GET /v1/messages/{id}",
        "8.6",
        "the pages of both routes show it; the other form is on a page about webhooks",
    ),
    Decision(
        "revoking what is sent by RCS",
        "possible until it is delivered",
        "4.1",
        "it depends on the carrier, and all carriers of the sandbox can do it",
    ),
    Decision(
        "ttl",
        "expires an undelivered message by the clock, also if nothing is delivered by itself",
        "4.1",
        "the docs bind it to time alone; a hold must not last for ever",
    ),
    Decision(
        "session whose paying message fails",
        "messages that were accepted at 0 stay at 0, even if they are delivered; the next one accepted pays",
        "6",
        "the answer to a send has named its price, and a session is paid once",
    ),
    Decision(
        "message_type of a test message",
        "may be left out or null, and is MESSAGE then",
        "8.27",
        "the example of the test agent leaves it out, while all other sends require it",
    ),
    Decision(
        "responses of the test routes",
        "200; register: phone, status code_sent; verify and status: agent_id, phone, verified, sends_used, "
        "sends_remaining; a message as POST /v1/messages",
        "4.2",
        "none is shown; these are the values that the text names",
    ),
    Decision(
        "statuses that no page shows",
        "201 for a payment method and a webhook; 200 for a top-up, a resume, and a webhook changed, deleted or tested",
        "4.6, 4.7",
        "201 where something is created that a later request can name; a top-up only changes the balance",
    ),
    Decision(
        "a PATCH that has no field",
        "400 for agents, contacts and webhooks",
        "4.3, 4.4, 4.7",
        "it is a mistake more likely than a wish, such as misspelt variables that are all null",
    ),
    Decision(
        "signature of a webhook",
        "sha256= in lower case, then lower-case hexadecimal digits, without blanks",
        "5",
        "the samples compare the whole header, so another spelling would not be accepted",
    ),
    Decision("key check", "before everything else, including the route; only /openapi.json needs no key"),
    Decision("rate limit of a 401", "not counted; its headers show an unused window"),
    Decision("bytes that are not HTTP/1.0 or 1.1", "400, not counted, and the connection is closed"),
    Decision(
        "slow connections", "closed if the head or the body of a request takes 10 seconds; when idle, after 75 seconds"
    ),
    Decision("rate limit window", "fixed; begins at multiples of its length on the clock"),
    Decision("endpoint classes of the rate limit", "one for sends, one for each other noun, one for unknown routes"),
    Decision("rate limit count", "every accepted request counts, including replays and faults; a 429 does not"),
    Decision("unknown method", "a method that a route does not have is 404 not_found, because 405 is not documented"),
    Decision("content type", "a request that writes must have application/json, else 400"),
    Decision("size of a body", "at most 1 MiB, for an import 16 MiB, else 400"),
    Decision("compressed bodies", "not decompressed, whatever Content-Encoding says: they are not JSON, so 400"),
    Decision("optional bodies", "submit, pause, resume, trigger and test accept no body, or an empty object"),
    Decision("fields with a default", "may be left out or be null"),
    Decision("ids", "derived from the seed and the key, so two workspaces have no id in common"),
    Decision("roles", "viewer, editor or manager; sends need an editor, other routes what the docs say"),
    Decision("unknown fields", "400, because a misspelt field would be ignored otherwise"),
    Decision("format of an idempotency key", "1 to 255 visible ASCII characters; a UUID is not required"),
    Decision("two idempotency keys", "the header and the body field may both be given if they are equal, else 400"),
    Decision("same key, same body", "the first response again, byte for byte, at no cost; new rate limit headers"),
    Decision("same key, other body", "409 idempotency_conflict; bodies are compared as JSON, without the key"),
    Decision("what is stored for a key", "only a success: a refused request may be repeated with its key"),
    Decision("how long a key is stored", "24 hours, separately for each route and each id in it"),
    Decision("key of a trigger", "in the header or in the body; both name the same operation"),
    Decision("required_amount", "the hold that the message needs, not the difference to the balance"),
    Decision("balance in a 402", "always present, with empty details; that of a simulated 402 has nothing free"),
    Decision("prices", "illustrative; hold_amount and message_price are equal"),
    Decision("length of a text", "counted in Unicode code points"),
    Decision("use case", "a message_type or traffic_type that the agent's use case forbids is 422 with details"),
    Decision("agent not launched", "403 agent_not_launched"),
    Decision("end of a session", "24 hours after the last reply; a session that is extended is paid once"),
    Decision("conversation price", "held by the first message of a session; the later ones cost nothing"),
    Decision("in_session, mau_charged", "fields of billing"),
    Decision("calendar of newsletters", "days and months are in UTC"),
    Decision("newsletter day cap", "429 newsletter_daily_cap; retry_after is the time until midnight UTC"),
    Decision("newsletter consent", "a granted consent record of a contact for the channel, else 422 consent_missing"),
    Decision("a recipient that is not a contact", "receives messages, but no newsletters: it has no consent record"),
    Decision("a magic recipient", "its fault comes before the check of its consent"),
    Decision("suppression", "a contact that is UNSUBSCRIBED, BLOCKED or BOUNCED receives nothing on any channel"),
    Decision("several contacts with one number", "one suppressed contact suppresses it; one consent is enough"),
    Decision("bounces and unsubscriptions", "change the contacts with the address; without a contact nothing changes"),
    Decision("a complaint", "revokes the consent to newsletters by email, as an unsubscription does"),
    Decision("a paying message that is revoked or fails", "its hold is released; the next message pays instead"),
    Decision("delivery", "sent, delivered and read after fixed times; no carrier ever fails"),
    Decision("which statuses emit an event", "those with an event page: not SENT; for email not QUEUED or REVOKED"),
    Decision("an expired message", "has the status EXPIRED and costs nothing; an opened email the status READ"),
    Decision("the longest ttl", "1,000,000,000 seconds; a longer one is shortened to that"),
    Decision("an email that is reported", "has the status COMPLAINED"),
    Decision("what a user can reply to", "a launched agent, and a message that was sent and has not failed"),
    Decision("a tapped action", "is emitted as a suggested_reply, without postback data"),
    Decision("an inbound message", "has the status DELIVERED; each reply is one entry in the log"),
    Decision("schedule of webhooks", "pauses count from when the attempt before was due; the fifth is the last"),
    Decision("a delivery that is cancelled", "is repeated when webhooks are sent again"),
    Decision("what is stored", "ledger and contacts; the last 100,000 final messages, events, attempts, and faults"),
    Decision("a final message that is not kept", "is 404 and not listed; its key, transactions and usage stay"),
    Decision("which webhooks", "those that subscribe to the event when it is emitted, whatever they change later"),
    Decision("an endpoint that was changed", "each attempt uses its current URL and secret"),
    Decision("an endpoint that was deleted", "receives nothing more: its pending deliveries are dropped"),
    Decision("when a message is charged", "on delivery, a newsletter too; until then it is a hold"),
    Decision("second revoke", "409 already_revoked; a delivered message is 404 already_delivered"),
    Decision("revoking an email", "only while it is queued; the remote server has a sent one: 404 already_delivered"),
    Decision("revoking what failed, bounced or expired", "409 wrong_state with message_status"),
    Decision("order of the log", "newest first; the page has only `messages`, no totals"),
    Decision("query of the log", "an unknown, repeated or invalid parameter is 400 with details"),
    Decision(
        "dates in the log's query",
        "2026-05-04 is the whole day; 2026-05-04T07:30 without a zone is UTC; no other form",
    ),
    Decision("cost in the log", "the hold, and 0 for a message that failed or was revoked"),
    Decision("contact_id in the log", "that of the contact; without a contact derived from the recipient"),
    Decision("tier", "always tier_1; a subscriber counts once a month, even if the newsletter is revoked"),
    Decision("who is the same contact", "emails are compared without regard to case; phones are not compared"),
    Decision("an upsert", "sets the given fields, as PATCH does; tags only if there are any; keeps the source"),
    Decision("external_id of another contact", "409 already_exists, and so is an email that PATCH sets"),
    Decision("a change that changes nothing", "200, no event, and the same updated_at"),
    Decision("import", "one invalid row refuses the whole import; contact.created is emitted for each new row"),
    Decision("doi_channel", "by default the channel of the consent; null without a double opt-in"),
    Decision("a further consent record", "is added to those before; the response is 201"),
    Decision("fields of an agent", "GET returns those that the docs show for its status; POST and PATCH all of them"),
    Decision("banner_url", "required for the review"),
    Decision("region, use_case, billing_category", "cannot be changed after the agent is created"),
    Decision("agent in the wrong state", "409 wrong_state with agent_status"),
    Decision("agent id", "approval gives a new one, ag_live_; the draft's id remains valid, in sends too"),
    Decision("review", "lasts until it is decided by a control; a rejected agent keeps the id of its draft"),
    Decision("launch", "an agent can send to everyone while one carrier has launched it"),
    Decision("states of a launch", "PENDING and REJECTED come before LAUNCHED, SUSPENDED only after it"),
    Decision("description of an agent", "plain text: no tags, JSON, escapes or commands"),
    Decision(
        "http webhooks",
        "an endpoint has https, or http on a loopback address or on a host that MSGAPI_ALLOW_HTTP lists, so that it "
        "can be tried out",
    ),
    Decision("unknown event names", "400 with details; a name given twice counts once; there is no wildcard"),
    Decision("webhook secrets", "are never returned"),
    Decision("webhook test", "a made-up event, the first that the endpoint subscribes to, for this endpoint only"),
    Decision("top-up", "succeeds at once, also without a payment method, as one page of the docs shows"),
    Decision("highest balance", "5,000 EUR including what is reserved, else 422 balance_limit_exceeded"),
    Decision("payment methods", "type credit_card or sepa; other fields are ignored"),
    Decision("a payment that fails", "with a method whose token is card_declined or another documented reason"),
    Decision("automatic reload", "with the newest method, when the setting, a hold or a 402 finds too low a balance"),
    Decision("automatic reload that failed", "retried once 24 hours later; then after a new setting or a new method"),
    Decision("low balance", "an event when a hold takes the free balance from above the threshold to below it"),
    Decision("transactions", "newest first, 50 a page; amounts are positive; holds and the first balance are none"),
    Decision("usage", "what was sent in the span and has not failed: charged in amount, still held in reserved"),
    Decision("group_by", "day (the default), channel, message_type or unit"),
    Decision("invoices", "one for each month with charges, in UTC; there is no PDF"),
    Decision("test agent", "ag_test_demo; the code is 000000 and does not expire; five messages in all"),
    Decision("refusals of the test agent", "403 forbidden for the number, the code, the agent, the type, the quota"),
    Decision("test messages", "cost nothing, are in the log, and count for no tier and no usage"),
    Decision("a second test number", "replaces the first when it is verified; the quota stays"),
    Decision("campaigns", "exist at the start; a run sends and costs nothing, and takes one second per execution"),
    Decision("a campaign that fails in part", "ends as COMPLETED_PARTIAL, even if every execution failed"),
    Decision("balance of a campaign", "trigger and resume need the cost of all pending executions, else 402"),
    Decision("trigger of a campaign that the API does not trigger", "409 not_api_triggered"),
    Decision("trigger of a paused campaign", "409, because its run is under way"),
)
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
    Code(422, "balance_limit_exceeded", "the top-up would bring the balance above 5,000 EUR"),
    Code(422, "payment_failed", "the payment failed; failure_reason is the reason"),
    Code(429, "rate_limit_exceeded", "too many requests with this key; retry_after is the wait", documented=True),
    Code(429, "newsletter_daily_cap", "a second newsletter to one recipient on one day"),
    Code(500, "internal_error", "only as a simulated fault"),
    Code(503, "service_unavailable", "only as a simulated fault"),
)
"""Every error code of the sandbox. In addition, a 502 has the HTML page of a proxy."""
