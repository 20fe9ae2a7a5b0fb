"""The README: every example in it is run, against the sandbox on a socket, with nothing else set."""

import os
import re
import sys
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from msgapi.sandbox import Sandbox, server

README = (Path(__file__).parent.parent / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


async def run(program: str, sandbox: Sandbox) -> str:
    async with server.serving(sandbox, host="127.0.0.1", port=0) as url:
        environment = os.environ | {"MSGAPI_API_KEY": sandbox.api_key, "MSGAPI_BASE_URL": url}
        done = await anyio.run_process([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return done.stdout.decode()


async def test_the_first_example_sends_a_message() -> None:
    sandbox = Sandbox()
    printed = await run(EXAMPLES[0], sandbox)
    (sent,) = sandbox.messages
    assert printed == f"{sent.id} 0.07\n"


async def test_the_first_example_deals_with_an_empty_balance() -> None:
    sandbox = Sandbox(balance=Decimal("0.01"))
    assert await run(EXAMPLES[0], sandbox) == "top up 0.07 at https://app.arowana.app/billing\n"
    assert sandbox.messages == ()


async def test_the_first_example_says_what_else_went_wrong() -> None:
    sandbox = Sandbox()
    printed = await run(EXAMPLES[0].replace("ag_live_demo", "ag_live_unknown"), sandbox)
    assert printed.startswith("not_found ")


async def test_the_batch_example_sends_all_of_them() -> None:
    sandbox = Sandbox()
    assert await run(EXAMPLES[1], sandbox) == "100 accepted \n"
    assert len(sandbox.messages) == 100


async def test_the_double_in_the_readme_works_as_written() -> None:
    assert await run(EXAMPLES[2], Sandbox()) == ""


def test_there_is_no_example_that_is_not_run(anyio_backend: str) -> None:
    del anyio_backend
    assert len(EXAMPLES) == 3


def test_no_text_tells_to_install_somebody_elses_package(anyio_backend: str) -> None:
    del anyio_backend
    assert not re.search(r"pip3? install [\"']?msgapi(?![-\w])", README)
