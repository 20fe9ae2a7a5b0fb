"""The programs of the requests that the operations accept, for type checkers."""

# ruff: noqa: T201
from datetime import UTC, date, datetime
from decimal import Decimal

import msgapi
from msgapi import agents, billing, campaigns, contacts, messages, testagent, webhooks


async def messages_send() -> None:
    async with msgapi.Client() as client:
        result = await client(
            messages.send(
                messages.Text(
                    agent_id="ag_live_demo",
                    to="+4915112345678",
                    traffic_type="TRANSACTION",
                    text="Hello",
                ),
                idempotency_key="k1",
            ),
        )
        print(result)


async def messages_list() -> None:
    async with msgapi.Client() as client:
        result = await client(
            messages.list(
                limit=5,
                offset=1,
                status="READ",
                since=date(2026, 5, 4),
                until=datetime(2026, 5, 4, 7, 30, tzinfo=UTC),
            ),
        )
        print(result)


async def messages_get() -> None:
    async with msgapi.Client() as client:
        result = await client(messages.get("msg_331dfd7d9553a9aa"))
        print(result)


async def messages_revoke() -> None:
    async with msgapi.Client() as client:
        result = await client(messages.revoke("msg_331dfd7d9553a9aa"))
        print(result)


async def testagent_register() -> None:
    async with msgapi.Client() as client:
        result = await client(testagent.register(phone="+4915112345678"))
        print(result)


async def testagent_verify() -> None:
    async with msgapi.Client() as client:
        result = await client(testagent.verify(phone="+4915112345678", code="000000"))
        print(result)


async def testagent_send() -> None:
    async with msgapi.Client() as client:
        result = await client(
            testagent.send(
                messages.Text(
                    agent_id="ag_test_demo",
                    to="+4915112345678",
                    traffic_type="TRANSACTION",
                    text="Hello",
                ),
                idempotency_key="k1",
            ),
        )
        print(result)


async def testagent_status() -> None:
    async with msgapi.Client() as client:
        result = await client(testagent.status())
        print(result)


async def agents_create() -> None:
    async with msgapi.Client() as client:
        result = await client(
            agents.create(
                agents.NewAgent(
                    display_name="Shop",
                    region="EUROPE",
                    billing_category="CONVERSATIONAL",
                    use_case="OTP",
                ),
            ),
        )
        print(result)


async def agents_get() -> None:
    async with msgapi.Client() as client:
        result = await client(agents.get("ag_draft_331dfd7d9553a9aa"))
        print(result)


async def agents_update() -> None:
    async with msgapi.Client() as client:
        result = await client(
            agents.update("ag_draft_331dfd7d9553a9aa", agents.AgentChanges(display_name="Store")),
        )
        print(result)


async def agents_submit() -> None:
    async with msgapi.Client() as client:
        result = await client(agents.submit("ag_draft_331dfd7d9553a9aa"))
        print(result)


async def agents_launch_status() -> None:
    async with msgapi.Client() as client:
        result = await client(agents.launch_status("ag_live_demo"))
        print(result)


async def contacts_create() -> None:
    async with msgapi.Client() as client:
        result = await client(
            contacts.create(
                contacts.NewContact(source="API", email="ada@shop.example", external_id="ada"),
            ),
        )
        print(result)


async def contacts_get() -> None:
    async with msgapi.Client() as client:
        result = await client(contacts.get("c_331dfd7d9553a9aa"))
        print(result)


async def contacts_update() -> None:
    async with msgapi.Client() as client:
        result = await client(
            contacts.update("c_331dfd7d9553a9aa", contacts.ContactChanges(first_name="Ada")),
        )
        print(result)


async def contacts_delete() -> None:
    async with msgapi.Client() as client:
        result = await client(contacts.delete("c_331dfd7d9553a9aa"))
        print(result)


async def contacts_import_contacts() -> None:
    async with msgapi.Client() as client:
        for call in contacts.import_contacts([contacts.ImportRow(email="ada@shop.example")]):
            print(await client(call))


async def contacts_list_consents() -> None:
    async with msgapi.Client() as client:
        result = await client(contacts.list_consents("c_331dfd7d9553a9aa"))
        print(result)


async def contacts_create_consent() -> None:
    async with msgapi.Client() as client:
        result = await client(
            contacts.create_consent(
                "c_331dfd7d9553a9aa",
                contacts.NewConsent(channel_type="RCS", message_type="NEWSLETTER", source="form"),
            ),
        )
        print(result)


async def campaigns_trigger() -> None:
    async with msgapi.Client() as client:
        result = await client(
            campaigns.trigger("6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e01", idempotency_key="k1"),
        )
        print(result)


async def campaigns_pause() -> None:
    async with msgapi.Client() as client:
        result = await client(campaigns.pause("6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e01"))
        print(result)


async def campaigns_resume() -> None:
    async with msgapi.Client() as client:
        result = await client(campaigns.resume("6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e01"))
        print(result)


async def campaigns_status() -> None:
    async with msgapi.Client() as client:
        result = await client(campaigns.status("6f1c2a54-3f0b-4f6e-9d27-5b8f0a6c1e01"))
        print(result)


async def billing_balance() -> None:
    async with msgapi.Client() as client:
        result = await client(billing.balance())
        print(result)


async def billing_usage() -> None:
    async with msgapi.Client() as client:
        result = await client(billing.usage(month="2026-05"))
        print(result)


async def billing_detailed_usage() -> None:
    async with msgapi.Client() as client:
        result = await client(
            billing.detailed_usage(since=date(2026, 5, 1), until=date(2026, 5, 4), group_by="day"),
        )
        print(result)


async def billing_tier() -> None:
    async with msgapi.Client() as client:
        result = await client(billing.tier(channel="RCS"))
        print(result)


async def billing_top_up() -> None:
    async with msgapi.Client() as client:
        result = await client(billing.top_up(Decimal(10), idempotency_key="k1"))
        print(result)


async def billing_payment_methods() -> None:
    async with msgapi.Client() as client:
        result = await client(billing.payment_methods())
        print(result)


async def billing_add_payment_method() -> None:
    async with msgapi.Client() as client:
        result = await client(billing.add_payment_method({"type": "sepa"}))
        print(result)


async def billing_auto_reload() -> None:
    async with msgapi.Client() as client:
        result = await client(billing.auto_reload())
        print(result)


async def billing_set_auto_reload() -> None:
    async with msgapi.Client() as client:
        result = await client(billing.set_auto_reload(billing.AutoReload(enabled=False)))
        print(result)


async def billing_set_alert() -> None:
    async with msgapi.Client() as client:
        result = await client(billing.set_alert(billing.Alert(low_balance_threshold=Decimal(5))))
        print(result)


async def billing_transactions() -> None:
    async with msgapi.Client() as client:
        result = await client(billing.transactions(since=date(2026, 5, 1), limit=5))
        print(result)


async def billing_invoices() -> None:
    async with msgapi.Client() as client:
        result = await client(billing.invoices())
        print(result)


async def webhooks_create() -> None:
    async with msgapi.Client() as client:
        result = await client(
            webhooks.create(
                webhooks.NewEndpoint(
                    url="https://shop.example/hook",
                    events=("message.read",),
                    secret="whsec_1",
                ),
            ),
        )
        print(result)


async def webhooks_list() -> None:
    async with msgapi.Client() as client:
        result = await client(webhooks.list())
        print(result)


async def webhooks_update() -> None:
    async with msgapi.Client() as client:
        result = await client(
            webhooks.update(
                "16305b1f-a74f-4806-b31d-fd7d9553a9aa",
                webhooks.EndpointChanges(secret="whsec_2"),
            ),
        )
        print(result)


async def webhooks_delete() -> None:
    async with msgapi.Client() as client:
        result = await client(webhooks.delete("16305b1f-a74f-4806-b31d-fd7d9553a9aa"))
        print(result)


async def webhooks_test() -> None:
    async with msgapi.Client() as client:
        result = await client(webhooks.test("16305b1f-a74f-4806-b31d-fd7d9553a9aa"))
        print(result)
