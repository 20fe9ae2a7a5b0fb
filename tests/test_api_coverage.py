"""The table of the documentation of what the client calls and reads, and what the sandbox emulates: made from the code.

`python tests/test_api_coverage.py` writes it anew.
"""

import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from inspect import getdoc
from pathlib import Path
from typing import Any

import pytest

from msgapi import Call, agents, billing, campaigns, contacts, messages, testagent, webhooks
from msgapi.sandbox.openapi.operations import OPERATIONS, Operation
from msgapi.sandbox.routes.table import ROUTES

PAGE = Path(__file__).parents[1] / "docs/reference/api-coverage.md"
BEGIN, END = "<!-- coverage -->\n", "<!-- /coverage -->\n"
TO = "+4915112345678"
TEXT = messages.Text(agent_id="ag_1", to=TO, traffic_type="TRANSACTION", text="Hello")
NEW_AGENT = agents.NewAgent(display_name="S", region="EUROPE", billing_category="CONVERSATIONAL", use_case="OTP")
CONSENT = contacts.NewConsent(channel_type="RCS", message_type="NEWSLETTER", source="shop")
CALLS: dict[Callable[..., Any], Callable[[], Call[Any]]] = {
    messages.send: lambda: messages.send(TEXT),
    messages.list: messages.list,
    messages.get: lambda: messages.get("{id}"),
    messages.revoke: lambda: messages.revoke("{id}"),
    testagent.register: lambda: testagent.register(TO),
    testagent.verify: lambda: testagent.verify(TO, "000000"),
    testagent.send: lambda: testagent.send(TEXT),
    testagent.status: testagent.status,
    agents.create: lambda: agents.create(NEW_AGENT),
    agents.get: lambda: agents.get("{id}"),
    agents.update: lambda: agents.update("{id}", agents.AgentChanges(display_name="S")),
    agents.submit: lambda: agents.submit("{id}"),
    agents.launch_status: lambda: agents.launch_status("{id}"),
    contacts.create: lambda: contacts.create(contacts.NewContact(source="API", phone=TO)),
    contacts.get: lambda: contacts.get("{id}"),
    contacts.update: lambda: contacts.update("{id}", contacts.ContactChanges(tags=())),
    contacts.delete: lambda: contacts.delete("{id}"),
    contacts.import_contacts: lambda: next(contacts.import_contacts([contacts.ImportRow(phone=TO)])),
    contacts.list_consents: lambda: contacts.list_consents("{id}"),
    contacts.create_consent: lambda: contacts.create_consent("{id}", CONSENT),
    campaigns.trigger: lambda: campaigns.trigger("{id}"),
    campaigns.pause: lambda: campaigns.pause("{id}"),
    campaigns.resume: lambda: campaigns.resume("{id}"),
    campaigns.status: lambda: campaigns.status("{id}"),
    billing.balance: billing.balance,
    billing.usage: billing.usage,
    billing.detailed_usage: lambda: billing.detailed_usage(since=date(2026, 5, 1), until=date(2026, 5, 2)),
    billing.tier: billing.tier,
    billing.top_up: lambda: billing.top_up(Decimal(10)),
    billing.payment_methods: billing.payment_methods,
    billing.add_payment_method: lambda: billing.add_payment_method({}),
    billing.auto_reload: billing.auto_reload,
    billing.set_auto_reload: lambda: billing.set_auto_reload(billing.AutoReload(enabled=False)),
    billing.set_alert: lambda: billing.set_alert(billing.Alert(low_balance_threshold=Decimal(1))),
    billing.transactions: billing.transactions,
    billing.invoices: billing.invoices,
    webhooks.create: lambda: webhooks.create(webhooks.NewEndpoint(url="https://a.example", events=("x",), secret="s")),
    webhooks.list: webhooks.list,
    webhooks.update: lambda: webhooks.update("{id}", webhooks.EndpointChanges(secret="s")),
    webhooks.delete: lambda: webhooks.delete("{id}"),
    webhooks.test: lambda: webhooks.test("{id}"),
}
EMULATED = {(route.method, route.path) for route in ROUTES}
SANDBOX = Path(__file__).parents[1] / "msgapi" / "sandbox"
TOLD = "".join(path.read_text() for path in SANDBOX.rglob("*.py") if path != SANDBOX / "routes" / "webhooks.py")


def table() -> str:
    lines = ["| route | call | sandbox |", "|---|---|---|"]
    for one in OPERATIONS:
        said = "yes" if (one.method, one.path) in EMULATED else "no"
        lines.append(f"| `{one.method} {one.path}` | `{one.name}` | {said} |")
    lines += ["", "| event | class | sandbox |", "|---|---|---|"]
    for name, model in webhooks.EVENT_TYPES.items():
        said = "yes" if f'"{name}"' in TOLD else "as a test event"
        lines.append(f"| `{name}` | `webhooks.{model.__name__}` | {said} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_each_operation_is_called_by_the_function_of_its_line(operation: Operation) -> None:
    call = CALLS[operation.function]()
    assert call.invalid is None
    assert (call.method, call.path) == (operation.method, operation.path.replace("{id}", "%7Bid%7D"))
    assert call.returns is operation.gives
    assert (call.body is None) == (operation.takes is None) or operation.function is campaigns.trigger
    assert operation.name.split(".")[0] in sys.modules["msgapi"].__all__


def test_every_function_that_makes_a_call_is_in_the_table() -> None:
    assert {one.function for one in OPERATIONS} == set(CALLS)
    assert len({(one.method, one.path) for one in OPERATIONS}) == len(OPERATIONS) == 41


def test_the_sandbox_emulates_every_operation_and_nothing_else_below_v1() -> None:
    assert {(one.method, one.path) for one in OPERATIONS} == {one for one in EMULATED if one[1].startswith("/v1/")}


def test_every_function_names_what_it_does() -> None:
    assert all(getdoc(one.function) for one in OPERATIONS)


def test_the_readme_has_the_table_as_the_code_makes_it() -> None:
    text = PAGE.read_text()
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == "\n" + table() + "\n"


if __name__ == "__main__":
    given = PAGE.read_text()
    start, end = given.index(BEGIN) + len(BEGIN), given.index(END)
    _ = PAGE.write_text(f"{given[:start]}\n{table()}\n{given[end:]}")
