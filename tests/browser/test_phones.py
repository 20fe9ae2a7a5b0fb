"""The tab Phones: what a program sends is seen there, and what the recipient does there arrives at the program."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from msgapi import messages, webhooks
from msgapi.http import Request
from msgapi.messages import Card, Media, MediaHeight, OpenUrl, Reply, Suggestion
from msgapi.sandbox import Sandbox, SandboxAgent
from tests.support.browser import Pages, PageSandbox, assert_accessible
from tests.support.webhook_receiver import WebhookReceiver

PHONE = "+4915112345678"
AGENT = "ag_live_demo"
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
MOST = 200  # message elements in the document
COUNT_MESSAGES = "() => document.querySelectorAll('.message').length"
COUNT_ROWS = "() => document.querySelectorAll('.row').length"
# The distance of a message from the top of the log, in pixels.
PLACE_OF = """id => document.querySelector(`[data-message-id="${id}"]`).getBoundingClientRect().top
    - document.querySelector('.log').getBoundingClientRect().top"""
MIDDLE = """() => {
    const box = document.querySelector('.log').getBoundingClientRect();
    const found = document.elementFromPoint(box.left + 60, box.top + box.height / 2).closest('.message');
    return found === null ? null : found.dataset.messageId;
}"""


def text(
    content: str, to: str = PHONE, *suggestions: Suggestion, message_type: messages.MessageType = "MESSAGE"
) -> messages.Text:
    return messages.Text(
        agent_id=AGENT,
        to=to,
        traffic_type="TRANSACTION",
        text=content,
        suggestions=suggestions,
        message_type=message_type,
    )


def card(title: str, *suggestions: Suggestion, height: MediaHeight = "MEDIUM", file: str = "a.jpg") -> Card:
    media = Media(url=f"https://cdn.example/{file}", height=height)
    return Card(title=title, description=f"About {title}", media=media, suggestions=suggestions)


def send(box: PageSandbox, *given: messages.Message) -> list[str]:
    return [one.message_id for one in box.send_all(*(messages.send(one) for one in given))]


def fill(box: PageSandbox, count: int, to: Callable[[int], str], start: int = 0) -> None:
    """Accept *count* messages in the thread of the server, which is faster than over HTTP."""

    def accept(sandbox: Sandbox) -> None:
        headers = {"authorization": f"Bearer {sandbox.api_key}", "content-type": "application/json"}
        for at in range(start, start + count):
            body = {
                "agent_id": AGENT,
                "to": to(at),
                "message_type": "MESSAGE",
                "traffic_type": "TRANSACTION",
                "content": {"text": f"Message {at}"},
            }
            request = Request("POST", "http://sandbox/v1/messages", headers, json.dumps(body).encode())
            assert sandbox.handle(request).response.status == 200

    box.use(accept)


@pytest.fixture
def sandbox_options() -> dict[str, object]:
    return {"timing": None, "rate_limit": 1_000_000, "read_limit": 1_000_000, "balance": Decimal(1_000_000)}


def open_phone(pages: Pages, to: str = PHONE, **options: Any) -> Page:  # noqa: ANN401 - those of Pages.open
    page = pages.open(f"/#phones/{to.replace('+', '%2B')}", **options)
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")
    expect(page.locator(".phone-head h2")).to_have_text(to)
    return page


def message(page: Page, message_id: str) -> Locator:
    return page.locator(f'.message[data-message-id="{message_id}"]')


def test_what_a_client_sends_is_seen_at_once_with_its_states(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/")
    expect(page.get_by_role("heading", name="No messages yet")).to_be_visible()
    (first,) = send(box, text("Your parcel arrives today."))
    shown = message(page, first)
    expect(shown.locator(".bubble")).to_have_text("Your parcel arrives today.")
    expect(page.locator(".row[aria-selected=true] .row-name")).to_have_text(PHONE)
    expect(shown.locator(".state")).to_have_text("Queued")
    box.use(lambda sandbox: sandbox.deliver(first))
    expect(shown.locator(".state")).to_have_text("Delivered")
    box.use(lambda sandbox: sandbox.read(first))
    expect(shown.locator(".state")).to_have_text("Read")
    (second, third) = send(box, text("This fails."), text("This is revoked."))
    box.use(lambda sandbox: sandbox.fail(second, "REJECTED_SPAM"))
    expect(message(page, second).locator(".state")).to_have_text("Failed: REJECTED_SPAM")
    _ = box.send(messages.revoke(third))
    expect(message(page, third).locator(".state")).to_have_text("Revoked")
    expect(page.locator(".phone .message .bubble")).to_have_text(
        ["Your parcel arrives today.", "This fails.", "This is revoked."]
    )


def test_the_commands_of_an_empty_sandbox_can_be_copied(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/")
    page.get_by_role("button", name="Copy the commands").click()
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert f"export MSGAPI_BASE_URL={box.url}\nexport MSGAPI_API_KEY={box.api_key}\nmsgapi send --to" in copied


def test_ten_thousand_messages_in_one_conversation_are_a_window(box: PageSandbox, pages: Pages) -> None:
    fill(box, 10_000, lambda _: PHONE)
    page = open_phone(pages)
    log = page.locator(".log")
    expect(log.get_by_text("Message 9999", exact=True)).to_be_in_viewport()
    for _ in range(4):
        before = page.evaluate("() => document.querySelector('.message').dataset.messageId")
        page.evaluate("() => { document.querySelector('.log').scrollTop = 500; }")
        place = page.evaluate(f"() => {{ const id = ({MIDDLE})(); return [id, ({PLACE_OF})(id)]; }}")
        page.wait_for_function("id => document.querySelector('.message').dataset.messageId !== id", arg=before)
        assert page.evaluate(PLACE_OF, place[0]) == pytest.approx(place[1], abs=1)
        assert page.evaluate(COUNT_MESSAGES) <= MOST
    expect(page.get_by_role("button", name="Latest")).to_be_visible()
    expect(log.get_by_text("Message 9999", exact=True)).to_have_count(0)
    for _ in range(3):
        before = page.evaluate("() => [...document.querySelectorAll('.message')].at(-1).dataset.messageId")
        page.evaluate("() => { const log = document.querySelector('.log'); log.scrollTop = log.scrollHeight - log.clientHeight - 500; }")
        place = page.evaluate(f"() => {{ const id = ({MIDDLE})(); return [id, ({PLACE_OF})(id)]; }}")
        page.wait_for_function("id => [...document.querySelectorAll('.message')].at(-1).dataset.messageId !== id", arg=before)
        assert page.evaluate(PLACE_OF, place[0]) == pytest.approx(place[1], abs=1)
        assert page.evaluate(COUNT_MESSAGES) <= MOST
    fill(box, 1, lambda _: PHONE, start=10_000)
    page.get_by_role("button", name="Latest").or_(page.get_by_role("button", name="New messages")).click()
    expect(log.get_by_text("Message 10000", exact=True)).to_be_in_viewport()


def test_ten_thousand_conversations_are_a_window(box: PageSandbox, pages: Pages) -> None:
    fill(box, 10_000, lambda at: f"+4915{at:09}")
    page = pages.open("/")
    expect(page.locator(".row").first).to_be_visible()
    for _ in range(5):
        page.evaluate("() => { const list = document.querySelector('.list-scroller'); list.scrollTop = list.scrollHeight; }")
        page.wait_for_timeout(100)
        assert page.evaluate(COUNT_ROWS) <= 40
    page.locator("#conversation-search").fill("+4915000000007")
    expect(page.locator(".row .row-name")).to_have_text(["+4915000000007"])
    page.locator(".row").click()
    expect(page.locator(".message .bubble")).to_have_text(["Message 7"])
