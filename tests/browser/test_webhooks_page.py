"""The section Webhooks of the tab Account: endpoints, and what is done with their deliveries."""

from playwright.sync_api import expect

from msgapi import messages, webhooks
from tests.support.browser import Pages, PageSandbox
from tests.support.webhook_receiver import SECRET, WebhookReceiver, subscribe

TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hello")
REFUSED = "the server responded with a status of 4"  # what the console says of a refused request of the page


def test_a_replayed_webhook_arrives_with_a_valid_signature(
    box: PageSandbox, pages: Pages, receiver: WebhookReceiver
) -> None:
    _ = box.send(subscribe(receiver, "message.queued"))
    accepted = box.send(messages.send(TEXT))
    (first,) = receiver.wait_for()
    page = pages.open("/#account/webhooks")
    page.get_by_role("button", name="message.queued").click()
    delivery = page.locator("[data-delivery-id]")
    expect(delivery).to_contain_text("delivered")
    expect(delivery.get_by_role("group", name="Body", exact=True)).to_contain_text(
        f'"message_id": "{accepted.message_id}"'
    )
    delivery.get_by_role("button", name="Copy the signature").click()
    assert page.evaluate("() => navigator.clipboard.readText()") == first.headers["x-arowana-signature"]
    delivery.get_by_role("button", name="Raw").click()
    expect(delivery.get_by_role("group", name="Body", exact=True)).to_have_text(first.body.decode())
    delivery.get_by_role("button", name="Replay").click()
    _, again = receiver.wait_for(count=2)
    event = webhooks.read(again.headers, again.body, secret=SECRET)
    assert isinstance(event, webhooks.MessageQueued)
    assert again.body == first.body
    expect(delivery.locator("tbody tr")).to_have_count(2)
    # What was open is as it was: the raw body, in the open delivery.
    expect(delivery.get_by_role("group", name="Body", exact=True)).to_have_text(first.body.decode())


def test_deliveries_are_duplicated_delayed_and_reordered(
    box: PageSandbox, pages: Pages, receiver: WebhookReceiver
) -> None:
    _ = box.send(subscribe(receiver, "message.queued"))
    first, second = (one.message_id for one in box.send_all(messages.send(TEXT), messages.send(TEXT)))
    _ = receiver.wait_for(count=2)
    page = pages.open("/#account/webhooks")
    page.locator(".delivery-head").first.click()
    delivery = page.locator("[data-delivery-id]").first
    delivery.get_by_role("button", name="Reorder").click()
    _ = receiver.wait_for(count=3)
    expect(page.locator("[data-delivery-id]").last).to_contain_text("pending")
    _ = box.use(lambda sandbox: sandbox.advance_clock(2))
    received = [one.event["data"]["message_id"] for one in receiver.wait_for(count=4)]
    assert received[2:] == [second, first]  # the first two are sent at the same time
    delivery.get_by_role("button", name="Duplicate").click()
    _ = receiver.wait_for(count=5)
    expect(delivery.locator(".delivery-head")).to_contain_text("delivered")
    delivery.get_by_label("Delay by").fill("1800")
    page.keyboard.press("Enter")
    expect(delivery.locator(".delivery-head")).to_contain_text("pending")
    expect(delivery).to_contain_text("Next attempt")
    expect(delivery.get_by_label("Delay by")).to_have_value("1800")
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("button", name="Forward by 1 hour").click()
    assert receiver.wait_for(count=6)[-1].event["data"]["message_id"] == second


def test_a_reorder_without_a_delivery_before_it_is_refused_beside_the_button(
    box: PageSandbox, pages: Pages, receiver: WebhookReceiver
) -> None:
    pages.allow(REFUSED)
    _ = box.send(subscribe(receiver, "message.queued"))
    _ = box.send(messages.send(TEXT))
    page = pages.open("/#account/webhooks")
    page.locator(".delivery-head").click()
    page.get_by_role("button", name="Reorder").click()
    expect(page.locator("[data-delivery-id]").get_by_role("alert")).to_contain_text("no delivery")
    expect(page.locator(".toast.bad")).to_contain_text("no delivery")


def test_a_failed_attempt_shows_its_status_and_the_next_one(
    box: PageSandbox, pages: Pages, receiver: WebhookReceiver
) -> None:
    receiver.status = 500
    endpoint = box.send(subscribe(receiver, "message.queued", "message.delivered")).id
    accepted = box.send(messages.send(TEXT))
    _ = receiver.wait_for()
    page = pages.open("/#account/webhooks")
    expect(page.locator(f"[data-webhook-id='{endpoint}']")).to_contain_text("2 events")
    head = page.get_by_role("button", name="message.queued")
    expect(head).to_contain_text("pending")
    head.click()
    expect(page.get_by_role("table", name="Attempts")).to_contain_text("500")
    expect(page.get_by_text("Next attempt")).to_be_visible()
    receiver.status = 200
    _ = box.use(lambda sandbox: sandbox.deliver(accepted.message_id))
    # Nothing moves while a delivery is open: the new one waits.
    page.get_by_role("button", name="Show 1 new").click()
    expect(page.locator("[data-delivery-id]")).to_have_count(2)
    expect(page.get_by_role("table", name="Attempts")).to_be_visible()  # it is still open, below the new one
    page.get_by_role("combobox", name="Event").select_option("message.delivered")
    expect(page.locator("[data-delivery-id]")).to_have_count(1)
