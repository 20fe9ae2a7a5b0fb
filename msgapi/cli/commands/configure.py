"""The commands `msgapi configure` and `msgapi profiles list`, `get` and `delete`."""

import os
import sys
from pathlib import Path
from typing import Final

import click
from attrs import evolve

from ...client import BASE_URL
from ...config import key_problem
from ..options import json_option
from ..output import CliError, Exit, TextTable, emit, emit_json, note, table_of
from ..profiles import (
    DEFAULT,
    KEY_SETTINGS,
    Profile,
    check_name,
    config_path,
    exists,
    find_profile,
    parse_proxy,
    read_profiles,
    write_profile,
    wrong_setting,
)

_ASKED: Final = (
    ("base_url", "Base URL", BASE_URL),
    ("agent", "Agent of RCS messages, such as ag_live_demo", ""),
    ("channel", "Channel of emails, such as ch_demo", ""),
)
_LONGEST_KEY: Final = 4096  # characters


@click.command
@click.option(
    "--profile",
    "name",
    default=DEFAULT,
    show_default=True,
    metavar="NAME",
    help="The profile to write; the others are left as they are.",
)
@click.option(
    "--key-command",
    metavar="COMMAND",
    help="Get the key from the first line that this command prints, such as 'pass show arowana'; no shell is used.",
)
@click.option(
    "--key-file", type=click.Path(readable=False), metavar="FILE", help="Read the key from the first line of this file."
)
@click.option("--base-url", metavar="URL", help=f"The base URL (default: {BASE_URL}).")
@click.option("--proxy", envvar="MSGAPI_PROXY", metavar="URL", help="The http proxy, or none; or set MSGAPI_PROXY.")
@click.option("--agent", metavar="ID", help="The agent of `msgapi send` to a phone number without --agent.")
@click.option("--channel", metavar="ID", help="The channel of `msgapi send` to an email address without --channel.")
def configure(*, name: str, **given: str | None) -> int:
    """Store the API key and other settings in a profile.

    Asks for the key, which is not shown, and for the settings that no option gives. If standard input is not a
    terminal, its first line is the key:

    \b
      pass show arowana | msgapi configure --profile live
      msgapi configure --key-command 'pass show arowana'

    An option with empty text removes the setting. The profile `default` is used by every command that is not given
    another one with --profile or MSGAPI_PROFILE. The environment variables MSGAPI_API_KEY and MSGAPI_BASE_URL take
    precedence over a profile. The file can be read by its owner only; MSGAPI_CONFIG can name another one.
    """  # noqa: D301 - \b is click's own
    check_name(name)
    path = config_path()
    profile = read_profiles(path).get(name) if exists(path) else None
    if profile is None:
        profile = Profile(name=name, path=path, settings={})
    options = {setting: value for setting, value in given.items() if value is not None}
    if options.get("key_command") and options.get("key_file"):
        raise CliError("--key-command and --key-file both give the key: use one of them")
    profile = _merge(profile, options)
    interactive = sys.stdin.isatty()
    if not any(options.get(one) for one in KEY_SETTINGS):
        profile = _ask_key(profile) if interactive else _read_key(profile)
    if interactive:
        asked = [one for one in _ASKED if one[0] not in options]
        answers = {setting: _ask(text, profile.settings.get(setting, usual)) for setting, text, usual in asked}
        profile = _merge(profile, answers)
    profile.check()
    write_profile(path, name, profile)
    option = "" if name == DEFAULT else f" --profile {name}"
    note(f"the profile {name} is in {path}; check it with `msgapi doctor{option}`")
    if os.environ.get("MSGAPI_API_KEY"):
        note("MSGAPI_API_KEY is set here, and takes precedence over the key of the profile")
    return Exit.ACCEPTED


def _merge(profile: Profile, given: dict[str, str]) -> Profile:
    # A new way to get the key replaces the earlier one. A key is in no frame that raises.
    dropped = {*given, *(KEY_SETTINGS if any(given.get(one) for one in KEY_SETTINGS) else ())}
    settings = {name: value for name, value in profile.settings.items() if name not in dropped}
    settings |= {name: value.strip() for name, value in given.items() if value.strip()}
    if settings.get("base_url") == BASE_URL:
        del settings["base_url"]
    return evolve(profile, settings=settings)


def _ask_key(profile: Profile) -> Profile:
    before = profile.key_setting is not None
    text = "API key (not shown; Enter keeps the one before)" if before else "API key (not shown)"
    key: str = click.prompt(text, default="", hide_input=True, show_default=False, err=True)
    if before and not key.strip():
        return profile
    lines = [key]
    del key
    return _with_key(profile, lines)


def _read_key(profile: Profile) -> Profile:
    try:
        return _with_key(profile, [sys.stdin.readline(_LONGEST_KEY)])
    except UnicodeDecodeError:
        raise wrong_setting("standard input is not text: its first line must be the API key") from None


def _with_key(profile: Profile, lines: list[str]) -> Profile:
    # The key is taken out of the list, so that it is in no frame when this raises.
    key = lines.pop().strip()
    given, right = bool(key), key_problem(key) is None
    if right:
        return _merge(profile, {"api_key": key})
    del key
    if given:
        raise wrong_setting("this is no API key: it has characters that no key has, such as a space")
    raise wrong_setting("no API key was given: type it, pipe it to this command, or use --key-command or --key-file")


def _ask(text: str, value: str) -> str:
    answer: str = click.prompt(text, default=value, show_default=bool(value), err=True)
    return answer


@click.command("list")
@json_option
def list_profiles(*, json: bool) -> int:
    """List the profiles, without their keys."""
    path = config_path()
    profiles = [*read_profiles(path).values()]
    for one in profiles:
        one.check()
    if json:
        emit_json({"file": str(path), "profiles": {one.name: _shown(one) for one in profiles}})
        return Exit.ACCEPTED
    emit(_table(profiles, path) if profiles else f"no profiles in {path}: `msgapi configure` adds one")
    return Exit.ACCEPTED


@click.command("get")
@click.argument("name", default=DEFAULT)
@json_option
def get_profile(*, name: str, json: bool) -> int:
    """Show the settings of a profile, without its key."""
    profile = find_profile(name)
    shown = {} if profile is None else _shown(profile)  # a profile that is named exists
    if json:
        emit_json(shown)
    else:
        emit("\n".join(f"{setting:12}{value}" for setting, value in shown.items()))
    return Exit.ACCEPTED


@click.command("delete")
@click.argument("name")
def delete_profile(*, name: str) -> int:
    """Delete a profile with its key."""
    path = config_path()
    if name not in read_profiles(path):
        raise wrong_setting(f"there is no profile {name!r} in {path}")
    write_profile(path, name, None)
    note(f"the profile {name} was deleted from {path}")
    return Exit.ACCEPTED


def _table(profiles: list[Profile], path: Path) -> TextTable:
    note(f"the profiles are in {path}")
    table = table_of("profile", "key", "base URL", "proxy", "agent", "channel")
    for one in profiles:
        shown = _shown(one)
        cells = [shown.get(name, "") for name in ("proxy", "agent", "channel")]
        table.add_row(one.name, one.key_setting or "none", shown.get("base_url", BASE_URL), *cells)
    return table


def _shown(profile: Profile) -> dict[str, str]:
    # A command may contain a secret, too, and the URL of a proxy a password.
    shown = {name: value if isinstance(value, str) else "***" for name, value in profile.settings.items()}
    for name in {"api_key", "key_command"} & shown.keys():
        shown[name] = "***"
    if profile.proxy is not None:
        proxy, _ = parse_proxy(profile.proxy, profile.name)
        shown["proxy"] = "none" if proxy is None else f"{proxy}"
    return shown
