"""The tab Account: balance, clock, faults, agents, campaigns, contacts, snapshot and reset, and all its sections."""

import json
from decimal import Decimal
from functools import partial
from typing import Literal

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import Locator, Page, expect

import msgapi
from msgapi import agents, billing, campaigns, contacts, messages
from msgapi.results import Unavailable
from msgapi.sandbox.http.responses import format_time
from tests.support.browser import Pages, PageSandbox, assert_accessible
from tests.support.sandbox_calls import COMPLETE
from tests.support.webhook_receiver import WebhookReceiver, subscribe

TO = "+4915112345678"
TEXT = messages.Text(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", text="Hello")
CAMPAIGN = "6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e01"
SCRIPT = "<script>document.title = 1</script>"
REFUSED = "the server responded with a status of 4"  # what the console says of a refused request of the page
SECTIONS = (*("overview", "ledger", "faults", "recipients", "agents", "campaigns", "contacts", "webhooks", "data"),)


def panel(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def free_balance(page: Page) -> Locator:
    return panel(page, "Balance").locator(".figure-value").first


def submit_agent(box: PageSandbox, name: str = "Shop") -> str:
    """Create an agent that is complete, submit it for review, and return its id."""
    agent = agents.NewAgent(
        display_name=name, region="EUROPE", billing_category="CONVERSATIONAL", use_case="TRANSACTIONAL"
    )
    agent_id = box.send(agents.create(agent)).agent_id
    _ = box.send(agents.update(agent_id, COMPLETE))
    return box.send(agents.submit(agent_id)).agent_id


# Balance


def test_a_top_up_is_seen_by_the_api_and_in_the_ledger(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#account")
    expect(free_balance(page)).to_have_text("€1,000.00")
    page.get_by_label("Top up by").fill("25.50")
    page.get_by_role("button", name="Top up").click()
    expect(free_balance(page)).to_have_text("€1,025.50")
    assert box.send(billing.balance()).free == Decimal("1025.50")
    expect(page.get_by_label("Top up by")).to_have_value("")
    page.get_by_role("link", name="Ledger").click()
    expect(page.get_by_role("table", name="Transactions").locator("tbody tr").first).to_contain_text("+€25.50")


def test_the_free_balance_is_set_by_the_keyboard_alone(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#account")
    page.get_by_label("Set the free balance to").focus()
    page.keyboard.type("0.05")
    page.keyboard.press("Enter")
    expect(free_balance(page)).to_have_text("€0.05")
    assert box.send(billing.balance()).free == Decimal("0.05")


def test_a_refused_amount_is_explained_beside_the_field_and_in_a_toast(box: PageSandbox, pages: Pages) -> None:
    pages.allow(REFUSED)
    page = pages.open("/#account")
    field = page.get_by_label("Top up by")
    field.fill("0.00001")
    page.get_by_role("button", name="Top up").click()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(field).to_have_value("0.00001")
    assert field.evaluate("(node) => document.getElementById(node.getAttribute('aria-describedby')).textContent")
    expect(page.locator(".toast.bad")).to_be_visible()
    field.fill("many")
    page.keyboard.press("Enter")
    expect(panel(page, "Balance").locator(".field-error").first).to_contain_text("must be a number")
    assert box.send(billing.balance()).free == 1000


def test_a_hold_is_shown_until_the_message_is_delivered(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#account")
    expect(panel(page, "Holds")).to_contain_text("Nothing is reserved")
    accepted = box.send(messages.send(TEXT))
    holds = page.get_by_role("table", name="Holds of messages")
    expect(holds).to_contain_text(accepted.message_id)
    expect(holds).to_contain_text("€0.07")
    _ = box.use(lambda sandbox: sandbox.deliver(accepted.message_id))
    expect(panel(page, "Holds")).to_contain_text("Nothing is reserved")
    expect(free_balance(page)).to_have_text("€999.93")


def test_typed_input_and_focus_stay_when_live_data_arrive(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#account")
    field = page.get_by_label("Top up by")
    field.press_sequentially("12")
    page.locator("summary", has_text="Prices").click()
    field.focus()
    _ = box.send(messages.send(TEXT))
    expect(free_balance(page)).to_have_text("€999.93")
    expect(field).to_be_focused()
    expect(field).to_have_value("12")
    expect(page.get_by_text("basic message")).to_be_visible()


class TestGauge:
    """The gauge of the rate limit."""

    @pytest.fixture
    def sandbox_options(self) -> dict[str, object]:
        return {"timing": None, "rate_limit": 4, "window": 3600}

    def test_it_shows_what_is_used_and_is_empty_when_the_window_ends(self, box: PageSandbox, pages: Pages) -> None:
        page = pages.open("/#account")
        meter = page.get_by_role("meter", name="Used by sends")
        expect(meter).to_have_attribute("aria-valuenow", "0")
        _ = box.send_all(*[messages.send(TEXT) for _ in range(4)])
        expect(meter).to_have_attribute("aria-valuenow", "4")
        gauge = page.locator(".gauges li", has_text="Sends")
        expect(gauge).to_contain_text("4 of 4")
        expect(gauge).to_have_attribute("data-level", "full")
        page.get_by_role("button", name="Forward by 1 hour").click()
        expect(meter).to_have_attribute("aria-valuenow", "0")


# Clock


def test_an_hour_forward_expires_a_message_with_a_ttl(box: PageSandbox, pages: Pages) -> None:
    text = messages.Text(agent_id="ag_live_demo", to=TO, traffic_type="TRANSACTION", text="Hello", ttl="900s")
    _ = box.send(messages.send(text))
    page = pages.open("/#account")
    page.get_by_role("button", name="Forward by 1 minute").click()
    expect(panel(page, "Clock")).to_contain_text("1 min ahead of this machine")
    assert [one.status for one in box.use(lambda sandbox: list(sandbox.messages))] == ["QUEUED"]
    page.get_by_role("button", name="Forward by 1 hour").click()
    expect(panel(page, "Clock")).to_contain_text("1 h 1 min ahead of this machine")
    assert [one.status for one in box.use(lambda sandbox: list(sandbox.messages))] == ["EXPIRED"]


def test_a_paused_clock_stands_still_until_it_is_resumed(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#account")
    clock = panel(page, "Clock")
    expect(clock).to_contain_text("running")
    clock.get_by_role("button", name="Pause").click()
    resume = clock.get_by_role("button", name="Resume")
    expect(resume).to_be_focused()
    expect(clock).to_contain_text("paused")
    expect(page.get_by_role("link", name="Overview")).to_contain_text("paused")
    time = format_time(box.use(lambda sandbox: sandbox.time()))
    expect(clock.locator("time")).to_have_attribute("datetime", time)
    _ = box.send(messages.send(TEXT))
    expect(panel(page, "Holds")).to_contain_text("€0.07")
    expect(clock.locator("time")).to_have_attribute("datetime", time)
    resume.click()
    expect(clock).to_contain_text("running")
    expect(clock.locator("time")).not_to_have_attribute("datetime", time)


# Faults


def try_to_send(box: PageSandbox) -> object:
    """Send a message in one attempt."""

    async def send() -> object:
        async with msgapi.Client(base_url=box.url, api_key=box.api_key, retry=msgapi.Retry(attempts=1)) as client:
            return await client(messages.send(TEXT))

    with start_blocking_portal() as portal:
        return portal.call(send)


def test_a_share_of_503_makes_a_call_fail_until_all_faults_are_off(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#account/faults")
    share = page.get_by_label("503 unavailable, in percent")
    share.fill("100")
    share.press("Enter")
    expect(page.get_by_text("100 % of the requests have a fault.")).to_be_visible()
    expect(page.get_by_role("link", name="Faults")).to_contain_text("on")
    assert isinstance(try_to_send(box), Unavailable)
    page.get_by_role("button", name="Switch all faults off").click()
    expect(page.get_by_text("No request has a random fault.")).to_be_visible()
    expect(share).to_have_value("0")
    assert isinstance(try_to_send(box), msgapi.Ok)


def test_a_slider_is_moved_by_the_keyboard_and_the_sum_is_checked(pages: Pages) -> None:
    pages.allow(REFUSED)
    page = pages.open("/#account/faults")
    slider = page.get_by_role("slider", name="Lost response")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_text("3 % of the requests have a fault.")).to_be_visible()
    expect(slider).to_be_focused()
    share = page.get_by_label("500 internal error, in percent")
    share.fill("98")
    share.press("Tab")
    row = page.locator(".share", has_text="500 internal error")
    expect(row.get_by_role("alert")).to_be_visible()
    expect(share).to_have_value("0")
    seconds = page.get_by_label("Delay of a slow response")
    seconds.fill("0.25")
    seconds.press("Enter")
    late = page.get_by_label("Late, in percent")
    late.fill("50")
    late.press("Enter")
    _ = page.wait_for_function(
        """async () => {
          const faults = await (await fetch('/_sandbox/faults')).json();
          return faults.slow_seconds === 0.25 && faults.webhooks.late === 0.5 && faults.lost === 0.03;
        }"""
    )


def test_recipients_with_a_fixed_effect_are_listed_and_copied(pages: Pages) -> None:
    page = pages.open("/#account/recipients")
    row = page.get_by_role("row").filter(has_text="+447700900503")
    expect(row).to_contain_text("503 service_unavailable")
    row.get_by_role("button", name="Copy the phone number +447700900503").click()
    assert page.evaluate("() => navigator.clipboard.readText()") == "+447700900503"
    expect(page.get_by_role("table", name="Delivery outcomes")).to_contain_text("fails with UNKNOWN_RCS_USER")


# Agents


def test_an_agent_that_is_approved_and_launched_sends(box: PageSandbox, pages: Pages) -> None:
    agent_id = submit_agent(box)
    page = pages.open("/#account/agents")
    page.get_by_role("button", name=f"Approve {agent_id}").click()
    card = page.locator("[data-agent-id]", has=page.get_by_role("heading", name="Shop", exact=True))
    expect(card).to_contain_text("approved")
    expect(card).to_contain_text("not launched on any carrier")
    live = card.get_attribute("data-agent-id")
    assert live is not None
    assert live != agent_id
    button = page.get_by_role("button", name=f"Launch on vodafone_de: {live}")
    expect(button).to_be_focused()  # the focus has followed the agent to its new id
    page.keyboard.press("Enter")
    expect(card.locator("[data-carrier=vodafone_de]")).to_contain_text("launched")
    expect(card).not_to_contain_text("not launched")
    text = messages.Text(agent_id=live, to=TO, traffic_type="TRANSACTION", text="Hello")
    assert box.send(messages.send(text)).message_id


def test_an_agent_is_rejected_with_a_reason(box: PageSandbox, pages: Pages) -> None:
    agent_id = submit_agent(box, "<b>Shop</b>")
    page = pages.open("/#account/agents")
    card = page.locator(f"[data-agent-id={agent_id}]")
    expect(card.get_by_role("heading")).to_have_text("<b>Shop</b>")
    card.locator("summary:visible").click()
    card.get_by_role("textbox", name="Reason").locator("visible=true").fill("The logo is blurred.")
    card.get_by_role("button", name=f"Reject {agent_id}").click()
    expect(card).to_contain_text("Rejected: The logo is blurred.")
    expect(card).to_contain_text(f"msgapi agents submit {agent_id}")
    assert box.send(agents.get(agent_id)).rejection_reason == "The logo is blurred."


def test_a_carrier_rejects_and_suspends(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#account/agents")
    carrier = page.locator("[data-agent-id=ag_live_unlaunched] [data-carrier=telekom_de]")
    carrier.locator("summary").click()
    carrier.get_by_label("Reason").fill("No test message.")
    page.keyboard.press("Enter")
    expect(carrier).to_contain_text("rejected")
    expect(carrier).to_contain_text("No test message.")
    carrier.get_by_role("button", name="Launch on telekom_de").click()
    expect(carrier).to_contain_text("launched")
    carrier.get_by_role("button", name="Suspend on telekom_de").click()
    expect(carrier).to_contain_text("suspended")
    launches = {one.carrier: one.status for one in box.send(agents.launch_status("ag_live_unlaunched")).carriers}
    assert launches["telekom_de"] == "SUSPENDED"


# Campaigns and contacts


def test_a_running_campaign_is_halted_after_some_executions_have_failed(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#account/campaigns")
    card = page.locator(f"[data-campaign-id='{CAMPAIGN}']")
    expect(card).to_contain_text(f"msgapi campaigns trigger {CAMPAIGN}")
    _ = box.send(campaigns.trigger(CAMPAIGN))
    expect(card).to_contain_text("running")
    card.get_by_role("spinbutton", name="Executions").fill("3")
    card.get_by_role("button", name=f"Fail executions of {CAMPAIGN}").click()
    expect(card).to_contain_text("3 failed")
    card.get_by_role("button", name="Halt: error").click()
    expect(card).to_contain_text("paused error")
    expect(card).to_contain_text(f"msgapi campaigns resume {CAMPAIGN}")
    assert box.send(campaigns.status(CAMPAIGN)).status == "PAUSED_ERROR"


def test_contacts_are_searched_and_a_pending_consent_is_confirmed(box: PageSandbox, pages: Pages) -> None:
    page = pages.open("/#account/contacts")
    expect(page.get_by_role("heading", name="No contacts")).to_be_visible()
    for name in ("Ada", "Grace"):
        contact = contacts.NewContact(email=f"{name}@example.org", first_name=name, source="API")
        contact_id = box.send(contacts.create(contact)).id
    consent = contacts.NewConsent(channel_type="EMAIL", message_type="NEWSLETTER", source="form", enforced_doi=True)
    _ = box.send(contacts.create_consent(contact_id, consent))
    found = page.locator("[data-contact-id]")
    expect(found).to_have_count(2)
    page.get_by_label("Search contacts").fill("grace")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("pending")
    found.get_by_role("button", name="Confirm the consent to email newsletter").click()
    expect(found).to_contain_text("granted")
    assert [one.status for one in box.send(contacts.list_consents(contact_id)).consent_records] == ["GRANTED"]
    page.get_by_label("Search contacts").fill("nobody")
    expect(page.get_by_text("No contact matches the search.")).to_be_visible()


def test_a_consent_on_a_later_page_is_confirmed_and_the_page_stays(box: PageSandbox, pages: Pages) -> None:
    rows = [contacts.ImportRow(email=f"person{number}@example.org") for number in range(53)]
    (call,) = contacts.import_contacts(rows)
    _ = box.send(call)
    last = box.send(contacts.create(contacts.NewContact(email="last@example.org", first_name=SCRIPT, source="API"))).id
    consent = contacts.NewConsent(channel_type="RCS", message_type="NEWSLETTER", source="form", enforced_doi=True)
    _ = box.send(contacts.create_consent(last, consent))
    page = pages.open("/#account/contacts")
    found = page.locator("[data-contact-id]")
    expect(found).to_have_count(50)
    page.get_by_role("button", name="Next").click()
    expect(found).to_have_count(4)
    expect(found.last).to_contain_text(SCRIPT)
    found.last.get_by_role("button", name="Confirm").click()
    expect(found.last).to_contain_text("granted")
    expect(found).to_have_count(4)
    page.get_by_role("button", name="First", exact=True).click()
    expect(found).to_have_count(50)


# Snapshot and reset


def test_a_snapshot_is_downloaded_and_restored_after_a_reset(
    box: PageSandbox, pages: Pages, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("snapshot") / "sandbox.json"
    _ = box.send(messages.send(TEXT))
    page = pages.open("/#account/data")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download the snapshot").click()
    downloading.value.save_as(path)
    assert json.loads(path.read_text())
    page.get_by_role("button", name="Reset the sandbox").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert box.use(lambda sandbox: len(sandbox.messages)) == 1
    page.get_by_role("button", name="Reset the sandbox").click()
    page.get_by_role("dialog").get_by_role("button", name="Reset", exact=True).click()
    expect(page.get_by_text("The sandbox is as it was started.").last).to_be_visible()
    assert box.use(lambda sandbox: len(sandbox.messages)) == 0
    page.get_by_label("Snapshot file").set_input_files(path)
    page.get_by_role("button", name="Restore from the file").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore", exact=True).click()
    expect(page.get_by_text("The snapshot is restored.")).to_be_visible()
    assert box.use(lambda sandbox: len(sandbox.messages)) == 1


def test_a_file_that_is_no_snapshot_is_refused(
    box: PageSandbox, pages: Pages, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pages.allow(REFUSED)
    path = tmp_path_factory.mktemp("snapshot") / "sandbox.json"
    _ = box.send(messages.send(TEXT))
    page = pages.open("/#account/data")
    page.get_by_role("button", name="Restore from the file").click()
    expect(page.get_by_role("alert").filter(has_text="Choose a snapshot file first.")).to_be_visible()
    for content, problem in (("no JSON", "The file is not JSON."), ('{"version": 1}', "")):
        path.write_text(content)
        page.get_by_label("Snapshot file").set_input_files(path)
        page.get_by_role("button", name="Restore from the file").click()
        if not problem:
            page.get_by_role("dialog").get_by_role("button", name="Restore", exact=True).click()
        alert = page.get_by_role("alert")
        expect(alert).to_be_visible()
        expect(alert).to_contain_text(problem)
    expect(page.get_by_role("alert")).not_to_have_text("The file is not JSON.")
    assert box.use(lambda sandbox: len(sandbox.messages)) == 1


def test_after_a_reset_nothing_of_before_is_shown(box: PageSandbox, pages: Pages) -> None:
    _ = box.send(billing.top_up(Decimal(20)))
    page = pages.open("/#account/ledger")
    transactions = page.get_by_role("table", name="Transactions")
    expect(transactions).to_contain_text("+€20.00")
    _ = box.use(lambda sandbox: sandbox.reset())
    expect(page.get_by_role("heading", name="No transactions")).to_be_visible()
    _ = box.send(billing.top_up(Decimal(30)))
    expect(transactions.locator("tbody tr")).to_have_count(1)
    expect(transactions).to_contain_text("+€30.00")


# All sections


def test_two_open_pages_see_each_others_changes(box: PageSandbox, pages: Pages) -> None:
    agent_id = submit_agent(box)
    first, second = pages.open("/#account"), pages.open("/#account")
    first.get_by_label("Top up by").fill("10")
    first.get_by_role("button", name="Top up").click()
    expect(free_balance(second)).to_have_text("€1,010.00")
    second.get_by_role("button", name="Forward by 1 day").click()
    expect(panel(first, "Clock")).to_contain_text("1 d ahead")
    for page, section in ((first, "Faults"), (second, "Faults")):
        page.get_by_role("link", name=section).click()
    first.get_by_label("429 rate limit exceeded, in percent").fill("20")
    first.keyboard.press("Enter")
    expect(second.get_by_label("429 rate limit exceeded, in percent")).to_have_value("20")
    for page in (first, second):
        page.get_by_role("link", name="Agents").click()
    first.get_by_role("button", name=f"Approve {agent_id}").click()
    card = second.locator("[data-agent-id]", has=second.get_by_role("heading", name="Shop", exact=True))
    expect(card).to_contain_text("approved")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_section_is_accessible(
    box: PageSandbox, pages: Pages, receiver: WebhookReceiver, scheme: Literal["light", "dark"]
) -> None:
    fill(box, receiver)
    page = pages.open("/#account", scheme=scheme)
    for section in SECTIONS:
        page.evaluate("(section) => { location.hash = `#account/${section}`; }", section)
        expect(page.locator(f".account-nav a[href='#account/{section}']")).to_have_attribute("aria-current", "true")
        settle(page, section)
        assert_accessible(page)


@pytest.mark.parametrize("width", [360, 768, 1920])
def test_no_section_is_wider_than_the_page(
    box: PageSandbox, pages: Pages, receiver: WebhookReceiver, width: int
) -> None:
    fill(box, receiver)
    page = pages.open("/#account", width=width)
    for section in SECTIONS:
        page.evaluate("(section) => { location.hash = `#account/${section}`; }", section)
        settle(page, section)
        main = page.locator(".account-main")
        assert main.evaluate("(node) => node.scrollWidth - node.clientWidth") == 0, section
        assert page.evaluate("() => document.documentElement.scrollWidth") == width, section


def test_a_new_sandbox_says_in_each_section_what_to_do(pages: Pages) -> None:
    page = pages.open("/#account/ledger")
    for section, command in (
        ("ledger", "msgapi send"),
        ("contacts", "msgapi contacts create"),
        ("webhooks", "msgapi webhooks create"),
        ("agents", "msgapi agents submit"),
        ("campaigns", "msgapi campaigns trigger"),
    ):
        page.evaluate("(section) => { location.hash = `#account/${section}`; }", section)
        expect(page.locator(".account-main pre:visible", has_text=command).first).to_be_visible()


def fill(box: PageSandbox, receiver: WebhookReceiver) -> None:
    """Let every section have something to show."""
    _ = box.send(subscribe(receiver, "message.queued", "contact.created"))
    _ = submit_agent(box, "Grüne Gärtnerei & Söhne")
    _ = box.send(campaigns.trigger(CAMPAIGN))
    _ = box.send(messages.send(TEXT))
    contact_id = box.send(contacts.create(contacts.NewContact(email="ada@example.org", source="API"))).id
    consent = contacts.NewConsent(channel_type="EMAIL", message_type="NEWSLETTER", source="form", enforced_doi=True)
    _ = box.send(contacts.create_consent(contact_id, consent))
    _ = box.send(billing.top_up(Decimal(20)))
    _ = receiver.wait_for(count=2)


def settle(page: Page, section: str) -> None:
    """Wait until a section has fetched what it shows; open a delivery."""
    waits = {
        "overview": partial(expect(page.locator(".gauges li")).not_to_have_count, 0),
        "ledger": partial(expect(page.get_by_role("table", name="Transactions")).to_contain_text, "topup"),
        "agents": partial(expect(page.locator("[data-agent-id]")).not_to_have_count, 0),
        "campaigns": partial(expect(page.locator("[data-campaign-id]")).not_to_have_count, 0),
        "contacts": partial(expect(page.locator("[data-contact-id]")).to_have_count, 1),
        "webhooks": partial(expect(page.locator("[data-delivery-id]")).to_have_count, 2),
    }
    waits.get(section, lambda: None)()
    if section == "webhooks":
        page.locator(".delivery-head").first.click()
    if section == "agents":
        page.locator("details:visible summary").first.click()
