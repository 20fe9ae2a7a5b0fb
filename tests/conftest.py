"""Fixtures for every test: both event loops, and hypothesis settings that fit a noisy machine."""

import pytest
from hypothesis import HealthCheck, settings

from tests.support.brokers import nats_broker, valkey_broker

__all__ = ["anyio_backend", "nats_broker", "valkey_broker"]

settings.register_profile("msgapi", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("msgapi")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)
