"""batch: files, report and journal have one account of each row, whatever ends the run."""

import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from time import sleep
from typing import Any

import orjson
import pytest

from msgapi import journal
from msgapi.cli import main
from msgapi.cli.batch.journal import BatchJournal, check_complete, parse_command, store_command
from msgapi.cli.connection import stop_signals
from msgapi.cli.output import CliError
from msgapi.journal import State
from msgapi.journal.sqlite import JournalFile
from tests.support.cli_files import lines, people
from tests.support.journals import edited

RCS = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}"]
ACCEPTED = {
    "message_id": "msg_1",
    "status": "queued",
    "created_at": "2026-05-04T07:30:00Z",
    "billing": {"channel": "RCS", "message_type": "basic_message", "hold_amount": 0.07, "message_price": 0.07},
}


class Service:
    """Accepts messages on loopback, one after the other; *pace* is the seconds for each, *free* the balance."""

    def __init__(self) -> None:
        self.pace, self.free = 0.0, 1000.0
        self.got: list[str] = []
        self.keys: set[str] = set()
        self.url = ""
        self._lock = Lock()

    def answer(self, method: str, key: str, body: bytes) -> dict[str, Any]:
        if method == "GET":
            return {"free": self.free, "reserved": 0.0, "total": self.free}
        with self._lock:
            sleep(self.pace)
            if key not in self.keys:
                self.keys.add(key)
                self.got.append(orjson.loads(body)["to"])
                self.free = round(self.free - 0.07, 2)
            return ACCEPTED

    def wait_for(self, count: int) -> None:
        for _ in range(3000):
            if len(self.got) >= count:
                return
            sleep(0.005)
        pytest.fail(f"only {len(self.got)} messages came")


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = orjson.dumps(found.answer(self.command, self.headers.get("Idempotency-Key", ""), body))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", f"{len(answer)}")
            self.end_headers()
            try:
                _ = self.wfile.write(answer)
            except ConnectionError:
                self.close_connection = True

        do_GET = do_POST  # noqa: N815 - as the base class calls it

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

        def handle_error(self, *_: object) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def running(service: Service, *arguments: str, before: Callable[[], object] | None = None) -> Iterator[Any]:
    environment = {**os.environ, "MSGAPI_API_KEY": "key_test_0123456789", "MSGAPI_BASE_URL": service.url}
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "msgapi.cli", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=before,  # noqa: PLW1509 - a limit or a signal of this one child
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def account(told: dict[str, Any]) -> dict[str, int]:
    names = {"accepted": "Accepted", "interrupted": "Unknown", "not_sent_yet": "NotSentYet"}
    return {kind: told[name] for name, kind in names.items() if told[name]}


@pytest.mark.parametrize("options", [[], ["--no-journal"]], ids=["journal", "no journal"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("times", [1, 2])
def test_files_and_report_say_the_same_of_every_row_after_a_signal(
    tmp_path: Path, service: Service, number: signal.Signals, times: int, options: list[str]
) -> None:
    path, results = people(tmp_path, 400), tmp_path / "r.jsonl"
    service.pace = 0.004
    with running(service, "batch", path, *RCS, "--json", "--results", f"{results}", *options) as child:
        service.wait_for(40)
        child.send_signal(number)
        if times > 1:
            sleep(0.05)
            child.send_signal(number)
        out, err = child.communicate(timeout=30)
    told = orjson.loads(out)
    kinds = Counter(line["kind"] for line in lines(results))
    assert child.returncode == 130, err
    assert kinds == account(told)
    assert kinds.total() == 400
    assert len({line["row"] for line in lines(results)}) == 400
    assert kinds["Accepted"] >= 40
    if times == 1 or number == signal.SIGHUP:
        assert kinds["Unknown"] == 0
        assert kinds["Accepted"] == len(service.got)
    if not options:
        with journal.open_readonly(f"{path}.journal") as read:
            summary = read.summary()
        assert summary.rows(State.ACCEPTED) == kinds["Accepted"]
        assert summary.rows(State.STARTED) == kinds["Unknown"]
        assert summary.rows() == kinds["Accepted"] + kinds["Unknown"]
        service.pace = 0
        with running(service, "batch", path, *RCS, "--json") as child:
            out, _ = child.communicate(timeout=30)
        assert (child.returncode, orjson.loads(out)["accepted"]) == (0, 400)
        assert len(service.got) == len(set(service.got)) == 400


def test_a_batch_that_was_started_to_outlive_its_terminal_goes_on_after_a_hangup(
    tmp_path: Path, service: Service
) -> None:
    def nohup() -> None:
        _ = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    path = people(tmp_path, 100)
    service.pace = 0.004
    with running(service, "batch", path, *RCS, before=nohup) as child:
        service.wait_for(20)
        child.send_signal(signal.SIGHUP)
        _ = child.communicate(timeout=30)
    assert child.returncode == 0
    assert len(service.got) == 100


def test_a_platform_without_hangups_has_two_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stop_signals() == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    monkeypatch.delattr(signal, "SIGHUP")
    assert stop_signals() == [signal.SIGINT, signal.SIGTERM]


def test_a_disk_that_is_full_of_the_journal_is_exit_3_with_the_table_and_the_way_on(
    tmp_path: Path, service: Service
) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    path = people(tmp_path, 1500)
    with running(service, "batch", path, *RCS, before=small) as child:
        out, err = (text.decode() for text in child.communicate(timeout=30))
    assert child.returncode == 3
    assert service.got
    assert "of 1,500 rows accepted" in out
    assert "Not sent yet" in out
    assert f"stopped: cannot use the journal {path}.journal: disk I/O error" in err
    assert "run the same command again to continue" in err
    results = tmp_path / "r.jsonl"
    with running(service, "batch", path, *RCS, "--json", "--results", f"{results}") as child:
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert Counter(line["kind"] for line in lines(results)) == {"Accepted": 1500}
    assert len(service.got) == len(set(service.got)) == 1500


@pytest.mark.parametrize("writes", [1, 2, 3, 5])
def test_what_could_not_be_written_is_accepted_in_files_and_report(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], writes: int
) -> None:
    write, left = JournalFile.write, [writes]

    def full(file: JournalFile, *what: Any) -> bool:  # noqa: ANN401 - those of `write`
        left[0] -= 1
        if left[0] < 0:
            raise journal.Unusable("unwritable", "cannot write the journal: the disk is full")
        return write(file, *what)

    monkeypatch.setenv("MSGAPI_API_KEY", "key_test_0123456789")
    monkeypatch.setenv("MSGAPI_BASE_URL", service.url)
    path, results = people(tmp_path, 300), tmp_path / "r.jsonl"
    command = ["batch", path, *RCS, "--json", "--results", f"{results}", "--concurrency", "8"]
    with monkeypatch.context() as patch:
        patch.setattr(JournalFile, "write", full)
        assert main(command) == 3
    told = orjson.loads(capsys.readouterr().out)
    assert told["failure"] == "cannot write the journal: the disk is full"
    kinds = Counter(line["kind"] for line in lines(results))
    assert kinds == account(told)
    assert kinds["Accepted"] == len(service.got)
    assert told["price"] == f"{len(service.got) * 7 / 100:.2f}"
    assert main(command) == 0
    assert len(service.got) == len(set(service.got)) == 300


@pytest.mark.parametrize(("free", "status"), [(2.0, 3), (2.1, 0), (1.0, 3)])
def test_the_balance_is_checked_for_what_is_left(
    tmp_path: Path, service: Service, free: float, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "key_test_0123456789")
    monkeypatch.setenv("MSGAPI_BASE_URL", service.url)
    path = people(tmp_path, 40)
    assert main(["batch", path, *RCS, "--price", "basic=0.07", "--max-spend", "0.70"]) == 3
    assert len(service.got) == 10
    service.free = free
    assert main(["batch", path, *RCS, "--price", "basic=0.07"]) == status
    assert len(service.got) == (40 if status == 0 else 10)
    service.free = 0
    if status == 0:
        assert main(["batch", path, *RCS, "--price", "basic=0.07"]) == 0


def test_the_wal_of_a_killed_batch_may_be_missing_if_the_file_is_the_same(tmp_path: Path, service: Service) -> None:
    path = people(tmp_path, 200)
    service.pace = 0.004
    with running(service, "batch", path, *RCS) as child:
        service.wait_for(50)
        child.kill()
        _ = child.communicate(timeout=30)
    Path(f"{path}.journal-wal").unlink()
    service.pace = 0
    with running(service, "batch", "report", f"{path}.journal") as child:
        assert child.wait(30) == 3
    with running(service, "batch", path, *RCS, "--json") as child:
        out, err = child.communicate(timeout=30)
    assert child.returncode == 0, err
    assert orjson.loads(out)["accepted"] == 200
    assert len(service.got) == len(set(service.got)) == 200
    with journal.open_readonly(f"{path}.journal") as read:
        assert read.lost_since is None  # the whole file was sent


def test_a_command_over_another_file_may_not_continue_without_the_wal() -> None:
    found = BatchJournal("x.journal", "b", {}, lost_since=1.0)
    check_complete(found)
    with pytest.raises(CliError, match=r"x\.journal was not closed") as caught:
        check_complete(found, same_file=False)
    assert caught.value.status == 2


COMMAND: dict[str, Any] = {
    "path": "people.csv",
    "results": None,
    "failed": None,
    "message_values": {"text": "Hi"},
    "to_column": "to",
    "data": ["name"],
    "allow_empty": False,
    "allow_duplicates": False,
    "file_format": None,
    "delimiter": ";",
    "id_column": None,
    "fallback_email": None,
    "with_recipients": False,
    "prices": ["basic=0.07"],
    "max_spend": "1.5",
}


@pytest.mark.parametrize(
    "change",
    [
        {"path": None},
        {"data": "name"},
        {"data": [1]},
        {"prices": [None]},
        {"max_spend": "much"},
        {"max_spend": "NaN"},
        {"message_values": {"text": 1}},
        {"message_values": ["text"]},
        {"allow_empty": "yes"},
    ],
)
def test_a_stored_command_that_the_program_never_writes_is_damage(change: dict[str, object]) -> None:
    stored = store_command(COMMAND, 3)["command"]
    assert parse_command(stored) == COMMAND
    assert parse_command(orjson.dumps(COMMAND | change).decode()) is None
    assert parse_command("{") is None
    assert parse_command("[]") is None
    assert parse_command("{}") is None


def test_a_journal_with_a_damaged_command_is_one_line(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "key_test_0123456789")
    monkeypatch.setenv("MSGAPI_BASE_URL", service.url)
    path = people(tmp_path, 3)
    assert main(["batch", path, *RCS]) == 0
    with edited(f"{path}.journal") as connection:
        _ = connection.execute("UPDATE about SET value = '{' WHERE name = 'command'")
    assert main(["batch", path, *RCS]) == 2
    assert "is damaged and cannot be relied on" in capsys.readouterr().err
    assert main(["batch", "--resume", f"{path}.journal"]) == 2
    assert "is damaged and cannot be relied on" in capsys.readouterr().err
    assert len(service.got) == 3


def test_a_report_that_cannot_be_read_leaves_the_account_of_the_run(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(_: BatchJournal) -> Any:  # noqa: ANN401 - it returns nothing
        raise CliError("the journal is damaged")

    monkeypatch.setenv("MSGAPI_API_KEY", "key_test_0123456789")
    monkeypatch.setenv("MSGAPI_BASE_URL", service.url)
    monkeypatch.setattr(BatchJournal, "read", read)
    assert main(["batch", people(tmp_path, 3), *RCS, "--json"]) == 3
    told = capsys.readouterr()
    assert orjson.loads(told.out)["accepted"] == 3
    assert "stopped: the journal is damaged" in told.err
