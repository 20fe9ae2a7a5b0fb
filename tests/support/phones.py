"""What the tests of the tab Phones share: messages, a filled log, and an open conversation."""

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

from msgapi import messages
from msgapi.http import Request
from msgapi.messages import Card, Media, MediaHeight, Suggestion
from msgapi.sandbox import Sandbox
from tests.support import webhook_receiver
from tests.support.browser import Pages, PageSandbox
from tests.support.webhook_receiver import WebhookReceiver

PHONE = "+4915112345678"
AGENT = "ag_live_demo"


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


def subscribe(box: PageSandbox, receiver: WebhookReceiver, *events: str) -> None:
    _ = box.send(webhook_receiver.subscribe(receiver, *events))


def open_phone(pages: Pages, to: str = PHONE, **options: Any) -> Page:  # noqa: ANN401 - those of Pages.open
    page = pages.open(f"/#phones/{to.replace('+', '%2B')}", **options)
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")
    expect(page.locator(".phone-head h2")).to_have_text(to)
    return page


def message(page: Page, message_id: str) -> Locator:
    return page.locator(f'.message[data-message-id="{message_id}"]')
