"""doctor: the configuration, where each value comes from, and why the service is not reached."""

import ssl
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import orjson
import pytest
import trustme
from anyio.from_thread import start_blocking_portal

from msgapi.cli import main
from msgapi.sandbox import Sandbox, serve_in_thread
from tests.support.proxy import proxying
from tests.support.raw_servers import free_port

Captured = pytest.CaptureFixture[str]
KEY = "sk_hidden_1"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes of files are those of POSIX")


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file with the profiles, which does not exist yet; the environment has no key."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("MSGAPI_API_KEY", "MSGAPI_BASE_URL", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "msgapi" / "config.toml"


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(exist_ok=True)
    _ = path.write_text(text)
    path.chmod(mode)


def findings(capsys: Captured, *arguments: str, status: int) -> dict[str, dict[str, object]]:
    assert main(["doctor", "--json", *arguments]) == status
    shown = capsys.readouterr()
    assert "hidden" not in shown.out + shown.err
    assert shown.err == ""
    return {one["name"]: one for one in orjson.loads(shown.out)}


def test_the_profile_and_the_source_of_each_value_are_shown(config: Path, capsys: Captured) -> None:
    with serve_in_thread(Sandbox(api_key=KEY)) as served:
        write(
            config,
            f'[profiles.default]\n[profiles.live]\napi_key = "{KEY}"\nbase_url = "{served.url}/"\nproxy = "none"',
        )
        found = findings(capsys, "--profile", "live", status=0)
    assert found["profile"]["found"] == (
        f"live in {config} (mode 0600), named by --profile or MSGAPI_PROFILE: api_key, base_url, proxy"
    )
    assert found["key"]["found"] == "accepted (api_key of the profile live)"
    assert found["base URL"]["found"] == f"{served.url} (the profile live)"
    assert found["proxy"]["found"] == "none (the profile live)"
    assert "OpenSSL" in str(found["versions"]["found"])
    assert "of the service" in str(found["clock"]["found"]) or "the service's" in str(found["clock"]["found"])
    assert all(one["ok"] for one in found.values())


def test_without_a_profile_it_says_why(config: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSGAPI_BASE_URL", f"http://127.0.0.1:{free_port()}/a/v1")
    found = findings(capsys, status=4)
    assert found["profile"]["found"] == f"none ({config} does not exist)"
    assert found["key"]["todo"] == "set MSGAPI_API_KEY, or run `msgapi configure`"
    assert str(found["base URL"]["found"]).endswith("/a (MSGAPI_BASE_URL)")
    assert "UTC on this machine; not compared" in str(found["clock"]["found"])
    write(config, '[profiles.live]\nagent = "x"')
    assert "is not used: it has no profile named default" in str(findings(capsys, status=4)["profile"]["found"])
    monkeypatch.setenv("MSGAPI_API_KEY", KEY)
    assert "is not used: MSGAPI_API_KEY is set" in str(findings(capsys, status=1)["profile"]["found"])


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("not TOML", 0o600, "is not TOML"),
        ("[profiles.default]\nzzz = 'hidden'", 0o600, "has an unknown setting 'zzz'"),
        ("[profiles.default]", 0o644, "run `chmod 600 "),
    ],
)
def test_a_configuration_that_is_broken_is_a_finding_and_the_other_checks_are_made(  # noqa: PLR0917 - three fixtures
    config: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, text: str, mode: int, said: str
) -> None:
    write(config, text, mode)
    with serve_in_thread(Sandbox()) as served:
        monkeypatch.setenv("MSGAPI_BASE_URL", served.url)
        found = findings(capsys, status=4)
    assert said in str(found["profile"]["todo"])
    assert found["service"]["found"] == "reached"
    assert not found["key"]["ok"]


def test_a_key_that_cannot_be_had_is_a_finding(config: Path, capsys: Captured) -> None:
    write(config, f'[profiles.default]\nkey_command = "no-such-command"\nbase_url = "http://127.0.0.1:{free_port()}"')
    found = findings(capsys, status=4)
    assert "cannot be run: No such file or directory" in str(found["key"]["todo"])
    assert found["profile"]["ok"]
    assert "the default one: key_command, base_url" in str(found["profile"]["found"])
    assert "ECONNREFUSED" in str(found["service"]["found"])


def test_a_proxy_that_cannot_be_used_is_a_finding(config: Path, capsys: Captured) -> None:
    assert not config.exists()
    found = findings(capsys, "--proxy", "socks5://u:hidden@x", status=4)
    assert "must be an http proxy" in str(found["proxy"]["todo"])


def test_the_proxy_of_the_option_is_used_and_shown(
    config: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not config.exists()
    monkeypatch.setenv("MSGAPI_API_KEY", "sk_sandbox")
    with (
        serve_in_thread(Sandbox()) as served,
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(proxying(served.url)) as proxy,
    ):
        monkeypatch.setenv("MSGAPI_BASE_URL", served.url)
        found = findings(capsys, "--proxy", proxy.url("u:hidden@"), status=0)
        assert proxy.lines() == [f"GET {served.url}/v1/billing/balance HTTP/1.1"]
    assert found["proxy"]["found"] == f"http://127.0.0.1:{proxy.port} (--proxy)"


class Silent(BaseHTTPRequestHandler):
    """Answers nothing."""


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[str]:
    """The URL of a server with a certificate of an authority that this machine does not trust."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with HTTPServer(("127.0.0.1", 0), Silent) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_the_cause_of_a_tls_failure_is_that_of_the_verifier(
    config: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, untrusted: str
) -> None:
    assert not config.exists()
    monkeypatch.setenv("MSGAPI_API_KEY", KEY)
    monkeypatch.setenv("MSGAPI_BASE_URL", untrusted)
    found = findings(capsys, status=1)["service"]
    assert "no secure connection to localhost:" in str(found["found"])
    assert "unable to get local issuer certificate" in str(found["found"])
    assert "SSL_CERT_FILE" in str(found["todo"])
