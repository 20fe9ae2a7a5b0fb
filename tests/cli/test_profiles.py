"""Profiles: the settings of the command in a file, their sources, and the commands that write them."""

import os
import stat
import subprocess
import sys
import tomllib
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import Client
from msgapi.cli import connection, main
from msgapi.cli.output import CliError
from msgapi.cli.profiles import Profile, read_profiles, write_private, write_profile
from msgapi.http import Request, Response
from msgapi.transports import Answer, httptools

Captured = pytest.CaptureFixture[str]
KEY = "sk_hidden_1"
SEND = ["send", "--to", "+4915112345678", "--traffic", "TRANSACTION", "--text", "Hi"]
BALANCE = b'{"free":1,"reserved":0,"total":1}'
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes of files are those of POSIX")


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file with the profiles, which does not exist yet; the environment has no key."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("MSGAPI_API_KEY", "MSGAPI_BASE_URL", "MSGAPI_CONFIG", "MSGAPI_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "msgapi" / "config.toml"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The requests that a command sends to the service, which answers each with a balance."""
    requests: list[Request] = []

    async def answer(request: Request, /) -> Answer:
        requests.append(request)
        return Response(200, {}, BALANCE)

    def client(**options: Any) -> Client:  # noqa: ANN401 - those of Client
        del options["proxy"]
        return Client(**options, transport=answer)

    monkeypatch.setattr(connection, "Client", client)
    without_httptools(monkeypatch)
    return requests


def without_httptools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the commands use the default transport, as without the extra `fast`."""
    monkeypatch.setattr(connection, "find_spec", lambda _: None)


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(exist_ok=True)
    _ = path.write_text(text)
    path.chmod(mode)


def stored(path: Path) -> dict[str, dict[str, Any]]:
    return {name: {**one.settings} for name, one in read_profiles(path).items()}


def put(path: Path, name: str, settings: dict[str, Any] | None) -> None:
    write_profile(path, name, None if settings is None else Profile(name=name, path=path, settings=settings))


def key_of(request: Request) -> str:
    return request.headers["Authorization"].removeprefix("Bearer ")


def python(program: str) -> str:
    """A key_command that runs *program*."""
    return f"key_command = ['{sys.executable}', '-c', '''{program}''']"


# Which values are used.


def test_the_default_profile_is_used_without_a_word(config: Path, sent: list[Request], capsys: Captured) -> None:
    write(config, f'[profiles.default]\napi_key = "{KEY}"\nbase_url = "https://a.example/x/v1"')
    assert main(["balance"]) == 0
    assert (key_of(sent[0]), sent[0].url) == (KEY, "https://a.example/x/v1/billing/balance")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_profile_that_is_named_is_used_and_said(
    config: Path, sent: list[Request], capsys: Captured, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    write(config, f'[profiles.default]\napi_key = "sk_other"\n[profiles.live]\napi_key = "{KEY}"\n')
    if by == "environment":
        monkeypatch.setenv("MSGAPI_PROFILE", "live")
    assert main(["balance", *(["--profile", "live"] if by == "option" else [])]) == 0
    assert key_of(sent[0]) == KEY
    assert capsys.readouterr().err == (
        "msgapi: profile live: API key of api_key of the profile live, base URL https://api.arowana.app (the default)\n"
    )


def test_the_environment_takes_precedence_and_it_is_said(
    config: Path, sent: list[Request], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config, '[profiles.live]\napi_key = "sk_file"\nbase_url = "https://a.example"\nproxy = "proxy.example"')
    monkeypatch.setenv("MSGAPI_API_KEY", KEY)
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://127.0.0.1:9")
    assert main(["balance", "--profile", "live", "--proxy", "none"]) == 0
    assert (key_of(sent[0]), sent[0].url) == (KEY, "http://127.0.0.1:9/v1/billing/balance")
    assert capsys.readouterr().err == (
        "msgapi: profile live: API key of MSGAPI_API_KEY, base URL http://127.0.0.1:9 (MSGAPI_BASE_URL), "
        "proxy of --proxy\n"
    )


def test_a_url_of_the_environment_in_place_of_that_of_the_default_profile_is_said(
    config: Path, sent: list[Request], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config, f'[profiles.default]\napi_key = "{KEY}"\nbase_url = "https://a.example"')
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://127.0.0.1:9")
    assert main(["balance"]) == 0
    assert key_of(sent[0]) == KEY
    assert "base URL http://127.0.0.1:9 (MSGAPI_BASE_URL)" in capsys.readouterr().err


def test_a_key_of_the_environment_is_not_sent_to_the_base_url_of_a_profile_that_was_not_named(
    config: Path, sent: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config, "this is not TOML")
    monkeypatch.setenv("MSGAPI_API_KEY", KEY)
    assert main(["balance"]) == 0
    assert sent[0].url == "https://api.arowana.app/v1/billing/balance"


def test_without_key_and_profile_the_message_names_both(config: Path, capsys: Captured) -> None:
    said = "msgapi: no API key: set MSGAPI_API_KEY, or run `msgapi configure`\n"
    assert main(["balance"]) == 4
    assert capsys.readouterr().err == said
    write(config, '[profiles.default]\nbase_url = "https://a.example"')
    assert main(["balance"]) == main(["fleet", "work", "--fleet-url", "redis://127.0.0.1:1"]) == 4
    assert capsys.readouterr().err == said * 2


def test_another_file_can_be_named(
    config: Path, sent: list[Request], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    other = config.with_name("other.toml")
    monkeypatch.setenv("MSGAPI_CONFIG", str(other))
    assert main(["balance"]) == 4
    assert capsys.readouterr().err == f"msgapi: MSGAPI_CONFIG names {other}, which does not exist\n"
    write(other, f'[profiles.default]\napi_key = "{KEY}"')
    assert main(["balance"]) == 0
    assert key_of(sent[0]) == KEY


def test_a_file_with_a_byte_order_mark_is_read_and_edited(config: Path, sent: list[Request]) -> None:
    write(config, f'\ufeff[profiles.default]\napi_key = "{KEY}"')
    assert main(["balance"]) == 0
    assert key_of(sent[0]) == KEY
    assert main(["configure", "--profile", "other", "--key-file", "key"]) == 0
    assert read_profiles(config).keys() == {"default", "other"}


def test_a_path_that_is_too_long_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Captured, config: Path) -> None:
    path = config.parent.parent / ("x" * 300) / "config.toml"
    monkeypatch.setenv("MSGAPI_CONFIG", str(path))
    assert main(["balance"]) == main(["configure", "--key-file", "key"]) == 4
    read, write = capsys.readouterr().err.splitlines()
    assert read.startswith(f"msgapi: cannot read {path}: ")
    assert write.startswith(f"msgapi: cannot write {path}: ")


def test_the_sender_of_the_profile_is_that_of_a_message_without_one(config: Path, capsys: Captured) -> None:
    write(
        config,
        f'[profiles.default]\n{python("raise SystemExit(1)")}\nagent = "ag_mine"\nbase_url = "https://a.example"',
    )
    assert main([*SEND, "--dry-run"]) == 0  # the key is not read
    shown = capsys.readouterr().out
    assert '"agent_id": "ag_mine"' in shown
    assert shown.startswith("POST https://a.example/v1/messages\n")
    assert main([*SEND, "--agent", "ag_other", "--dry-run"]) == 0
    assert '"agent_id": "ag_other"' in capsys.readouterr().out
    mail = ["send", "--to", "ann@shop.example", "--subject", "Hi", "--html", "Hi", "--dry-run"]
    assert main(mail) == 2
    assert "channel" in capsys.readouterr().err
    write(config, '[profiles.default]\nagent = "ag_mine"\nchannel = "ch_mine"')
    assert main(mail) == 0
    assert '"channel_id": "ch_mine"' in capsys.readouterr().out


def test_a_profile_is_not_read_for_a_sandbox(config: Path, capsys: Captured) -> None:
    write(config, "this is not TOML")
    assert main(["balance", "--sandbox"]) == 0
    assert capsys.readouterr().err == ""
    for option, value in (("--profile", "live"), ("--proxy", "none")):
        assert main(["balance", "--sandbox", option, value]) == 2
        assert capsys.readouterr().err == f"msgapi: {option} is for the service: leave it out with --sandbox\n"


# The key.


def test_the_key_is_the_first_line_that_a_command_prints(config: Path, sent: list[Request], capsys: Captured) -> None:
    write(config, f"[profiles.default]\n{python('print(chr(32) + chr(10).join([str(2), chr(51)]))')}")
    assert main(["balance"]) == 0
    assert key_of(sent[0]) == "2"
    write(config, f"[profiles.default]\nkey_command = \"echo {KEY} 'a b'\"")
    assert main(["balance"]) == 4  # not run by a shell, and the key would have a space
    write(config, '[profiles.default]\nkey_command = "echo $HOME;ls"')
    assert main(["balance"]) == 0
    assert key_of(sent[1]) == "$HOME;ls"
    assert KEY not in "".join(capsys.readouterr())


def test_a_command_for_the_key_is_run_once(tmp_path: Path, config: Path) -> None:
    count = tmp_path / "count"
    write(
        config,
        f"[profiles.default]\n{python(f'open({str(count)!r}, chr(97)).write(chr(120)); print(1)')}".replace(
            "'''", '"""'
        ),
    )
    with click.Context(click.Command("x")):
        assert connection.service_settings().read_key() == connection.service_settings().read_key() == "1"
    assert count.read_text() == "x"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("key_command = \"sh -c 'echo sk_hidden_1; echo no key >&2; exit 3'\"", "failed with status 3: no key"),
        ("key_command = \"sh -c 'exit 3'\"", "failed with status 3"),
        ('key_command = "no-such-command x"', "cannot be run: No such file or directory"),
        (r'key_command = "a\u0000b"', "cannot be run: its name has a NUL"),
        ('key_command = "echo \'sk_hidden_1"', "is not a command: a quotation mark is missing"),
        ('key_command = "echo"', "gives no API key: its first line is empty"),
        ("key_command = \"echo sk_hidden_1 'x\\ty'\"", "gives no API key: it has characters that no key has"),
        ('key_file = "none"', "cannot read {folder}/none: No such file or directory"),
        (r'key_file = "a\u0000b"', "its name has a NUL"),
        ('key_file = "~no-such-user-here/x"', "cannot read {folder}/~no-such-user-here/x: No such file or directory"),
        ('key_file = "empty"', "gives no API key: its first line is empty"),
        ('key_file = "bytes"', "gives no API key: it has characters that no key has"),
        ('api_key = "sk_hidden_1 x"', "gives no API key: it has characters that no key has"),
    ],
)
def test_a_key_that_cannot_be_had_is_one_line_without_the_key(
    config: Path, capsys: Captured, setting: str, said: str
) -> None:
    write(config, f"[profiles.default]\n{setting}\n")
    _ = config.with_name("empty").write_text("\nsk_hidden_1\n")
    _ = config.with_name("bytes").write_bytes(b"sk_hidden_1\xff\n")
    assert main(["balance"]) == 4
    shown = capsys.readouterr().err
    name = setting.partition(" ")[0]
    assert shown.startswith(f"msgapi: {name} of the profile default in {config}")
    assert shown.endswith(f"{said.format(folder=config.parent)}\n")
    assert shown.count("\n") == 1
    assert KEY not in shown


def test_a_command_that_does_not_end_is_ended(config: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **options: object) -> None:
        assert options["timeout"] == 60
        assert options["stdin"] == subprocess.DEVNULL
        raise subprocess.TimeoutExpired("pass", 60, KEY.encode())

    monkeypatch.setattr(subprocess, "run", run)
    write(config, '[profiles.default]\nkey_command = "pass show arowana"')
    assert main(["balance"]) == 4
    assert capsys.readouterr().err.endswith("did not end within 60 seconds\n")


def test_the_key_is_read_from_a_file(config: Path, sent: list[Request], tmp_path: Path) -> None:
    write(config, '[profiles.default]\nkey_file = "key"\n')
    _ = config.with_name("key").write_text(f"{KEY}\r\nmore\n")
    assert main(["balance"]) == 0
    _ = (tmp_path / "key2").write_text("sk_2")
    write(config, f'[profiles.default]\nkey_file = "{tmp_path / "key2"}"\n')
    assert main(["balance"]) == 0
    assert [key_of(one) for one in sent] == [KEY, "sk_2"]


# What is wrong in the file.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("profiles = 5", "{path}: each profile is a table [profiles.NAME]"),
        ("[profiles]\ndefault = 5", "{path}: each profile is a table [profiles.NAME]"),
        ("[default]\napi_key = 'sk_hidden_1'", "{path} has an unknown entry 'default': each profile is a table"),
        (
            "[profiles.default]\napi_key = sk_hidden_1",
            "{path} is not TOML (at line 2, column 11): fix it, or delete it",
        ),
        ("sk_hidden_1", "{path} is not TOML (at end of document)"),
        ("a = " + "[" * 20_000, "{path} is not TOML"),
        ("[profiles.default]\nkey_comand = 'x'", "has an unknown setting 'key_comand': did you mean key_command?"),
        ("[profiles.default]\nzzz = 'x'", "has an unknown setting 'zzz': the settings are api_key,"),
        ("[profiles.default]\napi_key = ''", "api_key of the profile default in {path} is empty: give it a value"),
        ("[profiles.default]\nkey_command = ' '", "key_command of the profile default in {path} is empty"),
        ("[profiles.default]\nkey_command = []", "must be a command such as"),
        ("[profiles.default]\nkey_command = ['a', 5]", "must be a command such as"),
        ("[profiles.default]\nagent = 5", "agent of the profile default in {path} must be text in quotes"),
        ("[profiles.default]\napi_key = 'a'\nkey_file = 'b'", "has api_key and key_file: keep one of them"),
        ("[profiles.default]\nbase_url = 'http://shop.example'", "the base URL must be https: the API key would be"),
        ("[profiles.default]\nbase_url = 'x'", "the base URL must be like https://api.arowana.app\n"),
        (
            "[profiles.default]\nproxy = 'socks5://u:hidden@x'",
            "must be an http proxy such as http://proxy.example:3128",
        ),
    ],
)
def test_a_file_that_is_wrong_is_one_line(config: Path, capsys: Captured, text: str, said: str) -> None:
    write(config, text)
    assert main(["balance"]) == 4
    shown = capsys.readouterr().err
    assert said.format(path=config) in shown
    assert shown.count("\n") == 1
    assert "hidden" not in shown


def test_a_file_that_is_not_utf_8_or_cannot_be_read_is_one_line(config: Path, capsys: Captured) -> None:
    write(config, "")
    _ = config.write_bytes(b"\xff")
    assert main(["balance"]) == 4
    assert capsys.readouterr().err == f"msgapi: {config} is not TOML: it is not UTF-8\n"
    config.unlink()
    config.mkdir()
    assert main(["balance"]) == 4
    assert capsys.readouterr().err == f"msgapi: cannot read {config}: Is a directory\n"


def test_a_path_through_a_file_has_no_profiles(config: Path, capsys: Captured) -> None:
    _ = config.parent.write_text("")
    assert main(["balance"]) == 4
    assert "no API key" in capsys.readouterr().err


def test_a_profile_that_is_not_there_says_which_are(config: Path, capsys: Captured) -> None:
    assert main(["balance", "--profile", "live"]) == 4
    said = f"msgapi: there is no profile 'live' in {config}: it has none; `msgapi configure --profile live` adds it\n"
    assert capsys.readouterr().err == said
    assert main(["balance", "--profile", ""]) == 4
    assert "there is no profile ''" in capsys.readouterr().err
    write(config, "[profiles.test]\n[profiles.default]\n")
    assert main(["balance", "--profile", "live"]) == 4
    assert "it has default, test" in capsys.readouterr().err


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_may_use_is_refused_with_the_command_to_run(
    config: Path, capsys: Captured, mode: int
) -> None:
    write(config, f'[profiles.default]\napi_key = "{KEY}"', mode)
    assert main(["balance"]) == 4
    assert capsys.readouterr().err == f"msgapi: {config} can be used by others: run `chmod 600 {config}`\n"


@pytest.mark.parametrize("given", ["socks5://u:hidden@x", "", "environment", "http://[", "https://u:hidden@x"])
def test_a_proxy_that_cannot_be_used_is_one_line_without_its_password(
    config: Path, capsys: Captured, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not config.exists()
    monkeypatch.setenv("MSGAPI_API_KEY", KEY)
    assert main(["balance", "--proxy", given]) == 4
    shown = capsys.readouterr().err
    assert shown == "msgapi: the proxy of --proxy must be an http proxy such as http://proxy.example:3128, or none\n"


@pytest.mark.parametrize("installed", [True, False])
def test_a_proxy_of_the_environment_that_cannot_be_used_is_status_4_with_and_without_httptools(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, *, installed: bool
) -> None:
    del config
    monkeypatch.setenv("MSGAPI_API_KEY", KEY)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example")
    if not installed:
        without_httptools(monkeypatch)
    assert main(["balance"]) == 4
    assert "HTTPS_PROXY names a proxy of the kind socks5" in capsys.readouterr().err


def test_a_command_sends_over_httptools_if_it_is_installed_with_the_same_proxy(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    def client(**options: Any) -> Client:  # noqa: ANN401 - those of Client
        del options["api_key"]
        given.append(options)
        raise CliError("enough")

    def open_transport(**options: object) -> dict[str, object]:
        return options

    monkeypatch.setattr(connection, "Client", client)
    monkeypatch.setattr(httptools, "open", open_transport)
    write(config, f'[profiles.default]\napi_key = "{KEY}"\nproxy = "http://a.example"')
    assert main(["balance"]) == 2
    without_httptools(monkeypatch)
    assert main(["balance"]) == 2
    fast, default = given
    assert fast["transport"]["max_connections"] == 10_000
    assert fast["transport"]["timeout"] == default["timeout"]
    assert str(fast["transport"]["proxy"]) == str(default["proxy"]) == "http://a.example:80"
    assert "transport" not in default


def test_the_proxy_is_that_of_the_option_else_of_the_profile(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[object] = []

    def client(**given: Any) -> Client:  # noqa: ANN401 - those of Client
        if "transport" in given:  # to a sandbox
            return Client(**given)
        options.append(given["proxy"])
        raise CliError("enough")

    monkeypatch.setattr(connection, "Client", client)
    without_httptools(monkeypatch)
    write(config, f'[profiles.default]\napi_key = "{KEY}"\nproxy = "http://u:hidden@a.example"')
    for arguments in ([], ["--proxy", "b.example:3128"], ["--proxy", "none"]):
        assert main(["balance", *arguments]) == 2
    monkeypatch.setenv("MSGAPI_PROXY", "http://u:hidden@c.example")
    assert main(["balance"]) == 2
    assert main(["balance", "--sandbox"]) == 0
    monkeypatch.delenv("MSGAPI_PROXY")
    write(config, f'[profiles.default]\napi_key = "{KEY}"\n')
    assert main(["balance"]) == 2
    assert [str(one) for one in options] == [
        "http://a.example:80",
        "http://b.example:3128",
        "None",
        "http://c.example:80",
        "environment",
    ]
    assert "hidden" not in repr(options)


def test_the_proxy_of_a_profile_is_not_used_for_this_machine(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(config, '[profiles.default]\nproxy = "http://a.example"')
    assert str(connection.service_settings().proxy) == "http://a.example:80"
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://127.0.0.1:8025")
    found = connection.service_settings()
    assert found.proxy is None
    assert found.proxy_source == "the profile default has one, which is not used for this machine"


def test_the_names_of_profiles_are_completed(config: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    write(config, "[profiles.live]\n[profiles.test]\n")
    monkeypatch.setenv("_MSGAPI_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "msgapi balance --profile l")
    monkeypatch.setenv("COMP_CWORD", "3")
    for text, expected in [("", "plain,live\n"), ("x", "\n")]:
        _ = config.write_text(config.read_text() + text)
        with pytest.raises(SystemExit):
            _ = main(["balance"])
        assert capsys.readouterr() == (expected, "")


def test_the_settings_do_not_show_the_key(config: Path) -> None:
    write(config, f'[profiles.default]\napi_key = "{KEY}"\nproxy = "http://u:{KEY}@a.example"')
    found = connection.service_settings()
    assert found.read_key() == KEY
    assert KEY not in repr(found) + repr(found.profile)


# Writing.


def answers(monkeypatch: pytest.MonkeyPatch, *lines: str) -> list[dict[str, object]]:
    """Answer the questions of `msgapi configure` in a terminal, and return what it asked."""
    asked: list[dict[str, object]] = []
    left = iter(lines)

    def prompt(text: str, **options: object) -> object:
        asked.append({"text": text, **options})
        answer = next(left)
        return answer or options["default"]

    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    return asked


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(data), encoding="utf-8"))


def test_configure_asks_in_a_terminal_and_does_not_show_the_key(
    config: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(monkeypatch, KEY, "", "ag_mine", "")
    assert main(["configure"]) == 0
    assert (asked[0]["text"], asked[0]["hide_input"]) == ("API key (not shown)", True)
    assert asked[1]["default"] == "https://api.arowana.app"
    assert stored(config) == {"default": {"api_key": KEY, "agent": "ag_mine"}}
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    shown = capsys.readouterr().err
    assert shown == f"msgapi: the profile default is in {config}; check it with `msgapi doctor`\n"
    asked = answers(monkeypatch, "", "https://b.example", "", "ch_mine")
    assert main(["configure"]) == 0
    assert asked[0]["text"] == "API key (not shown; Enter keeps the one before)"
    expected = {"api_key": KEY, "agent": "ag_mine", "base_url": "https://b.example", "channel": "ch_mine"}
    assert stored(config) == {"default": expected}


def test_configure_reads_the_key_from_a_pipe(config: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, f" {KEY}\r\nmore\n".encode())
    options = ["--base-url", "https://b.example", "--proxy", "proxy.example", "--agent", "ag_1", "--channel", "ch_1"]
    assert main(["configure", "--profile", "live", *options]) == 0
    expected = {"base_url": "https://b.example", "proxy": "proxy.example", "agent": "ag_1", "channel": "ch_1"}
    assert stored(config) == {"live": {**expected, "api_key": KEY}}
    assert capsys.readouterr().err.endswith("check it with `msgapi doctor --profile live`\n")
    pipe(monkeypatch, b"")
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_other")
    assert main(["configure", "--profile", "live", "--key-command", "pass show x", "--agent", ""]) == 0
    kept = {name: value for name, value in expected.items() if name != "agent"}
    assert stored(config) == {"live": {**kept, "key_command": "pass show x"}}
    assert capsys.readouterr().err.endswith(
        "msgapi: MSGAPI_API_KEY is set here, and takes precedence over the key of the profile\n"
    )


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (b"", [], "no API key was given: type it, pipe it to this command, or use --key-command or --key-file"),
        (b"\nsk_hidden_1", [], "no API key was given"),
        (b"sk_hidden_1 x", [], "this is no API key: it has characters that no key has, such as a space"),
        (b"sk_hidden_1\xff", [], "standard input is not text: its first line must be the API key"),
        (b"sk_hidden_1", ["--base-url", "http://shop.example"], "the base URL must be https"),
        (b"sk_hidden_1", ["--proxy", "ftp://hidden@x"], "must be an http proxy"),
    ],
)
def test_what_cannot_be_used_is_not_written(  # noqa: PLR0917 - three fixtures
    config: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    data: bytes,
    options: list[str],
    said: str,
) -> None:
    pipe(monkeypatch, data)
    assert main(["configure", *options]) == 4
    shown = capsys.readouterr().err
    assert said in shown
    assert "hidden" not in shown
    assert not config.exists()


def test_options_that_do_not_fit_are_one_line(config: Path, capsys: Captured) -> None:
    assert main(["configure", "--key-command", "a", "--key-file", "b"]) == 2
    assert main(["configure", "--profile", "a b"]) == 2
    said = capsys.readouterr().err
    assert "--key-command and --key-file both give the key: use one of them" in said
    assert "the name of a profile has up to 64 of A-Z a-z 0-9 . _ - and not 'a b'" in said
    assert not config.exists()


def test_profiles_are_listed_shown_and_removed_without_their_keys(config: Path, capsys: Captured) -> None:
    assert main(["profiles", "list"]) == 0
    assert capsys.readouterr().out == f"no profiles in {config}: `msgapi configure` adds one\n"
    write(
        config,
        f'[profiles.default]\napi_key = "{KEY}"\nproxy = "http://u:{KEY}@a.example"\n'
        f'[profiles.live]\nkey_command = ["echo", "{KEY}"]\nagent = "ag_1"\n[profiles.bare]\nproxy = "none"\n',
    )
    assert main(["profiles", "list"]) == 0
    shown = capsys.readouterr()
    rows = [line.split() for line in shown.out.splitlines()]
    assert ["default", "api_key", "https://api.arowana.app", "http://a.example:80"] in rows
    assert ["live", "key_command", "https://api.arowana.app", "ag_1"] in rows
    assert ["bare", "none", "https://api.arowana.app", "none"] in rows
    assert main(["profiles", "list", "--json"]) == 0
    listed = capsys.readouterr().out
    assert orjson.loads(listed) == {
        "file": str(config),
        "profiles": {
            "default": {"api_key": "***", "proxy": "http://a.example:80"},
            "live": {"key_command": "***", "agent": "ag_1"},
            "bare": {"proxy": "none"},
        },
    }
    assert main(["profiles", "get", "live"]) == 0
    assert capsys.readouterr().out == "key_command ***\nagent       ag_1\n"
    assert main(["profiles", "get", "--json"]) == 0
    one = capsys.readouterr().out
    assert orjson.loads(one)["api_key"] == "***"
    assert KEY not in "".join([*shown, listed, one])
    assert main(["profiles", "delete", "live"]) == 0
    assert capsys.readouterr().err == f"msgapi: the profile live was deleted from {config}\n"
    assert [*stored(config)] == ["default", "bare"]
    assert main(["profiles", "delete", "live"]) == main(["profiles", "get", "live"]) == 4
    assert f"there is no profile 'live' in {config}" in capsys.readouterr().err


def test_the_other_profiles_keep_their_comments(config: Path) -> None:
    write(
        config,
        '# mine\n[profiles.a]\nagent = "x"  # the shop\n\n[ profiles . "b" ] # old\nagent = "y"\n'
        '[profiles.c]\nagent = "z"',
    )
    put(config, "b", {"agent": "new"})
    expected = (
        '# mine\n[profiles.a]\nagent = "x"  # the shop\n\n[profiles.b]\nagent = "new"\n\n[profiles.c]\nagent = "z"'
    )
    assert config.read_text() == expected
    put(config, "d.e", {"agent": 'q"\\\n\x7f'})
    assert config.read_text() == f'{expected}\n\n[profiles."d.e"]\nagent = "q\\"\\\\\\u000A\\u007F"\n'
    put(config, "a", {"key_command": ["pass", "show x"]})
    assert 'key_command = ["pass", "show x"]\n\n[profiles.b]' in config.read_text()
    put(config, "c", None)
    assert [*stored(config)] == ["a", "b", "d.e"]


@pytest.mark.parametrize(
    "text",
    [
        'profiles = {b = {agent = "x"}, a = {agent = "y"}}',
        'profiles.b.agent = "x"\nprofiles.a.agent = "y"',
        '[profiles]\nb = {agent = "x"}\na.agent = "y"',
        '[profiles.b]\nkey_command = [\n"a",\n"b",\n]\n[profiles.a]\nagent = "y"',
        '[profiles.b]\nagent = """\n[profiles.b]\n[c]\n"""\n[profiles.a]\nagent = "y"',
    ],
)
def test_tables_in_other_forms_are_written_anew(config: Path, text: str) -> None:
    write(config, text)
    before = stored(config)
    put(config, "b", {"agent": "new"})
    assert stored(config) == {**before, "b": {"agent": "new"}}


def test_a_profile_that_is_wrong_is_kept_or_named(config: Path) -> None:
    write(config, "[profiles.a]\nagent = 5\n")
    put(config, "b", {"agent": "x"})
    assert stored(config) == {"a": {"agent": 5}, "b": {"agent": "x"}}
    write(config, "profiles = {a = {agent = 5}}")
    with pytest.raises(CliError, match=r"agent of the profile a in .* must be text in quotes"):
        put(config, "b", {"agent": "x"})
    assert config.read_text() == "profiles = {a = {agent = 5}}"


VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.lists(st.text("a'\"\\ ", max_size=3), max_size=2)
)
NAMES = st.text("ab._-9", min_size=1, max_size=3)


@settings(max_examples=100)
@given(
    profiles=st.dictionaries(
        NAMES, st.dictionaries(st.sampled_from(["agent", "x y", "é"]), VALUES, max_size=2), max_size=3
    ),
    name=NAMES,
    new=st.none() | st.dictionaries(st.sampled_from(["agent", "channel"]), VALUES, max_size=2),
)
def test_what_is_written_is_read_again(
    profiles: dict[str, dict[str, Any]], name: str, new: dict[str, Any] | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("config") / "config.toml"
    for one, given_settings in profiles.items():
        put(path, one, given_settings)
    assert not profiles or tomllib.loads(path.read_text())["profiles"] == profiles
    put(path, name, new)
    expected = {key: value for key, value in profiles.items() if key != name}
    assert stored(path) == (expected if new is None else {**expected, name: new})


def test_a_link_to_the_file_stays_a_link(config: Path, tmp_path: Path) -> None:
    write(tmp_path / "real.toml", "")
    config.parent.mkdir()
    config.symlink_to(tmp_path / "real.toml")
    put(config, "a", {"agent": "x"})
    assert config.is_symlink()
    assert (tmp_path / "real.toml").read_text() == '[profiles.a]\nagent = "x"\n'


def test_a_file_that_cannot_be_written_is_one_line_and_leaves_nothing(
    config: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = (tmp_path / "file").write_text("")
    assert f"{write_private(tmp_path / 'file' / 'config.toml', b'x')}".startswith("cannot write ")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    pipe(monkeypatch, KEY.encode())
    assert main(["configure"]) == 4
    assert capsys.readouterr().err == f"msgapi: cannot write {config}: No space left on device\n"
    assert [*config.parent.iterdir()] == []


def test_without_the_extra_it_says_what_to_install(
    config: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not config.exists()
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    assert main(["balance"]) == 4
    assert capsys.readouterr().err == "msgapi: profiles need an extra: pip install 'msgapi-sdk[cli]'\n"
