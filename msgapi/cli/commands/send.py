"""The command `msgapi send`."""

from collections.abc import Mapping
from functools import partial
from shlex import quote
from typing import Any, Final, final

import click
from attrs import evolve, field, frozen

from ... import codec
from ...calls import Call, new_key
from ...fallback import AnyCall, chain
from ...messages import Accepted, Message
from ...messages import send as send_call
from ...recipients import RefusedRecipient, normalize
from ...results import Detail, InsufficientBalance, Invalid, Ok, Result, Throttled, Unauthorized
from ..advice import NO_COUNTRY, advise_message, describe, explain, facts
from ..batch.builder import compose
from ..batch.dry_run import first_request
from ..batch.template import LoadedOptions, MessageTemplate, check_options, load
from ..connection import make_call, note_key, private_sandbox, run_async, service_settings
from ..files.rows import InputRow
from ..options import dry_run_option, json_option, message_options, message_values, region_option, sandbox_option
from ..output import CliError, Exit, RowOutcome, emit, emit_json, note

# If the RCS message was sent again as well, the recipient could get both.
_EMAIL_ALONE: Final = "send the email alone, with --to and the options of the email, and"
_OF_EMAIL: Final = frozenset({"channel_id", "subject", "html", "template_id", "template_version"})


@final
@frozen(kw_only=True)
class MessageOptions:
    """The options of one message: the text for each field, and NAME=VALUE for each variable of the template.

    *fallback_email* is the address for an email if the service refuses the RCS message.
    """

    loaded: LoadedOptions = field(repr=False)
    to: str = field(repr=False)
    data: tuple[str, ...] = field(repr=False)
    idempotency_key: str | None = None
    fallback_email: str | None = field(default=None, repr=False)

    def call(self) -> AnyCall[Accepted]:
        """Return the call or the fallback that sends the message. Raise CliError if a message is not complete."""
        values = {**self.loaded.values, "to": self.to}
        if self.fallback_email is None:
            return self._send(self._message(values, self._variables()))
        if self.loaded.file is not None:
            raise CliError("--message cannot be used with --fallback-email: give the RCS message by --text")
        if "agent_id" not in values:
            raise CliError("--fallback-email is for RCS messages: give --agent")
        if "channel_id" not in values:
            raise CliError("--fallback-email needs an email channel: give --channel")
        if "template_id" not in values and not values.keys() >= {"subject", "html"}:
            raise CliError("--fallback-email needs --subject and --html, or --template")
        rcs = {name: text for name, text in values.items() if name not in _OF_EMAIL}
        email = {name: text for name, text in values.items() if name in _OF_EMAIL or name == "message_type"}
        second = compose(email | {"to": self.fallback_email}, self._variables() or None)
        return chain(self._send(compose(rcs)), self._send(second))

    def _variables(self) -> dict[str, object]:
        data: dict[str, object] = {}
        for one in self.data:
            name, given, value = one.partition("=")
            if not name or not given:
                raise CliError(f"--data takes NAME=VALUE, not {one!r}")
            data[name] = value
        return data

    def _send(self, message: Message | Invalid) -> Call[Accepted]:
        if isinstance(message, Invalid):
            raise CliError(f"this message is not complete: {explain(message)}", facts=facts(message))
        key = new_key() if self.idempotency_key is None else self.idempotency_key
        return send_call(message, idempotency_key=key)

    def _message(self, values: dict[str, str], data: dict[str, object]) -> Message | Invalid:
        if self.loaded.file is None:
            check_options(values)
            return compose(values, data or None)
        # The placeholders of the file are filled from --data.
        template = MessageTemplate(
            given=self.loaded.values, file=self.loaded.file, data_columns=tuple(data), single=True
        )
        return template.bind(("to", *data)).build(InputRow(1, 1, {**data, "to": self.to}))


@click.command
@click.option("--to", required=True, metavar="RECIPIENT", help="Send to this phone number or email address.")
@region_option
@message_options
@click.option(
    "--data",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a variable of the template, or a placeholder of --message. Can be repeated.",
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
def send(*, to: str, region: str | None, json: bool, dry_run: bool, sandbox: bool, **others: Any) -> int:  # noqa: ANN401 - of MessageOptions
    """Send one message.

    An RCS message needs --agent, --traffic and --text. An email needs --channel, --subject, and --text, --html or
    --template. With --fallback-email, the options of both describe an RCS message, and an email that is sent only if
    the service refuses the RCS message because the recipient cannot be reached.
    --message FILE.json has any message as the API has it, such as a rich card; its placeholders {name} are filled from
    --data.

    A profile can name the agent and the channel. The recipient is normalised as by `msgapi batch`.
    """
    recipient, problem = _read_recipient("to", to, region)
    if others["fallback_email"] is not None:
        others["fallback_email"], second = _read_recipient("fallback.to", others["fallback_email"], None)
        problem = problem or second
    loaded = load(message_values())
    loaded = evolve(loaded, values=_with_sender(loaded, recipient, sandbox=sandbox))
    options = MessageOptions(loaded=loaded, to=recipient, **others)
    call = options.call()
    problem = problem or call.invalid
    if problem is not None:
        raise CliError(f"this message is not valid: {explain(problem)}", facts=facts(problem))
    if dry_run:
        emit("\n\n".join(run_async(partial(first_request, leg)) for leg in call.legs))
        return Exit.ACCEPTED
    if sandbox:
        result = run_async(partial(make_call, call, private_sandbox(options.loaded.senders)))
    else:
        result = run_async(partial(make_call, call, None, before=partial(_note_key, call, options)))
    if json:
        emit_json(_plain(result, call) | ({"leg": result.meta.leg} if len(call.legs) > 1 else {}))
    elif isinstance(result, Ok):
        emit(receipt(result.value))
        if result.meta.refused:
            note(f"sent by email, since the RCS message was refused: {describe(result.meta.refused[0])}")
    return _status(result, call)


def _note_key(call: AnyCall[Accepted], options: MessageOptions, leg: Call[Any]) -> None:
    # Prints how to repeat the command if it is killed while this leg is sent.
    if leg is not call.legs[0]:
        key = quote(leg.idempotency_key or "")
        note(f"the RCS message was refused; to repeat without a second effect: {_EMAIL_ALONE} --idempotency-key {key}")
    elif options.idempotency_key is None:
        note_key(leg)


def _read_recipient(field_name: str, text: str, region: str | None) -> tuple[str, Invalid | None]:
    # Returns the recipient as it is sent, and why it cannot be one.
    found = normalize(text, region)
    if not isinstance(found, RefusedRecipient):
        return found.text, None
    why = NO_COUNTRY if found.reason == "no_country" and region is None else found.message
    return text, Invalid(message=f"{field_name} {why}", details=(Detail(field_name, why),), own_words=True)


def _with_sender(loaded: LoadedOptions, to: str, *, sandbox: bool) -> Mapping[str, str]:
    # Returns the values with the agent or the channel of the profile, if neither they nor the template file name one.
    values = loaded.values
    given = values.keys() | (set() if loaded.file is None else loaded.file.fields.keys())
    if sandbox or given & {"agent_id", "channel_id"}:
        return values
    profile = service_settings().profile
    setting, name = ("channel", "channel_id") if "@" in to else ("agent", "agent_id")
    if profile is None or setting not in profile.settings:
        return values
    return {**values, name: profile.settings[setting]}


def _status(result: Result[Accepted], call: AnyCall[Accepted]) -> Exit:
    if isinstance(result, Ok):
        return Exit.ACCEPTED
    note(describe(result))
    note(advise_message(result))
    if result.may_have_happened:
        key = quote(call.legs[result.meta.leg - 1].idempotency_key or "")
        alone = f" {_EMAIL_ALONE}" if result.meta.leg > 1 else ""
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


def _plain(result: Result[Accepted], call: AnyCall[Accepted]) -> dict[str, Any]:
    if isinstance(result, Ok):
        plain: dict[str, Any] = codec.to_dict(result.value)
        return {"kind": RowOutcome.ACCEPTED.kind, **plain, "idempotency_key": result.meta.idempotency_key}
    return facts(result) | {"idempotency_key": call.legs[result.meta.leg - 1].idempotency_key}


def receipt(accepted: Accepted) -> str:
    """Return one line with the id of an accepted message and its price, if it has one."""
    billing = accepted.billing
    price = "" if billing.message_price is None else f", {billing.message_price} EUR ({billing.message_type})"
    return f"{accepted.status} as {accepted.message_id}{price}"
