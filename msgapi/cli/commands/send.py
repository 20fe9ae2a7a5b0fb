"""The command `msgapi send`."""

from functools import partial
from typing import Any, final

import click
from attrs import field, frozen

from ... import codec
from ...calls import Call, new_key
from ...messages import Accepted
from ...messages import send as send_call
from ...results import InsufficientBalance, Invalid, Ok, Result, Throttled, Unauthorized
from ..advice import advise_message, describe, explain, facts
from ..batch.dry_run import first_request
from ..batch.template import check_options, compose
from ..connection import make_call, private_sandbox, run_async
from ..options import dry_run_option, json_option, message_options, message_values, sandbox_option
from ..output import CliError, Exit, RowOutcome, emit, emit_json, note


@final
@frozen(kw_only=True)
class MessageOptions:
    """The options of one message: the text for each field, and NAME=VALUE for each variable of the template."""

    values: dict[str, str] = field(repr=False)
    data: tuple[str, ...] = field(repr=False)
    idempotency_key: str | None = None

    def call(self) -> Call[Accepted]:
        """Return the call that sends the message. Raise CliError if the message is not complete."""
        check_options(self.values)
        data: dict[str, object] = {}
        for one in self.data:
            name, given, value = one.partition("=")
            if not name or not given:
                raise CliError(f"--data takes NAME=VALUE, not {one!r}")
            data[name] = value
        message = compose(self.values, data or None)
        if isinstance(message, Invalid):
            raise CliError(f"this message is not complete: {explain(message)}", facts=facts(message))
        key = new_key() if self.idempotency_key is None else self.idempotency_key
        return send_call(message, idempotency_key=key)


@click.command
@click.option("--to", required=True, metavar="RECIPIENT", help="Send to this phone number with +, or email address.")
@message_options
@click.option(
    "--data", multiple=True, metavar="NAME=VALUE", help="Email: set a variable of the template. Can be repeated."
)
@click.option("--idempotency-key", metavar="KEY", help="Use this key. A message is not sent twice with it.")
@json_option
@dry_run_option
@sandbox_option
def send(
    *, to: str, data: tuple[str, ...], idempotency_key: str | None, json: bool, dry_run: bool, sandbox: bool
) -> int:
    """Send one message.

    An RCS message needs --agent, --traffic and --text. An email needs --channel, --subject, and --text, --html or
    --template.
    """
    options = MessageOptions(values=message_values() | {"to": to}, data=data, idempotency_key=idempotency_key)
    call = options.call()
    if call.invalid is not None:
        raise CliError(f"this message is not valid: {explain(call.invalid)}", facts=facts(call.invalid))
    if dry_run:
        emit(run_async(partial(first_request, call)))
        return Exit.ACCEPTED
    result = run_async(partial(make_call, call, private_sandbox(options.values) if sandbox else None))
    if json:
        emit_json(_plain(result))
    elif isinstance(result, Ok):
        emit(receipt(result.value))
    return _status(result, call)


def _status(result: Result[Accepted], call: Call[Accepted]) -> Exit:
    if isinstance(result, Ok):
        return Exit.ACCEPTED
    note(describe(result))
    note(advise_message(result))
    if result.may_have_happened:
        note(f"it may have been sent; to repeat it without sending it twice: --idempotency-key {call.idempotency_key}")
    match result:
        case error if error.scope == "foreign":
            return Exit.REFUSED
        case Unauthorized():
            return Exit.CONFIGURATION
        case InsufficientBalance() | Throttled():
            return Exit.STOPPED
        case _:
            return Exit.REFUSED


def _plain(result: Result[Accepted]) -> dict[str, Any]:
    if isinstance(result, Ok):
        plain: dict[str, Any] = codec.to_dict(result.value)
        return {"kind": RowOutcome.ACCEPTED.kind, **plain, "idempotency_key": result.meta.idempotency_key}
    return facts(result)


def receipt(accepted: Accepted) -> str:
    """Return one line with the id of an accepted message and its price, if it has one."""
    billing = accepted.billing
    price = "" if billing.message_price is None else f", {billing.message_price} EUR ({billing.message_type})"
    return f"{accepted.status} as {accepted.message_id}{price}"
