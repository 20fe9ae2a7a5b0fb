import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import click
import orjson
import pytest

import msgapi
from msgapi import (
    ApiError,
    Detail,
    InsufficientBalance,
    Invalid,
    Meta,
    NotSent,
    Throttled,
    Unanswered,
    Unauthorized,
    Unreadable,
)
from msgapi.cli import app, connection, main, output
from msgapi.cli.advice import advise_row, explain
from msgapi.cli.batch.counts import DUPLICATE
from msgapi.cli.commands import send
from msgapi.cli.output import CliError
from msgapi.sandbox import Sandbox
from msgapi.version import VERSION
from tests.support.cli_files import people

RCS = ["--agent", "ag_live_mine", "--traffic", "transaction"]
SEND = ["send", "--to", "+4915112345678", *RCS, "--text", "Hi"]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MSGAPI_API_KEY", "MSGAPI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def errors() -> list[ApiError]:
    plain: list[Any] = [kind for kind in get_args(ApiError) if kind not in {NotSent, Unanswered}]
    more = [NotSent("x"), Unanswered("y"), Throttled(code="newsletter_daily_cap"), Invalid(code=DUPLICATE)]
    return [*(kind(code="http_429") for kind in plain), *more, InsufficientBalance(topup_url="https://top.example")]


def test_there_is_one_sentence_of_advice_for_every_error() -> None:
    told = [advise_row(error) for error in errors()]
    assert all(re.fullmatch(r"[A-Z].*\.", one) for one in told)
    assert "https://top.example" in told[-1]
    assert len(set(told)) == len(told) - 1  # ServerFault and Unavailable need the same


def test_what_is_explained_has_no_recipient_and_no_line_break() -> None:
    assert explain(Invalid(message="x", details=(Detail("to", "not\n+4915112345678"),))) == "to not ***"
    assert explain(Unreadable(message="for a@b.example")) == "for ***"


@pytest.mark.usefixtures("unmeasured_processes")
def test_help_and_version_need_nothing_heavy() -> None:
    code = """
import sys
from msgapi.cli import main
assert main(["--help"]) == main(["--version"]) == main(["batch", "--help"]) == 0
print(sorted({"rich", "aiohttp", "cattrs", "orjson", "uvloop"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert done.stdout.endswith("[]\n")
    assert "0    Every message was accepted." in done.stdout
    assert f"version {msgapi.__version__}" in done.stdout


def test_it_runs_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr(sys, "argv", ["msgapi", "--version"])
    with pytest.raises(SystemExit, match="0"):
        _ = importlib.import_module("msgapi.cli.__main__")
    assert msgapi.__version__ in capsys.readouterr().out


def test_without_a_command_it_shows_its_help(capsys: Captured) -> None:
    assert main([]) == 2
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], r"No such command 'nonsense'.*\(see `msgapi --help`\)"),
        (["batch"], r"name the FILE to send, or a journal with --resume \(see `msgapi batch --help`\)"),
        (["batch", "none.csv", "--text", "x"], "cannot read none.csv: No such file or directory"),
        (["batch", "none.csv", "--delimiter", "ab"], "--delimiter is one character"),
        (["send", "--to", "x"], "not complete: agent_id is missing"),
        (["send", "--to", "x", *RCS, "--text", "Hi"], "not valid: to has letters: it must be a phone number"),
        (["send", "--to", "x", *RCS, "--channel", "c"], "give one of them"),
        ([*SEND, "--data", "x"], "--data takes NAME=VALUE"),
        ([*SEND, "--idempotency-key", ""], "idempotency_key must be 1 to 255 visible ASCII characters"),
        (["messages"], r"messages needs a command: list, get, revoke \(see `msgapi messages --help`\)"),
        (["webhooks"], r"webhooks needs a command: list, create, delete, test, verify, listen, trigger \(see"),
        (["sandbox", "--balance", "much"], "much is not an amount"),
        (["sandbox", "--balance", "NaN"], "NaN is not an amount"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments: list[str], said: str, capsys: Captured) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert re.search(said, told)
    assert re.fullmatch(r"msgapi: .*\n", told)


@pytest.mark.parametrize(
    ("arguments", "kind", "status"),
    [
        (["messages", "get", ""], "Invalid", 2),
        (["messages", "list", "--limit", "0"], "Usage", 2),
        (["webhooks", "verify", "none", "--signature", "x", "--secret", "s"], "Usage", 2),
        (["webhooks", "list", "--nonsense"], "Usage", 2),
        (["webhooks", "list"], "Configuration", 4),
        (["send", "--to", "x", *RCS, "--text", "Hi"], "Invalid", 2),
        (["send", "--to", "x"], "Invalid", 2),
    ],
)
def test_a_mistake_is_a_document_too_where_json_was_asked_for(
    arguments: list[str], kind: str, status: int, capsys: Captured
) -> None:
    assert main([*arguments, "--json"]) == status
    told = capsys.readouterr()
    found = orjson.loads(told.out)
    assert found["kind"] == kind
    assert found["message"]
    assert found["code"]
    assert found["exit"] == status
    assert ("details" in found) == (kind == "Invalid")
    assert len(told.err.splitlines()) == 1
    assert main(arguments) == status
    assert capsys.readouterr().out == ""


def test_what_the_words_of_a_command_are_is_not_for_us(capsys: Captured) -> None:
    assert main(["sandbox", "--host", "", "--", "true", "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_a_document_that_cannot_be_written_either_is_still_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["sandbox", "--list-recipients", "--json"]) == 74
    assert capsys.readouterr().err == "msgapi: cannot write standard output: No space left on device\n"


def test_an_interruption_is_no_document(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app.program, "main", fail)
    assert main(["balance", "--json"]) == 130
    assert capsys.readouterr().out == ""


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setitem(sys.modules, "click", None)
    monkeypatch.delitem(sys.modules, "msgapi.cli.app")
    assert main(["--help"]) == 2
    assert capsys.readouterr().err == "msgapi: the command line needs an extra: pip install 'msgapi-sdk[cli]'\n"


def test_another_module_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setitem(sys.modules, "msgapi.cli.app", None)
    assert main(["--help"]) == 70
    assert "please report this line: msgapi.cli.app is missing: ModuleNotFoundError at" in capsys.readouterr().err


def crash(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("MSGAPI_API_KEY", "key-in-the-environment")
    monkeypatch.setattr(app.program, "main", fail)


PRIVATE = ("+4915112345678", "ann@example.com", "sk_live_0123456789", "key-in-the-environment")


@pytest.mark.parametrize("grouped", [True, False])
def test_a_bug_is_status_70_and_one_line_that_says_what_to_report(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, *, grouped: bool
) -> None:
    error: Exception = ZeroDivisionError(" ".join(PRIVATE))
    crash(monkeypatch, ExceptionGroup("g", [ExceptionGroup("h", [error])]) if grouped else error)
    monkeypatch.delenv("MSGAPI_DEBUG", raising=False)
    assert main(["balance", "--json"]) == 70
    out, err = capsys.readouterr()
    assert re.fullmatch(
        r"msgapi: internal error, please report this line: ZeroDivisionError at msgapi/cli/\w+\.py:\d+ "
        r"\(msgapi-sdk \S+, Python 3\.\d+\.\d+, \w+\); MSGAPI_DEBUG=1 shows the traceback\n",
        err,
    )
    facts = orjson.loads(out)
    assert (facts["kind"], facts["exit"]) == ("Crash", 70)
    assert not any(secret in out + err for secret in PRIVATE)


def test_the_traceback_of_a_bug_is_shown_on_request_and_masked(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    crash(monkeypatch, ZeroDivisionError(f"{' '.join(PRIVATE)} \x1b[2J"))
    monkeypatch.setenv("MSGAPI_DEBUG", "1")
    assert main(["balance"]) == 70
    err = capsys.readouterr().err
    assert "Traceback (most recent call last):\n" in err
    assert "ZeroDivisionError: *** *** *** *** \\u001b[2J\n" in err
    assert err.splitlines()[-1].startswith("msgapi: internal error")
    assert not any(secret in err for secret in PRIVATE)
    monkeypatch.setenv("MSGAPI_DEBUG", "0")
    assert main(["balance"]) == 70
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "variable", ["MSGAPI_FLEET_URL", "MSGAPI_FORWARD_SECRET", "MSGAPI_PROXY", "MSGAPI_WEBHOOK_SECRET"]
)
def test_a_secret_of_the_environment_is_masked_in_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, variable: str
) -> None:
    monkeypatch.setenv("MSGAPI_DEBUG", "1")
    monkeypatch.setenv(variable, "http://ann:pass-in-the-environment@127.0.0.1:1")
    crash(monkeypatch, ZeroDivisionError(f"of {os.environ[variable]}"))
    assert main(["balance", "--sandbox"]) == 70
    err = capsys.readouterr().err
    assert "ZeroDivisionError: of ***\n" in err
    assert "pass-in-the-environment" not in err


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (click.FileError("x", "gone"), 2, "Could not open file 'x': gone"),
        (click.UsageError("no"), 2, "no (see `msgapi --help`)"),
    ],
)
def test_what_click_raises_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, raised: BaseException, status: int, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(app.program, "main", fail)
    assert main([]) == status
    assert capsys.readouterr().err == f"msgapi: {said}\n"


@pytest.mark.parametrize(("terminal", "before"), [(True, "\n"), (False, "")])
def test_an_interruption_is_one_line_and_below_the_sign_of_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, *, terminal: bool, before: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("msgapi.cli.commands.billing.run_call", interrupt)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert main(["balance", "--sandbox"]) == 130
    assert capsys.readouterr().err == f"{before}msgapi: interrupted\n"


def test_a_missing_key_is_status_4(capsys: Captured) -> None:
    assert main(SEND) == main(["balance"]) == 4
    assert "MSGAPI_API_KEY" in capsys.readouterr().err


def test_send_to_a_sandbox_prints_a_receipt(capsys: Captured) -> None:
    assert main([*SEND, "--sandbox"]) == 0
    assert re.fullmatch(r"queued as msg_\w+, 0\.07 EUR \(basic_message\)\n", capsys.readouterr().out)


def test_a_receipt_without_a_price_names_none(capsys: Captured) -> None:
    from msgapi.messages import Accepted

    assert send.receipt(Accepted(message_id="msg_1")) == "queued as msg_1"
    assert capsys.readouterr().out == ""


def test_send_prints_json_with_its_key(capsys: Captured) -> None:
    email = ["--channel", "ch_mine", "--template", "tpl_mine", "--data", "name=Ann", "--idempotency-key", "k1"]
    assert main(["send", "--to", "a@b.example", *email, "--json", "--sandbox"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert (told["kind"], told["idempotency_key"], told["billing"]["channel"]) == ("Accepted", "k1", "EMAIL")


@pytest.mark.parametrize(("digits", "status"), [("403", 1), ("402", 3)])
def test_a_refusal_is_explained_and_is_json_too(digits: str, status: int, capsys: Captured) -> None:
    options = [*RCS, "--text", "Hi", "--idempotency-key", "k1", "--sandbox", "--json"]
    assert main(["send", "--to", f"+447700900{digits}", *options]) == status
    told = capsys.readouterr()
    found = orjson.loads(told.out)
    assert (found["meta"]["status"], found["idempotency_key"]) == (int(digits), "k1")
    assert len(told.err.splitlines()) == 2


def test_a_dry_run_shows_the_request_with_the_key_hidden(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_secret")
    assert main([*SEND, "--dry-run", "--idempotency-key", "k1"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("POST https://api.arowana.app/v1/messages\nAuthorization: Bearer ***\n")
    assert "Idempotency-Key: k1" in told
    assert "sk_secret" not in told


def test_balance_is_text_or_json(capsys: Captured) -> None:
    assert main(["balance", "--sandbox"]) == 0
    assert capsys.readouterr().out.startswith("free     1000000")
    assert main(["balance", "--sandbox", "--json"]) == 0
    assert orjson.loads(capsys.readouterr().out)["reserved"] == 0


def test_a_wrong_key_is_status_4_and_a_server_that_is_not_there_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("msgapi.cli.connection.PATIENT", msgapi.Retry(attempts=1))
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_wrong")
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://127.0.0.1:1")
    assert main(["balance"]) == 1
    assert "nothing was sent: could not connect to 127.0.0.1:1: ECONNREFUSED" in capsys.readouterr().err
    inner = (
        f"import os, sys; from msgapi.cli import main; os.environ['MSGAPI_API_KEY'] = 'no'; sys.exit(main({SEND!r}))"
    )
    assert main(["sandbox", "--", sys.executable, "-c", inner]) == 4
    assert main(["sandbox", "--", sys.executable, "-c", inner.replace(repr(SEND), "['balance']")]) == 4


def test_a_balance_that_cannot_be_read_is_explained_and_is_json_too(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("msgapi.cli.connection.PATIENT", msgapi.Retry(attempts=1))
    monkeypatch.setattr(connection, "private_sandbox", lambda _: Sandbox(faults=1.0))
    assert main(["balance", "--sandbox"]) == main(["balance", "--sandbox", "--json"]) == 1
    told = capsys.readouterr()
    assert {"kind", "code", "message", "may_have_happened"} <= orjson.loads(told.out).keys()
    assert len(told.err.splitlines()) == 4


def test_a_send_that_may_have_gone_out_tells_its_key(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr("msgapi.cli.connection.PATIENT", msgapi.Retry(attempts=1))
    assert main(["send", "--to", "+447700900600", *RCS, "--text", "Hi", "--sandbox", "--idempotency-key", "k9"]) == 1
    assert "without sending it twice: --idempotency-key k9" in capsys.readouterr().err


MIXED = "to,name\n+4915112345678,Ann\nbad,Bo\n+4915112345678,Ann\n+4915112345679,\n"


def batch(directory: Path, *options: str, content: str = MIXED) -> list[str]:
    _ = (directory / "in.csv").write_text(content)
    return ["batch", str(directory / "in.csv"), *RCS, "--text", "Hi {name}", *options]


def test_a_batch_to_a_sandbox_ends_in_a_table(tmp_path: Path, capsys: Captured) -> None:
    assert main(batch(tmp_path, "--sandbox", "--rate", "1000")) == 1
    told = capsys.readouterr()
    assert "1 of 4 rows accepted, 0.07 EUR" in told.out
    assert "line 3: Invalid, to has letters: it must be a phone number" in told.out
    assert "2 rows were refused: --failed" in told.err
    assert main(["batch", people(tmp_path, 3), *RCS, "--text", "Hi {name}", "--sandbox"]) == 0


def test_a_batch_prints_json(tmp_path: Path, capsys: Captured) -> None:
    results = str(tmp_path / "r.jsonl")
    assert (
        main(batch(tmp_path, "--sandbox", "--json", "--allow-empty", "--allow-duplicates", "--results", results)) == 1
    )
    told = orjson.loads(capsys.readouterr().out)
    assert (told["accepted"], told["refused"], told["price"], told["exit"]) == (3, 1, "0.21", 1)


def test_a_dry_run_of_a_batch_needs_no_key_and_counts(tmp_path: Path, capsys: Captured) -> None:
    assert main(batch(tmp_path, "--dry-run")) == 1
    told = capsys.readouterr().out
    for line in (
        "Authorization: Bearer ***",
        "line 3: to has letters",
        "duplicate: line 4",
        "nothing was sent",
    ):
        assert line in told
    assert re.search(r"billed as basic_message +1\n", told)


def test_a_dry_run_prints_json_and_the_first_ten_of_many(tmp_path: Path, capsys: Captured) -> None:
    many = "to,name\n" + "bad,Ann\n" * 15 + "+4915112345678,Ann\n" * 15
    assert main(batch(tmp_path, "--dry-run", "--allow-duplicates", content=many)) == 1
    assert "(the first 10 of 15)" in capsys.readouterr().out
    assert main(batch(tmp_path, "--dry-run", "--json", content=many)) == 1
    told = orjson.loads(capsys.readouterr().out)
    assert (told["invalid"], len(told["invalid_rows"]), told["duplicate"]) == (15, 10, 14)
    assert told["first_request"]["body"]["to"] == "+4915112345678"
    assert main(batch(tmp_path, "--dry-run", "--json", content="to,name\nbad,Ann\n")) == 1
    assert orjson.loads(capsys.readouterr().out)["first_request"] is None
    assert main(batch(tmp_path, "--dry-run", content="to,name\nbad,Ann\n")) == 1
    assert main(batch(tmp_path, "--dry-run", content="to,name\n+4915112345678,Ann\n")) == 0


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        assert main([*SEND, "--dry-run"]) == 0
        output.emit("more")


def test_a_standard_output_that_is_full_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(CliError, match="cannot write standard output: No space left on device"):
            output.emit("x")


def test_the_command_of_a_route_has_the_name_of_its_function() -> None:
    # The other commands of these groups have no route, or need a name that is not a keyword.
    others = {"contacts import", "webhooks verify", "webhooks listen", "webhooks trigger"}
    groups = ("messages", "contacts", "agents", "campaigns", "billing", "webhooks")
    routes = [name for name in app.COMMANDS if name.startswith(groups) and " consent " not in name]
    found = {name for name in routes if hasattr(getattr(msgapi, name.split()[0]), name.split()[1].replace("-", "_"))}
    assert set(routes) - found == others


@pytest.mark.parametrize("name", app.COMMANDS)
def test_the_table_of_commands_has_the_first_line_of_each_help(name: str) -> None:
    command = app.load(name)
    assert (command.help or "").splitlines()[0] == app.COMMANDS[name][2]


def test_no_help_in_a_list_of_commands_is_cut_at_80_columns() -> None:
    shown = [row[2] for row in app.COMMANDS.values()] + [texts[0] for texts in app.GROUPS.values()]
    assert max(map(len, shown)) <= 80 - len("  webhooks  ")


@pytest.mark.usefixtures("unmeasured_processes")
def test_a_list_of_commands_imports_none_of_them() -> None:
    code = """
import sys
from msgapi.cli import main
assert main(["--help"]) == main(["fleet", "--help"]) == main(["webhooks", "--help"]) == 0
print([name for name in sys.modules if name.startswith(("msgapi.cli.commands", "attrs", "msgapi.results"))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert done.stdout.endswith("[]\n")


def test_the_names_of_commands_are_completed(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    for words, found in {"msgapi b": ["balance", "batch", "billing"], "msgapi webhooks l": ["list", "listen"]}.items():
        monkeypatch.setenv("_MSGAPI_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        with pytest.raises(SystemExit):
            app.program.main([], prog_name="msgapi")
        assert sorted(capsys.readouterr().out.split()) == [f"plain,{name}" for name in found]


@pytest.mark.parametrize("kind", [Unauthorized, InsufficientBalance])
def test_an_answer_that_is_not_the_services_says_nothing_of_key_or_balance(
    kind: type[Unauthorized | InsufficientBalance], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    async def answer(*_: object, **__: object) -> ApiError:
        return kind(code="http_401", message="a page", meta=Meta(status=401), from_service=False)

    monkeypatch.setattr(send, "make_call", answer)
    assert main(SEND) == 1
    assert "MSGAPI_BASE_URL" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("MSGAPI_BASE_URL", "ftp://x"), ("MSGAPI_API_KEY", "a b")])
def test_a_setting_that_cannot_be_used_is_one_line_and_status_4(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_1")
    monkeypatch.setenv(name, value)
    assert main(["balance"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("(not needed with --sandbox)")


@pytest.mark.parametrize("module", ["msgapi", "msgapi.cli"])
def test_the_package_can_be_run_as_a_module(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip().endswith(VERSION)


COMMAND_NAMES = ["", *app.GROUPS, *app.COMMANDS]


@pytest.mark.parametrize("name", COMMAND_NAMES)
def test_no_help_is_wider_than_80_columns_and_none_is_cut_off(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*name.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines[1:] if line.endswith("...") or re.search(r"\w-$", line)]


def sentences(text: str) -> list[str]:
    """Return the paragraphs of a help text, without its examples."""
    plain = inspect.cleandoc(text).replace("\f", "")
    return [" ".join(one.split()) for one in plain.split("\n\n") if not one.startswith("\b")]


@pytest.mark.parametrize("name", app.COMMANDS)
def test_each_help_is_complete_sentences(name: str) -> None:
    command = app.load(name)
    short = app.COMMANDS[name][2]
    options = [one for one in command.params if isinstance(one, click.Option)]
    for text in [short, *sentences(command.help or ""), *(f"{one.help}" for one in options)]:
        assert text[0].isupper() or text[0] in "{-`", text
        assert text.endswith((".", ":")), text
        assert "; repeatable" not in text
    assert sentences(command.help or "")[0] == short


def test_the_options_of_a_batch_are_listed_in_groups(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["batch", "--help"]) == 0
    out = capsys.readouterr().out
    titles = [line.removesuffix(":") for line in out.splitlines() if re.fullmatch(r"\w[\w ]*:", line)]
    assert titles == ["What to send", "The file", "Sending", "Money", "Resuming", "Output", "Options"]
    groups = dict(zip(titles, re.split(r"^\w[\w ]*:$", out, flags=re.MULTILINE)[1:], strict=True))
    assert "--agent ID" in groups["What to send"]
    assert "--to-column COLUMN" in groups["The file"]
    assert "--max-spend EUR" in groups["Money"]
    assert "--resend-unknown" in groups["Resuming"]
    assert groups["Options"].split() == "-h, --help Show this message and exit.".split()


FORMER_WORDS = re.compile(
    r"\bmend|gone on with|goes on where|what stopped the batch|see to the|which told|as the service likes|"
    r"with other options|what is said|does not tell|by themselves|the share of|that something happens|first to come|"
    r"no list of processes|for its turn|kept back|held.up|doubt|nobody|whoever|became of",
    re.IGNORECASE,
)


@pytest.mark.parametrize("path", sorted(Path(output.__file__).parent.rglob("*.py")), ids=lambda path: path.name)
def test_no_text_of_the_command_line_has_to_be_read_twice(path: Path) -> None:
    texts = (one.value for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Constant))
    assert not [text for text in texts if isinstance(text, str) and FORMER_WORDS.search(text)]
