"""The tab Phones: what a program sends is seen there, and what the recipient does there arrives at the program."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import quote

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
COUNT_ROWS = "() => document.querySelectorAll('.conversation-row').length"
# The distance of a message from the top of the log, in pixels.
PLACE_OF = """id => document.querySelector(`[data-message-id="${id}"]`).getBoundingClientRect().top
    - document.querySelector('.log').getBoundingClientRect().top"""
SCROLL_DOWN = """([name, rest]) => {
    const node = document.querySelector(name);
    node.scrollTop = node.scrollHeight - node.clientHeight - rest;
}"""
FIRST_MESSAGE = "() => document.querySelector('.message').dataset.messageId"
LAST_MESSAGE = "() => [...document.querySelectorAll('.message')].at(-1).dataset.messageId"
ARE_SAFE_LINKS = """() => [...document.querySelectorAll('a')]
    .every(one => /^(https?:|#|\\/)/.test(one.getAttribute('href')))"""
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


def subscribe(box: PageSandbox, receiver: WebhookReceiver, *events: str) -> None:
    _ = box.send(webhooks.create(webhooks.NewEndpoint(url=receiver.url, secret="whsec_test", events=events)))


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


def assert_that_the_place_stays(page: Page, changed: str, before: str) -> None:
    shown, place = page.evaluate(f"() => {{ const id = ({MIDDLE})(); return [id, ({PLACE_OF})(id)]; }}")
    page.wait_for_function(changed, arg=before)
    assert page.evaluate(PLACE_OF, shown) == pytest.approx(place, abs=1)
    assert page.evaluate(COUNT_MESSAGES) <= MOST


def test_ten_thousand_messages_in_one_conversation_are_a_window(box: PageSandbox, pages: Pages) -> None:
    fill(box, 10_000, lambda _: PHONE)
    page = open_phone(pages)
    log = page.locator(".log")
    expect(log.get_by_text("Message 9999", exact=True)).to_be_in_viewport()
    for _ in range(4):
        before = page.evaluate(FIRST_MESSAGE)
        page.evaluate("() => { document.querySelector('.log').scrollTop = 500; }")
        assert_that_the_place_stays(page, f"id => ({FIRST_MESSAGE})() !== id", before)
    expect(page.get_by_role("button", name="Latest")).to_be_visible()
    expect(log.get_by_text("Message 9999", exact=True)).to_have_count(0)
    for _ in range(3):
        before = page.evaluate(LAST_MESSAGE)
        page.evaluate(SCROLL_DOWN, [".log", 500])
        assert_that_the_place_stays(page, f"id => ({LAST_MESSAGE})() !== id", before)
    fill(box, 1, lambda _: PHONE, start=10_000)
    page.get_by_role("button", name="Latest").or_(page.get_by_role("button", name="New messages")).click()
    expect(log.get_by_text("Message 10000", exact=True)).to_be_in_viewport()


def test_ten_thousand_conversations_are_a_window(box: PageSandbox, pages: Pages) -> None:
    fill(box, 10_000, lambda at: f"+4915{at:09}")
    page = pages.open("/")
    expect(page.locator(".conversation-row").first).to_be_visible()
    for _ in range(5):
        before = page.locator(".rows").evaluate("node => node.offsetHeight")
        page.evaluate(SCROLL_DOWN, [".list-scroller", 0])
        page.wait_for_function("height => document.querySelector('.rows').offsetHeight > height", arg=before)
        assert page.evaluate(COUNT_ROWS) <= 40
    fill(box, 100, lambda at: f"+4916{at:09}", start=10_000)
    page.get_by_role("button", name="Newer conversations").click()
    first = page.locator(".conversation-row[aria-posinset='1'] .row-name")
    expect(first).to_have_text("+4916000010099")
    page.locator("#conversation-search").fill("+4915000000007")
    expect(page.locator(".conversation-row .row-name")).to_have_text(["+4915000000007"])
    page.locator(".conversation-row").click()
    expect(page.locator(".message .bubble")).to_have_text(["Message 7"])


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


def test_a_restarted_sandbox_is_followed_without_loading_the_page_again(
    box: PageSandbox, pages: Pages, sandbox_options: dict[str, Any]
) -> None:
    pages.allow("ERR_CONNECTION_REFUSED|ERR_(INVALID|INCOMPLETE)_CHUNKED_ENCODING|status of 401")
    _ = send(box, text("Before"))
    page = open_phone(pages)
    page.evaluate("() => { window.marker = true; }")
    box.stop()
    expect(page.locator("#connection")).to_have_attribute("data-state", "stopped")
    expect(page.locator("#notice")).to_contain_text("The sandbox has stopped.")
    box.start(Sandbox(**sandbox_options))
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.get_by_role("heading", name="No messages yet")).to_be_visible()
    (second,) = send(box, text("After"))
    expect(message(page, second).locator(".bubble")).to_have_text("After")
    page.get_by_label("Reply as the recipient").fill("Still there")
    page.get_by_role("button", name="Send the reply").click()
    expect(page.locator(".message.inbound .bubble")).to_have_text("Still there")
    assert page.evaluate("() => window.marker")


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


def test_a_message_can_be_linked_to_in_the_middle_of_a_conversation(box: PageSandbox, pages: Pages) -> None:
    fill(box, 500, lambda _: PHONE)
    middle = box.use(lambda sandbox: sandbox.messages[250].id)
    page = pages.open(f"/#phones/{quote(PHONE)}/{middle}")
    expect(message(page, middle)).to_be_in_viewport()
    expect(message(page, middle)).to_have_class(re.compile("selected"))
    assert page.evaluate(COUNT_MESSAGES) <= MOST
    page.get_by_role("button", name="Latest").click()
    expect(page.locator(".log").get_by_text("Message 499", exact=True)).to_be_in_viewport()


def test_new_messages_do_not_move_what_is_being_read(box: PageSandbox, pages: Pages) -> None:
    fill(box, 100, lambda _: PHONE)
    page = open_phone(pages)
    expect(page.locator(".log").get_by_text("Message 99", exact=True)).to_be_in_viewport()
    page.evaluate(SCROLL_DOWN, [".log", 900])
    expect(page.get_by_role("button", name="Latest")).to_be_visible()
    shown, place = page.evaluate(f"() => {{ const id = ({MIDDLE})(); return [id, ({PLACE_OF})(id)]; }}")
    fill(box, 5, lambda _: PHONE, start=100)
    new = page.get_by_role("button", name="New messages")
    expect(new).to_be_visible()
    assert page.evaluate(PLACE_OF, shown) == pytest.approx(place, abs=1)
    new.click()
    expect(page.locator(".log").get_by_text("Message 104", exact=True)).to_be_in_viewport()
    expect(new).to_be_hidden()


def test_two_pages_show_the_same_conversation(box: PageSandbox, pages: Pages) -> None:
    (first,) = send(box, text("Hello"))
    one, other = open_phone(pages), open_phone(pages)
    one.get_by_label("Reply as the recipient").fill("From the first page")
    one.get_by_role("button", name="Send the reply").click()
    expect(other.locator(".message.inbound .bubble")).to_have_text("From the first page")
    box.use(lambda sandbox: sandbox.deliver(first))
    for page in (one, other):
        expect(message(page, first).locator(".state")).to_have_text("Delivered")


def test_the_list_has_what_is_new_first_and_marks_it(box: PageSandbox, pages: Pages) -> None:
    _ = send(box, text("One", "+491510000001"), text("Two", "+491510000002"))
    page = open_phone(pages, "+491510000001")
    names = page.locator(".conversation-row .row-name")
    rows = page.locator(".conversation-row")
    _ = send(box, text("Three", "+491510000003"))
    expect(rows.filter(has_text="+491510000003")).to_have_class(re.compile("new"))
    expect(names).to_have_text(["+491510000003", "+491510000002", "+491510000001"])
    rows.filter(has_text="+491510000001").focus()
    _ = send(box, text("One again", "+491510000001"))
    expect(names).to_have_text(["+491510000001", "+491510000003", "+491510000002"])
    expect(rows.first).to_be_focused()
    expect(rows.first).to_have_attribute("aria-posinset", "1")
    rows.filter(has_text="+491510000003").click()
    expect(page.locator(".phone-head h2")).to_have_text("+491510000003")
    expect(rows.filter(has_text="+491510000003")).not_to_have_class(re.compile("new"))
    page.locator("#conversation-search").fill("Two")
    expect(names).to_have_text(["+491510000002"])
    page.locator("#conversation-search").fill("nothing has this")
    expect(page.locator(".list-note")).to_have_text("No conversation matches “nothing has this”.")


def test_events_are_the_same_however_the_stream_is_cut(pages: Pages) -> None:
    page = pages.open("/")
    stream = (
        'retry: 1000\r\nid: a-1\r\n\r\n: nothing\n\nid: a-2\nevent: change\ndata: {"x":\ndata: 1}\n\nevent: reset\n\n'
    )
    parse = """async (stream) => {
        const { eventParser } = await import('/_sandbox/page/api.js');
        const found = [];
        for (let cut = 0; cut <= stream.length; cut += 1) {
            const parse = eventParser();
            found.push(JSON.stringify([...parse(stream.slice(0, cut)), ...parse(stream.slice(cut))]));
        }
        return [...new Set(found)].map(one => JSON.parse(one));
    }"""
    assert page.evaluate(parse, stream) == [
        [
            {"event": "message", "id": "a-1", "data": ""},
            {"event": "change", "id": "a-2", "data": '{"x":\n1}'},
            {"event": "reset", "id": None, "data": ""},
        ]
    ]


def test_a_hidden_page_has_no_stream_and_catches_up(box: PageSandbox, pages: Pages) -> None:
    fill(box, 100, lambda _: PHONE)
    page = open_phone(pages)
    page.clock.install()
    _ = page.reload()
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")
    page.clock.fast_forward(1000)
    expect(page.locator(".log").get_by_text("Message 99", exact=True)).to_be_visible()
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(hide, arg=True)
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/_sandbox/events")):
        page.clock.fast_forward(21_000)
    (first,) = send(box, text("While it was hidden"))
    with page.expect_request("**/_sandbox/events") as asked:
        page.evaluate(hide, arg=False)
    assert re.fullmatch(r"\S+-\d+", asked.value.header_value("last-event-id") or "")
    page.clock.resume()
    expect(message(page, first).locator(".bubble")).to_have_text("While it was hidden")
