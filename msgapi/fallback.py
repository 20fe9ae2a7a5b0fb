"""Fallback: one message over one channel after another, such as RCS and then email.

Rules:
- The next leg is sent only after the service itself has refused the leg before it, because of the recipient or the
  request. An unknown outcome, an answer that is not the service's, a failure of the service, a 401, a 402, a 409 and
  the rate limit never lead to it.
- The idempotency keys of all legs derive from that of the first, so a fallback has one key as a call has.
- A fallback that continues later continues at the leg that it had reached: an earlier one could be accepted by then,
  and the recipient would get two messages.
"""

from collections.abc import Callable, Iterable
from inspect import iscoroutinefunction
from typing import Final, Generic, TypeAlias, TypeVar, final
from uuid import UUID, uuid5

import anyio.lowlevel
from attrs import evolve, frozen

from .calls import Call, Caller
from .results import ApiError, Detail, Forbidden, Invalid, NotFound, Ok, Result, Throttled, Unprocessable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Condition: TypeAlias = type[ApiError] | tuple[type[ApiError], ...] | Callable[[ApiError], bool]
"""Which refusals lead to the next leg: a class of errors, several, or a function that returns whether an error does."""

_KEYS: Final = UUID("3d7a43b8-3c0b-5a3e-9d6c-6a1d3a1f0b52")  # the namespace of the derived keys
_REFUSALS: Final = (Forbidden, Invalid, NotFound, Throttled, Unprocessable)
# No `Conflict`: a 409 can mean that the service has the message already.


@final
@frozen(repr=False)
class Fallback(Generic[T_co]):
    """Calls of which the next is sent only if the service has refused the one before. Made by `chain`.

    It is a value like a call: nothing is sent until a client is called with it, or a batch. *legs* are its calls, with
    their idempotency keys, *when* says which refusals lead to the next one, and *leg* is the number of the call that
    is sent first, from 1.
    """

    legs: tuple[Call[T_co], ...]
    when: Condition
    leg: int = 1

    @property
    def call(self) -> Call[T_co]:
        """The call that is sent first."""
        return self.legs[self.leg - 1]

    @property
    def idempotency_key(self) -> str | None:
        """The idempotency key of the first leg, from which those of the others derive."""
        return self.legs[0].idempotency_key

    @property
    def repeatable(self) -> bool:
        """Whether each leg is repeatable."""
        return all(call.repeatable for call in self.legs)

    @property
    def invalid(self) -> Invalid | None:
        """The problems of the input of all legs. If there are any, no leg is sent.

        The fields of the second leg begin with `fallback.`, those of the third with `fallback[2].`, and so on.
        """
        found = [(leg, call.invalid) for leg, call in enumerate(self.legs, 1) if call.invalid is not None]
        if not found:
            return None
        first = found[0][1]
        if [leg for leg, _ in found] == [1]:
            return first
        details = tuple(_prefix(detail, leg) for leg, invalid in found for detail in invalid.details)
        text = "; ".join(f"{detail.field} {detail.message}" for detail in details)
        return evolve(first, details=details, message=text or first.message)

    def under(self, key: str | None) -> "Fallback[T_co]":
        """Return the same fallback with the idempotency key *key*, or with none if it is None."""
        return Fallback(_with_keys(self.legs, key), self.when, self.leg)

    def start_at(self, leg: int) -> "Fallback[T_co]":
        """Return the same fallback, to be sent from the *leg* with this number, the first being 1.

        Raise ValueError if there is no such leg.
        """
        if not 1 <= leg <= len(self.legs):
            raise ValueError(f"the fallback has the legs 1 to {len(self.legs)}, and no leg {leg}")
        return Fallback(self.legs, self.when, leg)

    def after(self, error: ApiError) -> "Fallback[T_co] | None":
        """Return the fallback from its next leg, if the *error* of the current one leads to it; otherwise None."""
        if self.leg == len(self.legs) or not is_refusal(error):
            return None
        when = self.when
        leads_on = isinstance(error, when) if isinstance(when, type | tuple) else when(error)
        return Fallback(self.legs, when, self.leg + 1) if leads_on else None

    def __repr__(self) -> str:
        """Show the calls; never a query or a body."""
        start = f", leg={self.leg}" if self.leg > 1 else ""
        return f"Fallback({', '.join(map(repr, self.legs))}{start})"


AnyCall: TypeAlias = Call[T] | Fallback[T]
"""A call, or a fallback of several calls: what can be sent as one."""


def chain(first: Call[T], second: Call[T], /, *others: Call[T], when: Condition = NotFound) -> Fallback[T]:
    """Return the fallback that sends *first*, and *second* only if the service refuses *first*; and so on.

        await client(fallback.chain(messages.send(rcs), messages.send(email)))

    The result is that of the last call that was sent: an `Ok` if it was accepted. `result.meta.leg` is the number of
    that call, from 1, and `result.meta.refused` holds the errors of the calls before it.

    *when* says which refusals lead to the next call: a class of errors, a tuple of classes, or a function that takes
    the error and returns a bool. By default it is `NotFound`: the service answers 404 for a recipient without RCS
    (docs: /api/errors), but also for an unknown id, and the documentation names no code that distinguishes them. Only
    an error of the service itself that concerns the recipient or the request is ever asked about: `Invalid`,
    `Forbidden`, `NotFound`, `Unprocessable`, and a `Throttled` for a cap of the recipient. After any other error,
    and after one with `may_have_happened`, the message may have been sent or the same call can still succeed. So a 404
    after an attempt that was not answered does not lead to the next call: the lost request may still be carried out.
    Send the fallback again, a little later and with the same keys: a 404 then is the answer of the service.

    The idempotency key of *first* becomes that of the fallback; the keys of the other calls are replaced by keys that
    derive from it. If *first* has none, no call has one.

    The result may be an unknown outcome (`may_have_happened`), as for a call. To repeat the fallback then, start with
    the call that it is about: `client(value.start_at(result.meta.leg))`. A fallback that was cancelled, or whose
    program was stopped, can have sent any of its calls: sent again from the first, it can reach the recipient twice,
    if the first call is accepted by then. Where that matters, use `batch.send` with a journal, which continues with
    the right call.

    Raise TypeError if a leg is not a `Call` or *when* is of another type, and ValueError for a class of errors that
    never leads to another call.
    """
    for call in (first, second, *others):
        if not isinstance(call, Call):
            raise TypeError(f"a leg of a fallback is a call, such as messages.send(...), not {type(call).__name__}")
    _check_condition(when)
    return Fallback(_with_keys((first, second, *others), first.idempotency_key), when)


async def send(client: Caller, fallback: Fallback[T], /) -> Result[T]:
    """Send *fallback* through *client*, which can be any async function from a call to its result.

    With a `Client` it is the same as `await client(fallback)`. See `chain` for the result.
    """
    if (invalid := fallback.invalid) is not None:
        await anyio.lowlevel.checkpoint()
        return invalid
    refused: list[ApiError] = []
    while True:
        result = await client(fallback.call)
        if isinstance(result, Ok) or (following := fallback.after(result)) is None:
            return with_legs(result, fallback.leg, refused)
        refused.append(result)
        fallback = following


def with_legs(result: Result[T], leg: int, refused: Iterable[ApiError]) -> Result[T]:
    """Return *result* with the number of its *leg*, and the errors of the legs before it."""
    return result if leg == 1 else evolve(result, meta=evolve(result.meta, leg=leg, refused=tuple(refused)))


def is_refusal(error: ApiError) -> bool:
    """Return whether the service itself has refused the message for certain, because of the recipient or the request.

    It is not a refusal if the message may have been sent, or if the same call can succeed later.
    """
    definite = error.from_service and not error.may_have_happened and isinstance(error, _REFUSALS)
    return definite and error.scope in {"recipient", "request"}


def leg_key(key: str, leg: int) -> str:
    """Return the idempotency key of the *leg* with this number, if that of the first leg is *key*.

    It is *key* for the first leg, and a UUID (version 5) that is always the same for another.
    """
    return key if leg == 1 else str(uuid5(_KEYS, f"{key}/{leg}"))


def _with_keys(legs: tuple[Call[T], ...], key: str | None) -> tuple[Call[T], ...]:
    return tuple(call.under(None if key is None else leg_key(key, leg)) for leg, call in enumerate(legs, 1))


def _prefix(detail: Detail, leg: int) -> Detail:
    prefix = {1: "", 2: "fallback."}.get(leg, f"fallback[{leg - 1}].")
    return evolve(detail, field=f"{prefix}{detail.field}".removesuffix("."))


def _check_condition(when: object) -> None:
    kinds = when if isinstance(when, tuple) else (when,) if isinstance(when, type) else ()
    for kind in kinds:
        if kind not in _REFUSALS:
            names = ", ".join(one.__name__ for one in _REFUSALS)
            name = getattr(kind, "__name__", repr(kind))
            raise ValueError(f"when={name} never leads to another leg: name any of {names}, or pass a function")
    if when == ():
        raise ValueError("when=() never leads to another leg: leave it out for NotFound")
    if not kinds and (not callable(when) or iscoroutinefunction(when)):
        raise TypeError(f"when is a class of errors, a tuple of them or a plain function, not {type(when).__name__}")
