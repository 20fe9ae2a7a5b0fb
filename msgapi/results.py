"""Outcomes: what one call came to, as a closed union of values that a `match` can exhaust."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Generic, TypeAlias, TypeVar, final

import attrs
from attrs import Factory, frozen

from .privacy import hidden, key, mask, word

T_co = TypeVar("T_co", covariant=True)

CALLED_OFF: Final = "called_off"  # the code of a `NotSent` whose call was no longer wanted


@final
@frozen(kw_only=True)
class RateLimit:
    """The rate-limit figures of one answer (`X-RateLimit-*`, docs: /api/conventions).

    *limit* and *remaining* count requests in the current window; *reset* is the Unix time at which
    it ends, by the server's clock. A figure that was absent or not a number is None.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


@final
@frozen(kw_only=True)
class Meta:
    """How an outcome was come by.

    *status* is None when no answer was read. *attempts* counts the requests that were made, 0 when
    the call never left; *elapsed* is in seconds and includes waits between attempts. *server_time*
    is the `Date` of the answer as Unix time.
    """

    status: int | None = None
    attempts: int = 0
    elapsed: float = 0.0
    idempotency_key: str | None = attrs.field(default=None, repr=key)
    location: str | None = attrs.field(default=None, repr=hidden)
    rate_limit: RateLimit | None = None
    server_time: float | None = attrs.field(default=None, repr=False)


@final
@frozen
class Detail:
    """One thing that was wrong with the input: which *field*, and what about it."""

    field: str = attrs.field(repr=word)
    message: str = attrs.field(repr=False)


@final
@frozen(kw_only=True)
class Balance:
    """A prepaid balance in EUR: *free* can be spent, *reserved* is on hold, *total* is both.

    Some answers leave parts out; those are None.
    """

    free: Decimal | None = None
    reserved: Decimal | None = None
    total: Decimal | None = None


@final
@frozen
class Ok(Generic[T_co]):
    """The call was carried out, or accepted to be: 200, 201 or 202."""

    value: T_co
    meta: Meta = attrs.field(factory=Meta, kw_only=True)


@frozen(kw_only=True)
class _Failure:
    # What every error value has. Private: `ApiError` is the union to name, `match` the way to tell them apart.
    code: str = attrs.field(default="", repr=word)
    message: str = attrs.field(default="", repr=False)
    may_have_happened: bool = False
    meta: Meta = attrs.field(factory=Meta)
    extra: Mapping[str, object] = attrs.field(factory=dict, repr=False, hash=False)


@final
@frozen(kw_only=True)
class Invalid(_Failure):
    """400, or input refused before the wire: see *details*, mend the input and send it anew."""

    code: str = attrs.field(default="validation_error", repr=word)
    details: tuple[Detail, ...] = ()


@final
@frozen(kw_only=True)
class Unauthorized(_Failure):
    """401: the API key is missing or not valid. Every further call will say the same."""


@final
@frozen(kw_only=True)
class InsufficientBalance(_Failure):
    """402: the free balance does not cover the call. Top up, then send it again.

    *required_amount* is the number that the server sent, in EUR. Its documents call it the missing
    amount in one place and the whole hold in another; topping up by it is enough either way.
    """

    balance: Balance | None = None
    required_amount: Decimal | None = None
    topup_url: str | None = attrs.field(default=None, repr=hidden)


@final
@frozen(kw_only=True)
class Forbidden(_Failure):
    """403: a policy, the agent's state or the key's role is against it."""


@final
@frozen(kw_only=True)
class NotFound(_Failure):
    """404: an unknown id, a device that cannot receive RCS, or too late to revoke; *code* tells."""


@final
@frozen(kw_only=True)
class Conflict(_Failure):
    """409: a duplicate, or the thing is not in a state that allows the call."""


@final
@frozen(kw_only=True)
class Unprocessable(_Failure):
    """422: well formed, but refused: no session, no consent, suppressed, too large; *code* tells."""

    details: tuple[Detail, ...] = ()


@final
@frozen(kw_only=True)
class Throttled(_Failure):
    """429: too many calls with this key, or too many messages to one recipient.

    *retry_after* is in seconds, the larger of body and header; None when neither gave one.
    """

    retry_after: float | None = None

    @property
    def rate_limited(self) -> bool:
        """True if the key's rate limit is meant, False for a cap that waiting a little won't lift.

        An answer without an error code, as from a proxy, is taken for the rate limit.
        """
        return self.code in {"rate_limit_exceeded", "http_429"}


@final
@frozen(kw_only=True)
class ServerFault(_Failure):
    """500 and any other 5xx but 503: the server failed, perhaps after carrying the call out."""

    may_have_happened: bool = True
    retry_after: float | None = None


@final
@frozen(kw_only=True)
class Unavailable(_Failure):
    """503: the service or something behind it is down, perhaps after carrying the call out."""

    may_have_happened: bool = True
    retry_after: float | None = None


@final
@frozen(kw_only=True)
class Unexpected(_Failure):
    """A status that the API does not document, such as a proxy's redirect."""

    may_have_happened: bool = True

    @property
    def status(self) -> int | None:
        """The status of the answer."""
        return self.meta.status


@final
@frozen(kw_only=True)
class Unreadable(_Failure):
    """A success whose body could not be read: it happened, only its description is lost.

    *problems* say what was wrong and where, as `message @ $.json.path`; they quote no values.
    """

    code: str = attrs.field(default="unreadable", repr=word)
    may_have_happened: bool = True
    problems: tuple[str, ...] = ()


@final
@frozen
class NotSent(_Failure):
    """Nothing left this machine: the call can be made again without a second thought."""

    reason: str = attrs.field(repr=lambda reason: repr(mask(reason)))
    code: str = attrs.field(default="not_sent", repr=word, kw_only=True)
    message: str = attrs.field(
        default=Factory(lambda self: f"nothing was sent: {self.reason}", takes_self=True), repr=False, kw_only=True
    )


@final
@frozen
class Unanswered(_Failure):
    """The request went out, the answer never came or was cut: it may or may not have happened.

    Only a call with an idempotency key, or one that reads, can be repeated safely.
    """

    reason: str = attrs.field(repr=lambda reason: repr(mask(reason)))
    code: str = attrs.field(default="unanswered", repr=word, kw_only=True)
    message: str = attrs.field(
        default=Factory(lambda self: f"sent, but not answered: {self.reason}", takes_self=True),
        repr=False,
        kw_only=True,
    )
    may_have_happened: bool = attrs.field(default=True, kw_only=True)


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
"""Every way in which a call can fail, as a type for annotations and for `isinstance`."""

Result: TypeAlias = Ok[T_co] | ApiError
"""What a call comes to: `Ok` with its value, or one of the errors."""
