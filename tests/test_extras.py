"""Optional libraries: what needs one that is not installed says in one sentence which extra to install."""

import subprocess
import sys

import pytest

from msgapi.config import missing_extra


@pytest.mark.parametrize(
    ("program", "library", "sentence"),
    [
        (
            "from msgapi.transports import httptools",
            "httptools",
            'transports.httptools needs the extra fast: {} "{}[fast]"',
        ),
        (
            "from msgapi.transports import httptools",
            "aiohappyeyeballs",
            'transports.httptools needs the extra fast: {} "{}[fast]"',
        ),
        ("from msgapi.transports import httpx2", "httpx2", 'transports.httpx2 needs the extra trio: {} "{}[trio]"'),
        ("from msgapi.transports import httpx2", "h11", 'transports.httpx2 needs the extra trio: {} "{}[trio]"'),
        (
            "from msgapi import telemetry; telemetry.observer()",
            "opentelemetry",
            'telemetry needs the extra otel: {} "{}[otel]"',
        ),
        (
            "from msgapi.webhooks import RedisEventStore as R; R('redis://h')",
            "redis",
            'RedisEventStore needs the extra redis: {} "{}[redis]"',
        ),
    ],
)
def test_a_library_that_is_missing_is_named_by_its_extra(program: str, library: str, sentence: str) -> None:
    code = f"import sys; sys.modules['{library}'] = None\n{program}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - this interpreter
    expected = sentence.format("pip install", "msgapi-sdk")
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: {expected}"
    assert "During handling" not in done.stderr
    assert done.returncode == 1


def test_a_module_of_the_package_that_is_missing_is_not_blamed_on_an_extra() -> None:
    error = ModuleNotFoundError("No module named 'msgapi.none'", name="msgapi.none")
    assert missing_extra(error, "telemetry", "otel") is error
