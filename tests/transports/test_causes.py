"""Causes: what a failed connection says about why it failed."""

import errno
import socket
import ssl
from pathlib import Path

import pytest

from msgapi import NotSent, Unanswered
from msgapi.results import TOO_MANY_OPEN_FILES
from msgapi.transports import aiohttp
from msgapi.transports.common.causes import connect_failure, connection_lost, cut_short, describe_cause
from tests.support.exchanges import peer, post
from tests.support.raw_servers import Wire, serving


def verification_error(text: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {text}")
    error.verify_message = text
    return error


def test_an_errno_is_named_with_its_text() -> None:
    assert describe_cause(OSError(errno.ENETUNREACH, "x")) == "ENETUNREACH (Network is unreachable)"
    assert connection_lost(ConnectionResetError(errno.ECONNRESET, "x")) == Unanswered(
        "the connection was lost: ECONNRESET (Connection reset by peer)"
    )


def test_an_errno_that_this_system_does_not_know_is_a_number() -> None:
    assert describe_cause(OSError(99999, "x")) == "99999 (Unknown error 99999)"


def test_the_causes_of_several_addresses_are_named_once_each() -> None:
    text = "Multiple exceptions: [Errno 111] Connect call failed ('::1', 9), [Errno 101] x, [Errno 111] y"
    assert describe_cause(OSError(text)) == "ECONNREFUSED (Connection refused), ENETUNREACH (Network is unreachable)"


@pytest.mark.parametrize("error", [OSError("closed"), ValueError("[Errno 111]"), TimeoutError()])
def test_what_names_no_cause_has_none(error: Exception) -> None:
    assert describe_cause(error) == ""
    assert cut_short(error) == Unanswered("the response was cut short")


def test_a_connection_that_the_peer_closed_has_no_cause() -> None:
    assert connection_lost(None) == Unanswered("the connection was lost")


def test_a_resolver_error_is_named() -> None:
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    reason = "the host name of a.test:80 could not be resolved: EAI_NONAME (Name or service not known)"
    assert connect_failure(error, "a.test:80") == NotSent(reason)
    assert describe_cause(socket.gaierror(-999, "odd")) == "-999 (odd)"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_missing_file_descriptor_has_a_code_and_a_remedy(number: int) -> None:
    failure = connect_failure(OSError(number, "x"), "a.test:80")
    assert failure.code == TOO_MANY_OPEN_FILES
    assert failure.reason.startswith(f"could not connect to a.test:80: {errno.errorcode[number]} (")
    assert failure.reason.endswith("raise the limit of the process (ulimit -n), or lower max_connections")


def test_a_time_out_of_ours_and_one_of_the_system_differ() -> None:
    assert connect_failure(TimeoutError(), "a.test:80") == NotSent("could not connect to a.test:80 in time")
    reason = "could not connect to a.test:80: ETIMEDOUT (Connection timed out)"
    assert connect_failure(TimeoutError(errno.ETIMEDOUT, "x"), "a.test:80") == NotSent(reason)


def test_the_verifiers_sentence_is_quoted() -> None:
    assert connect_failure(verification_error("self-signed certificate"), "a.test:443") == NotSent(
        "no secure connection to a.test:443: self-signed certificate"
    )


def test_a_file_of_certificates_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    error = verification_error("unable to get local issuer certificate")
    missing = tmp_path / "missing.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(missing))
    named = f"(SSL_CERT_FILE names {missing}, which does not exist)"
    assert describe_cause(error) == f"unable to get local issuer certificate {named}"
    missing.touch()
    assert describe_cause(error) == "unable to get local issuer certificate"


def test_the_error_inside_one_of_aiohttps_is_the_cause() -> None:
    class Wrapper(Exception):
        os_error = OSError(errno.EHOSTUNREACH, "x")

    class Certificate(Exception):
        certificate_error = verification_error("certificate has expired")

    assert describe_cause(Wrapper()) == "EHOSTUNREACH (No route to host)"
    assert describe_cause(Certificate()) == "certificate has expired"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_tls_alert_is_named() -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.stream.receive()
        await wire.send(bytes([21, 3, 1, 0, 2, 2, 70]))  # a fatal alert: protocol_version

    async with serving(serve) as url, aiohttp.open() as transport:
        answer = await transport(post(url.replace("http:", "https:")))
    assert answer == NotSent(f"no secure connection to {peer(url)}: tlsv1 alert protocol version")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_connection_that_ends_during_the_handshake_was_closed_by_the_peer() -> None:
    async def serve(wire: Wire) -> None:
        _ = await wire.stream.receive()

    async with serving(serve) as url, aiohttp.open() as transport:
        answer = await transport(post(url.replace("http:", "https:")))
    assert answer == NotSent(f"could not connect to {peer(url)}: closed by the peer")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_error_of_uvloop_that_is_no_os_error_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start_connection(*_: object, **__: object) -> None:
        raise RuntimeError("uvloop")

    monkeypatch.setattr("aiohappyeyeballs.start_connection", start_connection)
    async with serving(Wire.hang) as url, aiohttp.open() as transport:
        assert await transport(post(url)) == NotSent(f"could not connect to {peer(url)}")
