"""The commands that read and change what is there: messages, webhooks, doctor."""

import os
import sys
from http.client import HTTPConnection
from importlib.metadata import PackageNotFoundError
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import orjson
import pytest

from msgapi import Request, Response, Unanswered, VirtualClock, webhooks
from msgapi.cli import connection, main
from msgapi.cli.advice import WRONG_SERVICE
from msgapi.cli.commands import doctor
from msgapi.cli.commands.deliveries import EventPrinter
from msgapi.cli.output import CliError
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer, Transport
from tests.cli.test_deliveries import listening
from tests.support.cli_files import through
from tests.support.exchanges import refused
from tests.support.raw_servers import free_port
from tests.support.sandbox_requests import email, request, text

Captured = pytest.CaptureFixture[str]
BODY = b'{"id":"evt_1","event":"message.read","timestamp":"2026-05-04T07:30:00Z","data":{"message_id":"msg_1"}}'
STRANGE = b'{"id":"evt_2","event":"message.read","timestamp":"2026-05-04T07:30:00Z","data":{"a":7}}'
SECRET = "whsec_1"


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that outlives a command, with two messages in it."""
    account = Sandbox(timing=None, clock=VirtualClock(1_777_852_800.0))
    for body in (text(), email()):
        assert account.handle(request("POST", "/v1/messages", body=body)).response.status == 200
    monkeypatch.setattr(connection, "private_sandbox", lambda _: account)
    return account


# messages


def test_messages_are_listed_the_newest_first(box: Sandbox, capsys: Captured) -> None:
    assert main(["messages", "list", "--sandbox"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [one.id in line for one, line in zip(reversed(box.messages), lines[2:], strict=True)] == [True, True]
    assert "2026-05-04 00:00:00" in lines[2]


def test_messages_are_listed_as_json_and_by_what_is_asked_for(box: Sandbox, capsys: Captured) -> None:
    asked = ["--channel", "ch_demo", "--since", "2026-05-04", "--status", "queued", "--limit", "1", "--json"]
    assert main(["messages", "list", "--sandbox", *asked]) == 0
    found = orjson.loads(capsys.readouterr().out)["messages"]
    assert [one["id"] for one in found] == [box.messages[1].id]


def test_no_messages_are_said_to_be_none(box: Sandbox, capsys: Captured) -> None:
    assert main(["messages", "list", "--sandbox", "--direction", "inbound"]) == 0
    assert capsys.readouterr().out == "no messages\n"
    assert len(box.messages) == 2


def test_a_date_that_is_none_is_one_line(capsys: Captured) -> None:
    assert main(["messages", "list", "--sandbox", "--since", "yesterday"]) == 2
    assert capsys.readouterr().err == "msgapi: --since takes a date such as 2026-05-04, not 'yesterday'\n"


def test_one_message_is_shown_with_its_events(box: Sandbox, capsys: Captured) -> None:
    name = box.messages[0].id
    assert main(["messages", "get", name, "--sandbox"]) == 0
    shown = capsys.readouterr().out
    assert f"id             {name}" in shown
    assert "event          queued at 2026-05-04" in shown
    assert "content        {'text': 'Hello'}" in shown


def test_a_message_is_taken_back_once(box: Sandbox, capsys: Captured) -> None:
    name = box.messages[0].id
    assert main(["messages", "revoke", name, "--sandbox"]) == 0
    assert capsys.readouterr().out == f"revoked {name}\n"
    assert main(["messages", "revoke", name, "--sandbox", "--json"]) == 1
    told = capsys.readouterr()
    assert orjson.loads(told.out)["code"] == "already_revoked"
    assert told.err.startswith("msgapi: Conflict already_revoked: ")


def test_an_id_that_is_not_known_says_so(box: Sandbox, capsys: Captured) -> None:
    assert main(["messages", "get", "msg_nobody", "--sandbox"]) == 1
    assert "Check the id" in capsys.readouterr().err
    assert main(["messages", "get", "..", "--sandbox"]) == 2
    assert "message_id must be an id" in capsys.readouterr().err
    assert len(box.messages) == 2


# webhooks


def signed(body: bytes, secret: str = SECRET) -> str:
    return webhooks.sign(body, secret=secret)


def test_a_body_is_verified_and_shown(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "body.json"
    _ = path.write_bytes(BODY)
    assert main(["webhooks", "verify", str(path), "--secret", SECRET, "--signature", signed(BODY)]) == 0
    assert capsys.readouterr().out.split() == ["2026-05-04T07:30:00Z", "message.read", "evt_1", "message_id", "msg_1"]


def test_a_body_of_standard_input_is_shown_as_json(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=BytesIO(BODY)))
    monkeypatch.setenv("MSGAPI_WEBHOOK_SECRET", SECRET)
    assert main(["webhooks", "verify", "-", "--json", "--signature", signed(BODY)]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert told == {"valid": True, "reason": None, "event": orjson.loads(BODY)}


def test_a_body_that_is_not_as_documented_says_where(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "body.json"
    _ = path.write_bytes(STRANGE)
    assert main(["webhooks", "verify", str(path), "--secret", SECRET, "--signature", signed(STRANGE)]) == 0
    assert "not as documented: is required @ $.message_id" in capsys.readouterr().out


def test_a_signature_that_is_wrong_is_refused(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "body.json"
    _ = path.write_bytes(BODY)
    assert main(["webhooks", "verify", str(path), "--secret", "other", "--signature", signed(BODY), "--json"]) == 1
    told = capsys.readouterr()
    assert orjson.loads(told.out) == {
        "valid": False,
        "reason": "the signature does not match the body",
        "event": None,
    }
    assert main(["webhooks", "verify", str(path), "--secret", "other", "--signature", signed(BODY)]) == 1


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_body_that_was_written_anew_is_refused_with_that_cause(
    more: list[str], tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "body.json"
    _ = path.write_bytes(BODY + b"\r\n")
    assert main(["webhooks", "verify", str(path), "--secret", SECRET, "--signature", signed(BODY), *more]) == 1
    told = capsys.readouterr()
    assert "the body was changed after it was signed: white space at its ends" in told.err
    assert not more or "white space at its ends" in orjson.loads(told.out)["reason"]


def test_of_several_secrets_the_one_that_fits_is_used_and_named(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "body.json"
    _ = path.write_bytes(BODY)
    both = ["--secret", "old", "--secret", f"'{SECRET}'"]
    assert main(["webhooks", "verify", str(path), *both, "--signature", signed(BODY, f"'{SECRET}'")]) == 0
    assert main(["webhooks", "verify", str(path), *both, "--signature", signed(BODY)]) == 1
    assert "it has quotation marks around it (secret 2 of 2)" in capsys.readouterr().err


def test_a_secret_with_blanks_in_the_environment_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path = tmp_path / "body.json"
    _ = path.write_bytes(BODY)
    monkeypatch.setenv("MSGAPI_WEBHOOK_SECRET", f" {SECRET} more ")
    assert main(["webhooks", "verify", str(path), "--signature", signed(BODY, f" {SECRET} more ")]) == 0
    assert main(["webhooks", "verify", str(path), "--signature", signed(BODY, f"{SECRET} more")]) == 1
    assert "it has white space at its ends" in capsys.readouterr().err


def test_a_signature_that_is_empty_is_named(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "body.json"
    _ = path.write_bytes(BODY)
    assert main(["webhooks", "verify", str(path), "--secret", SECRET, "--signature", ""]) == 1
    assert "the X-Arowana-Signature header is empty" in capsys.readouterr().err


def test_what_is_missing_is_one_line(tmp_path: Path, capsys: Captured) -> None:
    assert main(["webhooks", "verify", str(tmp_path / "none"), "--secret", "x", "--signature", "y"]) == 2
    assert "cannot read" in capsys.readouterr().err
    assert main(["webhooks", "listen"]) == 2
    assert capsys.readouterr().err == "msgapi: no secret: give --secret, or set MSGAPI_WEBHOOK_SECRET\n"
    assert main(["webhooks", "create", "https://shop.example", "message.eaten", "--secret", "x", "--sandbox"]) == 2
    assert "no such event: message.eaten (all: message.queued, " in capsys.readouterr().err


def post(url: str, body: bytes, secret: str) -> int:
    parts = urlsplit(url)
    assert parts.hostname
    connection = HTTPConnection(parts.hostname, parts.port, timeout=5)
    connection.request("POST", "/any/path", body, {webhooks.SIGNATURE_HEADER: signed(body, secret)})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("json", [False, True])
def test_events_are_received_verified_and_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, json: bool
) -> None:
    answers: list[int] = []

    def then(url: str) -> None:
        answers.extend(post(url, BODY, secret) for secret in (SECRET, "other", SECRET))

    with listening(monkeypatch, then) as notes:
        assert main(["webhooks", "listen", "--port", "0", "--secret", SECRET, *(["--json"] if json else [])]) == 0
    assert answers == [200, 401, 200]
    told = capsys.readouterr().out
    assert told.count("evt_1") == 1
    assert (orjson.loads(told) == orjson.loads(BODY)) if json else "message.read" in told
    assert any(line.startswith("refused with 401: ") for line in notes)


OTHER = BODY.replace(b"evt_1", b"evt_2")


@pytest.mark.parametrize("json", [False, True])
def test_an_event_that_nobody_can_read_any_more_comes_again_and_ends_it(
    monkeypatch: pytest.MonkeyPatch, json: bool
) -> None:
    answers: list[int] = []
    reading, writing = os.pipe()

    def then(url: str) -> None:
        answers.append(post(url, BODY, SECRET))
        os.close(reading)
        answers.append(post(url, OTHER, SECRET))

    with listening(monkeypatch, then, interrupts=False) as notes, os.fdopen(writing, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        assert main(["webhooks", "listen", "--port", "0", "--secret", SECRET, *(["--json"] if json else [])]) == 0
    assert answers == [200, 500]
    assert notes[-1] == "standard output was closed: the last event was refused, so the service sends it again"


def test_an_event_that_cannot_be_written_comes_again_and_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    answers: list[int] = []
    listened = listening(monkeypatch, lambda url: answers.append(post(url, BODY, SECRET)), interrupts=False)
    with listened, Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["webhooks", "listen", "--port", "0", "--secret", SECRET]) == 74
    assert answers == [500]
    assert capsys.readouterr().err == "msgapi: cannot write standard output: No space left on device\n"


def test_what_comes_after_nothing_can_be_printed_is_refused_too() -> None:
    seen: list[str] = []
    desk = EventPrinter(json=True, close=lambda: seen.append("closed"))

    async def twice() -> None:
        for _ in range(2):
            with pytest.raises(CliError):
                await desk.print_event(webhooks.UnknownEvent(id="evt_1", event="x", data={}))

    with Path("/dev/full").open("w") as full, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        anyio.run(twice)
    assert seen == ["closed"]
    assert desk.ended is not None


def test_what_is_in_an_event_does_nothing_to_the_terminal(tmp_path: Path, capsys: Captured) -> None:
    body = b'{"id":"e\\n1","event":"a\\u001b[2J\\nb","data":{"n\\nx":"v\\u001b\\n"}}'
    path = tmp_path / "body.json"
    _ = path.write_bytes(body)
    assert main(["webhooks", "verify", str(path), "--secret", SECRET, "--signature", signed(body)]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "a\\u001b[2J\\u000ab" in told.splitlines()[0]
    assert "v\\u001b\\u000a" in told.splitlines()[1]


def test_a_port_that_is_taken_is_one_line(capsys: Captured) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["webhooks", "listen", "--secret", "x", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot listen on port" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["listen", "verify"])
def test_a_secret_that_is_no_unicode_is_one_line(tmp_path: Path, capsys: Captured, command: str) -> None:
    (tmp_path / "body").write_bytes(BODY)
    more = [str(tmp_path / "body"), "--signature", "x"] if command == "verify" else ["--port", "0"]
    assert main(["webhooks", command, *more, "--secret", "\udcff"]) == 2
    assert "the secret is not valid" in capsys.readouterr().err


# doctor


def lines(capsys: Captured) -> dict[str, str]:
    found = [line.split(maxsplit=2) for line in capsys.readouterr().out.replace("base URL", "base_URL", 1).splitlines()]
    return {name: f"{mark} {said}" for mark, name, said in found}


def test_without_a_key_and_a_service_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.delenv("MSGAPI_API_KEY", raising=False)
    monkeypatch.setenv("MSGAPI_BASE_URL", url := f"http://127.0.0.1:{free_port()}")
    assert main(["doctor"]) == 4
    found = lines(capsys)
    assert found["key"].startswith("!! none - set MSGAPI_API_KEY")
    assert f"{refused(url).reason} - check the base URL, network and proxy" in found["service"]


@pytest.mark.parametrize(
    ("url", "said"), [("http://shop.example", "https"), ("http://[", "not a URL"), ("nonsense", "must be like")]
)
def test_an_address_that_is_none_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, url: str, said: str
) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_1")
    monkeypatch.setenv("MSGAPI_BASE_URL", url)
    assert main(["doctor", "--json"]) == 4
    found = {one["name"]: one for one in orjson.loads(capsys.readouterr().out)}
    assert not found["base URL"]["ok"]
    assert set(found) == {"versions", "profile", "base URL"}
    assert said in found["base URL"]["todo"]


def test_a_key_that_no_header_can_hold_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk 1")
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://127.0.0.1:9")
    assert main(["doctor"]) == 4
    assert "characters that no key has" in capsys.readouterr().out


@pytest.mark.parametrize("key", ["a b", "\u00e9"])
def test_a_key_and_an_address_that_are_none_are_two_findings(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, key: str
) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", key)
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://127.0.0.1:99999999")
    assert main(["doctor"]) == 4
    found = lines(capsys)
    assert found["key"].startswith("!! not usable (MSGAPI_API_KEY) - the API key has characters")
    assert found["base_URL"].startswith("!! not usable - the base URL is not a URL")


def test_an_address_of_the_sixth_version_is_shown_in_brackets(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_1")
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://[::1]:9")
    assert main(["doctor"]) == 1
    assert lines(capsys)["base_URL"] == "ok http://[::1]:9 (MSGAPI_BASE_URL)"


@pytest.mark.parametrize(
    ("base_url", "variables", "said"),
    [
        (None, {"HTTPS_PROXY": "http://us:hidden@proxy.test:3128"}, "ok http://proxy.test:3128 (HTTPS_PROXY)"),
        (None, {"ALL_PROXY": "proxy.test"}, "ok http://proxy.test:80 (ALL_PROXY)"),
        (None, {"HTTP_PROXY": "http://proxy.test"}, "ok none: HTTP_PROXY is not for https"),
        (
            None,
            {"HTTPS_PROXY": "http://proxy.test", "NO_PROXY": ".arowana.app"},
            "ok none: NO_PROXY lists the host (HTTPS_PROXY is not used)",
        ),
        (
            "http://127.0.0.1:9",
            {"HTTP_PROXY": "http://proxy.test"},
            "ok none: this machine is reached without one (HTTP_PROXY is not used)",
        ),
        (None, {}, None),
    ],
)
def test_the_proxy_that_is_used_is_shown_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
    base_url: str | None,
    variables: dict[str, str],
    said: str | None,
) -> None:
    at(monkeypatch, Sandbox(), "sk_sandbox")
    if base_url is not None:
        monkeypatch.setenv("MSGAPI_BASE_URL", base_url)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor"]) == 0
    assert lines(capsys).get("proxy") == said


def test_a_proxy_that_cannot_be_used_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_1")
    monkeypatch.setenv("ALL_PROXY", "socks5://us:hidden@127.0.0.1:1080")
    assert main(["doctor"]) == 4
    said = capsys.readouterr().out
    assert "ALL_PROXY names a proxy of the kind socks5, which is not supported" in said
    assert "hidden" not in said


@pytest.mark.parametrize("body", [b"{}", b'{"status":"ok"}', b'{"total":9}'])
def test_what_tells_no_balance_is_not_the_service(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, body: bytes
) -> None:
    async def transport(_: Request, /) -> Answer:
        return Response(200, {}, body)

    at(monkeypatch, transport, "sk_sandbox")
    assert main(["doctor"]) == 1
    found = lines(capsys)
    start = "!! answers, but without the free" if b"total" in body else "!! not reached, HTTP 200, but it has no amount"
    assert found["service"].startswith(start)
    assert "Check the base URL" in found["service"]
    assert not {"key", "balance"} & found.keys()


def at(monkeypatch: pytest.MonkeyPatch, account: Transport, key: str | None) -> None:
    from contextlib import asynccontextmanager

    from msgapi import Client

    @asynccontextmanager
    async def reach(**options: object):  # type: ignore[no-untyped-def]  # noqa: ANN202
        more: dict[str, object] = {**options, "transport": account, "base_url": "http://127.0.0.1"}
        async with Client(**more) as api:  # type: ignore[arg-type]
            yield api

    monkeypatch.setattr(doctor, "Client", reach)
    monkeypatch.delenv("MSGAPI_BASE_URL", raising=False)
    if key is None:
        monkeypatch.delenv("MSGAPI_API_KEY", raising=False)
    else:
        monkeypatch.setenv("MSGAPI_API_KEY", key)


def test_where_all_is_well_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    at(monkeypatch, Sandbox(), "sk_sandbox")
    assert main(["doctor"]) == 0
    found = lines(capsys)
    assert found["key"] == "ok accepted (MSGAPI_API_KEY)"
    assert found["balance"] == "ok 1000.0 EUR free"
    assert "MSGAPI_BASE_URL is not set" in found["base_URL"]
    assert all(line.startswith("ok") for line in found.values())


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (502, b"<html>no</html>", "Run it again later."),
        (400, b'{"error":"validation_error","message":"m"}', "Fix the fields named in the details; if you did not"),
        (404, b"<html>no</html>", WRONG_SERVICE),
        (401, b"<html>no</html>", WRONG_SERVICE),
        (200, b"<html>log in</html>", WRONG_SERVICE),
        (200, b'{"error":"not_found","message":"m"}', WRONG_SERVICE),
        (302, b"", "HTTP 302 to https://login.example/in, but not from the service"),
    ],
)
def test_a_service_that_fails_is_no_reason_to_fix_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, status: int, body: bytes, said: str
) -> None:
    async def transport(_: Request, /) -> Answer:
        return Response(status, {"Location": "https://login.example/in?token=1"}, body)

    at(monkeypatch, transport, "sk_sandbox")
    assert main(["doctor"]) == 1
    found = lines(capsys)
    assert said in found["service"]
    assert "key" not in found


def test_a_library_that_is_not_there_is_left_out(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def version(name: str) -> str:
        if name == "uvloop":
            raise PackageNotFoundError
        return "1"

    at(monkeypatch, Sandbox(), "sk_sandbox")
    monkeypatch.setattr(doctor, "version", version)
    assert main(["doctor"]) == 0
    assert "rich 1, OpenSSL" in capsys.readouterr().out


def test_a_key_that_is_refused_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    at(monkeypatch, Sandbox(), "sk_other")
    assert main(["doctor"]) == 4
    assert lines(capsys)["key"].startswith("!! refused")


def test_without_a_key_the_service_is_looked_at_all_the_same(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    at(monkeypatch, Sandbox(), None)
    assert main(["doctor"]) == 4
    assert lines(capsys)["service"] == "ok reached"


def test_a_clock_that_is_wrong_says_so(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    at(monkeypatch, Sandbox(clock=VirtualClock()), "sk_sandbox")
    assert main(["doctor"]) == 1
    assert "with NTP" in lines(capsys)["clock"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Response(429, {}, b'{"error":"rate_limit_exceeded","message":"slow down"}'), "rate limit"),
        (Response(500, {}, b'{"error":"internal_error","message":"sorry"}'), "answers internal_error: sorry"),
        (Unanswered("no answer in time"), "not reached, sent, but not answered"),
        (Response(200, {"content-type": "text/html"}, b"<html>"), "the answer is not the service's"),
    ],
)
def test_a_service_that_is_not_well_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, answer: Answer, said: str
) -> None:
    async def transport(_: Request, /) -> Answer:
        await anyio.lowlevel.checkpoint()
        return answer

    at(monkeypatch, transport, "sk_1")
    assert main(["doctor"]) == 1
    assert said in capsys.readouterr().out


# webhooks, at the service


def test_an_endpoint_is_created_listed_tried_and_deleted(box: Sandbox, capsys: Captured) -> None:
    def run(*arguments: str) -> str:
        assert main(["webhooks", *arguments, "--sandbox"]) == 0
        return capsys.readouterr().out

    assert run("list") == "no endpoints\n"
    name = run("create", "https://shop.example/hook", "message.read", "--secret", SECRET).split()[1]
    assert name in run("list")
    assert run("test", name) == f"the service sends a test event to {name}\n"
    everything = orjson.loads(run("create", "https://shop.example/all", "--secret", SECRET, "--json"))
    assert set(everything["events"]) == set(webhooks.EVENT_TYPES)
    assert run("delete", name) == f"deleted {name}\n"
    assert name not in run("list")
    assert SECRET not in repr(box)


def test_an_offset_that_is_too_large_says_what_it_may_be(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_1")
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://127.0.0.1:9")
    assert main(["messages", "list", "--offset", "9" * 20]) == 2
    assert "0 to 2**63 - 1" in capsys.readouterr().err


def test_a_page_that_is_not_the_last_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    asked: list[str] = []

    async def transport(request: Request, /) -> Answer:
        asked.append(request.url)
        return Response(200, {}, b'{"webhooks":[{"id":"i1"}],"next_cursor":"c 2","has_more":true}')

    through(monkeypatch, transport)
    assert main(["webhooks", "list"]) == 0
    told = capsys.readouterr()
    assert "i1" in told.out
    assert told.err == "msgapi: there are more: show the next page with --cursor 'c 2'\n"
    assert main(["webhooks", "list", "--cursor", "c 2", "--limit", "7", "--json"]) == 0
    told = capsys.readouterr()
    assert orjson.loads(told.out)["next_cursor"] == "c 2"
    assert told.err == ""
    assert asked[1].endswith("/v1/webhooks?cursor=c%202&limit=7")
