"""The tab Requests: the list of the last requests, and the details of one."""

import json
import os
import subprocess
import sys
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from msgapi import contacts, messages
from tests.support.browser import Pages, PageSandbox, assert_accessible

TO = "+4915112345678"
TEXT = messages.Text(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", text="Hello")


def request(box: PageSandbox, method: str, path: str, body: object = None, key: str = "") -> int:
    """Send a request without a client, since a client checks a message first; return the status of the response."""
    connection = HTTPConnection(urlsplit(box.url).netloc)
    headers = {"Authorization": f"Bearer {box.api_key}", "Content-Type": "application/json"}
    headers.update({"Idempotency-Key": key} if key else {})
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    _ = response.read()
    connection.close()
    return response.status


def new_contact(email: str) -> contacts.NewContact:
    return contacts.NewContact(email=email, source="API")


def expect_paths(page: Page, *paths: str) -> None:
    """Wait until the list has the requests of these *paths*, newest first."""
    expect(page.locator(".request-path")).to_have_text(list(paths))


def test_a_request_appears_while_the_page_is_open(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#requests")
    expect(page.get_by_role("heading", name="No requests yet")).to_be_visible()
    expect(page.get_by_text("msgapi send --to")).to_be_visible()
    _ = box.send(messages.send(TEXT))
    row = page.locator(".request-row")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("200")
    expect(row).to_contain_text("/v1/messages")
    expect(page.get_by_role("heading", name="No requests yet")).to_be_hidden()


def test_a_refused_request_shows_its_code_its_message_and_its_details(box: PageSandbox, pages: Pages) -> None:
    body = {"agent_id": "ag_live_demo", "to": "12", "message_type": "MESSAGE", "traffic_type": "TRANSACTION"}
    assert request(box, "POST", "/v1/messages", {**body, "content": {"text": "x" * 4000}}, "key-1") == 400
    page = pages.open("/#requests")
    page.locator(".request-row").click()
    details = page.get_by_role("article", name="Details of the request")
    expect(details.get_by_role("heading", level=2)).to_have_text("POST /v1/messages")
    expect(details.get_by_role("definition").filter(has_text="key-1")).to_be_visible()
    refusal = details.get_by_role("region", name="Refusal", exact=True)
    expect(refusal).to_contain_text("validation_error")
    cells = refusal.get_by_role("cell").all_inner_texts()
    assert cells[0::2] == ["to", "content.text"]
    assert all(cells[1::2])
    expect(details.get_by_role("region", name="Request", exact=True)).to_contain_text('"to": "12"')
    expect(details.get_by_role("region", name="Response", exact=True)).to_contain_text('"error": "validation_error"')


def test_the_python_code_of_a_refused_request_runs_and_is_refused_again(box: PageSandbox, pages: Pages) -> None:
    assert request(box, "POST", "/v1/rcs/agents/ag_draft_demo/submit") == 422
    page = pages.open("/#requests")
    page.locator(".request-row").click()
    expect(page.get_by_role("region", name="Refusal", exact=True)).to_contain_text("agent_incomplete")
    section = page.get_by_role("region", name="As msgapi code")
    section.get_by_role("button", name="Copy As msgapi code").click()
    code: str = page.evaluate("() => navigator.clipboard.readText()")
    assert "await client(agents.submit(" in code
    environment = {**os.environ, "MSGAPI_BASE_URL": box.url, "MSGAPI_API_KEY": box.api_key}
    ran = subprocess.run(  # noqa: S603 - the program that the page shows
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert "agent_incomplete" in ran.stdout + ran.stderr
    expect(page.locator(".request-row")).to_have_count(2)


def test_curl_names_the_variables_and_not_the_key(box: PageSandbox, pages: Pages) -> None:
    _ = box.send(messages.send(TEXT))
    page = pages.open("/#requests")
    page.locator(".request-row").click()
    curl = page.get_by_role("region", name="As curl")
    expect(curl).to_contain_text("$MSGAPI_BASE_URL")
    expect(curl).to_contain_text("$MSGAPI_API_KEY")
    assert box.api_key not in page.locator("main").inner_text()


def test_a_send_links_to_its_message_on_the_phone(box: PageSandbox, pages: Pages) -> None:
    accepted = box.send(messages.send(TEXT))
    page = pages.open("/#requests")
    page.locator(".request-row").click()
    page.get_by_role("link", name=accepted.message_id).click()
    expect(page.locator(f"[data-message-id='{accepted.message_id}']")).to_be_visible()


def test_a_replayed_response_is_marked(box: PageSandbox, pages: Pages) -> None:
    body = {"agent_id": "ag_live_demo", "to": TO, "message_type": "MESSAGE", "traffic_type": "TRANSACTION"}
    for _ in range(2):
        assert request(box, "POST", "/v1/messages", {**body, "content": {"text": "Hi"}}, "key-1") == 200
    page = pages.open("/#requests")
    expect(page.locator(".request-code")).to_have_text(["replayed", ""])
    page.locator(".request-row").first.click()
    expect(page.get_by_text("yes: the stored response")).to_be_visible()


def test_the_filters_select_by_status_and_path(box: PageSandbox, pages: Pages) -> None:
    _ = box.send_all(messages.send(TEXT), contacts.create(new_contact("ada@example.org")))
    assert request(box, "GET", "/v1/contacts/c_none") == 404
    page = pages.open("/#requests")
    expect_paths(page, "/v1/contacts/c_none", "/v1/contacts", "/v1/messages")
    page.get_by_role("button", name="Status 4xx").click()
    expect_paths(page, "/v1/contacts/c_none")
    page.get_by_role("button", name="All statuses").click()
    page.keyboard.press("/")
    page.keyboard.type("contacts")
    expect_paths(page, "/v1/contacts/c_none", "/v1/contacts")
    page.get_by_role("button", name="Status 5xx").click()
    expect(page.get_by_text("No request matches the filters.")).to_be_visible()
    # A new request that does not match stays out, and one that matches comes in.
    page.get_by_role("button", name="Status 2xx").click()
    _ = box.send_all(messages.send(TEXT), contacts.create(new_contact("bob@example.org")))
    expect_paths(page, "/v1/contacts", "/v1/contacts")


def test_a_paused_list_counts_new_requests_and_shows_them_on_resume(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#requests")
    expect(page.get_by_role("heading", name="No requests yet")).to_be_visible()
    page.keyboard.press("p")
    button = page.get_by_role("button", name="Resume")
    _ = box.send_all(messages.send(TEXT), messages.send(TEXT))
    expect(button).to_contain_text("2 new")
    expect(page.locator(".request-row")).to_have_count(0)
    button.click()
    expect(page.locator(".request-row")).to_have_count(2)


def test_live_requests_keep_the_focus_the_details_and_a_selection(box: PageSandbox, pages: Pages) -> None:
    _ = box.send(messages.send(TEXT))
    page = pages.open("/#requests")
    row = page.locator(".request-row").first
    row.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("article").get_by_role("heading", level=2)).to_be_focused()
    select = "() => getSelection().selectAllChildren(document.querySelector('.request-content pre code'))"
    page.evaluate(select)
    before: str = page.evaluate("() => getSelection().toString()")
    row.focus()
    _ = box.send_all(*[messages.send(TEXT) for _ in range(5)])
    expect(page.locator(".request-row")).to_have_count(6)
    expect(page.locator(".request-row").last).to_be_focused()
    expect(page.locator(".request-row").last).to_have_attribute("aria-current", "true")
    assert page.evaluate("() => getSelection().toString()") == before


def test_the_list_is_used_by_the_keyboard_alone(box: PageSandbox, pages: Pages) -> None:
    assert request(box, "GET", "/v1/contacts/c_none") == 404
    _ = box.send(messages.send(TEXT))
    page = pages.open("/#requests")
    rows, title = page.locator(".request-row"), page.get_by_role("article").get_by_role("heading", level=2)
    rows.first.focus()
    page.keyboard.press("Enter")
    expect(title).to_be_focused()
    expect(title).to_have_text("POST /v1/messages")
    page.keyboard.press("Escape")
    expect(rows.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(rows.last).to_be_focused()
    expect(title).to_have_text("GET /v1/contacts/c_none")
    assert page.url.endswith("#requests/1")


def test_after_a_reset_the_list_begins_anew_and_the_details_stay(box: PageSandbox, pages: Pages) -> None:
    assert request(box, "GET", "/v1/contacts/c_none") == 404
    page = pages.open("/#requests")
    page.locator(".request-row").click()
    _ = box.use(lambda sandbox: sandbox.reset())
    expect(page.get_by_role("heading", name="No requests yet")).to_be_visible()
    _ = box.send(messages.send(TEXT))
    expect_paths(page, "/v1/messages")
    expect(page.locator(".request-row")).not_to_have_attribute("aria-current", "true")
    expect(page.get_by_role("region", name="Refusal", exact=True)).to_contain_text("not_found")


def test_the_list_has_one_page_of_rows_however_many_requests_there_were(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#requests")
    for _ in range(250):
        assert request(box, "GET", "/v1/billing/balance") == 200
    expect(page.locator(".request-row")).to_have_count(100)
    newest = page.locator(".request-list li").first
    expect(newest).to_have_attribute("data-number", "250")
    page.get_by_role("button", name="Older").click()
    expect(newest).to_have_attribute("data-number", "150")
    expect(page.get_by_text("Page 2")).to_be_visible()
    assert request(box, "GET", "/v1/billing/balance") == 200
    page.get_by_role("button", name="Newest").click()
    expect(newest).to_have_attribute("data-number", "251")


def test_a_link_to_a_request_opens_its_details(box: PageSandbox, pages: Pages) -> None:
    for _ in range(120):
        assert request(box, "GET", "/v1/billing/balance") == 200
    assert request(box, "GET", "/v1/contacts/c_none") == 404
    page = pages.open("/#requests/3")
    expect(page.get_by_role("article").get_by_role("definition").first).to_have_text("3")
    page = pages.open("/#requests/121")
    expect(page.get_by_role("region", name="Refusal", exact=True)).to_contain_text("not_found")


def test_markup_in_a_request_is_text(box: PageSandbox, pages: Pages) -> None:
    script = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    assert request(box, "POST", "/v1/messages", {"to": script, script: script}) == 400
    assert request(box, "GET", "/v1/messages?%3Cscript%3E=1") == 400
    page = pages.open("/#requests")
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    for row in (page.locator(".request-row").first, page.locator(".request-row").last):
        row.click()
        expect(page.get_by_role("region", name="Refusal", exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Request", exact=True)).to_contain_text("<script>alert(2)</script>")
    assert page.locator("main img, main script").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tab_is_accessible(box: PageSandbox, pages: Pages, scheme: str) -> None:
    page = pages.open("/#requests", scheme=scheme)  # type: ignore[arg-type]
    expect(page.get_by_role("heading", name="No requests yet")).to_be_visible()
    assert_accessible(page)
    _ = box.send(messages.send(TEXT))
    assert request(box, "POST", "/v1/messages", {"to": "12"}) == 400
    assert request(box, "POST", "/v1/messages", {**messages_body(), "to": "+447700900503"}) == 503
    page.locator(".request-row").filter(has_text="400").click()
    expect(page.get_by_role("region", name="Refusal", exact=True)).to_be_visible()
    assert_accessible(page)


def test_a_narrow_page_shows_the_list_or_the_details(box: PageSandbox, pages: Pages) -> None:
    assert request(box, "POST", "/v1/messages", {"to": "12", "content": {"text": "x" * 500}}) == 400
    page = pages.open("/#requests", width=360, height=740)
    row = page.locator(".request-row")
    row.click()
    expect(row).to_be_hidden()
    expect(page.get_by_role("region", name="Refusal", exact=True)).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    assert page.evaluate("() => document.querySelector('.request-content').scrollWidth") == 360
    assert_accessible(page)
    page.get_by_role("button", name="Back to the list").click()
    expect(row).to_be_focused()


def messages_body() -> dict[str, object]:
    return {
        "agent_id": "ag_live_demo",
        "message_type": "MESSAGE",
        "traffic_type": "TRANSACTION",
        "content": {"text": "Hi"},
    }
