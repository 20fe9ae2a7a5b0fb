"""The commands `msgapi webhooks listen` and `trigger`: receive deliveries, forward them, and make them up.

Rules:
- A delivery is forwarded only if its signature is right, with the same body. The answer of the target is given back, so
  the service repeats what the target has not taken.
- A delivery is forwarded each time that it arrives: the target has to handle a repeated one, as it must in production.
- Events leave this machine over https only, or to a host that may be reached over http.
"""

import logging
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import urlsplit

import anyio
import click
import orjson
from attrs import define, field, frozen

from ... import webhooks
from ...calls import new_key
from ...config import may_use_http
from ...http import Request, Response
from ...schema.validators import url as url_rule
from ...transports import Answer, Transport
from ...webhooks import Event, InvalidDelivery
from ..connection import open_signals, run_async
from ..options import json_option, parse_pairs
from ..output import CliError, Exit, OutputClosed, emit, emit_json, escaped, line, note, write
from .webhooks import EventName, checked_secret, format_event, secret_option

if TYPE_CHECKING:
    from aiohttp import web

_MAX_BODY: Final = 2**20  # bytes of a delivery, as the receivers of the library have it
_TARGET_TIMEOUT: Final = 30.0  # seconds
_SERVICE_TIMEOUT: Final = 5.0  # seconds in which the service expects the answer (docs: /api/webhooks/retries)
_SHUTDOWN_TIMEOUT: Final = 2.0  # seconds for the requests in flight
_MAX_SHOWN: Final = 1_000  # characters of the answer of a target
_SUCCESS: Final = range(200, 300)
_URL: Final = url_rule("http", "https")
_NOT_FORWARDED: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""The headers about one connection, or about the body as it was sent over it."""


@click.command
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8026, show_default=True, help="The port; 0 for any free one."
)
@secret_option
@click.option("--forward-to", "target", metavar="URL", help="Forward each verified delivery to this URL.")
@click.option(
    "--forward-secret",
    envvar="MSGAPI_FORWARD_SECRET",
    metavar="TEXT",
    help="Sign what is forwarded with this secret (default: keep the signature); or set MSGAPI_FORWARD_SECRET.",
)
@json_option
def listen(*, port: int, secret: str, target: str | None, forward_secret: str | None, json: bool) -> int:
    """Receive, verify and print events until Ctrl-C.

    \b
      msgapi webhooks listen --forward-to http://127.0.0.1:8000/webhooks

    With --forward-to, the answer of the URL is shown and given back to the service, which repeats a delivery after any
    status but 2xx. If the URL cannot be reached, the service gets 502; if it does not answer in 30 seconds, 504.
    """  # noqa: D301 - \b is click's own
    checked = checked_secret(secret)
    if target is None:
        return run_async(partial(_listen, port, checked, None, json=json))
    signing = (
        None if forward_secret is None else checked_secret(forward_secret, "--forward-secret", "MSGAPI_FORWARD_SECRET")
    )
    forwarder = Forwarder(check_target(target, "--forward-to"), checked, signing)
    return run_async(partial(_listen, port, checked, forwarder, json=json))


@click.command
@click.argument("event", type=EventName())
@click.option("--to", "target", required=True, metavar="URL", help="The URL of your endpoint.")
@secret_option
@click.option(
    "--data",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Set a field of the data. Can be repeated. A dot leads into a field, as in user_message.text=Hi.",
)
@click.option("--id", "event_id", metavar="ID", help="The id of the event (default: a new one).")
@json_option
def trigger(*, event: str, target: str, secret: str, data: tuple[str, ...], event_id: str | None, json: bool) -> int:
    """Send a made-up event, signed, to a URL.

    \b
      msgapi webhooks trigger message.failed --to http://127.0.0.1:8000/webhooks \\
        --data failure_reason=CARRIER_NOT_LAUNCHED

    The service and the account have no part in it. VALUE is text, or JSON if the made-up field is not text. To test
    that a repeated delivery is handled once, send it twice with the same --id.

    EVENT is one of message.queued, message.delivered, message.read, message.failed, message.expired, message.revoked,
    conversation.started, conversation.ended, email.delivered, email.bounced, email.opened, email.clicked,
    email.complained, email.unsubscribed, agent.approved, agent.rejected, contact.created, contact.updated,
    consent.created, consent.updated, billing.balance_low, billing.auto_reload_success and billing.auto_reload_failed.

    Exit status: 0 if the answer is 2xx, 1 if it is not, or if there is none.
    """  # noqa: D301 - \b is click's own
    checked, url = checked_secret(secret), check_target(target, "--to")
    name = event_id or f"evt_{new_key().replace('-', '')}"
    body = make_event(event, name, parse_pairs("--data", data))
    made = webhooks.read({webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret=checked)}, body, secret=checked)
    for problem in _undocumented(made):
        note(f"not as documented, and sent all the same: {problem}")
    answer, seconds = run_async(partial(_send_event, url, body, checked))
    status = answer.status if isinstance(answer, Response) else None
    if json:
        text = answer.body.decode(errors="replace") if isinstance(answer, Response) else None
        reason = None if isinstance(answer, Response) else answer.reason
        emit_json({"event": orjson.loads(body), "status": status, "body": text, "reason": reason})
    else:
        emit(f"{event} {name}: {_describe_answer(answer, seconds)}")
    return Exit.ACCEPTED if status in _SUCCESS else Exit.REFUSED


def check_target(url: str, option: str) -> str:
    """Return the *url* of an *option*. Raise CliError if it is none, or if events would be sent unencrypted to it."""
    if _URL(url) is not None:
        raise CliError(f"{option} takes a URL such as http://127.0.0.1:8000/webhooks")
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.username is not None or parts.fragment:
        raise CliError(f"{option} takes a URL without a user and a fragment")
    if parts.scheme == "http" and not may_use_http(host):
        raise CliError(
            f"{option} must be https, or http to this machine: the event would be sent unencrypted "
            f"(to allow this host: MSGAPI_ALLOW_HTTP={host})"
        )
    return url


def make_event(event: str, event_id: str, changes: Mapping[str, str]) -> bytes:
    """Return the body of a made-up *event* with the fields of *changes*. Raise CliError if one cannot be set."""
    from ...sandbox.model.webhooks import EmittedEvent
    from ...sandbox.routes.webhooks import sample_data

    now = datetime.now(UTC).timestamp()
    data = sample_data(event, now)
    for name, text in changes.items():
        *parents, last = name.split(".")
        place: Any = data
        for parent in parents:
            place = place.get(parent)
            if not isinstance(place, dict):
                raise CliError(f"--data {name}: {event} has no object {parent} (fields: {', '.join(data)})")
        place[last] = _parse_value(name, place.get(last), text)
    try:
        return EmittedEvent(id=event_id, event=event, at=now, data=data).body()
    except orjson.JSONEncodeError:
        raise CliError("--data and --id take text that is valid Unicode") from None


def _parse_value(name: str, before: object, text: str) -> object:
    if before is None or isinstance(before, str):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise CliError(f"--data {name} takes JSON such as {orjson.dumps(before).decode()}, not {text!r}") from None


def _undocumented(made: Event | InvalidDelivery) -> list[str]:
    # The fields that the class of the event does not have, or has with another type.
    parts = [made, getattr(made, "user_message", None), getattr(made, "balance", None)]
    return [f"the field {name}" for part in parts for name in getattr(part, "extra", ())]


async def _send_event(url: str, body: bytes, secret: str) -> tuple[Answer, float]:
    from ...transports import aiohttp

    headers = {
        "Content-Type": "application/json",
        "User-Agent": "msgapi-webhooks-trigger",
        webhooks.SIGNATURE_HEADER: webhooks.sign(body, secret=secret),
    }
    async with aiohttp.open(timeout=_TARGET_TIMEOUT) as transport:
        began = time.perf_counter()
        answer = await transport(Request("POST", url, headers, body))
        return answer, time.perf_counter() - began


def _describe_answer(answer: Answer, seconds: float) -> str:
    if not isinstance(answer, Response):
        return f"no answer: {answer.reason}"
    late = f", and the service waits {_SERVICE_TIMEOUT:g} s" if seconds > _SERVICE_TIMEOUT else ""
    text = answer.body.decode(errors="replace")
    shown = f": {line(text[:_MAX_SHOWN])}" if text.strip() else ""
    return f"{answer.status} in {seconds * 1000:.0f} ms{late}{shown}"


@final
@define(eq=False)
class EventPrinter:
    """Prints events. If standard output cannot be written any more, stores the error in *ended* and calls *close*."""

    json: bool
    close: Callable[[], None]
    ended: OutputClosed | CliError | None = None

    async def print_event(self, event: Event) -> None:
        """Print *event*. If that raises, the receiver refuses the event, so that the service sends it again."""
        self.write(format_event(event, json=self.json))

    def write(self, text: str) -> None:
        """Print *text*."""
        if self.ended is not None:
            raise self.ended
        try:
            write(escaped(text))
        except (OutputClosed, CliError) as error:
            self.ended = error
            self.close()
            raise


@final
@frozen
class Forwarder:
    """Forwards deliveries to *url*: verified with *secret*, and signed anew if *signing* is a secret."""

    url: str
    secret: str = field(repr=False)
    signing: str | None = field(default=None, repr=False)

    async def respond(self, request: "web.Request", transport: Transport, printer: EventPrinter) -> "web.Response":
        """Verify and forward one delivery, print both, and return the answer of the target."""
        from aiohttp import web

        body = await request.read()
        event = webhooks.read(request.headers, body, secret=self.secret)
        if isinstance(event, InvalidDelivery):
            wrong = event.status == 401  # noqa: PLR2004
            cause = webhooks.explain_mismatch(request.headers, body, secret=self.secret) if wrong else None
            note(f"refused with {event.status}: {event.reason}{f': {cause}' if cause else ''}")
            return web.json_response({"error": "refused", "message": event.reason}, status=event.status)
        headers = _forwarded_headers(request.headers)
        if self.signing is not None:
            headers = {name: value for name, value in headers.items() if name.lower() != _SIGNATURE}
            headers[webhooks.SIGNATURE_HEADER] = webhooks.sign(body, secret=self.signing)
        began = time.perf_counter()
        answer = await transport(Request("POST", self.url, headers, body))
        _print(printer, event, answer, time.perf_counter() - began)
        return _give_back(answer)


def _forwarded_headers(headers: Mapping[str, str]) -> dict[str, str]:
    # A sender can name more headers that are about its connection (RFC 9110, section 7.6.1). One with bytes that are
    # not UTF-8 cannot be sent on.
    left_out = _NOT_FORWARDED | {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    text = {name: value for name, value in headers.items() if value.encode(errors="ignore").decode() == value}
    return {name: value for name, value in text.items() if name.lower() not in left_out}


def _give_back(answer: Answer) -> "web.Response":
    from aiohttp import web

    if isinstance(answer, Response):
        kind = answer.headers.get("content-type", "application/octet-stream")
        return web.Response(status=answer.status, body=answer.body, headers={"Content-Type": kind})
    status = 504 if answer.may_have_happened else 502
    return web.json_response({"error": "no_answer", "message": answer.reason}, status=status)


_SIGNATURE: Final = webhooks.SIGNATURE_HEADER.lower()


def _print(printer: EventPrinter, event: Event, answer: Answer, seconds: float) -> None:
    if printer.json:
        status = answer.status if isinstance(answer, Response) else None
        reason = None if isinstance(answer, Response) else answer.reason
        plain = orjson.loads(webhooks.write(event)) | {"forwarded": {"status": status, "reason": reason}}
        text = orjson.dumps(plain).decode()
    else:
        text = f"{format_event(event, json=False)}\n    forwarded           {_describe_answer(answer, seconds)}"
    try:
        printer.write(text)
    except (OutputClosed, CliError):
        return  # the target has the event, and its answer is given back; the command ends


async def _listen(port: int, secret: str, forwarder: Forwarder | None, *, json: bool) -> int:
    from aiohttp import web

    from ...transports import aiohttp

    listening = anyio.CancelScope()
    printer = EventPrinter(json, listening.cancel)
    logging.getLogger("msgapi").addHandler(logging.NullHandler())  # errors are reported in one line at the end
    async with AsyncExitStack() as stack:
        receive: Callable[[web.Request], Awaitable[web.Response]]
        if forwarder is None:
            receive = webhooks.aiohttp(printer.print_event, secret=secret)
        else:
            transport = await stack.enter_async_context(aiohttp.open(timeout=_TARGET_TIMEOUT))
            receive = partial(forwarder.respond, transport=transport, printer=printer)

        async def respond(request: web.Request) -> web.Response:
            response = await receive(request)
            if forwarder is None and printer.ended is None and response.status != 200:  # noqa: PLR2004
                note(f"refused with {response.status}: {response.text}")
            return response

        app = web.Application(client_max_size=_MAX_BODY)
        _ = app.router.add_post("/{path:.*}", respond)
        await _serve(app, port, listening)
    if isinstance(printer.ended, CliError):
        raise printer.ended
    if printer.ended is not None:
        lost = ": the last event was refused, so the service sends it again" if forwarder is None else ""
        note(f"standard output was closed{lost}")
    return Exit.ACCEPTED


async def _serve(app: "web.Application", port: int, listening: anyio.CancelScope) -> None:
    """Serve *app* until Ctrl-C, or until *listening* is cancelled."""
    from aiohttp import web

    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        with open_signals(signal.SIGINT, signal.SIGTERM) as signals:
            try:
                await web.TCPSite(runner, "127.0.0.1", port).start()
            except OSError as error:
                raise CliError(f"cannot listen on port {port}: {error.strerror or error}; try --port 0") from None
            note(f"listening at http://127.0.0.1:{runner.addresses[0][1]}/ ; Ctrl-C stops it")
            with listening:
                _ = await anext(signals)
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
