"""Every option of the command line that takes a secret can be given in the environment, where `ps` does not show it."""

import re
from collections.abc import Iterator

import click
import pytest

from msgapi.cli import app, main

SECRET = re.compile(r"secret|token|password|passphrase|credential|auth|api.?key|url$|dsn|proxy")
"""The names of options that take a secret; an address may hold a password."""
PUBLIC = {"--base-url", "--logo-url", "--banner-url", "--privacy-policy-url", "--terms-of-service-url"}
"""The options that take an address which is no secret; a base URL with a password is refused."""


def options() -> Iterator[tuple[str, click.Option]]:
    for name in app.COMMANDS:
        for one in app.load(name).params:
            if isinstance(one, click.Option):
                yield name, one


def test_each_secret_option_has_an_environment_variable_that_its_help_names() -> None:
    found = {
        (command, one.opts[0]): one
        for command, one in options()
        if SECRET.search(one.opts[0]) and one.opts[0] not in PUBLIC
    }
    assert {place for place in found if place[1] != "--proxy"} == {
        ("webhooks create", "--secret"),
        ("webhooks verify", "--secret"),
        ("webhooks listen", "--secret"),
        ("webhooks listen", "--forward-secret"),
        ("webhooks trigger", "--secret"),
        ("fleet enqueue", "--fleet-url"),
        ("fleet work", "--fleet-url"),
        ("fleet report", "--fleet-url"),
    }
    for place, one in found.items():
        assert isinstance(one.envvar, str), place
        assert one.envvar.startswith("MSGAPI_"), place
        assert one.envvar in (one.help or ""), place
        assert not one.show_default, place
        assert not one.prompt, place


def test_there_is_no_option_for_the_api_key() -> None:
    names = {name for _, one in options() for name in one.opts}
    assert len(names) > 40
    assert not {"--key", "--api-key"} & names


@pytest.mark.parametrize("name", list(app.COMMANDS))
def test_the_help_of_a_command_shows_no_value_of_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in ("MSGAPI_API_KEY", "MSGAPI_WEBHOOK_SECRET", "MSGAPI_FORWARD_SECRET", "MSGAPI_FLEET_URL"):
        monkeypatch.setenv(variable, "redis://:hunter2@host")
    assert main([*name.split(), "--help"]) == 0
    assert "hunter2" not in capsys.readouterr().out
