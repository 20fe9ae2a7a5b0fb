"""The command `msgapi send`."""

from functools import partial
from typing import Any, final

import click
from attrs import field, frozen

from ... import codec
from ...calls import Call, new_key
from ...messages import Accepted, Message
from ...messages import send as send_call
from ...results import InsufficientBalance, Invalid, Ok, Result, Throttled, Unauthorized
from ..advice import advise_message, describe, explain, facts
from ..batch.dry_run import first_request
from ..batch.input import InputRow
from ..batch.message_file import LoadedOptions, load
from ..batch.template import MessageTemplate, check_options, compose
from ..connection import make_call, private_sandbox, run_async
from ..options import dry_run_option, json_option, message_options, message_values, sandbox_option
from ..outcomes import CliError, Exit, RowOutcome
from ..output import emit, emit_json, note


@final
@frozen(kw_only=True)
class MessageOptions:
    """The options of one message: the text for each field, and NAME=VALUE for each variable of the template."""

    loaded: LoadedOptions = field(repr=False)
    to: str = field(repr=False)
    data: tuple[str, ...] = field(repr=False)
    idempotency_key: str | None = None

    def call(self) -> Call[Accepted]:
        """Return the call that sends the message. Raise CliError if the message is not complete."""
        data: dict[str, object] = {}
        for one in self.data:
            name, given, value = one.partition("=")
            if not name or not given:
                raise CliError(f"--data takes NAME=VALUE, not {one!r}")
            data[name] = value
        message = self._message(data)
        if isinstance(message, Invalid):
            raise CliError(f"this message is not complete: {explain(message)}", facts=facts(message))
        key = new_key() if self.idempotency_key is None else self.idempotency_key
        return send_call(message, idempotency_key=key)

    @property
    def senders(self) -> dict[str, str]:
        """The fields of the message that are no content, such as the agent."""
        return {**({} if self.loaded.file is None else self.loaded.file.fields), **self.loaded.values}

    def _message(self, data: dict[str, object]) -> Message | Invalid:
        if self.loaded.file is None:
            values = {**self.loaded.values, "to": self.to}
            check_options(values)
            return compose(values, data or None)
        # The placeholders of the file are filled from --data.
        template = MessageTemplate(
            given=self.loaded.values, file=self.loaded.file, data_columns=tuple(data), single=True
        )
        return template.bind(("to", *data)).build(InputRow(1, 1, {**data, "to": self.to}))


@click.command
@click.option("--to", required=True, metavar="RECIPIENT", help="A phone number with + or an email address.")
@message_options
@click.option(
    "--data",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable of the template, or a placeholder of --message; repeatable.",
)
@click.option("--idempotency-key", metavar="KEY", help="A message sent again with the same key is not sent twice.")
@json_option
@dry_run_option
@sandbox_option
def send(
    *, to: str, data: tuple[str, ...], idempotency_key: str | None, json: bool, dry_run: bool, sandbox: bool
) -> int:
    """Send one message.

    RCS with --agent, --traffic and --text; email with --channel, --subject and --text, --html or --template. --message
    FILE.json has any message as the API has it, such as a rich card; its placeholders {name} are filled from --data.
    """
    loaded = load(message_values())
    options = MessageOptions(loaded=loaded, to=to, data=data, idempotency_key=idempotency_key)
    call = options.call()
    if call.invalid is not None:
        raise CliError(f"this message is not valid: {explain(call.invalid)}", facts=facts(call.invalid))
    if dry_run:
        emit(run_async(partial(first_request, call)))
        return Exit.ACCEPTED
    result = run_async(partial(make_call, call, private_sandbox(options.senders) if sandbox else None))
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
