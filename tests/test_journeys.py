"""Journeys: through how many files of the package one call, one webhook or one row runs.

Counted is the second of two equal ones, so that imports and first uses do not count. A reader who follows a call opens
these files, and `docs/contributing/architecture.md` names the most important ones in the order of their first calls. A
row of a batch is counted from one request to the next, as a call is on a client that is open; the whole
command, with its start and its report, is counted too.
"""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, TypeAlias

import pytest

import msgapi
from msgapi import Ok, messages, webhooks
from msgapi.cli import connection, main
from msgapi.http import Request
from msgapi.sandbox import Sandbox

Files: TypeAlias = dict[str, None]
PACKAGE = f"{Path(msgapi.__file__).parent}{os.sep}"
TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hi")
ACCEPTED = (
    b'{"message_id": "msg_1", "status": "queued", "created_at": "2026-05-04T07:30:00Z", "billing": {"channel": "RCS",'
    b' "message_type": "basic_message", "hold_amount": 0.07, "message_price": 0.07}}'
)
NOW = datetime(2026, 5, 4, 7, 30, tzinfo=UTC)
MOST = {"A call": 11, "A request to the sandbox": 28, "A webhook": 6, "A row of a batch": 33, "A command": 51}
"""The heading of each journey in the page, and through how many files it may run."""
PAGE = (Path(__file__).parents[1] / "docs/contributing/architecture.md").read_text()


def check(journey: str, found: Files) -> None:
    """Check the number of the files *found*, and that those that the page names are among them, in their order."""
    assert len(found) <= MOST[journey], list(found)
    assert named_in(journey) == [name for name in found if name in named_in(journey)]


def named_in(journey: str) -> list[str]:
    """Return the files that the page names for a *journey*, in their order."""
    section = PAGE.partition(f"\n### {journey}\n")[2].partition("\n#")[0]
    named = re.findall(r"^\d+\. `([^`]+)`", section, re.MULTILINE)
    assert len(named) >= 5
    return named


@contextmanager
def files() -> Iterator[Files]:
    """Collect the files of the package whose functions are called, in the order of the first calls."""
    found: Files = {}

    def profile(frame: FrameType, event: str, _: Any) -> None:  # noqa: ANN401 - whatever the event brings
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(PACKAGE):
            found[name.removeprefix(PACKAGE)] = None

    before = sys.getprofile()
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield found
    finally:
        sys.setprofile(before)
        threading.setprofile(None)


class Service(BaseHTTPRequestHandler):
    """Accepts every message, and calls *on_request* before."""

    protocol_version = "HTTP/1.1"
    on_request: ClassVar[Callable[[], None]] = staticmethod(lambda: None)

    def do_POST(self) -> None:
        type(self).on_request()
        _ = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", str(len(ACCEPTED)))
        self.end_headers()
        _ = self.wfile.write(ACCEPTED)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_call_over_aiohttp(service: str) -> None:
    async with msgapi.Client(api_key="sk_1", base_url=service) as client:
        assert isinstance(await client(messages.send(TEXT)), Ok)
        call = messages.send(TEXT)
        with files() as found:
            result = await client(call)
    assert isinstance(result, Ok)
    check("A call", found)


@pytest.mark.anyio
async def test_a_post_to_the_sandbox() -> None:
    sandbox = Sandbox()

    def request() -> Request:
        call = messages.send(TEXT)
        headers = {"Authorization": f"Bearer {sandbox.api_key}", "Content-Type": "application/json"}
        headers["Idempotency-Key"] = call.idempotency_key or ""
        return Request("POST", "https://api.arowana.app/v1/messages", headers, call.body)

    first, second = request(), request()
    _ = await sandbox(first)
    with files() as found:
        _ = await sandbox(second)
    check("A request to the sandbox", found)


@pytest.mark.anyio
async def test_a_webhook_to_its_handler_over_asgi() -> None:
    async def handle(event: webhooks.Event) -> None:
        del event

    application = webhooks.asgi(handle, secret="whsec_1")

    async def deliver(name: str) -> list[dict[str, Any]]:
        body = webhooks.write(
            webhooks.MessageRead(id=name, timestamp=NOW, message_id="msg_1", agent_id="ag_1", to=TEXT.to, read_at=NOW)
        )
        signature = webhooks.sign(body, secret="whsec_1")
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "headers": [(webhooks.SIGNATURE_HEADER.lower().encode(), signature.encode())],
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:  # noqa: ANN401 - an ASGI message
            sent.append(message)

        with files() as found:
            await application(scope, receive, send)
        seen.append(found)
        return sent

    seen: list[Files] = []
    for name in ("evt_1", "evt_2"):
        assert (await deliver(name))[0]["status"] == 200
    check("A webhook", seen[1])


BATCH = ("--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}", "--concurrency", "1")


def people(path: Path, count: int) -> str:
    _ = path.write_text("to,name\n" + "".join([f"+491511234567{n},Ann\n" for n in range(count)]))
    return str(path)


def test_a_row_of_a_batch_of_the_command_with_a_journal(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_1")
    monkeypatch.setenv("MSGAPI_BASE_URL", service)
    monkeypatch.setattr(connection, "find_spec", lambda _: None)  # as without the extra `fast`
    rows: list[Files] = []

    with files() as found:

        def end_row() -> None:
            rows.append(dict(found))
            found.clear()

        monkeypatch.setattr(Service, "on_request", staticmethod(end_row))
        assert main(["batch", people(tmp_path / "rows.csv", 5), *BATCH]) == 0
    assert len(rows) == 5
    assert len(rows[1]) <= MOST["A row of a batch"], list(rows[1])
    # The requests are seen by another thread, so where a row ends is not exact, and there is no order.
    assert set(named_in("A row of a batch")) <= {*rows[1], *rows[2], *rows[3]}


def test_a_batch_of_one_row_from_the_start_of_the_command_to_its_end(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_1")
    monkeypatch.setenv("MSGAPI_BASE_URL", service)
    for name in ("first", "second"):
        path = people(tmp_path / f"{name}.csv", 1)
        with files() as found:
            assert main(["batch", path, *BATCH]) == 0
    check("A command", found)
