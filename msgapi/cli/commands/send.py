"""The command `msgapi send`."""

from functools import partial
from typing import Any, Final, final

import click
from attrs import field, frozen

from ... import codec
from ...calls import Call, new_key
from ...fallback import AnyCall, chain
from ...messages import Accepted
from ...messages import send as send_call
from ...results import InsufficientBalance, Invalid, Ok, Result, Throttled, Unauthorized
from ..advice import advise_message, describe, explain, facts
from ..batch.dry_run import first_request
from ..batch.template import check_options, compose
from ..connection import make_call, private_sandbox, run_async
from ..options import dry_run_option, json_option, message_options, message_values, sandbox_option
from ..output import CliError, Exit, RowOutcome, emit, emit_json, note

_OF_EMAIL: Final = frozenset({"channel_id", "subject", "html", "template_id", "template_version"})


@final
@frozen(kw_only=True)
class MessageOptions:
    """The options of one message: the text for each field, and NAME=VALUE for each variable of the template.

    *fallback_email* is the address for an email if the service refuses the RCS message.
    """

    values: dict[str, str] = field(repr=False)
    data: tuple[str, ...] = field(repr=False)
    idempotency_key: str | None = None
    fallback_email: str | None = field(default=None, repr=False)

    def call(self) -> AnyCall[Accepted]:
        """Return the call or the fallback that sends the message. Raise CliError if a message is not complete."""
        if self.fallback_email is None:
            check_options(self.values)
            return self._send(self.values, self.data)
        if "agent_id" not in self.values:
            raise CliError("--fallback-email is for RCS messages: give --agent")
        if "channel_id" not in self.values:
            raise CliError("--fallback-email needs an email channel: give --channel")
        if "template_id" not in self.values and not self.values.keys() >= {"subject", "html"}:
            raise CliError("--fallback-email needs --subject and --html, or --template")
        rcs = {name: text for name, text in self.values.items() if name not in _OF_EMAIL}
        email = {name: text for name, text in self.values.items() if name in _OF_EMAIL or name == "message_type"}
        return chain(self._send(rcs), self._send(email | {"to": self.fallback_email}, self.data))

    def _send(self, values: dict[str, str], variables: tuple[str, ...] = ()) -> Call[Accepted]:
        data: dict[str, object] = {}
        for one in variables:
            name, given, value = one.partition("=")
            if not name or not given:
                raise CliError(f"--data takes NAME=VALUE, not {one!r}")
            data[name] = value
        message = compose(values, data or None)
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
@click.option(
    "--fallback-email",
    metavar="ADDRESS",
    help="RCS: if the recipient cannot be reached by RCS (404), send an email to this address, with --channel, "
    "--subject and --html or --template.",
)
@json_option
@dry_run_option
@sandbox_option
def send(*, to: str, json: bool, dry_run: bool, sandbox: bool, **others: Any) -> int:  # noqa: ANN401 - of MessageOptions
    """Send one message.

    An RCS message needs --agent, --traffic and --text. An email needs --channel, --subject, and --text, --html or
    --template. With --fallback-email, the options of both describe an RCS message, and an email that is sent only if
    the service refuses the RCS message because the recipient cannot be reached.
    """
    options = MessageOptions(values=message_values() | {"to": to}, **others)
    call = options.call()
    if call.invalid is not None:
        raise CliError(f"this message is not valid: {explain(call.invalid)}", facts=facts(call.invalid))
    if dry_run:
        emit("\n\n".join(run_async(partial(first_request, leg)) for leg in call.legs))
        return Exit.ACCEPTED
    result = run_async(partial(make_call, call, private_sandbox(options.values) if sandbox else None))
    if json:
        emit_json(_plain(result) | ({"leg": result.meta.leg} if len(call.legs) > 1 else {}))
    elif isinstance(result, Ok):
        emit(receipt(result.value))
        if result.meta.refused:
            note(f"sent by email, since the RCS message was refused: {describe(result.meta.refused[0])}")
    return _status(result, call)


def _status(result: Result[Accepted], call: AnyCall[Accepted]) -> Exit:
    if isinstance(result, Ok):
        return Exit.ACCEPTED
    note(describe(result))
    note(advise_message(result))
    if result.may_have_happened:
        key, alone = call.legs[result.meta.leg - 1].idempotency_key, ""
        if result.meta.leg > 1:  # from the first leg again, the recipient could get both
            alone = " send the email alone, with --to and the options of the email, and"
        note(f"it may have been sent; to repeat it without sending it twice:{alone} --idempotency-key {key}")
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
