"""A receiver of webhooks that is a real HTTP server on loopback, in a thread."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any, final

from attrs import define, field, frozen

from msgapi import Call, webhooks

SECRET = "whsec_test"
_TIMEOUT = 20.0  # seconds until an expected webhook must have arrived


@final
@frozen(kw_only=True)
class ReceivedWebhook:
    """One request to the receiver. The names of its headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> Any:  # noqa: ANN401 - JSON has no better type
        return json.loads(self.body)


@final
@define(eq=False)
class WebhookReceiver:
    """Keeps what arrives at *url*, and answers with *status*, which may be changed at any time."""

    url: str
    status: int = 200
    _received: list[ReceivedWebhook] = field(factory=list, init=False)
    _changed: Condition = field(factory=Condition, init=False)

    @property
    def received(self) -> tuple[ReceivedWebhook, ...]:
        with self._changed:
            return tuple(self._received)

    def add(self, webhook: ReceivedWebhook) -> None:
        with self._changed:
            self._received.append(webhook)
            self._changed.notify_all()

    def wait_for(self, matches: Callable[[Any], bool] = lambda _: True, *, count: int = 1) -> list[ReceivedWebhook]:
        """Wait until *count* webhooks whose event *matches* have arrived, and return them."""

        def found() -> list[ReceivedWebhook]:
            return [one for one in self._received if matches(one.event)]

        with self._changed:
            arrived = self._changed.wait_for(lambda: len(found()) >= count, timeout=_TIMEOUT)
            events = [one.event.get("event_type", one.event) for one in self._received]
            assert arrived, f"expected {count} matching webhooks within {_TIMEOUT:.0f} s, received {events}"
            return found()


def subscribe(receiver: WebhookReceiver, *events: str) -> Call[webhooks.WebhookEndpoint]:
    """Return the call that lets a service send these *events* to *receiver*, signed with `SECRET`."""
    return webhooks.create(webhooks.NewEndpoint(url=receiver.url, events=events, secret=SECRET))


@contextmanager
def receive_webhooks() -> Iterator[WebhookReceiver]:
    """Run a receiver for the duration of a `with`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.status
            receiver.add(ReceivedWebhook(path=self.path, headers=headers, body=body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base has it
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver = WebhookReceiver(url=f"http://127.0.0.1:{server.server_port}/hook")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
