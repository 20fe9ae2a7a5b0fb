"""One message: the command `send`."""

from collections.abc import Mapping
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any, final

from attrs import field, frozen

from .. import codec
from ..calls import Call, new_key
from ..messages import Accepted
from ..messages import send as call_for
from ..results import (
    ApiError,
    Conflict,
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
    Unprocessable,
    Unreadable,
)
from .advice import advise, explain, facts
from .connection import launch, private, reach
from .draft import checked, compose
from .exits import Exit, Halt
from .output import emit, emit_json, note
from .preview import first_request

if TYPE_CHECKING:
    from ..sandbox import Sandbox


@final
@frozen(kw_only=True)
class Single:
    """What the command was given."""

    given: Mapping[str, str] = field(repr=False)
    data: tuple[str, ...] = field(repr=False)
    key: str | None = None
    json: bool = False
    sandbox: bool = False


def start(single: Single, *, dry_run: bool) -> int:
    """Send the message, or show the request in a *dry_run*; gives the exit status."""
    call = _call(single)
    if call.invalid is not None:
        raise Halt(f"this message is not valid: {explain(call.invalid)}", told=facts(call.invalid))
    if dry_run:
        emit(launch(partial(first_request, call)))
        return Exit.ACCEPTED
    result = launch(partial(_sent, call, private(single.given) if single.sandbox else None))
    if single.json:
        emit_json(_facts(result))
    if isinstance(result, Ok):
        if not single.json:
            emit(receipt(result.value))
        return Exit.ACCEPTED
    note(f"{type(result).__name__} {result.code}: {explain(result)}")
    note(advice(result))
    if result.may_have_happened:
        note(
            f"it may have been sent; this repeats it without sending it twice: --idempotency-key {call.idempotency_key}"
        )
    match result:
        case Unauthorized():
            return Exit.CONFIGURATION
        case InsufficientBalance() | Throttled():
            return Exit.STOPPED
        case _:
            return Exit.REFUSED


def _call(single: Single) -> Call[Accepted]:
    checked(single.given)
    data: dict[str, object] = {}
    for one in single.data:
        name, given, value = one.partition("=")
        if not name or not given:
            raise Halt(f"--data takes NAME=VALUE, not {one!r}")
        data[name] = value
    message = compose(single.given, data or None)
    if isinstance(message, Invalid):
        raise Halt(f"this message is not complete: {explain(message)}", told=facts(message))
    return call_for(message, idempotency_key=new_key() if single.key is None else single.key)


def advice(error: ApiError) -> str:  # noqa: C901, PLR0911 - one case for each kind
    """Say what to do about *error* where it is of one message."""
    match error:
        case Invalid():
            return "Mend what the details name, and send it again."
        case InsufficientBalance(topup_url=url):
            return f"Top up{f' at {url}' if url else ''}, then send it again."
        case NotFound():
            return "Reach the recipient by another channel: unknown, or a device without RCS."
        case Conflict():
            return "See whether it was sent before under the same key: if not, use a new key."
        case Unprocessable():
            return "Don't send it: no consent, suppressed, or no open session; the code tells."
        case Throttled(retry_after=seconds) if error.rate_limited:
            wait = "later" if seconds is None else f"in {ceil(seconds)} s"
            return f"Send it again {wait}, with no other sender on this key."
        case Throttled():
            return "Send it another day: the recipient has had enough for this one."
        case ServerFault() | Unavailable() | Unanswered():
            return "Send it again later, under its key: so it cannot go out twice."
        case Unreadable():
            return "Don't send it again: it was accepted, only the answer was not readable."
        case NotSent():
            return "Check the network and MSGAPI_BASE_URL, then send it again."
        case _:
            return advise(error)


async def _sent(call: Call[Accepted], box: "Sandbox | None") -> Result[Accepted]:
    async with reach(box) as api:
        return await api(call)


def _facts(result: Result[Accepted]) -> dict[str, Any]:
    if isinstance(result, Ok):
        plain: dict[str, Any] = codec.to_plain(result.value)
        return {"kind": "Accepted", **plain, "idempotency_key": result.meta.idempotency_key}
    return facts(result)


def receipt(accepted: Accepted) -> str:
    """Say in one line that a message was accepted, and what it costs."""
    billing = accepted.billing
    costs = "" if billing.message_price is None else f", {billing.message_price} EUR ({billing.message_type})"
    return f"{accepted.status} as {accepted.message_id}{costs}"
