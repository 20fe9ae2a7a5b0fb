"""Exit statuses and texts of the command: what a script and a person read at its end."""

import errno
import os
from pathlib import Path

import orjson
import pytest

from msgapi import Client, Conflict, NotFound, Request, Response, Retry, Unanswered
from msgapi.batch import Stopped
from msgapi.cli import connection, main
from msgapi.cli.advice import advise_message, advise_row
from msgapi.cli.batch.summary import stop_reason
from msgapi.cli.output import counted
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer
from tests.support.cli_files import people

Captured = pytest.CaptureFixture[str]
RCS = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}"]
JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_sandbox")


def answering(monkeypatch: pytest.MonkeyPatch, body: object, status: int = 200) -> None:
    """Answer each request of the command with *body*."""

    async def transport(_: Request, /) -> Answer:
        return Response(status, JSON, body if isinstance(body, bytes) else orjson.dumps(body))

    more = {"transport": transport, "retry": Retry(attempts=1)}
    monkeypatch.setattr(connection, "Client", lambda **options: Client(**{**options, **more}))


def over(monkeypatch: pytest.MonkeyPatch, box: Sandbox) -> Sandbox:
    monkeypatch.setattr(connection, "Client", lambda **options: Client(**{**options, "transport": box}))
    return box


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 rows were"), (1, "1 row was"), (2, "2 rows were"), (12345, "12,345 rows were")]
)
def test_numbers_agree_with_their_nouns_and_verbs(number: int, text: str) -> None:
    assert counted(number, verb="were") == text
    assert counted(number) == text.removesuffix(" was").removesuffix(" were")
    assert counted(1, "chunk", "are") == "1 chunk is"


@pytest.mark.parametrize("json", [True, False])
def test_a_balance_without_an_amount_is_not_the_services(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, *, json: bool
) -> None:
    answering(monkeypatch, {"ok": True})
    assert main(["balance", *(["--json"] if json else [])]) == 1
    said = capsys.readouterr()
    assert "it has no amount" in said.err
    assert "Check the base URL" in said.err
    assert "unknown" not in said.out


def test_a_balance_with_one_amount_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    answering(monkeypatch, {"free": 3.5})
    assert main(["balance"]) == 0
    assert capsys.readouterr().out.split() == ["free", "3.5", "EUR", "reserved", "unknown", "total", "unknown"]


def test_messages_that_cannot_be_read_are_shown_as_such_and_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    answering(monkeypatch, {"messages": [{"id": "msg_1", "status": "READ"}, {"id": "msg_2", "status": 7}, "x"]})
    assert main(["messages", "list"]) == 0
    said = capsys.readouterr()
    assert "1 of 3 messages cannot be read: --json shows what came" in said.err
    assert [line.split() for line in said.out.splitlines() if "unreadable" in line] == [["unreadable"]]
    assert "msg_2" in said.out
    answering(monkeypatch, {"messages": []})
    assert main(["messages", "list"]) == 0
    assert capsys.readouterr().out == "no messages\n"


def test_rows_that_are_left_out_or_repeated_are_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = over(monkeypatch, Sandbox())
    path = people(tmp_path, 1)
    _ = Path(path).write_text("to,name\n" + "+4915100000001,Ann\n" * 3)
    assert main(["batch", path, *RCS]) == 0  # one was sent, two are duplicates
    assert "1 of 3 rows accepted" in capsys.readouterr().out
    _ = Path(path).write_text("to,name\n+4915100000001,Anna\n")
    assert main(["batch", path, *RCS]) == 2
    assert "1 row of " in (said := capsys.readouterr().err)
    assert " differs from rows that were sent before" in said
    for _ in range(2):
        assert main(["batch", path, *RCS, "--changed", "skip"]) == 0
        assert "0 of 1 row accepted" in capsys.readouterr().out
        assert main(["batch", "report", f"{path}.journal"]) == 0
        _ = capsys.readouterr()
    assert len(box.messages) == 1


def test_a_disk_that_is_full_when_the_journal_is_begun_is_no_mistake_in_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box, path = over(monkeypatch, Sandbox()), people(tmp_path, 3)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert main(["batch", path, *RCS]) == 3
    assert "No space left on device" in capsys.readouterr().err
    assert main(["batch", path, *RCS]) == 0
    assert len(box.messages) == 3


@pytest.mark.parametrize("outcome", ["unknown", "not_sent_yet"])
def test_a_batch_and_its_report_agree_that_rows_without_a_verdict_are_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, outcome: str
) -> None:
    box, path, answered = Sandbox(), people(tmp_path, 3), iter([False, True, True])

    async def transport(request: Request, /) -> Answer:
        if next(answered, True):
            return await box(request)
        return Unanswered("cut") if outcome == "unknown" else Response(404, {}, b"a page")

    more = {"transport": transport, "retry": Retry(attempts=1)}
    monkeypatch.setattr(connection, "Client", lambda **options: Client(**{**options, **more}))
    command = ["batch", path, *RCS, "--concurrency", "1", "--outage-timeout", "0", "--json"]
    report = ["batch", "report", f"{path}.journal", "--json"]
    for step in (command, report):
        assert main(step) == 3
        said = orjson.loads(capsys.readouterr().out)
        assert (said["accepted"], said[outcome], said["exit"]) == (2, 1, 3)
        assert said["next"].startswith("not finished, 1 row is left: run the same command again")
    for step in (command, report):
        assert main(step) == 0
        said = orjson.loads(capsys.readouterr().out)
        assert (said["accepted"], said[outcome], said["next"], said["exit"]) == (3, 0, None, 0)
    assert len(box.messages) == 3


def test_an_accepted_row_whose_response_cannot_be_read_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    answering(monkeypatch, b'{"message_id": "msg_1", "status": "que')
    path = people(tmp_path, 2)
    for step in (["batch", path, *RCS], ["batch", "report", f"{path}.journal"]):
        assert main([*step, "--json"]) == 1
        said = orjson.loads(capsys.readouterr().out)
        assert (said["unknown"], said["next"], said["exit"]) == (2, None, 1)
    assert main(["batch", path, *RCS]) == 1
    assert "all rows were settled earlier" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "sent"), [({"error": "not_found", "message": "no such route"}, 25), ({"detail": "Not Found"}, 10)]
)
def test_a_base_url_with_another_path_stops_a_batch_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, body: object, sent: int
) -> None:
    answering(monkeypatch, body, 404)
    path = people(tmp_path, 60)
    assert main(["batch", path, *RCS, "--concurrency", "1"]) == 3
    said = capsys.readouterr()
    assert "check the base URL (MSGAPI_BASE_URL or the profile)" in said.err
    assert f"{60 - sent}" in said.out


def test_a_refusal_that_is_no_404_does_not_name_the_base_url() -> None:
    assert "MSGAPI_BASE_URL" in stop_reason(Stopped("refusals", NotFound()), "")
    assert "MSGAPI_BASE_URL" not in stop_reason(Stopped("refusals", Conflict()), "")


def test_after_a_409_the_key_may_be_in_use_by_an_earlier_request() -> None:
    error = Conflict(code="idempotency_conflict")
    assert "an earlier request with the key may be under way" in advise_row(error)
    assert "in a minute with the same key" in advise_message(error)
