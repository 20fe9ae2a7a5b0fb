"""The commands about contacts and their consent."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from msgapi.cli import main

Captured = pytest.CaptureFixture[str]
Show = Callable[..., str]
pytestmark = pytest.mark.usefixtures("no_settings")


@pytest.mark.parametrize(
    "command",
    [
        "contacts get c_1",
        "contacts create --email a@b.example",
        "contacts update c_1 --status BLOCKED",
        "contacts delete c_1 --yes",
        "contacts consent list c_1",
        "contacts consent create c_1 --channel-type EMAIL --message-type NEWSLETTER --source form",
    ],
)
def test_without_a_key_and_for_an_unknown_id_each_command_says_so(command: str, run: Show, capsys: Captured) -> None:
    assert main(command.split()) == 4
    assert "MSGAPI_API_KEY" in capsys.readouterr().err
    if "c_1" in command:
        assert "NotFound not_found: There is no such contact." in run(*command.split(), status=1)
        assert orjson.loads(run(*command.split(), "--json", status=1))["code"] == "not_found"


def test_a_contact_is_created_shown_changed_and_deleted(run: Show, tmp_path: Path) -> None:
    options = ["--email", "ann@b.example", "--first-name", "Ann", "--tag", "a", "--tag", "b", "--field", "size=L"]
    made = run("contacts", "create", *options)
    name = made.split()[0]
    assert made == f"{name} is active\n"
    shown = run("contacts", "get", name)
    assert "tags           a, b\n" in shown
    assert "custom_fields\n  size  L\n" in shown
    assert "source         MANUAL\n" in shown
    assert run("contacts", "update", name, "--tag", "c", "--status", "blocked") == f"updated {name}\n"
    found = orjson.loads(run("contacts", "get", name, "--json"))
    assert (found["tags"], found["status"], found["first_name"]) == (["c"], "BLOCKED", "Ann")
    path = tmp_path / "contact.json"
    _ = path.write_bytes(b'{"custom_fields":{"points":7},"tags":["d"]}')
    assert run("contacts", "update", name, "--from", str(path), "--no-tags") == f"updated {name}\n"
    found = orjson.loads(run("contacts", "get", name, "--json"))
    assert (found["tags"], found["custom_fields"]) == ([], {"size": "L", "points": 7})
    assert run("contacts", "delete", name, "--yes") == f"deleted {name}\n"
    assert "NotFound" in run("contacts", "get", name, status=1)


def test_a_contact_is_created_from_a_file(run: Show, tmp_path: Path) -> None:
    path = tmp_path / "contact.json"
    _ = path.write_bytes(b'{"email":"a@b.example","source":"API","tags":["x"]}')
    found = orjson.loads(run("contacts", "create", "--from", str(path), "--phone", "+4915112345678", "--json"))
    assert (found["source"], found["phone"], found["tags"]) == ("API", "+4915112345678", ["x"])
    _ = path.write_bytes(b'{"email":"a@b.example"}')
    assert "source missing: give --source" in run("contacts", "create", "--from", str(path), status=2)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("create", "must have an email or a phone"),
        ("create --email none", "email must be one e-mail address"),
        ("create --email a@b.example --field size", "--field takes NAME=VALUE, not 'size'"),
        ("update c_1", "must change something"),
        ("update c_1 --tag a --no-tags", "--tag and --no-tags cannot be used together"),
        ("update c_1 --status gone", "is not one of"),
        ("consent create c_1 --channel-type EMAIL --message-type NEWSLETTER", "Missing option '--source'"),
        ("list", "No such command 'list'"),
    ],
)
def test_what_is_not_valid_is_one_line(command: str, said: str, run: Show) -> None:
    printed = run("contacts", *command.split(), status=2)
    assert said in printed
    assert len(printed.splitlines()) == 1


def test_a_contact_is_deleted_after_a_confirmation_only(run: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    name = run("contacts", "create", "--email", "ann@b.example").split()[0]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    assert "add --yes" in run("contacts", "delete", name, status=2)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "no")
    assert "cancelled: nothing was sent" in run("contacts", "delete", name, status=130)
    assert run("contacts", "get", name).startswith("id ")


def test_consent_is_recorded_and_listed(run: Show) -> None:
    name = run("contacts", "create", "--email", "ann@b.example").split()[0]
    assert run("contacts", "consent", "list", name) == "no consent records\n"
    options = ["--channel-type", "email", "--message-type", "newsletter", "--source", "web form"]
    assert run("contacts", "consent", "create", name, *options).endswith(" is granted\n")
    pending = run("contacts", "consent", "create", name, *options, "--enforced-doi", "--doi-channel", "EMAIL", "--json")
    assert orjson.loads(pending)["status"] == "PENDING"
    shown = run("contacts", "consent", "list", name)
    assert "GRANTED" in shown
    assert "web form" in shown
    assert len(orjson.loads(run("contacts", "consent", "list", name, "--json"))["consent_records"]) == 2
    assert "consent_records\n  id " in run("contacts", "get", name)
