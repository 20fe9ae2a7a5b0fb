"""The page as a whole: who can use it and who cannot, what a message can do to it, and how it starts and ends."""

import re
from decimal import Decimal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from msgapi import agents, messages
from msgapi.sandbox import Sandbox
from msgapi.testing import SandboxProcess
from tests.support.browser import Pages, PageSandbox, assert_accessible, serve_site
from tests.support.sandbox_calls import COMPLETE

PHONE = "+4915112345678"
TEXT = messages.Text(agent_id="ag_live_demo", to=PHONE, traffic_type="TRANSACTION", text="Your parcel is here")
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
UNSAFE = "() => document.querySelectorAll('main img, main script, main [onerror]').length"
FETCH = """async ([method, url, mode]) => {
    const body = method === 'GET' ? undefined : '{}';
    try {
        const answer = await fetch(url, {method, mode, body, credentials: 'include'});
        return answer.type === 'opaque' ? 'opaque' : `${answer.status} ${await answer.text()}`;
    } catch (error) {
        return `${error}`;
    }
}"""
POST_A_FORM = """url => {
    const form = document.createElement('form');
    Object.assign(form, {method: 'post', enctype: 'text/plain', action: url});
    document.body.append(form);
    form.submit();
}"""


def expect_connected(page: Page) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")


def go(page: Page, place: str) -> None:
    page.evaluate("place => { location.hash = place; }", place)


def launch_agent(box: PageSandbox, name: str) -> str:
    """Return the id of a new agent with this *name* that can send."""
    new = agents.NewAgent(display_name=name, region="EUROPE", billing_category="CONVERSATIONAL", use_case="MULTI_USE")
    draft = box.send(agents.create(new)).agent_id
    _ = box.send(agents.update(draft, COMPLETE))
    _ = box.send(agents.submit(draft))
    agent_id = box.use(lambda sandbox: sandbox.approve(draft))
    box.use(lambda sandbox: sandbox.launch(agent_id))
    return agent_id


def test_a_script_in_the_name_of_an_agent_is_text_on_each_tab(box: PageSandbox, pages: Pages) -> None:
    agent_id = launch_agent(box, MARKUP)
    sent = messages.Text(agent_id=agent_id, to=PHONE, traffic_type="TRANSACTION", text=MARKUP)
    _ = box.send(messages.send(sent))
    page = pages.open(f"/#phones/{PHONE.replace('+', '%2B')}")
    expect(page.locator(".phone-head")).to_contain_text(MARKUP)
    assert page.evaluate(UNSAFE) == 0
    go(page, "#account/agents")
    expect(page.get_by_role("heading", name=MARKUP, exact=True)).to_be_visible()
    assert page.evaluate(UNSAFE) == 0
    go(page, "#requests")
    expect(page.get_by_text("/v1/messages").first).to_be_visible()
    assert page.evaluate(UNSAFE) == 0


def test_a_script_in_a_mail_does_nothing_in_a_tab_of_its_own_either(box: PageSandbox, pages: Pages) -> None:
    pages.allow("Blocked script execution|Blocked form submission|Refused to refresh|Content Security Policy")
    pages.allow("request to another origin: GET http://evil.example/pixel.png")  # one that the policy has blocked
    html = (
        "<title>Mail</title><h1>Hello</h1><script>document.title = 'taken'</script><svg onload='document.title = 1'>"
        "</svg><img src='http://evil.example/pixel.png' onerror='document.title = 2' alt=''>"
        "<a href='javascript:document.title = 3'>Open</a>"
        "<form action='/_sandbox/reset' method='post'><button>Go</button></form>"
        "<meta http-equiv='refresh' content='0;url=javascript:document.title=4'>"
    )
    sent = box.send(messages.send(messages.Email(channel_id="ch_demo", to="a@shop.example", subject="Hi", html=html)))
    page = pages.open("/")
    expect_connected(page)
    mail = pages.open(f"/_sandbox/messages/{sent.message_id}/mail", context=page.context)
    expect(mail.get_by_role("heading", name="Hello")).to_be_visible()
    mail.get_by_role("link", name="Open").click()
    mail.get_by_role("button", name="Go").click()
    expect(mail).to_have_title("Mail")
    assert mail.url.endswith("/mail")
    assert box.use(lambda sandbox: len(sandbox.messages)) == 1


def test_a_reply_on_one_page_is_seen_on_another_one(box: PageSandbox, pages: Pages) -> None:
    _ = box.send(messages.send(TEXT))
    first, second = (pages.open(f"/#phones/{PHONE.replace('+', '%2B')}") for _ in range(2))
    expect_connected(second)
    first.get_by_label("Reply as the recipient").fill("Thanks")
    first.get_by_role("button", name="Send the reply").click()
    expect(second.locator(".message.inbound .bubble")).to_have_text("Thanks")


def test_each_tab_follows_a_sandbox_that_was_restarted(box: PageSandbox, pages: Pages) -> None:
    pages.allow("ERR_CONNECTION_REFUSED|ERR_(INVALID|INCOMPLETE)_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|status of 40[13]")
    _ = box.send(messages.send(TEXT))
    account, requests = pages.open("/#account"), pages.open("/#requests")
    for page in (account, requests):
        expect_connected(page)
        page.evaluate("() => { window.marker = true; }")
    expect(requests.get_by_text("/v1/messages").first).to_be_visible()
    box.stop()
    for page in (account, requests):
        expect(page.locator("#connection")).to_have_attribute("data-state", "stopped")
    box.start(Sandbox(timing=None))
    for page in (account, requests):
        expect_connected(page)
    expect(account.locator("main")).to_contain_text("€1,000.00")
    expect(requests.locator("main")).not_to_contain_text("/v1/messages", use_inner_text=True)
    box.use(lambda sandbox: sandbox.top_up(Decimal(5)))
    expect(account.locator("main")).to_contain_text("€1,005.00")
    assert account.evaluate("() => window.marker")
    assert requests.evaluate("() => window.marker")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example"])
def test_a_page_of_another_origin_reads_and_changes_nothing(box: PageSandbox, pages: Pages, host: str) -> None:
    pages.allow(".")  # those of the page of the attacker
    _ = box.send(messages.send(TEXT))
    own = pages.open("/")  # its browser has the cookie
    expect_connected(own)
    with serve_site(f"<iframe src='{box.url}/'></iframe>") as port:
        page = pages.open(f"http://{host}:{port}/", context=own.context)
        (frame,) = page.main_frame.child_frames
        assert not frame.url.startswith(box.url)
        for method, path in (("GET", "/"), ("GET", "/_sandbox/messages"), ("POST", "/_sandbox/reset")):
            url = f"{box.url}{path}"
            assert "Failed to fetch" in page.evaluate(FETCH, [method, url, "cors"])
            assert page.evaluate(FETCH, [method, url, "no-cors"]) in {"opaque", "TypeError: Failed to fetch"}
        page.evaluate(POST_A_FORM, f"{box.url}/_sandbox/reset")
        expect(page.locator("body")).to_contain_text(re.compile("unauthorized|forbidden"))
    assert box.use(lambda sandbox: len(sandbox.messages)) == 1
    expect_connected(own)


def test_a_name_that_was_pointed_to_the_sandbox_is_refused(box: PageSandbox, pages: Pages) -> None:
    pages.allow(".")  # those of the page of the attacker
    _ = box.send(messages.send(TEXT))
    page = pages.open(f"http://rebind.example:{urlsplit(box.url).port}/")
    expect(page.locator("body")).to_contain_text("The sandbox does not answer for this Host")
    for method, path in (("GET", "/_sandbox/messages"), ("GET", "/_sandbox/events"), ("POST", "/_sandbox/reset")):
        assert page.evaluate(FETCH, [method, path, "same-origin"]).startswith("403 ")
    assert box.use(lambda sandbox: len(sandbox.messages)) == 1


def test_on_another_address_the_printed_url_opens_the_page_and_nothing_else_does(browser: Browser) -> None:
    with SandboxProcess(host="0.0.0.0", allow_hosts=("sandbox.example",)) as sandbox:  # noqa: S104 - as in a container
        url = sandbox.url.replace("127.0.0.1", "sandbox.example")
        assert sandbox.page is not None
        secret = sandbox.page.removeprefix(sandbox.url)
        assert re.fullmatch(r"/\?access=[\w-]{20,}", secret)
        pages = Pages(browser, url)
        pages.allow("status of 40[13]|Cross-Origin-Opener-Policy header has been ignored")
        closed = pages.open("/")
        expect(closed.get_by_role("heading")).to_have_text("This page is closed")
        assert_accessible(closed)
        opened = pages.open(secret)
        expect_connected(opened)
        assert opened.url == f"{url}/"
        opened.get_by_role("link", name="Account").click()
        opened.get_by_label("Top up by").fill("10")
        opened.get_by_role("button", name="Top up").click()
        expect(opened.locator("main")).to_contain_text("€1,010.00")
        again = pages.open("/#account", context=opened.context)
        expect(again.locator("main")).to_contain_text("€1,010.00")
        expect(pages.open("/").get_by_role("heading")).to_have_text("This page is closed")
        pages.close()


def test_a_sandbox_ends_at_once_though_pages_are_open(browser: Browser) -> None:
    # A process that does not end in time is killed, which raises SandboxError.
    with SandboxProcess() as sandbox:
        pages = Pages(browser, sandbox.url)
        pages.allow("ERR_CONNECTION_REFUSED|ERR_(INVALID|INCOMPLETE)_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE")
        opened = [pages.open(tab) for tab in ("/#phones", "/#account")]
        for page in opened:
            expect_connected(page)
    for page in opened:
        expect(page.locator("#connection")).to_have_attribute("data-state", "stopped")
    pages.close()
