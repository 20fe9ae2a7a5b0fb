"""The brokers of the tests: what they have acknowledged is there again after `kill -9`."""

import socket
from pathlib import Path

import pytest

from tests.support.brokers import Broker, nats, valkey


def said(broker: Broker, line: bytes, *, outage_timeout: float = 5.0) -> bytes:
    with socket.create_connection(("127.0.0.1", broker.port), timeout=outage_timeout) as raw:
        raw.sendall(line)
        return raw.recv(4096)


def test_a_valkey_that_is_killed_comes_back_with_its_data(tmp_path: Path) -> None:
    with valkey(tmp_path) as broker:
        assert said(broker, b"SET a 1\r\n") == b"+OK\r\n"
        broker.restart()
        assert said(broker, b"GET a\r\n") == b"$1\r\n1\r\n"


def test_a_nats_server_has_jetstream_and_comes_back_on_its_port(tmp_path: Path) -> None:
    with nats(tmp_path) as broker:
        port = broker.port
        broker.restart()
        assert (broker.port, b'"jetstream":true' in said(broker, b"")) == (port, True)


def test_a_broker_that_is_frozen_does_not_answer_until_it_thaws(tmp_path: Path) -> None:
    with valkey(tmp_path) as broker:
        broker.freeze()
        with pytest.raises(TimeoutError):
            _ = said(broker, b"PING\r\n", outage_timeout=0.1)
        broker.thaw()
        assert said(broker, b"PING\r\n") == b"+PONG\r\n"
