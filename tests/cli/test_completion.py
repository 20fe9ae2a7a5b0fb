"""Completion in the shell: names of commands and events, and files, without a word on standard error."""

from collections.abc import Callable

import click
import pytest

from msgapi.cli import app, main
from msgapi.webhooks import EVENT_TYPES

Captured = pytest.CaptureFixture[str]
FILES = {"FILE", "JOURNAL", "FILE.json", "FILE.jsonl", "FILE.toml"}


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> Callable[[str], list[str]]:
    """Return what bash gets for a line of words up to the cursor."""

    def complete(words: str) -> list[str]:
        monkeypatch.setenv("_MSGAPI_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        with pytest.raises(SystemExit) as ended:
            app.program.main([], prog_name="msgapi")
        assert ended.value.code == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        return shown.out.split()

    return complete


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("msgapi webhooks ", ["list", "create", "delete", "test", "verify", "listen", "trigger"]),
        ("msgapi contacts consent ", ["list", "create"]),
        ("msgapi billing t", ["tier", "transactions", "top-up"]),
        ("msgapi webhooks trigger billing.", [name for name in EVENT_TYPES if name.startswith("billing.")]),
        ("msgapi webhooks create https://shop.example contact.c", ["contact.created"]),
        ("msgapi batch people.csv --changed s", ["skip", "send"]),
    ],
)
def test_names_of_commands_events_and_values_are_completed(
    complete: Callable[[str], list[str]], words: str, found: list[str]
) -> None:
    assert complete(words) == [f"plain,{name}" for name in found]


@pytest.mark.parametrize(
    "words",
    [
        "msgapi batch peo",
        "msgapi batch --resume peo",
        "msgapi batch people.csv --failed peo",
        "msgapi batch report peo",
        "msgapi fleet enqueue peo",
        "msgapi contacts import peo",
        "msgapi agents create --from peo",
        "msgapi webhooks verify peo",
    ],
)
def test_a_file_is_completed_by_the_shell(complete: Callable[[str], list[str]], words: str) -> None:
    assert complete(words) == ["file,peo"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_help_says_how_to_enable_it_in_each_shell(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert main(["--help"]) == 0
    assert f"_MSGAPI_COMPLETE={shell}_source msgapi" in capsys.readouterr().out
    monkeypatch.setattr("click.shell_completion.BashComplete._check_version", lambda *_: None)  # asks for a bash
    monkeypatch.setenv("_MSGAPI_COMPLETE", f"{shell}_source")
    with pytest.raises(SystemExit):
        app.program.main([], prog_name="msgapi")
    assert f"_MSGAPI_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_a_directory_is_completed_by_the_shell(complete: Callable[[str], list[str]]) -> None:
    assert complete("msgapi demo --keep di") == ["dir,di"]


@pytest.mark.parametrize("name", app.COMMANDS)
def test_each_parameter_that_is_a_file_has_the_type_of_a_path(name: str) -> None:
    for one in app.load(name).params:
        shown = one.metavar or (one.name or "").upper()
        if shown in FILES | {"DIRECTORY"}:
            assert isinstance(one.type, click.Path), (name, one.name)
            assert one.type.readable is False, "the command itself says why a file cannot be read"
