"""Results: the outcome of one call, as a closed union of values that a `match` can exhaust.

Rules:
- What an error means for the next step is its `scope`: one table, `_SCOPES`, and one rule for answers that are not the
  service's. Retry, outage, circuit breaker and journal all use it.
- `may_have_happened` is True wherever the service may have carried the call out.
- Whether an answer is the service's is decided in one place, `decode.is_from_service`. `from_service` records it.
- The repr of an error and the text of `CallFailed` say why in words of this package: `explanation`. They quote nothing
  that came from outside, except for codes, names of fields, numbers and causes of the operating system.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Generic, Literal, NoReturn, TypeAlias, TypeVar, final

import attrs
from attrs import Factory

from .http import Headers
from .models import frozen
from .redact import HIDDEN, hidden, key, mask, word

T_co = TypeVar("T_co", covariant=True)

Scope: TypeAlias = Literal["recipient", "request", "account", "service", "foreign"]
"""What an error is about, and so what can be done after it.

- `recipient`: one recipient or resource. Other calls are not affected.
- `request`: the content of the request. Calls with the same content end in the same way.
- `account`: the API key or the balance. Every call ends in the same way until the user acts.
- `service`: the service, the network or the rate limit. The same call can succeed later.
- `foreign`: the answer of something else, such as a proxy, a login page or another host. It says nothing about the
  call. Every call ends in the same way until the base URL or the proxy is corrected. A 5xx, 408 or 429 that is not
  the service's has the scope `service`: gateways answer so during an outage and for a rate limit.
"""

_REQUEST_TIMEOUT: Final = 408
_RETRYABLE: Final = frozenset({_REQUEST_TIMEOUT, 421, 425})  # not an answer to the call: the server asks for it again

CALLED_OFF: Final = "called_off"  # the code of a `NotSent` whose `only_while` returned False before it left
NO_FREE_CONNECTION: Final = "no_free_connection"  # of a `NotSent` that waited for one of `max_connections` in vain
TOO_MANY_OPEN_FILES: Final = "too_many_open_files"  # of a `NotSent` for which this process may open no more sockets


@final
@frozen(kw_only=True)
class RateLimit:
    """The rate-limit figures of one response (`X-RateLimit-*`, docs: /api/conventions).

    *limit* and *remaining* count requests in the current window. *reset* is the Unix time at which the window
    ends, by the server's clock. A figure that is absent or not a number is None.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


@final
@frozen(kw_only=True)
class Meta:
    """How a result was obtained.

    *status* is the HTTP status, or None if no response was read. *attempts* counts the requests that were made; it is
    0 if the call never left this machine. *elapsed* is in seconds and includes the waits between attempts.
    *server_time* is the `Date` header of the response as Unix time. *retry_after* is the wait in seconds that
    an error of any status asks for in its `Retry-After` header; `retry_after` of the error has that of its body, too.
    *raw_body* is the body of the response as it came, and is kept by `client.with_options(keep_raw=True)` only.

    Of a `fallback`, *leg* is the number of the call that the result is about, from 1, and *refused* are the errors of
    the calls before it. All other figures are those of this call alone.
    """

    status: int | None = None
    attempts: int = 0
    elapsed: float = 0.0
    idempotency_key: str | None = attrs.field(default=None, repr=key)
    location: str | None = attrs.field(default=None, repr=hidden)
    rate_limit: RateLimit | None = None
    server_time: float | None = attrs.field(default=None, repr=False)
    retry_after: float | None = attrs.field(default=None, repr=False)
    leg: int = 1
    refused: tuple["ApiError", ...] = ()
    raw_body: bytes | None = attrs.field(default=None, repr=False, eq=False)
    _headers: Mapping[str, str] | None = attrs.field(default=None, repr=False, eq=False, alias="headers")

    @property
    def headers(self) -> Headers:
        """The headers of the response; empty if no response was read. Names are case-insensitive."""
        return Headers(self._headers or {})


@final
@frozen
class Detail:
    """One problem with the input: the path of the *field*, and a *message* that says what is wrong with it."""

    field: str = attrs.field(repr=word)
    message: str = attrs.field(repr=False)


@final
@frozen(kw_only=True)
class Balance:
    """A prepaid balance in EUR: *free* can be spent, *reserved* is on hold, *total* is the sum of both.

    A part that the response leaves out is None. Unknown fields, and those of an unexpected type, are in *extra*.
    """

    free: Decimal | None = None
    reserved: Decimal | None = None
    total: Decimal | None = None
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False, hash=False)


@final
@frozen
class Ok(Generic[T_co]):
    """The service carried the call out or accepted it: 200, 201 or 202. *value* is the decoded response."""

    value: T_co
    meta: Meta = attrs.field(factory=Meta, kw_only=True)

    def unwrap(self) -> T_co:
        """Return *value*. On an error, `unwrap` raises `CallFailed`."""
        return self.value


@frozen(kw_only=True, repr=False)
class _Failure:
    """The fields that every error has. Private: the name for annotations is the union `ApiError`.

    *from_service* is True if the service itself gave the error: a response was read, and its body has the form that
    the service uses. It is False

    - if the response has another form, and so comes from a proxy, a gateway or another host. The class is still that
      of the status, and *meta* has the status. An `Unreadable` is from the service if the id could be read.
    - without a response: always for `NotSent` and `Unanswered`, for `Invalid` from a check on this machine, and for
      `Throttled` if the client did not send the call because of the rate limit. *meta* then has no status.

    *own_words* is True if *message* and the details were written by this package, and so quote nothing.
    """

    code: str = attrs.field(default="", repr=word)
    message: str = attrs.field(default="", repr=False)
    may_have_happened: bool = False
    meta: Meta = attrs.field(factory=Meta)
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False, hash=False)
    from_service: bool = True
    own_words: bool = attrs.field(default=False, eq=False, repr=False)

    @property
    def scope(self) -> Scope:
        """What the error is about: see `Scope`."""
        kind, status = type(self), self.meta.status
        if not self.from_service and status is not None and kind not in _WITHOUT_RESPONSE:
            return "service" if kind in _OUTAGE or status == _REQUEST_TIMEOUT else "foreign"
        return "service" if kind is Unexpected and status in _RETRYABLE else _SCOPES[kind]

    @property
    def explanation(self) -> str:
        """Why the call failed, in words of this package, for logs and error trackers.

        It quotes codes, names of fields, numbers and causes of the operating system, but no text of the server, no
        recipient and no content. For the text of the server use *message*.
        """
        return _explain(self)  # type: ignore[arg-type]  # each subclass is in the union

    def unwrap(self) -> NoReturn:
        """Raise `CallFailed` with this error. On an `Ok`, `unwrap` returns the value."""
        raise CallFailed(self)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        """Show the explanation, and the fields that can be shown and are not at their defaults."""
        shown = [f"{self.explanation!r}", f"may_have_happened={self.may_have_happened}"]
        for one in attrs.fields(type(self)):
            value = getattr(self, one.name)
            if one.repr is not False and one.name not in _EXPLAINED and value not in (None, "", _NO_META):
                shown.append(f"{one.name}={one.repr(value) if callable(one.repr) else repr(value)}")
        if not self.from_service and self.meta.status is not None:
            shown.append("from_service=False")
        return f"{type(self).__name__}({', '.join(shown)})"


@frozen(kw_only=True, repr=False)
class _HeaderOnly(_Failure):
    """An error whose body has no `retry_after`. The other errors have a field of this name, so each error has it."""

    @property
    def retry_after(self) -> float | None:
        """The seconds that the server asks to wait before the call is sent again; None if it does not."""
        return self.meta.retry_after


@final
@frozen(kw_only=True, repr=False)
class Invalid(_HeaderOnly):
    """400, or input that was refused before it was sent. *details* name the fields to correct."""

    code: str = attrs.field(default="validation_error", repr=word)
    details: tuple[Detail, ...] = ()
    from_service: bool = Factory(lambda self: self.meta.status is not None, takes_self=True)


@final
@frozen(kw_only=True, repr=False)
class Unauthorized(_HeaderOnly):
    """401: the API key is missing or not valid. Every further call ends in the same way."""


@final
@frozen(kw_only=True, repr=False)
class InsufficientBalance(_HeaderOnly):
    """402: the free balance does not cover the call. Top up, then send it again.

    *required_amount* is the amount in EUR that the server sent. The API documentation describes it as the missing
    amount in one place and as the whole hold in another. A top-up of this amount is enough in both cases.
    """

    balance: Balance | None = None
    required_amount: Decimal | None = None
    topup_url: str | None = attrs.field(default=None, repr=hidden)


@final
@frozen(kw_only=True, repr=False)
class Forbidden(_HeaderOnly):
    """403: a policy, the state of the agent or the role of the key does not allow the call."""


@final
@frozen(kw_only=True, repr=False)
class NotFound(_HeaderOnly):
    """404: an unknown id, a device that cannot receive RCS, or a message that can no longer be revoked; see *code*."""


@final
@frozen(kw_only=True, repr=False)
class Conflict(_HeaderOnly):
    """409: a duplicate, or a resource whose state does not allow the call."""


@final
@frozen(kw_only=True, repr=False)
class Unprocessable(_HeaderOnly):
    """422: a valid request that was refused: no session, no consent, suppressed or too large; see *code*."""

    details: tuple[Detail, ...] = ()


@final
@frozen(kw_only=True, repr=False)
class Throttled(_Failure):
    """429: too many calls with this key, or too many messages to one recipient.

    *retry_after* is in seconds, the larger of the values in body and header; None if there is none.
    """

    retry_after: float | None = None

    @property
    def rate_limited(self) -> bool:
        """Whether the rate limit of the key was exceeded, as opposed to a cap for one recipient.

        A response that is not the service's, for example from a proxy, counts as the rate limit.
        """
        return not self.from_service or self.code in {"rate_limit_exceeded", "http_429"}

    @property
    def scope(self) -> Scope:
        """`service` for the rate limit of the key, `recipient` for a cap on messages to one recipient."""
        return "service" if self.rate_limited else "recipient"


@final
@frozen(kw_only=True, repr=False)
class ServerFault(_Failure):
    """500 and any other 5xx except 503: the server failed, possibly after it carried the call out."""

    may_have_happened: bool = True
    retry_after: float | None = None


@final
@frozen(kw_only=True, repr=False)
class Unavailable(_Failure):
    """503: the service is unavailable, possibly after it carried the call out."""

    may_have_happened: bool = True
    retry_after: float | None = None


@final
@frozen(kw_only=True, repr=False)
class Unexpected(_HeaderOnly):
    """A status that the API does not document, such as a redirect by a proxy. For a 3xx the message names its target.

    A 408, 421 or 425 is repeated if the call may be repeated.
    """

    may_have_happened: bool = True

    @property
    def status(self) -> int | None:
        """The HTTP status of the response."""
        return self.meta.status


@final
@frozen(kw_only=True, repr=False)
class Unreadable(_HeaderOnly):
    """A success whose body could not be decoded.

    If *from_service* is True, the id could be read: the call was carried out, only its result is lost. Otherwise the
    outcome is unknown: the body has another form, for example that of a login page, or is an error.

    *problems* say what is wrong and where, as `message @ $.json.path`. They quote no values. What could be read is in
    *extra*: the fields of the body, or only its ids if the body is not JSON. With the code `incomplete_list` it is
    the end of a list that may not be whole.
    """

    code: str = attrs.field(default="unreadable", repr=word)
    may_have_happened: bool = True
    problems: tuple[str, ...] = ()

    @property
    def message_id(self) -> str | None:
        """The id of the message, if it could be read."""
        found = (self.extra.get(name) for name in ("message_id", "id"))
        return next((one for one in found if isinstance(one, str) and one), None)


@final
@frozen(repr=False)
class NotSent(_HeaderOnly):
    """Nothing left this machine. The call can be repeated safely."""

    reason: str = attrs.field(repr=lambda reason: repr(mask(reason)))
    code: str = attrs.field(default="not_sent", repr=word, kw_only=True)
    from_service: bool = attrs.field(default=False, kw_only=True)
    message: str = attrs.field(
        default=Factory(lambda self: f"nothing was sent: {self.reason}", takes_self=True), repr=False, kw_only=True
    )


@final
@frozen(repr=False)
class Unanswered(_HeaderOnly):
    """The request was sent, and its response did not arrive or was truncated: the outcome is unknown.

    Only a call that has an idempotency key or that reads can be repeated safely.
    """

    reason: str = attrs.field(repr=lambda reason: repr(mask(reason)))
    code: str = attrs.field(default="unanswered", repr=word, kw_only=True)
    message: str = attrs.field(
        default=Factory(lambda self: f"sent, but not answered: {self.reason}", takes_self=True),
        repr=False,
        kw_only=True,
    )
    may_have_happened: bool = attrs.field(default=True, kw_only=True)
    from_service: bool = attrs.field(default=False, kw_only=True)


ApiError: TypeAlias = (
    Invalid
    | Unauthorized
    | InsufficientBalance
    | Forbidden
    | NotFound
    | Conflict
    | Unprocessable
    | Throttled
    | ServerFault
    | Unavailable
    | Unexpected
    | Unreadable
    | NotSent
    | Unanswered
)
"""Any error of a call, as a type for annotations and for `isinstance`."""

Result: TypeAlias = Ok[T_co] | ApiError
"""The result of a call: `Ok` with its value, or one of the errors."""


@final
class CallFailed(Exception):
    """What `result.unwrap()` raises for an error. *error* is that error. It can be pickled and copied.

    Its text is the class, the code and the explanation of the error. It shows no recipient and no content.

    A task queue that stores exceptions as JSON, as Celery does by default, keeps only the text of their arguments. In
    the process that asks for the result *error* is that text then, and so is the text of the exception. To keep the
    error, let the queue pickle its results, or return `codec.to_dict(result)` from the task.
    """

    def __init__(self, error: ApiError) -> None:
        super().__init__(error)  # so that it can be pickled
        self.error: Final = error

    def __str__(self) -> str:
        """Return the class, the code and the explanation of the error."""
        given: object = self.error
        if isinstance(given, str):
            return given
        code = f" ({_plain(self.error.code)})" if self.error.code else ""
        return f"{type(self.error).__name__}{code}: {self.error.explanation}"


def _explain(error: ApiError) -> str:
    kind, status = type(error), error.meta.status
    if isinstance(error, NotSent | Unanswered):
        return f"{'nothing was sent' if kind is NotSent else 'sent, but not answered'}: {mask(error.reason)}"
    details = error.details if isinstance(error, Invalid | Unprocessable) else ()
    if error.own_words:
        texts = [f"{_plain(detail.field)} {mask(detail.message)}".strip() for detail in details]
        return "; ".join(texts) or mask(error.message)
    if status is not None and not error.from_service:
        of_gateway = "a gateway answers so in an outage"
        return f"HTTP {status}, but not from the service: {_CHECK_URL if error.scope == 'foreign' else of_gateway}"
    known = "a cap for one recipient is reached" if error.scope == "recipient" and kind is Throttled else _TEXTS[kind]
    more = mask("; ".join(error.problems)) if isinstance(error, Unreadable) else ""
    more = more or ", ".join(dict.fromkeys([_plain(detail.field) for detail in details if detail.field]))
    return f"{'' if status is None else f'HTTP {status}: '}{known}{f': {more}' if more else ''}"


def _plain(text: str) -> str:
    return HIDDEN if word(text) == HIDDEN else text


_NO_META: Final = Meta()
_EXPLAINED: Final = frozenset({"reason", "may_have_happened", "from_service", "details", "problems"})
_CHECK_URL: Final = "check MSGAPI_BASE_URL and any proxy"
_TEXTS: Final[Mapping[type, str]] = {
    Invalid: "the input is not valid",
    Unauthorized: "the API key is missing or not valid: check api_key, or MSGAPI_API_KEY",
    InsufficientBalance: "the free balance does not cover the call",
    Forbidden: "a policy, the state of the agent or the role of the key does not allow the call",
    NotFound: "an unknown id, a device without RCS, or a message that can no longer be revoked",
    Conflict: "a duplicate, or a resource whose state does not allow the call",
    Unprocessable: "a valid request that the service refused",
    Throttled: "the rate limit of the API key is exceeded",
    ServerFault: "the service failed",
    Unavailable: "the service is unavailable",
    Unexpected: "a status that the API does not document",
    Unreadable: "the call succeeded, but its response could not be decoded",
}
_SCOPES: Final[Mapping[type, Scope]] = {
    Invalid: "request",
    Unauthorized: "account",
    InsufficientBalance: "account",
    Forbidden: "request",
    NotFound: "recipient",
    Conflict: "request",
    Unprocessable: "recipient",
    ServerFault: "service",
    Unavailable: "service",
    Unexpected: "request",
    Unreadable: "request",
    NotSent: "service",
    Unanswered: "service",
}
_OUTAGE: Final = frozenset({ServerFault, Unavailable, Throttled})  # what gateways answer for a service that is down
_WITHOUT_RESPONSE: Final = frozenset({NotSent, Unanswered})
