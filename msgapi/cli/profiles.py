"""Profiles: named settings of the command in a file, `~/.config/msgapi/config.toml`. The library does not read them.

    [profiles.default]
    key_command = "pass show arowana"
    base_url = "https://api.arowana.app"

Rules:
- The file contains keys, or commands that are run: it is written for its owner only, and refused if others may use it.
- A key is in no repr and no error. The output of a command that gives it is never shown, only what it says on standard
  error if it fails.
- Everything wrong in the file is one line, which names the file and the setting, and does not quote a value.
"""

import os
import re
import shlex
import stat
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, final

from attrs import field, frozen

from ..config import Misconfigured, check_url, key_problem
from ..transports.common.opening import Proxy, parse_setting
from .output import CliError, Exit, cannot_write

DEFAULT: Final = "default"
"""The profile that is used if none is named."""
KEY_SETTINGS: Final = ("api_key", "key_command", "key_file")
SETTINGS: Final = (*KEY_SETTINGS, "base_url", "proxy", "agent", "channel")
NO_PROXY: Final = "none"
"""The value of `proxy` and --proxy for no proxy."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLACE: Final = re.compile(r"\(at [a-z0-9, ]+\)")
_COMMAND_TIMEOUT: Final = 60.0  # seconds; a password manager may ask for its own password
_LONGEST_KEY_FILE: Final = 65_536  # bytes
_LONGEST_MESSAGE: Final = 500  # characters of what a command says on standard error
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_ESCAPES: Final = {ord('"'): '\\"', ord("\\"): "\\\\", **{code: f"\\u{code:04X}" for code in (*range(32), 127)}}


def wrong_setting(text: str) -> CliError:
    """Return the error for a configuration that cannot be used."""
    return CliError(text, Exit.CONFIGURATION)


@final
@frozen(kw_only=True)
class Profile:
    """The settings of one profile, and the file that has them."""

    name: str
    path: Path
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def base_url(self) -> str | None:
        """The base URL, if it has one."""
        return self.settings.get("base_url")

    @property
    def proxy(self) -> str | None:
        """The URL of the proxy or `none`, if it has one; it may contain a password."""
        return self.settings.get("proxy")

    @property
    def key_setting(self) -> str | None:
        """The name of the setting that gives the key: `api_key`, `key_command` or `key_file`; None without one."""
        return next((name for name in KEY_SETTINGS if name in self.settings), None)

    def read_key(self) -> str | None:
        """Return the key, which may run a command; None if the profile has none. Raise CliError if it cannot be had."""
        name = self.key_setting
        if name is None:
            return None
        if name == "key_command":
            key = _run(self._named(name), self.settings[name])
        elif name == "key_file":
            key = _first_line(self._named(name), _read_key_file(self._named(name), self._key_path()))
        else:
            key = self.settings[name]
        if key_problem(key) is not None:
            raise wrong_setting(f"{self._named(name)} gives no API key: it has characters that no key has")
        return key

    def _key_path(self) -> Path:
        return self.path.parent / _expand(self.settings["key_file"])

    def _named(self, setting: str) -> str:
        return f"{setting} of the profile {self.name} in {self.path}"

    def check(self) -> None:
        """Raise CliError unless the settings can be used. The key is not read."""
        where = f"the profile {self.name} in {self.path}"
        for name, value in self.settings.items():
            self._check_setting(name, value)
        given = [name for name in KEY_SETTINGS if name in self.settings]
        if len(given) > 1:
            raise wrong_setting(f"{where} has {' and '.join(given)}: keep one of them")
        if self.base_url is not None:
            try:
                _ = check_url(self.base_url)
            except Misconfigured as error:
                reason = str(error).replace(" (check MSGAPI_BASE_URL)", "")
                raise wrong_setting(f"base_url of {where}: {reason}") from None
        if self.proxy is not None:
            _ = parse_proxy(self.proxy, where)

    def _check_setting(self, name: str, value: object) -> None:
        if name not in SETTINGS:
            near = get_close_matches(name, SETTINGS, 1)
            hint = f"did you mean {near[0]}?" if near else f"the settings are {', '.join(SETTINGS)}"
            where = f"the profile {self.name} in {self.path}"
            raise wrong_setting(f"{where} has an unknown setting {name!r}: {hint}")
        if name == "key_command" and isinstance(value, list):
            if not value or not all(isinstance(one, str) and one for one in value):
                raise wrong_setting(f'{self._named(name)} must be a command such as "pass show arowana"')
        elif not isinstance(value, str):
            raise wrong_setting(f"{self._named(name)} must be text in quotes")
        elif not value.strip():
            raise wrong_setting(f"{self._named(name)} is empty: give it a value, or remove it")


def config_path() -> Path:
    """Return the path of the file with the profiles: that in `MSGAPI_CONFIG`, else the usual one of the platform."""
    given = os.environ.get("MSGAPI_CONFIG")
    if given:
        return _expand(given).absolute()
    try:
        from platformdirs import user_config_path
    except ModuleNotFoundError:
        raise wrong_setting("profiles need an extra: pip install 'msgapi-sdk[cli]'") from None
    return user_config_path("msgapi", appauthor=False) / "config.toml"


def _expand(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)


def find_profile(name: str | None) -> Profile | None:
    """Return the profile *name*, or the default one if it is None; None if there is no default one.

    Raise CliError if the file or the profile cannot be used, or if there is no profile *name*.
    """
    path = config_path()
    profiles = read_profiles(path)
    wanted = DEFAULT if name is None else name
    if wanted not in profiles:
        if name is None:
            return None
        known = f"it has {', '.join(sorted(profiles))}" if profiles else "it has none"
        add = f"`msgapi configure --profile {shlex.quote(name)}` adds it"
        raise wrong_setting(f"there is no profile {name!r} in {path}: {known}; {add}")
    profile = Profile(name=wanted, path=path, settings=profiles[wanted])
    profile.check()
    return profile


def read_profiles(path: Path) -> dict[str, dict[str, Any]]:
    """Return the settings of each profile in the file at *path*; empty if there is no such file.

    Raise CliError if the file cannot be read, if others may use it, or if it is not as expected.
    """
    try:
        with path.open("rb") as file:
            check_private(path, os.fstat(file.fileno()).st_mode)
            text = file.read().decode()
    except FileNotFoundError:
        if os.environ.get("MSGAPI_CONFIG"):
            raise wrong_setting(f"MSGAPI_CONFIG names {path}, which does not exist") from None
        return {}
    except NotADirectoryError:
        return {}
    except OSError as error:
        raise wrong_setting(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise wrong_setting(f"{path} is not TOML: it is not UTF-8") from None
    return _parse(path, text)


def _parse(path: Path, text: str) -> dict[str, dict[str, Any]]:
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = _PLACE.search(str(error))  # the rest may quote the file
        raise wrong_setting(f"{path} is not TOML{f' {place[0]}' if place else ''}: fix it, or delete it") from None
    profiles = found.pop("profiles", {})
    if found:
        raise wrong_setting(f"{path} has an unknown entry {min(found)!r}: each profile is a table [profiles.NAME]")
    if not isinstance(profiles, dict) or not all(isinstance(one, dict) for one in profiles.values()):
        raise wrong_setting(f"{path}: each profile is a table [profiles.NAME]")
    return profiles


def check_private(path: Path, mode: int) -> None:
    """Raise CliError if others than the owner may read or change a file with this *mode*. On Windows do nothing."""
    if sys.platform != "win32" and mode & _OTHERS:  # pragma: no branch
        raise wrong_setting(f"{path} can be used by others: run `chmod 600 {shlex.quote(str(path))}`")


def parse_proxy(text: str, source: str) -> Proxy | None:
    """Return a proxy, or None for `none`. Raise CliError, which names its *source*, if *text* is neither."""
    if text.strip().lower() == NO_PROXY:
        return None
    proxy, problem = parse_setting(text)
    if problem is not None or not isinstance(proxy, Proxy):
        raise wrong_setting(f"the proxy of {source} must be an http proxy such as http://proxy.example:3128, or none")
    return proxy


def check_name(name: str) -> None:
    """Raise CliError unless *name* can be that of a profile."""
    if not _NAME.fullmatch(name):
        raise CliError(f"the name of a profile has up to 64 of A-Z a-z 0-9 . _ - and not {name!r}")


def _run(name: str, command: str | list[str]) -> str:
    try:
        words = shlex.split(command) if isinstance(command, str) else command
    except ValueError:
        raise wrong_setting(f"{name} is not a command: a quotation mark is missing") from None
    try:
        done = subprocess.run(  # noqa: S603 - the file is the user's own, and there is no shell
            words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_COMMAND_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise wrong_setting(f"{name} did not end within {_COMMAND_TIMEOUT:.0f} seconds") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name has a NUL"
        raise wrong_setting(f"{name} cannot be run: {reason}") from None
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()[-_LONGEST_MESSAGE:]
        raise wrong_setting(f"{name} failed with status {done.returncode}{f': {message}' if message else ''}")
    return _first_line(name, done.stdout)


def _read_key_file(name: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_KEY_FILE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name has a NUL"
        raise wrong_setting(f"{name}: cannot read {path}: {reason}") from None


def _first_line(name: str, data: bytes) -> str:
    line = data.partition(b"\n")[0].decode(errors="replace").strip()
    if not line:
        raise wrong_setting(f"{name} gives no API key: its first line is empty")
    return line


# Writing.


def write_profiles(path: Path, name: str, settings: Mapping[str, Any] | None) -> None:
    """Set the *settings* of the profile *name* in the file at *path*, or remove it if they are None.

    The other profiles keep their comments, as far as they can be told apart. Raise CliError if that fails.
    """
    profiles = read_profiles(path) if path.exists() else {}
    expected = {key: value for key, value in profiles.items() if key != name} | (
        {} if settings is None else {name: dict(settings)}
    )
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    section = "" if settings is None else _section(name, settings)
    text = _replace_section(before, name, section)
    try:
        same = tomllib.loads(text).get("profiles", {}) == expected
    except tomllib.TOMLDecodeError:
        same = False
    if not same:  # such as inline tables
        text = "\n".join(_section(key, value) for key, value in expected.items())
    write_private(path, text.encode())


def _replace_section(text: str, name: str, section: str) -> str:
    # Returns *text* with *section* in place of the table of a profile, else at the end.
    header = re.compile(rf"""\s*\[\s*profiles\s*\.\s*(["']?){re.escape(name)}\1\s*\]\s*(#.*)?""")
    before: list[str] = []
    after: list[str] = []
    inside = found = False
    for line in text.splitlines(keepends=True):
        if header.fullmatch(line.rstrip("\r\n")):
            inside = found = True
        elif inside and line.lstrip().startswith("["):
            inside = False
        if not inside:
            (after if found else before).append(line)
    start = "".join(before)
    separator = "\n" if start.strip() and section and not start.endswith("\n\n") else ""
    newline = "\n" if start and not start.endswith("\n") else ""
    end = "\n" if section and after else ""
    return f"{start}{newline}{separator}{section}{end}{''.join(after)}"


def _section(name: str, settings: Mapping[str, Any]) -> str:
    lines = [f"{_key(setting)} = {_value(value)}" for setting, value in settings.items()]
    return "\n".join([f"[profiles.{_key(name)}]", *lines, ""])


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else _value(text)


def _value(value: Any) -> str:  # noqa: ANN401 - the values of a profile that was read
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return f'"{value.translate(_ESCAPES)}"'


def write_private(path: Path, data: bytes) -> None:
    """Replace the file at *path* by one with *data* that only its owner may use: all of it, or nothing.

    A directory that is missing is created. A link stays a link. Raise CliError if that fails.
    """
    target = Path(os.path.realpath(path))
    temporary = None
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # with mode 0600
        with os.fdopen(descriptor, "wb") as file:
            _ = file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _ = Path(temporary).replace(target)
        temporary = None
    except OSError as error:
        raise CliError(cannot_write(str(path), error), Exit.CONFIGURATION) from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()
