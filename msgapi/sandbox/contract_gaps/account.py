"""Decisions about webhooks, contacts, agents, billing, the test agent and campaigns."""

from typing import Final

from .requests import Decision

ACCOUNT: Final = (
    Decision(
        "amount of a top-up",
        "in whole cents, from 10",
        "6",
        "a card or SEPA payment has no fraction of a cent, although an email costs 0.005",
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
    Decision(
        "schedule of webhooks",
        "pauses count from when the attempt before was due; the fifth is the last",
        "8.24",
        "one page says five retries, the other five attempts in all",
    ),
    Decision(
        "a delivery that is cancelled",
        "is repeated when webhooks are sent again",
        "5",
        "the endpoint may not have seen it, and deliveries may repeat",
    ),
    Decision(
        "which webhooks",
        "those that subscribe to the event when it is emitted, whatever they change later",
        "5",
        "an event is delivered to the subscriptions at its time, as services of this kind do",
    ),
    Decision(
        "an endpoint that was changed",
        "each attempt uses its current URL and secret",
        "4.7",
        "a corrected URL or secret must help the deliveries that failed",
    ),
    Decision(
        "an endpoint that was deleted",
        "receives nothing more: its pending deliveries are dropped",
        "4.7",
        "who deletes an endpoint wants nothing more there",
    ),
    Decision(
        "who is the same contact",
        "emails are compared without regard to case; phones are not compared",
        "4.4",
        "email is documented as the key of an upsert; a phone can be shared",
    ),
    Decision(
        "an upsert",
        "sets the given fields, as PATCH does; tags only if there are any; keeps the source",
        "4.4",
        "what it does with fields that are left out is not documented; losing them would be worse",
    ),
    Decision(
        "external_id of another contact",
        "409 already_exists, and so is an email that PATCH sets",
        "4.4",
        "an external_id has to identify one contact",
    ),
    Decision(
        "PATCH with the values that are stored already",
        "200, no event, and the same updated_at",
        "4.4",
        "contact.updated lists the fields that were updated, and there are none",
    ),
    Decision(
        "import",
        "one invalid row refuses the whole import; contact.created is emitted for each new row",
        "8.19",
        "a partial import could not be repeated without a list of its rows",
    ),
    Decision(
        "doi_channel",
        "by default the channel of the consent; null without a double opt-in",
        "4.4",
        "no default is documented; the channel of the consent is the one that is known to work",
    ),
    Decision(
        "a further consent record",
        "is added to those before; the response is 201",
        "4.4",
        "records are a history, and the last one counts",
    ),
    Decision(
        "fields of an agent",
        "GET returns those that the docs show for its status; POST and PATCH all of them",
        "4.3",
        "the examples of GET differ by status; POST and PATCH show one form",
    ),
    Decision(
        "banner_url",
        "required for the review",
        "8.16",
        "the list of what must be present is stricter, so a draft that passes it passes both",
    ),
    Decision(
        "region, use_case, billing_category",
        "cannot be changed after the agent is created",
        "8.13",
        "the pages contradict each other, and fixed is the strictest of them",
    ),
    Decision(
        "agent in the wrong state",
        "409 wrong_state with agent_status",
        "4.3",
        "409 is documented, its code and fields are not",
    ),
    Decision(
        "agent id",
        "approval gives a new one, ag_live_; the draft's id remains valid, in sends too",
        "8.14",
        "the prefix differs before and after the approval, and old references must keep working",
    ),
    Decision(
        "review",
        "lasts until it is decided by a control; a rejected agent keeps the id of its draft",
        "4.3",
        "it takes days and is decided by people, so a test decides it",
    ),
    Decision(
        "launch",
        "an agent can send to everyone while one carrier has launched it",
        "4.3",
        "a launch is documented per carrier",
    ),
    Decision(
        "states of a launch",
        "PENDING and REJECTED come before LAUNCHED, SUSPENDED only after it",
        "4.3",
        "the states are documented, their order is not",
    ),
    Decision(
        "description of an agent",
        "plain text: no tags, JSON, escapes or commands",
        "4.3",
        "the page asks for plain text and shows no rule",
    ),
    Decision(
        "http webhooks",
        "an endpoint has https, or http on a loopback address or on a host that MSGAPI_ALLOW_HTTP lists",
        "4.7",
        "https is documented; a test on one machine or between containers has no certificate",
    ),
    Decision(
        "unknown event names",
        "400 with details; a name given twice counts once; there is no wildcard",
        "4.7, 8",
        "a misspelt name would never be delivered; wildcards are not documented",
    ),
    Decision(
        "webhook secrets", "are never returned", "4.7", "no response shows one, and a secret that can be read is none"
    ),
    Decision(
        "webhook test",
        "a made-up event, the first that the endpoint subscribes to, for this endpoint only",
        "4.7",
        "the event that is sent is not documented",
    ),
    Decision(
        "top-up",
        "succeeds at once, also without a payment method, as one page of the docs shows",
        "8.20",
        "payment_method_id is on one page and missing on the other",
    ),
    Decision(
        "highest balance",
        "5,000 EUR including what is reserved, else 422 balance_limit_exceeded",
        "4.6, 6",
        "the amount is documented; what counts towards it is not",
    ),
    Decision(
        "payment methods",
        "type credit_card or sepa; other fields are ignored",
        "4.6",
        "the body is not shown; these are the two types that the text names",
    ),
    Decision(
        "a payment that fails",
        "with a method whose token is card_declined or another documented reason",
        "4.6, 5",
        "the reasons are documented with the event, and no way to cause them",
    ),
    Decision(
        "automatic reload",
        "with the newest method, when the setting, a hold or a 402 finds too low a balance",
        "4.6, 6",
        "when it is checked is not documented",
    ),
    Decision(
        "automatic reload that failed",
        "retried once 24 hours later; then after a new setting or a new method",
        "4.6",
        "a second try is documented; a loop of payments must not be possible",
    ),
    Decision(
        "low balance",
        "an event when a hold takes the free balance from above the threshold to below it",
        "5",
        "one event for each time the threshold is crossed, not for each hold below it",
    ),
    Decision(
        "transactions",
        "newest first, 50 a page; amounts are positive; holds and the first balance are none",
        "4.6",
        "the page size and the signs are not documented",
    ),
    Decision(
        "usage",
        "what was sent in the span and has not failed: charged in amount, still held in reserved",
        "4.6",
        "the figures are not shown; charged and held are the two that can be checked",
    ),
    Decision(
        "group_by",
        "day (the default), channel, message_type or unit",
        "4.6",
        "the parameter is named, its values are not all shown",
    ),
    Decision(
        "invoices", "one for each month with charges, in UTC; there is no PDF", "4.6", "only a list is documented"
    ),
    Decision(
        "test agent",
        "ag_test_demo; the code is 000000 and does not expire; five messages in all",
        "4.2, 8.27",
        "the id and the limit of five are documented, the code is not",
    ),
    Decision(
        "refusals of the test agent",
        "403 forbidden for the number, the code, the agent, the type, the quota",
        "4.2",
        "no error of these routes is shown",
    ),
    Decision(
        "test messages",
        "cost nothing, are in the log, and count for no tier and no usage",
        "4.2",
        "they are documented as free",
    ),
    Decision(
        "a second test number",
        "replaces the first when it is verified; the quota stays",
        "4.2",
        "one number at a time is documented",
    ),
    Decision(
        "campaigns",
        "exist at the start; a run sends and costs nothing, and takes one second per execution",
        "4.5",
        "they are made in the dashboard, so a sandbox has some from the start",
    ),
    Decision(
        "a campaign that fails in part",
        "ends as COMPLETED_PARTIAL, even if every execution failed",
        "4.5",
        "no status for a run that failed completely is documented",
    ),
    Decision(
        "balance of a campaign",
        "trigger and resume need the cost of all pending executions, else 402",
        "4.5",
        "402 is documented, the amount that is compared is not",
    ),
    Decision(
        "trigger of a campaign that the API does not trigger",
        "409 not_api_triggered",
        "8.21",
        "one page has both answers; a refusal cannot be overlooked",
    ),
    Decision(
        "trigger of a paused campaign",
        "409, because its run is under way",
        "4.5",
        "409 is documented for a run that is under way",
    ),
)
