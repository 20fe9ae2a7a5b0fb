"""`msgapi webhooks listen --forward-to` and `trigger`: deliveries that are forwarded, and made-up ones."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from msgapi import webhooks
from msgapi.cli import main
from msgapi.cli.commands import deliveries
from msgapi.cli.commands.deliveries import check_target, make_event
from msgapi.cli.output import CliError
from tests.support.raw_servers import free_port

Captured = pytest.CaptureFixture[str]
BODY = b'{"id":"evt_1","event":"message.read","timestamp":"2026-05-04T07:30:00Z","data":{"message_id":"msg_1"}}'
SECRET = "whsec_1"
HEADER = webhooks.SIGNATURE_HEADER


class Target:
    """An endpoint on loopback: what it received, and what it answers."""

    def __init__(self) -> None:
        self.status, self.body, self.url = 200, b'{"ok":true}', ""
        self.got: list[tuple[str, dict[str, str], bytes]] = []


@pytest.fixture
def target() -> Iterator[Target]:
    found = Target()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(found.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", f"{len(found.body)}")
            self.end_headers()
            _ = self.wfile.write(found.body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/hooks?a=1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def listening(
    monkeypatch: pytest.MonkeyPatch, then: Callable[[str], None], *, interrupts: bool = True
) -> Iterator[list[str]]:
    """Call *then* in a thread with the URL of the command once it listens, then end it by Ctrl-C; yield notes."""
    notes: list[str] = []
    threads: list[threading.Thread] = []

    def deliver(url: str) -> None:
        try:
            then(url)
        finally:
            if interrupts:
                os.kill(os.getpid(), signal.SIGINT)

    def note(line: str) -> None:
        notes.append(line)
        if line.startswith("listening at "):
            threads.append(threading.Thread(target=deliver, args=(line.split()[2],)))
            threads[0].start()

    monkeypatch.setattr(deliveries, "note", note)
    yield notes
    threads[0].join(5)


def post(
    url: str, body: bytes = BODY, *, secret: str = SECRET, headers: Mapping[str, str] | None = None
) -> tuple[HTTPResponse, bytes]:
    parts = urlsplit(url)
    assert parts.hostname
    connection = HTTPConnection(parts.hostname, parts.port, timeout=5)
    sent = {HEADER: webhooks.sign(body, secret=secret), "Content-Type": "application/json", **(headers or {})}
    connection.request("POST", "/any", body, sent)
    response = connection.getresponse()
    found = response.read()
    connection.close()
    return response, found


def forward(monkeypatch: pytest.MonkeyPatch, then: Callable[[str], None], *options: str, status: int = 0) -> list[str]:
    with listening(monkeypatch, then) as notes:
        assert main(["webhooks", "listen", "--port", "0", "--secret", SECRET, *options]) == status
    return notes


def test_a_delivery_is_forwarded_as_it_came_and_the_answer_is_given_back(
    target: Target, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    answers: list[tuple[HTTPResponse, bytes]] = []

    def then(url: str) -> None:
        answers.append(post(url, headers={"X-Extra": "1", "User-Agent": "service"}))
        target.status, target.body = 503, b"not now"
        answers.extend(post(url) for _ in range(2))

    notes = forward(monkeypatch, then, "--forward-to", target.url)
    assert [(response.status, body) for response, body in answers] == [
        (200, b'{"ok":true}'),
        (503, b"not now"),
        (503, b"not now"),
    ]
    assert answers[0][0].headers["Content-Type"] == "application/json"
    path, headers, body = target.got[0]
    assert (path, body) == ("/hooks?a=1", BODY)
    assert headers[HEADER.lower()] == webhooks.sign(BODY, secret=SECRET)
    assert (headers["x-extra"], headers["user-agent"]) == ("1", "service")
    assert headers["host"] == urlsplit(target.url).netloc
    assert len(target.got) == 3, "a repeated delivery is forwarded each time"
    shown = capsys.readouterr().out
    assert shown.count("message.read  evt_1") == 3
    assert "forwarded           200 in " in shown
    assert ': {"ok":true}\n' in shown
    assert len(notes) == 1


def test_headers_about_the_connection_or_of_other_bytes_are_not_forwarded(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[int] = []
    headers = {
        "Connection": "X-Hop, close",
        "X-Hop": "1",
        "Proxy-Authorization": "Basic x",
        "X-Odd": "\xe4",
        "X-All": "1",
    }

    def then(url: str) -> None:
        answers.append(post(url, headers=headers)[0].status)

    _ = forward(monkeypatch, then, "--forward-to", target.url)
    assert answers == [200]
    assert target.got[0][1].keys() & {"x-hop", "proxy-authorization", "x-odd", "x-all"} == {"x-all"}


def test_a_delivery_is_signed_anew_with_the_secret_of_the_target(
    target: Target, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("MSGAPI_FORWARD_SECRET", "whsec_2")
    _ = forward(monkeypatch, lambda url: post(url) and None, "--forward-to", target.url, "--json")
    _, headers, body = target.got[0]
    event = webhooks.read(headers, body, secret="whsec_2")
    assert isinstance(event, webhooks.MessageRead)
    shown = orjson.loads(capsys.readouterr().out)
    assert shown == {**orjson.loads(BODY), "forwarded": {"status": 200, "reason": None}}


def test_what_is_not_a_delivery_is_refused_and_not_forwarded(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[tuple[int, Any]] = []

    def then(url: str) -> None:
        for body, secret in ((BODY, f"'{SECRET}'"), (BODY, "other"), (b"[]", SECRET), (b"x" * (2**20 + 1), SECRET)):
            response, _ = post(url, body, secret=secret)
            answers.append((response.status, response.reason))

    notes = forward(monkeypatch, then, "--forward-to", target.url)
    assert [status for status, _ in answers] == [401, 401, 400, 413]
    assert target.got == []
    assert notes[1].startswith("refused with 401: the signature does not match the body: ")
    assert notes[2:] == [
        "refused with 401: the signature does not match the body",
        "refused with 400: the body is not a JSON object",
    ]


@pytest.mark.parametrize("json", [False, True])
def test_a_target_that_is_down_or_silent_is_502_or_504(
    json: bool, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(deliveries, "_TARGET_TIMEOUT", 0.2)
    answers: list[int] = []
    options = ["--json"] if json else []
    down = f"http://127.0.0.1:{free_port()}/"
    _ = forward(monkeypatch, lambda url: answers.append(post(url)[0].status), "--forward-to", down, *options)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        _ = forward(monkeypatch, lambda url: answers.append(post(url)[0].status), "--forward-to", url, *options)
    assert answers == [502, 504]
    shown = capsys.readouterr().out.splitlines()
    if json:
        assert [orjson.loads(line)["forwarded"]["status"] for line in shown] == [None, None]
        assert "could not connect" in orjson.loads(shown[0])["forwarded"]["reason"]
    else:
        assert sum("forwarded           no answer: " in line for line in shown) == 2


def test_an_answer_that_is_later_than_the_service_waits_says_so(
    target: Target, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(deliveries, "_SERVICE_TIMEOUT", 0.0)
    target.body = b""
    _ = forward(monkeypatch, lambda url: post(url) and None, "--forward-to", target.url)
    assert capsys.readouterr().out.endswith(" ms, and the service waits 0 s\n")


def test_a_closed_standard_output_ends_it_after_the_answer_is_given_back(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[int] = []
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        with listening(monkeypatch, lambda url: answers.append(post(url)[0].status), interrupts=False) as notes:
            assert main(["webhooks", "listen", "--port", "0", "--secret", SECRET, "--forward-to", target.url]) == 0
    assert answers == [200]
    assert notes[-1] == "standard output was closed"


def test_without_forwarding_the_secret_of_the_target_has_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSGAPI_FORWARD_SECRET", "whsec_2")
    assert len(forward(monkeypatch, lambda _: None)) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "--to takes a URL such as http://127.0.0.1:8000/webhooks"),
        ("ftp://127.0.0.1/", "--to takes a URL such as"),
        ("http://shop.example/hook", "--to must be https, or http to this machine"),
        ("https://a:b@shop.example/", "--to takes a URL without a user and a fragment"),
        ("https://shop.example/#a", "--to takes a URL without a user and a fragment"),
    ],
)
def test_a_url_to_which_events_must_not_go_is_refused(url: str, said: str, capsys: Captured) -> None:
    with pytest.raises(CliError, match=said):
        _ = check_target(url, "--to")
    assert main(["webhooks", "trigger", "message.read", "--to", url, "--secret", SECRET]) == 2
    assert main(["webhooks", "listen", "--forward-to", url, "--secret", SECRET]) == 2
    assert "--forward-to " in capsys.readouterr().err


def test_a_host_that_may_be_reached_over_http_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSGAPI_ALLOW_HTTP", "shop")
    for url in ("http://shop:8000/hook", "http://localhost/", "http://[::1]:1/", "https://shop.example/a?b=c"):
        assert check_target(url, "--to") == url


# trigger


def trigger(target: Target, *arguments: str, status: int = 0) -> None:
    assert main(["webhooks", "trigger", *arguments, "--to", target.url, "--secret", SECRET]) == status


@pytest.mark.parametrize("name", webhooks.EVENT_TYPES)
def test_every_event_can_be_made_up_as_documented(name: str) -> None:
    body = make_event(name, "evt_9", {})
    event = webhooks.read({HEADER: webhooks.sign(body, secret=SECRET)}, body, secret=SECRET)
    assert type(event) is webhooks.EVENT_TYPES[name]
    assert event.id == "evt_9"
    assert event.extra == {}


def test_the_help_names_every_event() -> None:
    text = " ".join((deliveries.trigger.help or "").split()).split("EVENT is one of ")[1].split(". ")[0]
    assert text.replace(" and ", ", ").split(", ") == [*webhooks.EVENT_TYPES]


def test_a_made_up_event_is_delivered_and_the_answer_shown(target: Target, capsys: Captured) -> None:
    trigger(target, "message.failed", "--data", "failure_reason=CARRIER_NOT_LAUNCHED", "--id", "evt_7")
    _, headers, body = target.got[0]
    event = webhooks.read(headers, body, secret=SECRET)
    assert isinstance(event, webhooks.MessageFailed)
    assert (event.id, event.failure_reason) == ("evt_7", "CARRIER_NOT_LAUNCHED")
    printed = capsys.readouterr()
    assert printed.out.startswith("message.failed evt_7: 200 in ")
    assert printed.out.endswith(' ms: {"ok":true}\n')
    assert printed.err == ""


def test_the_result_of_a_made_up_event_is_json_too(target: Target, capsys: Captured) -> None:
    target.status, target.body = 401, b"no"
    trigger(target, "contact.updated", "--data", 'updated_fields=["tags","email"]', "--json", status=1)
    found = orjson.loads(capsys.readouterr().out)
    assert (found["status"], found["body"], found["reason"]) == (401, "no", None)
    assert found["event"]["data"]["updated_fields"] == ["tags", "email"]
    target.url = f"http://127.0.0.1:{free_port()}/"
    trigger(target, "contact.updated", "--json", status=1)
    found = orjson.loads(capsys.readouterr().out)
    assert (found["status"], found["body"]) == (None, None)
    assert "could not connect" in found["reason"]
    trigger(target, "contact.updated", status=1)
    assert ": no answer: " in capsys.readouterr().out


def test_fields_of_objects_and_fields_that_are_not_documented_are_set(target: Target, capsys: Captured) -> None:
    reply = ["user_message.type=suggested_reply", "user_message.postback_data=eWVz", "user_message.size=7", "new=1"]
    trigger(target, "conversation.started", *(part for one in reply for part in ("--data", one)))
    _, headers, body = target.got[0]
    event = webhooks.read(headers, body, secret=SECRET)
    assert isinstance(event, webhooks.ConversationStarted)
    assert event.user_message is not None
    assert (event.user_message.postback_data, event.user_message.type) == ("yes", "suggested_reply")
    assert capsys.readouterr().err.splitlines() == [
        "msgapi: not as documented, and sent all the same: the field new",
        "msgapi: not as documented, and sent all the same: the field size",
    ]
    trigger(target, "billing.balance_low", "--data", "balance.free=3.5", "--data", "threshold=true")
    assert orjson.loads(target.got[1][2])["data"]["balance"]["free"] == 3.5
    assert "the field threshold" in capsys.readouterr().err


def test_an_event_without_its_id_is_sent_and_named(target: Target, capsys: Captured) -> None:
    trigger(target, "message.read", "--id", "")
    assert orjson.loads(target.got[0][2])["id"].startswith("evt_")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["message.raed"], "no such event: message.raed (all: message.queued, "),
        (["message.raed"], "Did you mean 'message.read'?"),
        (["list"], "no such event: list"),
        (["message.read", "--data", "to"], "--data takes NAME=VALUE, not 'to'"),
        (["message.read", "--data", "a.b=1"], "--data a.b: message.read has no object a (fields: message_id, "),
        (["message.read", "--data", "to=\udcff"], "--data and --id take text that is valid Unicode"),
        (["billing.balance_low", "--data", "threshold=much"], "--data threshold takes JSON such as 10.0, not 'much'"),
    ],
)
def test_what_cannot_be_made_up_is_one_line(arguments: list[str], said: str, target: Target, capsys: Captured) -> None:
    trigger(target, *arguments, status=2)
    printed = capsys.readouterr().err
    assert said in printed
    assert len(printed.splitlines()) == 1
    assert target.got == []


def test_without_a_secret_or_a_url_nothing_is_sent(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MSGAPI_WEBHOOK_SECRET", raising=False)
    assert main(["webhooks", "trigger", "message.read", "--to", "http://127.0.0.1:9/"]) == 2
    assert "no secret: give --secret, or set MSGAPI_WEBHOOK_SECRET" in capsys.readouterr().err
    assert main(["webhooks", "trigger", "message.read", "--secret", SECRET]) == 2
    assert "Missing option '--to'" in capsys.readouterr().err


def test_an_error_of_the_secret_of_the_target_names_its_option(capsys: Captured) -> None:
    listen = ["webhooks", "listen", "--secret", SECRET, "--forward-to", "http://127.0.0.1:9/", "--forward-secret"]
    assert main([*listen, ""]) == 2
    assert capsys.readouterr().err == "msgapi: no secret: give --forward-secret, or set MSGAPI_FORWARD_SECRET\n"
    assert main([*listen, "a\n"]) == 2
    assert capsys.readouterr().err.endswith(" (--forward-secret, MSGAPI_FORWARD_SECRET)\n")


def test_an_event_is_triggered_listened_to_and_forwarded(
    target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    monkeypatch.setenv("MSGAPI_WEBHOOK_SECRET", SECRET)
    statuses: list[int] = []

    def then(url: str) -> None:
        statuses.append(post(url, make_event("email.bounced", "evt_5", {}))[0].status)

    with listening(monkeypatch, then):
        assert main(["webhooks", "listen", "--port", "0", "--forward-to", target.url]) == 0
    assert statuses == [200]
    path = tmp_path / "body.json"
    _ = path.write_bytes(target.got[0][2])
    assert main(["webhooks", "verify", str(path), "--signature", target.got[0][1][HEADER.lower()]]) == 0
    assert "email.bounced  evt_5" in capsys.readouterr().out
