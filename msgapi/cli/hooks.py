"""Webhooks: the commands `webhooks list`, `add`, `remove`, `test`, `verify` and `listen`."""

import logging
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any, final

import anyio
import orjson
from attrs import define

from .. import webhooks
from ..webhooks import EndpointPage, Event, InvalidDelivery, NewEndpoint, UnknownEvent, WebhookEndpoint
from .asking import answer
from .connection import launch
from .exits import Exit, Halt, unreadable
from .output import Closed, Table, emit, emit_json, line, note, shown, table_of, write


def show(cursor: str | None, limit: int | None, *, json: bool, sandbox: bool) -> int:
    """List one page of the endpoints; gives the exit status."""
    return answer(webhooks.list(cursor=cursor, limit=limit), _table, json=json, sandbox=sandbox)


def add(url: str, names: Sequence[str], secret: str, *, json: bool, sandbox: bool) -> int:
    """Make an endpoint for the events called *names*, all of them if there are none; gives the exit status."""
    unknown = sorted(set(names) - webhooks.EVENT_TYPES.keys())
    if unknown:
        raise Halt(f"no such event: {', '.join(unknown)} (all: {', '.join(webhooks.EVENT_TYPES)})")
    endpoint = NewEndpoint(url=url, events=tuple(names) or tuple(webhooks.EVENT_TYPES), secret=_given(secret))
    return answer(webhooks.create(endpoint), _added, json=json, sandbox=sandbox)


def remove(webhook_id: str, *, json: bool, sandbox: bool) -> int:
    """Delete an endpoint; gives the exit status."""
    return answer(webhooks.delete(webhook_id), lambda _: f"removed {webhook_id}", json=json, sandbox=sandbox)


def test(webhook_id: str, *, json: bool, sandbox: bool) -> int:
    """Have a made-up event sent to an endpoint; gives the exit status."""
    said = f"a made-up event is on its way to {webhook_id}"
    return answer(webhooks.test(webhook_id), lambda _: said, json=json, sandbox=sandbox)


def verify(path: str, signature: str, secret: str, *, json: bool) -> int:
    """Verify the body in the file *path*, or of standard input, and show its event; gives the exit status."""
    try:
        body = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    event = webhooks.read({webhooks.SIGNATURE_HEADER: signature}, body, secret=_given(secret))
    if isinstance(event, InvalidDelivery):
        if json:
            emit_json({"valid": False, "reason": event.reason, "event": None})
        note(f"not valid: {event.reason}")
        return Exit.REFUSED
    if json:
        emit_json({"valid": True, "reason": None, "event": orjson.loads(webhooks.write(event))})
    else:
        emit(_told(event, json=False))
    return Exit.ACCEPTED


def listen(port: int, secret: str, *, json: bool) -> int:
    """Receive events on this machine until Ctrl-C, verify them and print them; gives the exit status."""
    return launch(partial(_listen, port, _given(secret), json=json))


@final
@define(eq=False)
class Desk:
    """Prints events as they come in, and calls *close* once it no longer can: *ended* is why."""

    json: bool
    close: Callable[[], None]
    ended: Closed | Halt | None = None

    async def take(self, event: Event) -> None:
        """Print *event*; what it raises has the receiver refuse it, so that it comes again."""
        if self.ended is not None:
            raise self.ended
        try:
            write(shown(_told(event, json=self.json)))
        except (Closed, Halt) as error:
            self.ended = error
            self.close()
            raise


async def _listen(port: int, secret: str, *, json: bool) -> int:
    from aiohttp import web

    listening = anyio.CancelScope()
    desk = Desk(json, listening.cancel)
    logging.getLogger("msgapi").addHandler(logging.NullHandler())  # what goes wrong is told at the end, in one line
    receive = webhooks.aiohttp(desk.take, secret=secret)

    async def tell(request: web.Request) -> web.Response:
        response = await receive(request)
        if desk.ended is None and response.status != 200:  # noqa: PLR2004
            note(f"refused with {response.status}: {response.text}")
        return response

    app = web.Application()
    _ = app.router.add_post("/{path:.*}", tell)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            try:
                await web.TCPSite(runner, "127.0.0.1", port).start()
            except OSError as error:
                raise Halt(f"cannot listen on port {port}: {error.strerror or error}; try --port 0") from None
            note(f"listening at http://127.0.0.1:{runner.addresses[0][1]}/ ; Ctrl-C ends it")
            with listening:
                _ = await anext(signals)
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
    if isinstance(desk.ended, Halt):
        raise desk.ended
    if desk.ended is not None:
        note("nobody reads standard output any more: what came last was refused, and comes again")
    return Exit.ACCEPTED


def _told(event: Event, *, json: bool) -> str:
    plain: dict[str, Any] = orjson.loads(webhooks.write(event))
    if json:
        return orjson.dumps(plain).decode()
    lines = [line(f"{plain.get('timestamp', 'at an unknown time')}  {plain['event']}  {plain['id']}")]
    lines += [f"    {line(name):20}{_value(value)}" for name, value in plain["data"].items()]
    problems = event.problems if isinstance(event, UnknownEvent) else ()
    return "\n".join([*lines, *(f"    not as documented: {line(one)}" for one in problems)])


def _value(value: object) -> str:
    return line(value if isinstance(value, str) else orjson.dumps(value).decode())


def _table(found: EndpointPage) -> str | Table:
    if found.next_cursor:
        note(f"there are more: the next ones are shown by --cursor {quote(found.next_cursor)}")
    if not found.webhooks:
        return "no endpoints"
    table = table_of("id", "url", "events")
    for one in found.webhooks:
        table.add_row(one.id, one.url or "", ", ".join(one.events))
    return table


def _added(endpoint: WebhookEndpoint) -> str:
    return f"added {endpoint.id}"


def _given(secret: str) -> str:
    if not secret:
        raise Halt("no secret: give --secret, or set MSGAPI_WEBHOOK_SECRET")
    try:
        return webhooks.parse_secrets(secret)[0]
    except ValueError as error:
        raise Halt(f"the secret cannot be used: {error}") from None
