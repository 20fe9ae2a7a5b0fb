"""Asking: one call, its answer on standard output, and the exit status that goes with it."""

from collections.abc import Callable
from functools import partial
from math import ceil
from typing import Any, Final, TypeVar, assert_never

from .. import codec
from ..calls import Call
from ..results import (
    ApiError,
    Conflict,
    Forbidden,
    InsufficientBalance,
    Invalid,
    NotFound,
    NotSent,
    Ok,
    Result,
    ServerFault,
    Throttled,
    Unanswered,
    Unauthorized,
    Unavailable,
    Unexpected,
    Unprocessable,
    Unreadable,
)
from .advice import advise, explain, facts
from .connection import launch, private, reach
from .exits import Exit, Halt
from .output import Table, emit, emit_json, note

T = TypeVar("T")

WRONG: Final = "Check MSGAPI_BASE_URL, any proxy and the version of msgapi-sdk: the answer is not the service's."
"""What to do about an answer that only something else can have given."""


def answer(call: Call[T], show: Callable[[T], str | Table], *, json: bool, sandbox: bool) -> int:
    """Carry *call* out and *show* its value, or print it as JSON; gives the exit status."""
    if call.invalid is not None:
        raise Halt(explain(call.invalid), told=facts(call.invalid))
    result = launch(partial(_asked, call, sandbox=sandbox))
    if isinstance(result, Ok):
        if json:
            emit_json(codec.to_plain(result.value))
        else:
            emit(show(result.value))
        return Exit.ACCEPTED
    if json:
        emit_json(facts(result))
    return fail(result, call)


def fail(error: ApiError, call: Call[Any]) -> int:
    """Say what went wrong with *call* and what to do about it; gives the exit status."""
    note(named(error))
    note(advice(error, call))
    return status_of(error)


def named(error: ApiError) -> str:
    """Say what *error* is, by its kind and its code."""
    return f"{type(error).__name__} {error.code}: {explain(error)}"


def status_of(error: ApiError) -> Exit:
    """Tell what to exit with after *error*."""
    return Exit.CONFIGURATION if isinstance(error, Unauthorized) else Exit.REFUSED


def advice(error: ApiError, call: Call[Any]) -> str:
    """Say what to do about *error* where *call* sent no message.

    A command that is run again makes its call anew: a key of this one would not keep it from being done twice.
    """
    once = call.method == "POST"
    if error.may_have_happened and once:
        said = WRONG if isinstance(error, Unexpected | Unreadable) else ""
        return f"See whether it was done before you run it again: that would do it twice.{said and ' '}{said}"
    return _first(error, call)


def _first(error: ApiError, call: Call[Any]) -> str:  # noqa: C901, PLR0911 - one case for each kind
    match error:
        case Unauthorized():
            return advise(error)
        case Invalid():
            return "Mend what the details name; if they name nothing that you gave, see whether msgapi-sdk is too old."
        case InsufficientBalance(topup_url=url):
            return f"Top up{f' at {url}' if url else ''}, then run it again."
        case Forbidden():
            return "See what the API key is allowed to do, and what state the thing is in; the code tells."
        case NotFound():
            return _absent(error, call)
        case Conflict():
            return "See what state the thing is in: that is against it, or it was done before; the code tells."
        case Unprocessable():
            return "Mend what the message names: it was understood and refused; the code tells."
        case Throttled(retry_after=seconds):
            return f"Run it again {'later' if seconds is None else f'in {ceil(seconds)} s'}, and less often."
        case ServerFault() | Unavailable() | Unanswered():
            return "Run it again later."
        case Unexpected() | Unreadable():
            return WRONG
        case NotSent():
            return "Check the network and MSGAPI_BASE_URL, then run it again."
        case _:
            assert_never(error)


def _absent(error: NotFound, call: Call[Any]) -> str:
    if call.method == "GET":
        return "Check the id and MSGAPI_BASE_URL: the service knows nothing there."
    if error.may_have_happened:
        return "See whether it was done: an attempt before may have done it, though its answer was lost."
    return "Check the id: the service does not know it, or it is too late; the code tells."


async def _asked(call: Call[T], *, sandbox: bool) -> Result[T]:
    async with reach(private({}) if sandbox else None) as api:
        return await api(call)
