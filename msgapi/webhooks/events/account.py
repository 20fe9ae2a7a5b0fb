"""Account events: agents, contacts, consent and the balance."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import final

from attrs import field

from ...models import frozen
from ...redact import hidden
from ...results import Balance


@final
@frozen(kw_only=True)
class AgentApproved:
    """An agent was approved.

    Docs: /api/webhooks/agent-approved.
    """

    id: str
    timestamp: datetime | None = None
    agent_id: str
    display_name: str | None = None
    approved_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class AgentRejected:
    """An agent was rejected; *reason* says why.

    Docs: /api/webhooks/agent-rejected.
    """

    id: str
    timestamp: datetime | None = None
    agent_id: str
    display_name: str | None = None
    rejected_at: datetime | None = None
    reason: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ContactCreated:
    """A contact was created.

    Docs: /api/webhooks/contact-created.
    """

    id: str
    timestamp: datetime | None = None
    contact_id: str
    source: str | None = None
    created_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ContactUpdated:
    """A contact was changed; *updated_fields* are the names of the changed fields.

    Docs: /api/webhooks/contact-updated.
    """

    id: str
    timestamp: datetime | None = None
    contact_id: str
    updated_fields: tuple[str, ...] = ()
    updated_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ConsentCreated:
    """A consent was recorded.

    Docs: /api/webhooks/consent-created.
    """

    id: str
    timestamp: datetime | None = None
    contact_id: str
    consent_record_id: str | None = None
    channel_type: str | None = None
    message_type: str | None = None
    status: str | None = None
    source: str | None = field(default=None, repr=hidden)
    enforced_doi: bool | None = None
    doi_status: str | None = None
    created_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class ConsentUpdated:
    """A recorded consent was changed.

    Docs: /api/webhooks/consent-updated.
    """

    id: str
    timestamp: datetime | None = None
    contact_id: str
    consent_record_id: str | None = None
    channel_type: str | None = None
    message_type: str | None = None
    previous_status: str | None = None
    status: str | None = None
    source: str | None = field(default=None, repr=hidden)
    doi_status: str | None = None
    updated_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class BalanceLow:
    """The balance is below the *threshold* of the alert. Amounts are in *currency*.

    Docs: /api/webhooks/billing-balance-low.
    """

    id: str
    timestamp: datetime | None = None
    balance: Balance | None = None
    threshold: Decimal | None = None
    currency: str | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class AutoReloadSucceeded:
    """The balance was topped up automatically. *amount_added* is in *currency*.

    Docs: /api/webhooks/billing-auto-reload-success.
    """

    id: str
    timestamp: datetime | None = None
    amount_added: Decimal | None = None
    currency: str | None = None
    balance: Balance | None = None
    payment_method: str | None = None
    reloaded_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)


@final
@frozen(kw_only=True)
class AutoReloadFailed:
    """An automatic top-up failed.

    *failure_reason* is a code such as `card_declined`. *attempted_amount* is in *currency*.

    Docs: /api/webhooks/billing-auto-reload-failed.
    """

    id: str
    timestamp: datetime | None = None
    attempted_amount: Decimal | None = None
    currency: str | None = None
    failure_reason: str | None = None
    balance: Balance | None = None
    failed_at: datetime | None = None
    extra: Mapping[str, object] = field(factory=dict, repr=hidden, hash=False)
