"""Extras that are not installed: one sentence that names the extra, in place of the name of a library."""

import subprocess
import sys
from pathlib import Path

import pytest

import msgapi
from msgapi.config import needing_extra

PROGRAM = """
import sys
for name in sys.argv[2].split(","):
    sys.modules[name] = None  # as if it were not installed
try:
    exec(sys.argv[1])
except ImportError as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize(
    ("program", "libraries", "expected"),
    [
        (
            "import msgapi.transports.httptools",
            "httptools",
            'ModuleNotFoundError: transports.httptools needs the extra fast: pip install "msgapi-sdk[fast]"',
        ),
        (
            "from msgapi.transports import httpx2",
            "httpx2,httpcore2",
            'ModuleNotFoundError: transports.httpx2 needs the extra trio: pip install "msgapi-sdk[trio]"',
        ),
        (
            "from msgapi import telemetry; telemetry.observer()",
            "opentelemetry",
            'ModuleNotFoundError: telemetry.observer needs the extra otel: pip install "msgapi-sdk[otel]"',
        ),
        (
            "from msgapi import webhooks; webhooks.RedisEventStore('redis://h')",
            "redis",
            'ModuleNotFoundError: webhooks.RedisEventStore needs the extra redis: pip install "msgapi-sdk[redis]"',
        ),
        (
            "from msgapi import recipients; recipients.normalize('0151 00000001', 'DE')",
            "phonenumbers",
            'ModuleNotFoundError: recipients.normalize needs the extra cli: pip install "msgapi-sdk[cli]"',
        ),
        (
            "from msgapi import recipients; recipients.normalize('ann@exam_ple.org')",
            "email_validator",
            'ModuleNotFoundError: recipients.normalize needs the extra cli: pip install "msgapi-sdk[cli]"',
        ),
        (
            "from msgapi import recipients; print(recipients.normalize('+49 (0)151 00000001').changes)",
            "phonenumbers,email_validator",
            "('spaces', 'bracketed_zero')",
        ),
    ],
)
def test_the_error_is_one_sentence_with_the_extra(program: str, libraries: str, expected: str) -> None:
    command = [sys.executable, "-c", PROGRAM, program, libraries]
    ended = subprocess.run(  # noqa: S603 - our own program
        command, capture_output=True, text=True, cwd=Path(msgapi.__file__).parents[1], check=True
    )
    assert ended.stdout.strip() == expected


def test_another_missing_module_is_not_renamed() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'nothing_of_this_name'"):  # noqa: SIM117
        with needing_extra("transports.httptools", "fast", "httptools"):
            __import__("nothing_of_this_name")


@pytest.mark.parametrize("library", ["httptools", "httptools.parser"])
def test_a_module_of_the_extra_names_it(library: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="needs the extra fast") as error:  # noqa: SIM117
        with needing_extra("transports.httptools", "fast", "httptools"):
            raise ModuleNotFoundError(library, name=library)
    assert error.value.name == library
