"""No frame of ours that raises holds the API key, or the password of a fleet's server: error trackers show them."""

import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
import pytest

import msgapi
import msgapi.transports.aiohttp
import msgapi.transports.httptools
import msgapi.transports.httpx2
from msgapi import fleet, transports
from msgapi.cli import app
from msgapi.cli.output import CliError
from msgapi.fleet.backends import redis_storage
from msgapi.fleet.opening import check, claim, disclaim

KEY = "sk_live_c0ffee_0123456789"
PASSWORD = "hunter2hunter2"
PACKAGE = f"{Path(msgapi.__file__).parent}{os.sep}"
pytestmark = pytest.mark.anyio


def chained(error: BaseException, seen: set[int] | None = None) -> Iterator[BaseException]:
    """The exception and all that are chained to it or grouped in it, however they are suppressed."""
    seen = set() if seen is None else seen
    if id(error) in seen:
        return
    seen.add(id(error))
    yield error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for one in (error.__cause__, error.__context__, *inner):
        if one is not None:
            yield from chained(one, seen)


def frames(trace: TracebackType | None) -> Iterator[Any]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def texts(value: object, depth: int = 3) -> Iterator[str]:
    """The repr of a value, of what a container holds, and of what a partial function is called with."""
    yield repr(value)
    if depth and isinstance(value, dict):
        for name, part in value.items():
            yield from (*texts(name, depth - 1), *texts(part, depth - 1))
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from texts(part, depth - 1)


def leaks(error: BaseException, secret: str = KEY) -> list[str]:
    found = [f"{type(one).__name__}: its text" for one in chained(error) if secret in f"{one!r} {one}"]
    for one in chained(error):
        for frame in frames(one.__traceback__):
            if frame.f_code.co_filename.startswith(PACKAGE):
                name = f"{frame.f_code.co_filename.removeprefix(PACKAGE)} {frame.f_code.co_name}"
                found += [
                    f"{name}: {local}" for local, value in frame.f_locals.items() if secret in "".join(texts(value))
                ]
    return found


@asynccontextmanager
async def broken_transport(*, fails: bool = True) -> AsyncIterator[Any]:
    await anyio.lowlevel.checkpoint()
    if fails:
        raise OSError("no more files")
    yield


class Unsendable:
    """A transport that raises."""

    async def __call__(self, request: msgapi.Request, /) -> Any:  # noqa: ANN401 - it returns nothing
        raise RuntimeError(f"a defect in {request.method}")


CLIENTS: list[tuple[str, Callable[[str], Any]]] = [
    ("an http URL", lambda key: msgapi.Client(api_key=key, base_url="http://api.example.org")),
    ("no URL", lambda key: msgapi.Client(api_key=key, base_url="api.example.org")),
    ("a URL of bytes", lambda key: msgapi.Client(api_key=key, base_url=b"https://x.example")),  # type: ignore[arg-type]
    ("a key with a space", lambda key: msgapi.Client(api_key=f"{key} ")),
    ("a key with a line break", lambda key: msgapi.Client(api_key=f"{key}\n", base_url="https://x.example")),
    ("a key of bytes", lambda key: msgapi.Client(api_key=key.encode())),  # type: ignore[arg-type]
    ("a key in a list", lambda key: msgapi.Client(api_key=[key])),  # type: ignore[arg-type]
    ("a timeout of 0", lambda key: msgapi.Client(api_key=key, timeout=0)),
    ("a wrong retry", lambda key: msgapi.Client(api_key=key, retry=3)),  # type: ignore[arg-type]
    ("a wrong clock", lambda key: msgapi.Client(api_key=key, clock=3)),  # type: ignore[arg-type]
    ("a wrong pace", lambda key: msgapi.Client(api_key=key, pace=3)),  # type: ignore[arg-type]
    ("a wrong observer", lambda key: msgapi.Client(api_key=key, observer=3)),  # type: ignore[arg-type]
    ("a wrong transport", lambda key: msgapi.Client(api_key=key, transport=transports)),  # type: ignore[arg-type]
    ("a transport that does not open", lambda key: msgapi.Client(api_key=key, transport=broken_transport())),
    ("a transport that raises", lambda key: msgapi.Client(api_key=key, transport=Unsendable())),
]


PROXY = f"http://user:{PASSWORD}@proxy.test:3128"
PROXIES: list[tuple[str, Callable[[Any], Any]]] = [
    ("the default", lambda options: msgapi.Client(api_key=KEY, **options)),
    ("blocking", lambda options: msgapi.BlockingClient(api_key=KEY, **options)),
    ("aiohttp", lambda options: transports.aiohttp.open(**options)),
    ("httptools", lambda options: transports.httptools.open(**options)),
    ("httpx2", lambda options: transports.httpx2.open(**options)),
]


@pytest.mark.parametrize("make", [make for _, make in PROXIES], ids=[name for name, _ in PROXIES])
@pytest.mark.parametrize(
    "options",
    [
        {"proxy": PROXY.replace("http:", "socks5:")},
        {"proxy": f"{PROXY}99999"},
        {"proxy": f"{PROXY} "},
        {"proxy": f"http://user:{PASSWORD}@"},
        {"proxy": PROXY.encode()},
        {"proxy": PROXY, "timeout": 0},
        {"proxy": PROXY, "max_connections": 0},
        {"proxy": PROXY, "keepalive_timeout": 0},
    ],
    ids=", ".join,
)
def test_the_password_of_a_proxy_is_kept_out(make: Callable[[Any], Any], options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make(options)
    assert leaks(caught.value, PASSWORD) == leaks(caught.value) == []


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize(
    "options", [{"proxy": PROXY}, {"transport": transports.aiohttp.open(proxy=PROXY)}], ids=["proxy", "transport"]
)
async def test_the_password_of_a_proxy_is_kept_out_of_a_failed_opening(options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, RuntimeError)) as caught:
        _ = await msgapi.Client(api_key=KEY, **options).__aenter__()
    assert leaks(caught.value, PASSWORD) == leaks(caught.value) == []


@pytest.mark.parametrize("make", [make for _, make in CLIENTS], ids=[name for name, _ in CLIENTS])
async def test_a_client_that_cannot_be_made_opened_or_used_keeps_its_key_out(make: Callable[[str], Any]) -> None:
    with pytest.raises((ValueError, TypeError, OSError, RuntimeError)) as caught:
        async with make(KEY) as client:
            _ = await client(msgapi.billing.balance())
    assert leaks(caught.value) == []


@pytest.mark.parametrize(
    "variables",
    [
        {"MSGAPI_API_KEY": f"{KEY} "},
        {"MSGAPI_API_KEY": f"{KEY}\t"},
        {"MSGAPI_API_KEY": KEY, "MSGAPI_BASE_URL": "http://api.example.org"},
        {"MSGAPI_API_KEY": KEY, "MSGAPI_BASE_URL": "https://[x"},
        {"MSGAPI_API_KEY": KEY, "MSGAPI_BASE_URL": "https://user:word@api.example.org"},
    ],
    ids=str,
)
@pytest.mark.parametrize("entered", [True, False])
async def test_a_key_of_the_environment_is_kept_out_too(
    variables: dict[str, str],
    entered: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    client = msgapi.Client()
    with pytest.raises(msgapi.Misconfigured) as caught:
        _ = await (client.__aenter__() if entered else client(msgapi.billing.balance()))
    assert leaks(caught.value) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["balance"],
        ["balance", "--json"],
        ["messages", "get", "msg_1"],
        ["send", "--to", "+4915112345678", "--agent", "a", "--traffic", "TRANSACTION", "--text", "Hi"],
        ["webhooks", "list"],
        ["fleet", "work", "--fleet-url", "redis://127.0.0.1:1"],
        ["fleet", "work", "--fleet-url", f"redis://:{PASSWORD}@127.0.0.1:1/x/y"],
        ["fleet", "report", "--batch", "b", "--fleet-url", "nats://127.0.0.1:1"],
        ["fleet", "report", "--batch", "b", "--fleet-url", "nats://127.0.0.1:1", "--fleet", "~"],
        ["sandbox", "--host", "256.1.1.1", "--", "true"],
        ["sandbox", "--", "no-such-command"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
@pytest.mark.parametrize("url", ["http://api.example.org", "x"])
def test_a_command_that_fails_keeps_the_key_out(
    arguments: list[str], url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MSGAPI_API_KEY", KEY)
    monkeypatch.setenv("MSGAPI_BASE_URL", url)
    with pytest.raises((CliError, msgapi.Misconfigured)) as caught:
        _ = app.run(arguments)
    assert leaks(caught.value) == []


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (f"[profiles.default]\nzzz = '{KEY}'", ["balance"]),
        (f"[profiles.default]\napi_key = ['{KEY}']", ["balance"]),
        (f"[profiles.default]\napi_key = '{KEY} x'", ["balance"]),
        (f"[profiles.default]\napi_key = '{KEY}'\nkey_file = 'x'", ["balance"]),
        (f"[profiles.default]\napi_key = '{KEY}'\nbase_url = 'x'", ["balance"]),
        (f"[profiles.default]\napi_key = '{KEY}'\nproxy = 'ftp://u:{PASSWORD}@x'", ["balance"]),
        (f"[profiles.default]\napi_key = '{KEY}'", ["balance", "--profile", "live"]),
        (f"[profiles.default]\napi_key = '{KEY}'", ["balance", "--proxy", "ftp://x"]),
        (f"[profiles.default]\napi_key = '{KEY}'", ["profiles", "delete", "live"]),
        (f"[profiles.default]\napi_key = {KEY}", ["profiles", "list"]),
        (f"[default]\napi_key = '{KEY}'", ["profiles", "get"]),
        (f"[profiles.default]\nkey_file = 'key'\n# {KEY}", ["balance"]),
        ("[profiles.default]\nkey_command = 'sh -c \"cat key; exit 1\"'", ["balance"]),
        ("[profiles.default]\nkey_command = 'cat key'", ["balance"]),
        (f"[profiles.default]\napi_key = '{KEY}'", ["configure", "--base-url", "x"]),
        (f"[profiles.default]\napi_key = '{KEY}'", ["configure", "--profile", "live"]),
    ],
    ids=str,
)
def test_a_profile_that_cannot_be_used_keeps_the_key_out(
    text: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").touch(mode=0o600)
    _ = (tmp_path / "config.toml").write_text(text)
    _ = (tmp_path / "key").write_text(f"{KEY} x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MSGAPI_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setattr("sys.stdin", StringIO(f"{KEY} x\n"))
    for name in ("MSGAPI_API_KEY", "MSGAPI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CliError) as caught:
        _ = app.run(arguments)
    assert leaks(caught.value) == leaks(caught.value, PASSWORD) == []


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("scheme", ["redis", "nats", "http"])
@pytest.mark.parametrize("options", [{}, {"fleet": "~"}, {"lease_seconds": 0}, {"concurrent_chunks": 0}], ids=str)
async def test_a_fleet_that_does_not_open_keeps_the_key_out(scheme: str, options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, fleet.Unreachable)) as caught:
        async with fleet.open(f"{scheme}://127.0.0.1:{closed_port()}", api_key=KEY, **options):
            pass
    assert leaks(caught.value) == []


@pytest.mark.parametrize(
    "url", ["redis://:{}@host:1/a/b", "http://:{}@host", "redis://:{}@[host", "redis://:{}@host:x"]
)
async def test_the_address_of_a_fleet_that_is_not_one_keeps_its_password_out(url: str) -> None:
    with pytest.raises(ValueError, match="the address of a fleet") as caught:
        async with fleet.open(url.format(PASSWORD), api_key=KEY):
            pass
    assert leaks(caught.value, PASSWORD) == leaks(caught.value) == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_server_of_nats_that_is_away_keeps_its_password_out() -> None:
    with pytest.raises(fleet.Unreachable) as caught:
        async with fleet.open(f"nats://user:{PASSWORD}@127.0.0.1:{closed_port()}", api_key=KEY):
            pass
    assert leaks(caught.value, PASSWORD) == leaks(caught.value) == []


@pytest.mark.parametrize("kind", ["Worker", "ping"])
async def test_a_server_of_redis_that_is_away_keeps_its_password_out(kind: str) -> None:
    url = f"redis://user:{PASSWORD}@127.0.0.1:{closed_port()}"
    opening = redis_storage.open_queue(url, fleet="f") if kind == "Worker" else fleet.open(url, api_key=KEY)
    with pytest.raises(fleet.Unreachable) as caught:
        async with opening:
            pass
    assert leaks(caught.value, PASSWORD) == leaks(caught.value) == []


class Records:
    """Records of a fleet that another key has claimed, or that cannot be read."""

    def __init__(self, owner: bytes | None) -> None:
        self.owner = owner

    async def read(self, *_: object) -> tuple[bytes, None]:
        await anyio.lowlevel.checkpoint()
        if self.owner is None:
            raise fleet.Unreachable("away")
        return self.owner, None


@pytest.mark.parametrize("owner", [b"other", None])
@pytest.mark.parametrize("use", [check, claim, disclaim], ids=lambda use: use.__name__)
async def test_a_fleet_of_another_key_keeps_this_one_out(use: Callable[..., Any], owner: bytes | None) -> None:
    records = Records(owner)
    given = (records, KEY) if use is disclaim else (records, "fleet", KEY)
    if use is disclaim and owner is not None:
        return
    with pytest.raises((fleet.FleetConflict, fleet.Unreachable)) as caught:
        await use(*given)
    assert leaks(caught.value) == []


def test_a_leak_is_found_where_there_is_one() -> None:
    def raising(key: str) -> None:
        held = [{"headers": key}]
        raise ValueError(len(held))

    code = raising.__code__.replace(co_filename=f"{PACKAGE}x.py")
    raising.__code__ = code
    with pytest.raises(ValueError, match="1") as caught:
        raising(KEY)
    assert leaks(caught.value) == ["x.py raising: key", "x.py raising: held"]
    assert sys.exc_info() == (None, None, None)
