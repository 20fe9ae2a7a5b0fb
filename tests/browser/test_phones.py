"""The tab Phones: what a program sends is seen there, and what the recipient does there arrives at the program."""

import re
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from msgapi import messages
from msgapi.messages import OpenUrl, Reply
from msgapi.sandbox import SandboxAgent
from tests.support.browser import Pages, PageSandbox, assert_accessible
from tests.support.phones import AGENT, PHONE, card, fill, message, open_phone, send, subscribe, text
from tests.support.webhook_receiver import WebhookReceiver

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
ARE_SAFE_LINKS = """() => [...document.querySelectorAll('a')]
    .every(one => /^(https?:|#|\\/)/.test(one.getAttribute('href')))"""


@pytest.fixture
def sandbox_options() -> dict[str, object]:
    return {"timing": None, "rate_limit": 1_000_000, "read_limit": 1_000_000, "balance": Decimal(1_000_000)}


def test_what_a_client_sends_is_seen_at_once_with_its_states(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/")
    expect(page.get_by_role("heading", name="No messages yet")).to_be_visible()
    (first,) = send(box, text("Your parcel arrives today."))
    shown = message(page, first)
    expect(shown.locator(".bubble")).to_have_text("Your parcel arrives today.")
    expect(page.locator(".conversation-row[aria-selected=true] .row-name")).to_have_text(PHONE)
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


def test_a_tapped_suggestion_arrives_at_the_webhook_and_as_a_reply(
    box: PageSandbox, pages: Pages, receiver: WebhookReceiver
) -> None:
    subscribe(box, receiver, "conversation.started")
    yes, link = Reply(text="Yes", postback_data="answer:yes"), OpenUrl(text="Track", url="https://shop.example/4711")
    (first,) = send(box, text("Shall we deliver today?", PHONE, yes, link))
    page = open_phone(pages)
    chips = message(page, first).locator(".chip")
    expect(chips).to_have_text(["Yes", "Track"])
    expect(chips.first).to_be_disabled()  # it has not arrived yet
    box.use(lambda sandbox: sandbox.deliver(first))
    expect(chips.first).to_be_enabled()
    open_link = message(page, first).get_by_role("link", name="Track: open in a new tab")
    expect(open_link).to_have_attribute("href", "https://shop.example/4711")
    expect(open_link).to_have_attribute("rel", "noopener noreferrer")
    chips.first.click()
    expect(page.locator(".message.inbound .text")).to_have_text("Yes")
    expect(page.locator(".message.inbound .tapped")).to_have_text("answer:yes")
    expect(page.locator(".phone-head .badge")).to_contain_text("Session until")
    (event,) = receiver.wait_for()
    assert event.event["data"]["user_message"] == {
        "type": "suggested_reply",
        "text": "Yes",
        "postback_data": "YW5zd2VyOnllcw==",
    }


def test_a_reply_arrives_at_the_webhook_of_the_chosen_agent(
    box: PageSandbox, pages: Pages, receiver: WebhookReceiver
) -> None:
    subscribe(box, receiver, "conversation.started")
    _ = send(box, text("Hello"))
    page = open_phone(pages)
    page.get_by_label("Reply to").select_option("ag_live_shop")
    reply = page.get_by_label("Reply as the recipient")
    reply.fill("Two words")
    reply.press("Enter")
    expect(page.locator(".message.inbound .bubble")).to_have_text("Two words")
    expect(reply).to_have_value("")
    (event,) = receiver.wait_for()
    assert event.event["data"]["agent_id"] == "ag_live_shop"
    assert event.event["data"]["from"] == PHONE
    assert event.event["data"]["user_message"] == {"type": "text", "text": "Two words"}


def test_a_new_recipient_can_write_first(box: PageSandbox, pages: Pages, receiver: WebhookReceiver) -> None:
    subscribe(box, receiver, "conversation.started")
    page = pages.open("/")
    page.get_by_role("button", name="Write as a recipient").click()
    page.get_by_label("Phone number").fill("+49 151 99999999")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".log-empty")).to_be_visible()
    expect(page.get_by_label("Reply as the recipient")).to_be_focused()
    page.keyboard.type("Hello?")
    page.keyboard.press("Enter")
    expect(page.locator(".message.inbound .bubble")).to_have_text("Hello?")
    expect(page.locator(".conversation-row .row-name")).to_have_text("+4915199999999")
    (event,) = receiver.wait_for()
    assert event.event["data"]["from"] == "+4915199999999"
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.get_by_label("Phone number").fill("12")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".toast")).to_contain_text("12 is not a phone number")


def test_cards_carousels_and_media_are_shown(box: PageSandbox, pages: Pages) -> None:
    common: dict[str, Any] = {"agent_id": AGENT, "to": PHONE, "traffic_type": "TRANSACTION"}
    wide = messages.RichCard(
        card=card("Wide", Reply(text="Take it"), height="TALL", file="film.mp4"), orientation="HORIZONTAL", **common
    )
    high = messages.RichCard(card=card("High", height="SHORT"), **common)
    many = messages.Carousel(cards=tuple(card(f"Card {at}", Reply(text=f"Take {at}")) for at in range(5)), **common)
    ids = send(box, wide, high, many)
    box.use(lambda sandbox: [sandbox.deliver(one) for one in ids])
    page = open_phone(pages)
    expect(message(page, ids[0]).locator(".rich-card")).to_have_class("rich-card horizontal")
    film = message(page, ids[0]).get_by_role("link", name="Video film.mp4 at cdn.example: open in a new tab")
    expect(film).to_have_attribute("href", "https://cdn.example/film.mp4")
    expect(film).to_have_attribute("target", "_blank")
    short = message(page, ids[1]).locator(".media").evaluate("node => node.offsetHeight")
    assert short == 112
    carousel = message(page, ids[2])
    titles = carousel.locator(".card-title")
    expect(titles).to_have_text([f"Card {at}" for at in range(5)])
    expect(titles.last).not_to_be_in_viewport()
    expect(carousel.get_by_role("button", name="Previous card")).to_be_hidden()
    for _ in range(3):
        carousel.get_by_role("button", name="Next card").click()
    expect(titles.last).to_be_in_viewport(ratio=1)
    expect(carousel.get_by_role("button", name="Next card")).to_be_hidden()
    carousel.get_by_role("button", name="Take 4").click()
    expect(page.locator(".message.inbound .text")).to_have_text("Take 4")


def test_a_mail_is_shown_in_a_frame_that_can_do_nothing(box: PageSandbox, pages: Pages) -> None:
    pages.allow("Blocked script execution in .*/mail' because the document's frame is sandboxed|img-src data:")
    html = f"<h1>Hello Anna</h1>{MARKUP}<script>parent.document.title = 'taken'</script>"
    mail = messages.Email(channel_id="ch_demo", to="anna@example.com", subject=MARKUP, html=html, text="Hello in text")
    template = messages.Email(channel_id="ch_demo", to="anna@example.com", template_id="tpl_welcome")
    first, second = send(box, mail, template)
    page = open_phone(pages, "anna@example.com")
    shown = message(page, first)
    expect(shown.locator("h4")).to_have_text(MARKUP)
    shown.scroll_into_view_if_needed()
    frame = shown.locator("iframe")
    expect(frame).to_have_attribute("sandbox", "")
    expect(frame.content_frame.get_by_role("heading", name="Hello Anna")).to_be_visible()
    expect(page).to_have_title("Phones · msgapi sandbox")
    shown.get_by_role("button", name="Text").click()
    expect(shown.locator(".mail-text")).to_have_text("Hello in text")
    link = shown.get_by_role("link", name="Open in a new tab")
    expect(link).to_have_attribute("href", f"/_sandbox/messages/{first}/mail")
    expect(message(page, second)).to_contain_text("Template tpl_welcome")
    expect(page.locator(".phone-foot")).to_contain_text("no inbound e-mail")


def test_markup_from_a_message_is_text_everywhere(box: PageSandbox, pages: Pages) -> None:
    title = card(MARKUP, Reply(text="<b>Yes</b>"), file=f"{quote(MARKUP, safe='')}.jpg")
    box.use(lambda sandbox: sandbox.add(SandboxAgent(agent_id="ag_live_evil", channel_id="ch_evil")))
    common: dict[str, Any] = {"agent_id": AGENT, "to": PHONE, "traffic_type": "TRANSACTION"}
    ids = send(
        box,
        text(f"{MARKUP} javascript:alert(1)", PHONE, Reply(text="<i>chip</i>")),
        messages.RichCard(card=title, **common),
        messages.Carousel(cards=(title, title), **common),
    )
    page = open_phone(pages)
    expect(message(page, ids[0]).locator(".text")).to_have_text(f"{MARKUP} javascript:alert(1)")
    expect(message(page, ids[1]).locator(".card-title")).to_have_text(MARKUP)
    expect(message(page, ids[1]).locator(".media-name")).to_have_text(f"{MARKUP}.jpg")
    expect(page.locator(".row-text").first).to_contain_text(MARKUP)
    message(page, ids[0]).locator(".bubble").click()
    expect(page.locator(".details code").first).to_be_visible()
    unsafe = "() => document.querySelectorAll('main img, main script, main b, main i, main [onerror]').length"
    assert page.evaluate(unsafe) == 0
    assert page.evaluate(ARE_SAFE_LINKS)


def test_the_page_is_used_with_the_keyboard_alone(box: PageSandbox, pages: Pages) -> None:
    for at in range(3):
        _ = send(box, text(f"Hello {at}", f"+49151000000{at}", Reply(text="Yes")))
    box.use(lambda sandbox: [sandbox.deliver(one.id) for one in sandbox.messages])
    page = pages.open("/")
    heading = page.locator(".phone-head h2")
    expect(heading).to_have_text("+491510000002")  # the newest
    page.keyboard.press("j")
    expect(heading).to_have_text("+491510000001")
    page.keyboard.press("ArrowDown")
    expect(heading).to_have_text("+491510000000")
    page.keyboard.press("k")
    expect(heading).to_have_text("+491510000001")
    page.keyboard.press("l")
    expect(page.locator(".message:focus")).to_have_attribute("aria-label", re.compile("Hello 1, Delivered"))
    page.keyboard.press("Enter")
    expect(page.locator(".details h2")).to_have_text("Message")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator(".chip:focus")).to_have_text("Yes")
    page.keyboard.press("Enter")
    expect(page.locator(".message.inbound .text")).to_have_text("Yes")
    page.keyboard.press("l")
    page.keyboard.press("m")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("End")
    expect(page.get_by_role("menuitem", name="Copy the id")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".message.inbound .message-menu")).to_be_focused()
    page.keyboard.press("r")
    page.keyboard.type("From the keyboard?")
    page.keyboard.press("Enter")
    expect(page.locator(".message.inbound .text").last).to_have_text("From the keyboard?")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("+491510000000")
    expect(page.locator(".conversation-row")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(heading).to_have_text("+491510000000")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_on_a_narrow_page_the_list_and_the_phone_are_two_views(box: PageSandbox, pages: Pages) -> None:
    _ = send(box, text("Hello"))
    page = pages.open("/", width=360, height=740)
    expect(page.locator(".conversation")).to_be_hidden()
    page.locator(".conversation-row").click()
    expect(page.locator(".list")).to_be_hidden()
    expect(page.locator(".message .bubble")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    page.locator(".message .bubble").click()
    expect(page.locator(".details")).to_be_in_viewport()
    page.get_by_role("button", name="Close the details").click()
    page.get_by_role("button", name="Back to the conversations").click()
    expect(page.locator(".conversation-row")).to_be_visible()
    expect(page.locator(".conversation")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_core_finds_nothing_serious(
    box: PageSandbox, pages: Pages, scheme: Literal["light", "dark"], width: int
) -> None:
    page = pages.open("/", scheme=scheme, width=width)
    expect(page.get_by_role("heading", name="No messages yet")).to_be_visible()
    assert_accessible(page)
    common: dict[str, Any] = {"agent_id": AGENT, "to": PHONE, "traffic_type": "TRANSACTION"}
    ids = send(
        box,
        text("Queued", PHONE, Reply(text="Yes"), OpenUrl(text="Open", url="https://shop.example")),
        text("Failed"),
        text("Read https://shop.example", PHONE, Reply(text="Yes")),
        messages.RichCard(card=card("Card", Reply(text="Take it")), **common),
        messages.Carousel(cards=(card("First"), card("Second", Reply(text="Take it"))), **common),
        messages.Email(channel_id="ch_demo", to="anna@example.com", subject="Hello", html="<p>Hello</p>", text="Hello"),
    )
    box.use(lambda sandbox: sandbox.fail(ids[1]))
    box.use(lambda sandbox: [sandbox.deliver(one) for one in ids[2:]])
    box.use(lambda sandbox: sandbox.read(ids[2]))
    box.use(lambda sandbox: sandbox.reply_from(PHONE, AGENT, text="Yes"))
    page = open_phone(pages, scheme=scheme, width=width)
    expect(page.locator(".message")).to_have_count(6)
    assert_accessible(page)
    message(page, ids[1]).locator(".bubble").click()
    expect(page.locator(".details .timeline li")).to_have_count(2)
    assert_accessible(page)
    page = open_phone(pages, "anna@example.com", scheme=scheme, width=width)
    expect(page.locator("iframe")).to_be_visible()
    assert_accessible(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible(page)


def test_a_message_is_delivered_read_failed_and_expired_from_its_menu(
    box: PageSandbox, pages: Pages, receiver: WebhookReceiver
) -> None:
    subscribe(box, receiver, "message.delivered", "message.read", "message.failed", "message.expired")
    first, second, third = send(box, text("First"), text("Second"), text("Third"))
    page = open_phone(pages)

    def choose(message_id: str, item: str) -> None:
        message(page, message_id).hover()
        message(page, message_id).get_by_role("button", name="Actions for the message").click()
        page.get_by_role("menuitem", name=item).click()

    choose(first, "Read")
    expect(message(page, first).locator(".state")).to_have_text("Read")
    choose(second, "Fail …")
    page.get_by_label("Reason").select_option("REJECTED_SPAM")
    page.get_by_role("button", name="Fail", exact=True).click()
    expect(message(page, second).locator(".state")).to_have_text("Failed: REJECTED_SPAM")
    choose(third, "Expire")
    expect(message(page, third).locator(".state")).to_have_text("Expired")
    message(page, third).hover()
    message(page, third).get_by_role("button", name="Actions for the message").click()
    expect(page.get_by_role("menuitem", name="Deliver")).to_be_disabled()
    fill(box, 20, lambda _: PHONE)  # it stays open while messages arrive
    expect(page.locator(".log").get_by_text("Message 19", exact=True)).to_be_in_viewport()
    expect(page.get_by_role("menuitem", name="Copy the id")).to_be_visible()
    page.keyboard.press("Escape")
    received = {one.event["event"]: one.event["data"] for one in receiver.wait_for(count=4)}
    assert received.keys() == {"message.delivered", "message.read", "message.failed", "message.expired"}
    assert received["message.failed"]["failure_reason"] == "REJECTED_SPAM"


def test_the_details_of_a_message_have_its_states_its_content_and_its_request(box: PageSandbox, pages: Pages) -> None:
    (first,) = send(box, text("Look into me"))
    page = open_phone(pages)
    message(page, first).locator(".bubble").click()
    details = page.locator(".details")
    expect(details.locator(".timeline-name")).to_have_text(["Queued"])
    expect(details.locator(".facts")).to_contain_text(first)
    expect(details.locator("code").filter(has_text='"text": "Look into me"')).to_be_visible()
    details.get_by_role("button", name="Deliver").click()
    expect(details.locator(".timeline-name")).to_have_text(["Queued", "Delivered"])
    details.get_by_text("Request", exact=True).click()
    expect(details.locator(".request-line")).to_contain_text("POST /v1/messages")
    expect(details.locator("code").filter(has_text="curl")).to_be_visible()
    details.get_by_role("link", name="Open in Requests").click()
    expect(page).to_have_url(re.compile(r"#requests/\d+$"))
    page.go_back()
    expect(message(page, first).locator(".state")).to_have_text("Delivered")
