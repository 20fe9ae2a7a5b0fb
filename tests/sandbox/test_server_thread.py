"""sandbox.serve_in_thread: the sandbox over a socket, for programs without asyncio."""

from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from msgapi.sandbox import Sandbox, serve_in_thread


def test_a_sandbox_can_be_served_by_a_thread_for_a_program_without_asyncio() -> None:
    box = Sandbox(api_key="sk_thread_0123456789")
    with serve_in_thread(box) as served:
        assert served.environ == {"MSGAPI_BASE_URL": served.url, "MSGAPI_API_KEY": "sk_thread_0123456789"}
        headers = {"Authorization": f"Bearer {served.api_key}"}
        with urlopen(Request(f"{served.url}/v1/billing/balance", headers=headers)) as answer:  # noqa: S310 - loopback
            assert answer.status == 200
        assert served.call(lambda sandbox: sandbox.requests) == 1
        assert served.call(lambda sandbox: sandbox is box)
        assert "sk_thread" not in repr(served)
    with pytest.raises(URLError):
        _ = urlopen(served.url)  # noqa: S310 - loopback
