"""Profiles: named settings of the command in a file, `~/.config/msgapi/config.toml`. The library does not read them.

    [profiles.default]
    key_command = "pass show arowana"
    base_url = "https://api.arowana.app"

Rules:
- The file contains keys, or commands that are run: it is written for its owner only, and refused if others may use it.
- A key is in no repr, no error, and no local variable of a frame that raises: an error tracker would show it. The
  output of a command that gives it is never shown, only what it says on standard error if it fails.
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
from pathlib import Path
from typing import Any, Final, final

from attrs import field, frozen

from ..config import Misconfigured, check_url, key_problem
from ..transports.common.opening import Proxy, parse_setting
from .output import CliError, Exit, cannot_write
from .spelling import near_names

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
            found = _run(self._named(name), self.settings[name])
        elif name == "key_file":
            found = _read_key_file(self._named(name), self._key_path())
        else:
            found = self.settings[name].encode()
        key = found.partition(b"\n")[0].decode(errors="replace").strip()
        problem = key_problem(key)
        if problem is None:
            return key
        text = "its first line is empty" if not key else "it has characters that no key has"
        del found, key
        raise wrong_setting(f"{self._named(name)} gives no API key: {text}")

    def _key_path(self) -> Path:
        return self.path.parent / _expand(self.settings["key_file"])

    def _named(self, setting: str) -> str:
        return f"{setting} of the profile {self.name} in {self.path}"

    def check(self) -> None:
        """Raise CliError unless the settings can be used. The key is not read."""
        problems = (self._problem(name, value) for name, value in self.settings.items())
        problem = next((one for one in problems if one is not None), None) or self._contradiction()
        if problem is not None:
            raise wrong_setting(problem)

    def _problem(self, name: str, value: object) -> str | None:
        # Returns the error instead of raising it, since the value may be a key.
        if name not in SETTINGS:
            near = near_names(name, SETTINGS)
            hint = f"did you mean {' or '.join(near)}?" if near else f"the settings are {', '.join(SETTINGS)}"
            return f"the profile {self.name} in {self.path} has an unknown setting {name!r}: {hint}"
        if name == "key_command" and isinstance(value, list):
            right = value and all(isinstance(one, str) and one for one in value)
            return None if right else f'{self._named(name)} must be a command such as "pass show arowana"'
        if not isinstance(value, str):
            return f"{self._named(name)} must be text in quotes"
        return None if value.strip() else f"{self._named(name)} is empty: give it a value, or remove it"

    def _contradiction(self) -> str | None:
        given = [name for name in KEY_SETTINGS if name in self.settings]
        if len(given) > 1:
            return f"the profile {self.name} in {self.path} has {' and '.join(given)}: keep one of them"
        if self.base_url is not None:
            try:
                _ = check_url(self.base_url)
            except Misconfigured as error:
                return f"{self._named('base_url')}: {error}".replace(" (check MSGAPI_BASE_URL)", "")
        return None if self.proxy is None else parse_proxy(self.proxy, f"the profile {self.name} in {self.path}")[1]


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


def exists(path: Path) -> bool:
    """Return whether there is something at *path*; False if the system does not say, as for a name that is too long."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for such a name


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
    profile = profiles.get(DEFAULT if name is None else name)
    if profile is not None:
        profile.check()
    elif name is not None:
        known = f"it has {', '.join(sorted(profiles))}" if profiles else "it has none"
        add = f"`msgapi configure --profile {shlex.quote(name)}` adds it"
        raise wrong_setting(f"there is no profile {name!r} in {path}: {known}; {add}")
    return profile


def read_profiles(path: Path) -> dict[str, Profile]:
    """Return the profiles in the file at *path* by name; empty if there is no such file.

    Raise CliError if the file cannot be read, if others may use it, or if it is not as expected.
    """
    try:
        with path.open("rb") as file:
            check_private(path, os.fstat(file.fileno()).st_mode)
            data = file.read()
    except FileNotFoundError:
        if os.environ.get("MSGAPI_CONFIG"):
            raise wrong_setting(f"MSGAPI_CONFIG names {path}, which does not exist") from None
        return {}
    except NotADirectoryError:
        return {}
    except OSError as error:
        raise wrong_setting(f"cannot read {path}: {error.strerror or error}") from None
    found = _parse(data)
    del data
    if isinstance(found, str):
        raise wrong_setting(f"{path}{found}")
    return {name: Profile(name=name, path=path, settings=one) for name, one in found.items()}


def _parse(data: bytes) -> dict[str, dict[str, Any]] | str:
    # Returns the tables of the profiles, or why there are none.
    try:
        found = tomllib.loads(data.decode("utf-8-sig"))  # editors on Windows begin a file with a mark
    except UnicodeDecodeError:
        return " is not TOML: it is not UTF-8"
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = _PLACE.search(str(error))  # the rest may quote the file
        return f" is not TOML{f' {place[0]}' if place else ''}: fix it, or delete it"
    profiles = found.pop("profiles", {})
    if found:
        return f" has an unknown entry {min(found)!r}: each profile is a table [profiles.NAME]"
    if not isinstance(profiles, dict) or not all(isinstance(one, dict) for one in profiles.values()):
        return ": each profile is a table [profiles.NAME]"
    return profiles


def check_private(path: Path, mode: int) -> None:
    """Raise CliError if others than the owner may read or change a file with this *mode*. On Windows do nothing."""
    if sys.platform != "win32" and mode & _OTHERS:  # pragma: no branch
        raise wrong_setting(f"{path} can be used by others: run `chmod 600 {shlex.quote(str(path))}`")


def parse_proxy(text: str, source: str) -> tuple[Proxy | None, str | None]:
    """Return a proxy, or None for `none`, and the text of the error if it is neither. *source* names where it is."""
    if text.strip().lower() == NO_PROXY:
        return None, None
    proxy, problem = parse_setting(text)
    if problem is not None or not isinstance(proxy, Proxy):
        return None, f"the proxy of {source} must be an http proxy such as http://proxy.example:3128, or none"
    return proxy, None


def check_name(name: str) -> None:
    """Raise CliError unless *name* can be that of a profile."""
    if not _NAME.fullmatch(name):
        raise CliError(f"the name of a profile has up to 64 of A-Z a-z 0-9 . _ - and not {name!r}")


def _run(name: str, command: str | list[str]) -> bytes:
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
    if not done.returncode:
        return done.stdout
    status, message = done.returncode, done.stderr.decode(errors="replace").strip()[-_LONGEST_MESSAGE:]
    del done  # it has the output
    raise wrong_setting(f"{name} failed with status {status}{f': {message}' if message else ''}")


def _read_key_file(name: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_KEY_FILE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name has a NUL"
        raise wrong_setting(f"{name}: cannot read {path}: {reason}") from None


# Writing.


def write_profile(path: Path, name: str, profile: Profile | None) -> None:
    """Store the *profile* called *name* in the file at *path*, or remove it if it is None.

    The other profiles keep their comments, unless the file has to be written anew. Raise CliError if that fails.
    """
    profiles = {key: one for key, one in read_profiles(path).items() if key != name} if exists(path) else {}
    if profile is not None:
        profiles[name] = profile
    data = _edit(path, name, profiles)
    if data is None:
        for one in profiles.values():
            one.check()
        data = "\n".join(_section(key, one.settings) for key, one in profiles.items()).encode()
    problem = write_private(path, data)
    del data
    if problem is not None:
        raise wrong_setting(problem)


def _edit(path: Path, name: str, profiles: Mapping[str, Profile]) -> bytes | None:
    # Returns the text of the file with the profile *name* replaced, or None if it cannot be found, as in inline tables.
    expected = {key: {**one.settings} for key, one in profiles.items()}
    before = path.read_text(encoding="utf-8") if exists(path) else ""
    text = _replace_section(before, name, _section(name, expected[name]) if name in expected else "")
    try:
        return text.encode() if tomllib.loads(text).get("profiles", {}) == expected else None
    except tomllib.TOMLDecodeError:
        return None


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


def write_private(path: Path, data: bytes) -> str | None:
    """Replace the file at *path* by one with *data* that only its owner may use: all of it, or nothing.

    A directory that is missing is created. A link stays a link. Return the text of the error if that fails.
    """
    temporary = None
    try:
        target = Path(os.path.realpath(path))  # fails if the working directory was removed
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # with mode 0600
        with os.fdopen(descriptor, "wb") as file:
            _ = file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _ = Path(temporary).replace(target)
        temporary = None
    except OSError as error:
        return cannot_write(str(path), error)
    finally:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()
    return None
