"""Fixtures of the tests in a browser: the browser, a sandbox with its page, its pages, and a receiver of webhooks."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from msgapi.sandbox import Sandbox
from tests.support.browser import Pages, PageSandbox, serve_page, start_chromium
from tests.support.webhook_receiver import WebhookReceiver, receive_webhooks


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium once. Without it no test can run, so the session ends."""
    try:
        with start_chromium() as started:
            yield started
    except FileNotFoundError as error:
        pytest.exit(str(error), 1)


@pytest.fixture
def sandbox_options() -> dict[str, object]:
    """Return the options of the sandbox; a test module overrides it. Nothing happens by itself by default."""
    return {"timing": None}


@pytest.fixture
def box(sandbox_options: dict[str, object]) -> Iterator[PageSandbox]:
    """Return a new sandbox that is served with its page."""
    with serve_page(Sandbox(**sandbox_options)) as running:  # type: ignore[arg-type]
        yield running


@pytest.fixture
def pages(browser: Browser, box: PageSandbox) -> Iterator[Pages]:
    """Return what opens pages of the sandbox. The test fails if one of them has a problem that it does not allow."""
    opened = Pages(browser, box.url)
    yield opened
    opened.close()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """Return a receiver of webhooks, which is a real HTTP server; its `url` is for `webhooks.create`."""
    with receive_webhooks() as receiving:
        yield receiving
