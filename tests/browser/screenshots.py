"""Write the screenshots of the docs: `nox -s screenshots`, or `python -m tests.browser.screenshots [DIRECTORY]`.

They are written by this command only, and no test compares them. Look at them before they are committed.
"""

import sys
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Final, Literal

from PIL import Image
from playwright.sync_api import Page, expect

import msgapi
from msgapi import contacts, messages, webhooks
from msgapi.messages import Card, Media, OpenUrl, Reply
from msgapi.sandbox import Sandbox
from tests.support.browser import Pages, PageSandbox, serve_page, start_chromium
from tests.support.webhook_receiver import receive_webhooks

DIRECTORY: Final = Path(__file__).parents[2] / "docs" / "images"
ANNA, BEN, CARL = "+4915112345678", "+4915198765432", "+33612345678"
COLORS: Final = 256
SEED: Final = {
    "agents": [
        {"agent_id": "ag_live_demo", "display_name": "Aurora Parcels", "use_case": "MULTI_USE"},
        {"agent_id": "ag_live_codes", "display_name": "Aurora Codes", "use_case": "OTP"},
    ],
    "contacts": [
        {"phone": ANNA, "first_name": "Anna", "last_name": "Berg", "tags": ["vip"]},
        {"phone": BEN, "first_name": "Ben"},
        {"email": "dana@shop.example", "first_name": "Dana"},
    ],
}


def text(to: str, content: str, *suggestions: messages.Suggestion, agent: str = "ag_live_demo") -> messages.Text:
    kind: messages.TrafficType = "AUTHENTICATION" if agent == "ag_live_codes" else "TRANSACTION"
    return messages.Text(agent_id=agent, to=to, traffic_type=kind, text=content, suggestions=suggestions)


def fill(box: PageSandbox, hook: str) -> None:
    """Let a shop write to four recipients, two of whom answer."""
    events = ("message.delivered", "message.read", "message.failed", "conversation.started")
    _ = box.send(webhooks.create(webhooks.NewEndpoint(url=hook, events=events, secret="whsec_demo")))
    consent = contacts.NewConsent(channel_type="EMAIL", message_type="NEWSLETTER", source="shop", enforced_doi=True)
    dana = box.use(lambda sandbox: sandbox.account.state.contacts.find_by_recipient("dana@shop.example")[0].id)
    _ = box.send(contacts.create_consent(dana, consent))

    mail = messages.Email(
        channel_id="ch_demo",
        to="dana@shop.example",
        subject="Your order 4711 is on its way",
        html="<h2>On its way</h2><p>Hello Dana,<br>your parcel arrives <b>tomorrow between 9 and 11</b>.</p>",
        text="Your parcel arrives tomorrow between 9 and 11.",
    )
    code, _, lost = box.send_all(
        messages.send(text(BEN, "483920 is your code for aurora.example", agent="ag_live_codes")),
        messages.send(text(CARL, "We missed you today. Choose another day?", Reply(text="Tomorrow"))),
        messages.send(text("+4915170000000", "Your parcel is back at the depot.")),
    )
    (sent,) = box.send_all(messages.send(mail))
    box.use(lambda sandbox: [sandbox.deliver(one.message_id) for one in (code, sent)])
    box.use(lambda sandbox: sandbox.read(code.message_id))
    box.use(lambda sandbox: sandbox.fail(lost.message_id))

    choices = (Reply(text="Leave at the door"), OpenUrl(text="Track it", url="https://aurora.example/t/4711"))
    (first,) = box.send_all(
        messages.send(text(ANNA, "Hi Anna, your parcel arrives today between 2 and 4 pm.", *choices))
    )
    box.use(lambda sandbox: sandbox.deliver(first.message_id))
    box.use(lambda sandbox: sandbox.read(first.message_id))
    box.use(lambda sandbox: sandbox.tap(first.message_id, "Leave at the door"))
    box.use(lambda sandbox: sandbox.reply_from(ANNA, "ag_live_demo", text="And thanks a lot!"))
    cards = tuple(
        Card(
            title=title,
            description=description,
            media=Media(url=f"https://cdn.aurora.example/{name}.jpg", height="SHORT"),
            suggestions=(Reply(text=f"Take the {name}"),),
        )
        for title, description, name in (
            ("Gift box", "Reusable, in three sizes", "box"),
            ("Insurance", "Up to 500 euros", "cover"),
            ("Pick-up", "We come to your door", "pick-up"),
        )
    )
    offer = messages.Carousel(agent_id="ag_live_demo", to=ANNA, traffic_type="TRANSACTION", cards=cards)
    (shown,) = box.send_all(messages.send(offer))
    box.use(lambda sandbox: sandbox.deliver(shown.message_id))
    wrong = msgapi.extend_call(messages.send(text(BEN, "Hello")), {"traffic_type": "NEWS", "to": "0151 1234"})
    for call in (wrong, messages.get("msg_unknown")):
        with suppress(msgapi.CallFailed):
            _ = box.send(call)
    _ = box.send(messages.list(limit=5))


def save(page: Page, name: str, directory: Path) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-state", "connected")
    page.wait_for_load_state("load")
    image = Image.open(BytesIO(page.screenshot(animations="disabled", caret="hide")))
    # A palette makes the file a third as large. "Maximum coverage" keeps colours that only a few pixels have.
    small = image.convert("RGB").quantize(COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(directory / f"{name}.png", optimize=True)


def main(directory: Path = DIRECTORY) -> None:
    """Write all screenshots to *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    with (
        receive_webhooks() as receiver,
        start_chromium() as browser,
        serve_page(Sandbox(timing=None, seed=SEED, rate_limit=100, read_limit=200, window=86_400)) as box,
    ):
        fill(box, receiver.url)
        _ = receiver.wait_for(count=5)
        pages = Pages(browser, box.url)
        take(pages, "light", directory)
        take(pages, "dark", directory)
        pages.close()


def take(pages: Pages, scheme: Literal["light", "dark"], directory: Path) -> None:
    """Take the screenshots of one colour scheme."""
    phone = ANNA.replace("+", "%2B")
    page = pages.open(f"/#phones/{phone}", scheme=scheme, height=900)
    expect(page.locator(".message")).to_have_count(4)
    save(page, f"phones-{scheme}", directory)
    page = pages.open("/#account", scheme=scheme, height=900)
    expect(page.locator("main")).to_contain_text("Top up by")
    save(page, f"account-{scheme}", directory)
    page = pages.open("/#account/webhooks", scheme=scheme, height=900)
    page.get_by_role("button", name="message.read").first.click()
    save(page, f"webhooks-{scheme}", directory)
    page = pages.open("/#requests", scheme=scheme, height=900)
    page.get_by_text("400").first.click()
    save(page, f"requests-{scheme}", directory)
    page = pages.open(f"/#phones/{phone}", scheme=scheme, width=390, height=844)
    expect(page.locator(".message")).to_have_count(4)
    save(page, f"narrow-{scheme}", directory)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
