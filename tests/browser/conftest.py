"""Fixtures of the tests in a browser: the browser, a sandbox with its page, its pages, and a receiver of webhooks."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from msgapi.sandbox import Sandbox
from tests.support.browser import FLAGS, Pages, PageSandbox, serve_page
from tests.support.webhook_receiver import WebhookReceiver, receive_webhooks


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium once, with a user data directory of its own, which is empty and is deleted at the end."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.exit("the tests in a browser need Chromium: apt-get install chromium", 1)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


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
