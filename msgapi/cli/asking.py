"""Asking: one call, its answer on standard output, and the exit status that goes with it."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from .. import codec
from ..calls import Call
from ..results import ApiError, NotFound, Ok, Result, Unauthorized, Unreadable
from .advice import advise, explain, facts
from .connection import launch, private, reach
from .exits import Exit, Halt
from .output import emit, emit_json, note

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")


def answer(call: Call[T], show: "Callable[[T], str | Table]", *, json: bool, sandbox: bool) -> int:
    """Carry *call* out and *show* its value, or print it as JSON; gives the exit status."""
    if call.invalid is not None:
        raise Halt(explain(call.invalid))
    result = launch(partial(_asked, call, sandbox=sandbox))
    if isinstance(result, Ok):
        if json:
            emit_json(codec.plain(result.value))
        else:
            emit(show(result.value))
        return Exit.ACCEPTED
    if json:
        emit_json(facts(result))
    return fail(result)


def fail(error: ApiError) -> int:
    """Say what went wrong and what to do about it; gives the exit status."""
    note(f"{type(error).__name__} {error.code}: {explain(error)}")
    note(advice(error))
    return Exit.CONFIGURATION if isinstance(error, Unauthorized) else Exit.REFUSED


def advice(error: ApiError) -> str:
    """Say what to do about *error* where nothing was sent to a recipient."""
    match error:
        case NotFound():
            return "Check the id: the service does not know it."
        case Unreadable():
            return "Check MSGAPI_BASE_URL and any proxy: the answer is not the service's."
        case _:
            return advise(error)


async def _asked(call: Call[T], *, sandbox: bool) -> Result[T]:
    async with reach(private({}) if sandbox else None) as api:
        return await api(call)
