"""The sandbox on a socket, for tests that are not async: it is served by an event loop in a thread."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from anyio.from_thread import start_blocking_portal

from msgapi.sandbox import Sandbox, serve

COVERAGE = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")  # they start coverage in each Python program


@contextmanager
def served(sandbox: Sandbox) -> Iterator[dict[str, str]]:
    """Serve *sandbox*, and yield the environment of a program that uses it."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve(sandbox)) as url:
        yield os.environ | {"MSGAPI_API_KEY": sandbox.api_key, "MSGAPI_BASE_URL": url}


def without_coverage(env: Mapping[str, str]) -> dict[str, str]:
    """Return *env* for a program that is not measured."""
    return {name: value for name, value in env.items() if name not in COVERAGE}
