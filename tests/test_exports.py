"""The front door: what can be imported from msgapi, and that nothing else is promised."""

import importlib
import pydoc
import re
import subprocess
import sys
from typing import get_args

import pytest

import msgapi

PROMISED = """
    Client Call Caller Ok Result ApiError Invalid Unauthorized InsufficientBalance Forbidden NotFound Conflict
    Unprocessable Throttled ServerFault Unavailable Unexpected Unreadable NotSent Unanswered Request Response Retry
    Pace messages billing batch journal sandbox transports
""".split()


def test_every_promised_name_is_there() -> None:
    for name in PROMISED:
        assert name in msgapi.__all__
        assert getattr(msgapi, name) is not None


def test_the_names_are_sorted_and_all_of_them_exist() -> None:
    assert sorted(msgapi.__all__) == msgapi.__all__
    for name in msgapi.__all__:
        assert hasattr(msgapi, name), name


def test_the_union_of_errors_is_every_error_value() -> None:
    kinds = get_args(msgapi.ApiError)
    assert len(kinds) == 14
    for kind in kinds:
        assert getattr(msgapi, kind.__name__) is kind


@pytest.mark.parametrize(
    "module",
    [
        "agents",
        "batch",
        "billing",
        "campaigns",
        "contacts",
        "messages",
        "observe",
        "sandbox",
        "telemetry",
        "testagent",
        "testing",
        "transports",
        "webhooks",
    ],
)
def test_what_a_module_promises_exists(module: str) -> None:
    found = importlib.import_module(f"msgapi.{module}")
    assert len(set(found.__all__)) == len(found.__all__)
    for name in found.__all__:
        assert hasattr(found, name), name


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        msgapi.nonsense  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.parametrize("name", ["msgapi", "msgapi.sandbox", "msgapi.transports"])
def test_each_name_is_listed_by_dir_before_it_is_used(name: str) -> None:
    program = f"import sys, {name} as m; assert set(m.__all__) <= set(dir(m)); sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603 - our own program


def test_the_help_has_each_name() -> None:
    text = pydoc.plain(pydoc.render_doc(msgapi))
    assert "class Client(" in text
    named = set(re.findall(r"`([A-Za-z_]+)`", msgapi.__doc__ or ""))
    assert set(msgapi.__all__) <= named
