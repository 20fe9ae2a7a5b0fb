import os
import re
import signal
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import anyio
import anyio.lowlevel
import orjson
import pytest

from msgapi.cli import main
from msgapi.cli.batch.command import run_batch
from msgapi.cli.batch.runner import BatchRun
from msgapi.cli.commands import demo, sandbox
from msgapi.sandbox import DELIVERY_OUTCOMES, MAGIC_RECIPIENTS

Captured = pytest.CaptureFixture[str]


def test_the_sandbox_prints_its_variables_and_ends_with_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def emit(text: str) -> None:
        print(text)  # noqa: T201 - stands in for what prints
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(sandbox, "emit", emit)
    assert main(["sandbox", "--port", "0", "--balance", "5"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("export MSGAPI_API_KEY=sk_sandbox\nexport MSGAPI_BASE_URL=http://127.0.0.1:")
    assert "has stopped" in told.err


HOSTS = (
    "from urllib.request import Request, urlopen; from urllib.error import HTTPError\n"
    "url, key = os.environ['MSGAPI_BASE_URL'], os.environ['MSGAPI_API_KEY']\n"
    "def status(host):\n"
    "    asked = Request(url + '/v1/messages', headers={'Host': host, 'Authorization': 'Bearer ' + key})\n"
    "    try: return urlopen(asked).status\n"
    "    except HTTPError as error: return error.code\n"
    "print([status(host) for host in ('localhost', 'sandbox:8025', 'app', 'evil.example')])"
)


@pytest.mark.parametrize(
    ("options", "variable", "statuses"),
    [
        ([], None, "[200, 403, 403, 403]"),
        (["--allow-host", "sandbox", "--allow-host", "app"], None, "[200, 200, 200, 403]"),
        ([], "sandbox, app", "[200, 200, 200, 403]"),
        (["--allow-host", "app"], "sandbox", "[200, 403, 200, 403]"),
        (["--host", "0.0.0.0"], "", "[200, 403, 403, 403]"),  # noqa: S104 - in a test only
    ],
)
def test_a_host_is_allowed_by_an_option_or_in_the_environment(
    options: list[str], variable: str | None, statuses: str, monkeypatch: pytest.MonkeyPatch, capfd: Captured
) -> None:
    if variable is not None:
        monkeypatch.setenv("MSGAPI_SANDBOX_ALLOW_HOST", variable)
    ran = ["sandbox", *options, "--", sys.executable, "-c", f"import os; exec({HOSTS!r})"]
    assert main(ran) == 0
    assert capfd.readouterr().out.strip() == statuses


@pytest.mark.parametrize("name", ["http://sandbox", "a b", ""])
def test_a_host_that_is_not_a_name_is_one_line(name: str, capsys: Captured) -> None:
    assert main(["sandbox", "--allow-host", name, "--", "true"]) == 2
    assert "--allow-host (MSGAPI_SANDBOX_ALLOW_HOST): " in capsys.readouterr().err


def test_the_number_of_messages_to_keep_is_an_option() -> None:
    options = sandbox.SandboxOptions(keep_messages=7)
    assert options.sandbox().account.state.log.keep == 7
    assert main(["sandbox", "--keep-messages", "-1", "--", "true"]) == 2


def test_luck_is_a_table(capsys: Captured) -> None:
    assert main(["sandbox", "--list-recipients"]) == 0
    told = capsys.readouterr().out
    assert all(magic.phone in told for magic in MAGIC_RECIPIENTS)


def test_a_port_that_is_taken_is_one_line(capsys: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["sandbox", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot serve on 127.0.0.1 port" in capsys.readouterr().err


def command(code: str) -> list[str]:
    return ["sandbox", "--", sys.executable, "-c", f"import os, signal, sys, time; {code}"]


def test_a_command_runs_against_a_sandbox_of_its_own_and_gives_its_status(capfd: Captured) -> None:
    assert main(command("print(os.environ['MSGAPI_BASE_URL'], os.environ['MSGAPI_API_KEY']); sys.exit(7)")) == 7
    assert capfd.readouterr().out.startswith("http://127.0.0.1:")


def test_ctrl_c_is_left_to_the_command_and_a_sigterm_is_passed_on() -> None:
    assert main(command("os.kill(os.getppid(), signal.SIGINT); time.sleep(0.1); sys.exit(3)")) == 3
    assert main(command("os.kill(os.getppid(), signal.SIGTERM); time.sleep(30)")) == 128 + signal.SIGTERM


def test_a_sigterm_that_has_ended_the_command_already_is_passed_on_to_nobody() -> None:
    # As `timeout` does: it ends the group, and so the command before we get to it.
    assert main(command("os.kill(os.getppid(), signal.SIGTERM); os._exit(5)")) in {5, 128 + signal.SIGTERM}

    class Gone:
        def terminate(self) -> None:
            raise ProcessLookupError

    async def signals() -> AsyncIterator[signal.Signals]:
        await anyio.lowlevel.checkpoint()
        yield signal.SIGTERM

    process: Any = Gone()
    anyio.run(sandbox._forward, signals(), process)


def test_a_command_that_is_not_there_is_127(capsys: Captured) -> None:
    assert main(["sandbox", "--", "no-such-command"]) == 127
    assert "cannot run no-such-command: No such file" in capsys.readouterr().err
    assert main(["sandbox", "--json", "--", "no-such-command"]) == 127
    assert orjson.loads(capsys.readouterr().out)["exit"] == 127


@pytest.fixture(autouse=True)
def _settings_that_must_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "bad key")
    monkeypatch.setenv("MSGAPI_BASE_URL", "nonsense")


def test_the_demo_accounts_for_every_row(tmp_path: Path, capsys: Captured) -> None:
    assert main(["demo", "--rows", "700", "--keep", str(tmp_path / "kept")]) == 0
    told = capsys.readouterr().out
    assert "WRONG" not in told
    assert told.count(" ok\n") == 11
    results = [orjson.loads(line) for line in (tmp_path / "kept" / "results.jsonl").read_text().splitlines()]
    assert len(results) == 700
    assert {one["kind"] for one in results} == {
        "Accepted",
        "Duplicate",
        "Forbidden",
        "Invalid",
        "NotFound",
        "Unprocessable",
    }


def test_the_demo_fails_when_a_row_is_not_what_it_must_be(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    honest = demo.write_rows

    def lie(path: Path, rows: int, seed: int) -> tuple[demo.DemoRow, ...]:
        first, *rest = honest(path, rows, seed)
        return demo.DemoRow(first.number, first.id, first.to, "Forbidden"), *rest

    monkeypatch.setattr(demo, "write_rows", lie)
    monkeypatch.setattr(demo, "_FAULTS", 0.0)
    assert main(["demo", "--rows", "60"]) == 1
    assert "WRONG" in capsys.readouterr().out


class Browser:
    """A browser that looks at the page, and then presses Ctrl-C."""

    def __init__(self, *, opens: bool = True) -> None:
        self.opens = opens
        self.pages: list[str] = []
        self.titles: list[str] = []

    def open(self, url: str) -> bool:
        self.pages.append(url)
        with urlopen(url) as answer:  # noqa: S310 - on this machine
            self.titles += re.findall("<title>.*</title>", answer.read().decode())
        os.kill(os.getpid(), signal.SIGINT)
        return self.opens


@pytest.mark.parametrize(("opens", "told"), [(True, "are shown at"), (False, "are to be seen at")])
def test_the_demo_ends_in_the_page_of_its_sandbox_until_ctrl_c(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, told: str, *, opens: bool
) -> None:
    browser = Browser(opens=opens)
    monkeypatch.setattr(webbrowser, "get", lambda: browser)
    assert main(["demo", "--rows", "60", "--open"]) == 0
    said = capsys.readouterr()
    (page,) = browser.pages
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", page)
    assert len(browser.titles) == 1
    assert f"the messages {told} {page}; Ctrl-C stops the sandbox" in said.err
    assert said.err.endswith("msgapi: the sandbox has stopped, and its data is gone\n")
    assert "checked against the log of the sandbox" in said.out


@pytest.mark.parametrize("kind", ["none", "terminal", "window"])
def test_a_browser_in_the_terminal_is_not_opened(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    opened: list[str] = []

    def get() -> webbrowser.BaseBrowser:
        if kind == "none":
            raise webbrowser.Error
        return (webbrowser.GenericBrowser if kind == "terminal" else webbrowser.BackgroundBrowser)("x")

    def open_window(_: webbrowser.BaseBrowser, url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "get", get)
    monkeypatch.setattr(webbrowser.BackgroundBrowser, "open", open_window)
    assert demo._open_browser("http://127.0.0.1:1/") is (kind == "window")
    assert opened == (["http://127.0.0.1:1/"] if kind == "window" else [])


@pytest.mark.parametrize("more", [[], ["--open"]])
def test_an_interrupted_demo_checks_and_opens_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, more: list[str]
) -> None:
    async def interrupted(*arguments: object, **options: object) -> BatchRun:
        run = await run_batch(*arguments, **options)  # type: ignore[arg-type]
        run.interrupted = 1
        return run

    monkeypatch.setattr(demo, "run_batch", interrupted)
    monkeypatch.setattr(demo, "_FAULTS", 0.0)
    assert main(["demo", "--rows", "60", *more]) == 130
    assert "nothing was checked" in capsys.readouterr().err


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: Captured) -> None:
    _ = (tmp_path / "file").write_text("")
    assert main(["demo", "--keep", str(tmp_path / "file" / "x")]) == 2
    assert "cannot write" in capsys.readouterr().err
    (tmp_path / "d" / "people.csv").mkdir(parents=True)
    assert main(["demo", "--keep", str(tmp_path / "d")]) == 2


def test_luck_and_endings_are_json_too(capsys: Captured) -> None:
    assert main(["sandbox", "--list-recipients", "--json"]) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert {one["phone"] for one in found} >= {one.phone for one in MAGIC_RECIPIENTS} | {
        one.phone for one in DELIVERY_OUTCOMES
    }


def test_the_variables_are_json_too(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def emit(text: str) -> None:
        print(text)  # noqa: T201 - stands in for what prints
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(sandbox, "emit", emit)
    assert main(["sandbox", "--port", "0", "--json", "--delivery", "0", "--repeated", "1"]) == 0
    assert orjson.loads(capsys.readouterr().out)["MSGAPI_API_KEY"] == "sk_sandbox"


@pytest.mark.parametrize("option", ["--faults", "--delivery", "--repeated", "--late", "--reordered"])
@pytest.mark.parametrize("value", ["nan", "inf", "x"])
def test_a_number_that_is_none_is_one_line(capsys: Captured, option: str, value: str) -> None:
    assert main(["sandbox", option, value]) == 2
    told = capsys.readouterr().err
    assert option in told
    assert "Traceback" not in told


@pytest.mark.parametrize("balance", ["1e999", "nan", "-1", "x", "0.00001"])
def test_a_balance_that_is_none_is_one_line(capsys: Captured, balance: str) -> None:
    assert main(["sandbox", "--balance", balance, "--", "true"]) == 2
    assert "EUR" in capsys.readouterr().err


def test_a_host_that_is_none_is_not_every_host(capsys: Captured) -> None:
    assert main(["sandbox", "--host", ""]) == 2
    assert "--host must name" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example", "\udcff", "203.0.113.7"])
def test_a_host_that_is_not_of_this_machine_is_one_line(capsys: Captured, host: str) -> None:
    assert main(["sandbox", "--host", host, "--port", "0"]) == 2
    told = capsys.readouterr().err
    assert re.fullmatch(r"msgapi: cannot serve on .*; --host must name an address of this machine, .*\n", told)


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "http://127.0.0.1:"), ("::", "http://[::1]:")])  # noqa: S104
def test_a_sandbox_for_every_address_is_reached_at_the_one_that_a_client_takes(
    capfd: Captured, host: str, shown: str
) -> None:
    look = "from msgapi.cli import main; print(os.environ['MSGAPI_BASE_URL'], flush=True); sys.exit(main(['balance']))"
    assert main(["sandbox", "--host", host, *command(look)[1:]]) == 0
    assert capfd.readouterr().out.startswith(shown)


def test_what_fails_while_it_serves_is_no_matter_of_the_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def emit(_: str) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(sandbox, "emit", emit)
    assert main(["sandbox", "--port", "0"]) == 70
    assert "please report this line: ConnectionResetError at " in capsys.readouterr().err


# msgapi sandbox --seed FILE, and the URL of the page.


def seed_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "seed.json"
    _ = path.write_text(text)
    return str(path)


def test_a_sandbox_starts_with_its_seed(tmp_path: Path, capfd: Captured) -> None:
    path = seed_file(tmp_path, '{"balance": 5, "contacts": [{"phone": "+4915112345678"}]}')
    look = "from msgapi.cli import main; sys.exit(main(['balance', '--json']))"
    assert main(["sandbox", "--seed", path, *command(look)[1:]]) == 0
    assert orjson.loads(capfd.readouterr().out)["free"] == 5


def test_a_balance_that_is_given_wins_over_that_of_the_seed(tmp_path: Path) -> None:
    path = seed_file(tmp_path, '{"balance": 5, "prices": {"email": 0.5}}')
    given = sandbox.SandboxOptions(seed=path, balance=Decimal(7), given=frozenset({"balance", "seed"}))
    box = given.sandbox()
    assert (box.balance.free, box.account.state.prices.email) == (Decimal(7), Decimal("0.5"))
    box.reset()
    assert (box.balance.free, box.account.state.prices.email) == (Decimal(7), Decimal("0.5"))
    assert sandbox.SandboxOptions(seed=path, balance=Decimal(7)).sandbox().balance.free == 5


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", r"is not JSON: line 1, column 2: Expecting property name .*"),
        ('{"balance": 5,\n "x"}', r"is not JSON: line 2, column 5: Expecting ':' delimiter"),
        ("[" * 100_000, r"is not JSON that can be read: it is nested too deeply"),
        ("[]", r"is not a seed: must be an object, not an array"),
        ('{"balance": NaN}', r"is not a seed: balance must be from 0 to below .*"),
        (
            '{"contacts": [{"phone": "0151"}]}',
            r"is not a seed: contacts\[0\]\.phone must be a phone number .*",
        ),
        ('{"a": 1, "b": 2}', r"is not a seed: a is not a known field \(and 1 more\)"),
    ],
)
def test_a_seed_with_a_mistake_is_one_line(tmp_path: Path, capsys: Captured, text: str, line: str) -> None:
    path = seed_file(tmp_path, text)
    assert main(["sandbox", "--seed", path, "--", "true"]) == 2
    assert re.fullmatch(rf"msgapi: {re.escape(path)} {line}\n", capsys.readouterr().err)


def test_a_seed_that_cannot_be_read_is_one_line(tmp_path: Path, capsys: Captured) -> None:
    missing = str(tmp_path / "none.json")
    assert main(["sandbox", "--seed", missing, "--", "true"]) == 2
    assert capsys.readouterr().err == f"msgapi: cannot read {missing}: No such file or directory\n"
    binary = tmp_path / "seed.json"
    _ = binary.write_bytes(b"\xff")
    assert main(["sandbox", "--seed", str(binary), "--", "true"]) == 2
    assert capsys.readouterr().err == f"msgapi: {binary} is not JSON: it is not UTF-8\n"


@pytest.mark.parametrize(
    ("host", "page"),
    [
        ("127.0.0.1", r"http://127\.0\.0\.1:\d+/"),
        ("localhost", r"http://localhost:\d+/"),
        ("0.0.0.0", r"http://127\.0\.0\.1:\d+/\?access=[\w-]{22}"),  # noqa: S104 - in a test only
    ],
)
def test_the_url_of_the_page_is_printed_with_a_secret_on_another_address_than_loopback(
    host: str, page: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def emit(text: str) -> None:
        print(text)  # noqa: T201 - stands in for what prints
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(sandbox, "emit", emit)
    assert main(["sandbox", "--port", "0", "--host", host, "--json"]) == 0
    told = capsys.readouterr()
    found = orjson.loads(told.out)["page"]
    assert re.fullmatch(page, found)
    assert f"the sandbox is at {found} (open it in a browser)" in told.err
    assert ("from another machine, open that URL" in told.err) == (host == "0.0.0.0")  # noqa: S104
