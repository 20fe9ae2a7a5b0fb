"""The fixtures of the tests in a browser notice what they must notice."""

import pytest
from playwright.sync_api import Browser

from msgapi import messages, webhooks
from msgapi.sandbox import Sandbox
from tests.support.browser import Pages, PageSandbox, assert_accessible, serve_site
from tests.support.webhook_receiver import SECRET, WebhookReceiver, subscribe

CSP = "default-src 'none'; script-src 'self'"
TEXT = messages.Text(agent_id="ag_live_demo", to="+4915112345678", traffic_type="TRANSACTION", text="Hello")


@pytest.mark.parametrize(
    ("body", "script", "problem"),
    [
        ("<p>fine</p>", "console.warn('fine')", None),
        ("<script src=/script.js></script>", "console.error('wrong')", "console: wrong"),
        ("<script src=/script.js></script>", "throw new Error('thrown')", "uncaught .*thrown"),
        ("<script>document.title = 'run'</script>", "", "Content Security Policy"),
        ("<img src='http://127.0.0.1:9/x.png' alt=x>", "", "Content Security Policy|another origin"),
        ("<p style='color: red'>red</p>", "", "Content Security Policy"),
        ("<script src=/script.js></script>", "location.href = 'http://localhost:9/'", "another origin: GET http://loc"),
    ],
)
def test_a_page_with_a_problem_fails_its_test(browser: Browser, body: str, script: str, problem: str | None) -> None:
    with serve_site(body, script, CSP) as port:
        pages = Pages(browser, f"http://127.0.0.1:{port}")
        _ = pages.open()
        if problem is not None:
            with pytest.raises(AssertionError, match=problem):
                pages.close()
            pages.allow(problem)
        pages.close()


def test_axe_core_names_the_element_of_a_finding(browser: Browser) -> None:
    with serve_site("<button></button><p>fine</p>") as port:
        pages = Pages(browser, f"http://127.0.0.1:{port}")
        with pytest.raises(AssertionError, match=r"button-name \(critical\)"):
            assert_accessible(pages.open())
        pages.close()
    with serve_site("<button>Send</button>") as port:
        pages = Pages(browser, f"http://127.0.0.1:{port}")
        assert_accessible(pages.open())
        pages.close()


def test_a_sent_message_reaches_the_receiver_of_webhooks(box: PageSandbox, receiver: WebhookReceiver) -> None:
    _ = box.send(subscribe(receiver, "message.delivered"))
    accepted = box.send(messages.send(TEXT))
    _ = box.use(lambda sandbox: sandbox.deliver(accepted.message_id))
    (received,) = receiver.wait_for()
    event = webhooks.read(received.headers, received.body, secret=SECRET)
    assert isinstance(event, webhooks.MessageDelivered)
    assert event.message_id == accepted.message_id


def test_a_sandbox_is_restarted_at_the_same_address(box: PageSandbox) -> None:
    url = box.url
    _ = box.send(messages.send(TEXT))
    box.stop()
    box.start()
    assert (box.url, box.use(lambda sandbox: len(sandbox.messages))) == (url, 1)
    box.stop()
    box.start(Sandbox())
    assert (box.url, box.use(lambda sandbox: len(sandbox.messages))) == (url, 0)
