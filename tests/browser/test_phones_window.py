"""The tab Phones with many messages, and the stream that it follows: windows, order, restarts, hidden pages."""

import re
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from msgapi.sandbox import Sandbox
from tests.support.browser import Pages, PageSandbox
from tests.support.phones import PHONE, fill, message, open_phone, send, text

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
MIDDLE = """() => {
    const box = document.querySelector('.log').getBoundingClientRect();
    const found = document.elementFromPoint(box.left + 60, box.top + box.height / 2).closest('.message');
    return found === null ? null : found.dataset.messageId;
}"""


@pytest.fixture
def sandbox_options() -> dict[str, object]:
    return {"timing": None, "rate_limit": 1_000_000, "read_limit": 1_000_000, "balance": Decimal(1_000_000)}


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
