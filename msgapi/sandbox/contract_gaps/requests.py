"""Decisions about HTTP, types, the rate limit and idempotency; and `Decision`, the type of all decisions."""

from typing import Final, final

from attrs import frozen


@final
@frozen
class Decision:
    """One *topic* that the docs leave open, and what the sandbox does.

    *section* names the sections of the API's contract that the topic belongs to, where 8 lists its contradictions and
    holes. *why* is the reason for the choice.
    """

    topic: str
    choice: str
    section: str
    why: str


REQUESTS: Final = (
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
        "key check",
        "before everything else, including the route; only /openapi.json and /_sandbox/health need no key",
        "1",
        "a request without a valid key must not learn which routes exist",
    ),
    Decision(
        "rate limit of a 401",
        "not counted; its headers show an unused window",
        "2",
        "the limit belongs to a key, and such a request has none",
    ),
    Decision(
        "bytes that are not HTTP/1.0 or 1.1",
        "400, not counted, and the connection is closed",
        "1",
        "nothing after them on the connection can be read reliably",
    ),
    Decision(
        "slow connections",
        "closed if the head or the body of a request takes 10 seconds; when idle, after 75 seconds",
        "1",
        "no timeout is documented, and a connection that is never finished must not stay open",
    ),
    Decision(
        "rate limit window",
        "fixed; begins at multiples of its length on the clock",
        "2",
        "X-RateLimit-Reset is one time for all requests of a window, so it is fixed",
    ),
    Decision(
        "endpoint classes of the rate limit",
        "one for sends, one for each other noun, one for unknown routes",
        "2",
        "the limit is per key and endpoint class, and the classes are not named",
    ),
    Decision(
        "rate limit count",
        "every accepted request counts, including replays and faults; a 429 does not",
        "2",
        "a replay and a fault cost the service a request; a 429 must not make the wait longer",
    ),
    Decision(
        "unknown method",
        "a method that a route does not have is 404 not_found, because 405 is not documented",
        "3",
        "the table of statuses has no 405",
    ),
    Decision(
        "content type",
        "a request that writes must have application/json, else 400",
        "2",
        "every example sends it, and a form of a web page must not be taken for a request",
    ),
    Decision(
        "size of a body",
        "at most 1 MiB, for an import 16 MiB, else 400",
        "8",
        "no maximum is documented; an import has up to 10,000 rows",
    ),
    Decision(
        "compressed bodies",
        "not decompressed, whatever Content-Encoding says: they are not JSON, so 400",
        "2",
        "no page mentions compressed requests",
    ),
    Decision(
        "optional bodies",
        "submit, pause, resume, trigger and test accept no body, or an empty object",
        "4.3, 4.5, 4.7",
        "the pages show these routes with no body, or with one that has no required field",
    ),
    Decision(
        "fields with a default",
        "may be left out or be null",
        "4",
        "null and a missing field have the same meaning in most JSON libraries",
    ),
    Decision(
        "ids",
        "derived from the seed and the key, so two workspaces have no id in common",
        "7",
        "only the prefixes are documented; ids that repeat in every run make tests repeatable",
    ),
    Decision(
        "roles",
        "viewer, editor or manager; sends need an editor, other routes what the docs say",
        "1",
        "roles are named for a few routes only",
    ),
    Decision(
        "unknown fields",
        "400, because a misspelt field would be ignored otherwise",
        "3",
        "the docs do not say, and a misspelt field that is ignored is found too late",
    ),
    Decision(
        "format of an idempotency key",
        "1 to 255 visible ASCII characters; a UUID is not required",
        "2",
        "a UUID is what the docs advise; a client may derive its keys from ids of its own",
    ),
    Decision(
        "two idempotency keys",
        "the header and the body field may both be given if they are equal, else 400",
        "2",
        "the header and the body field are documented as equivalent",
    ),
    Decision(
        "same key, same body",
        "the first response again, byte for byte, at no cost; new rate limit headers",
        "2",
        "that is what the key is for; a replay reserves nothing",
    ),
    Decision(
        "same key, other body",
        "409 idempotency_conflict; bodies are compared as JSON, without the key",
        "2",
        "what happens is not documented; 409 is the status for a conflict",
    ),
    Decision(
        "what is stored for a key",
        "only a success: a refused request may be repeated with its key",
        "2",
        "a refused request has had no effect, and its cause can be removed",
    ),
    Decision(
        "how long a key is stored",
        "24 hours, separately for each route and each id in it",
        "2, 8",
        "24 hours are documented for campaigns, and nothing for messages",
    ),
    Decision(
        "key of a trigger",
        "in the header or in the body; both name the same operation",
        "4.5",
        "the body field of this route is documented, the header for all routes",
    ),
)
