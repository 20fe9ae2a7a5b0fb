"""Tests against a sandbox that another process serves: its control plane as calls, and the process itself.

- `controls`: the calls of the control plane, such as `controls.deliver`; their answers are here, too.
- `SandboxProcess`: starts `msgapi sandbox` for the duration of a `with`, for tests of programs in any language.

The fixtures `msgapi_process` and `msgapi_server` of the pytest plugin are made from it; see `msgapi.pytest_plugin`.
"""

from . import controls
from .models import (
    AgentLaunch,
    Arrival,
    ClockReading,
    ConfirmedConsent,
    DeliveryAttempt,
    FailedExecutions,
    HaltedCampaign,
    ReceivedReply,
    RecordedRequest,
    RecordedRequests,
    ReviewedAgent,
    SandboxAccount,
    SandboxFaults,
    SandboxHealth,
    SandboxMessage,
    SandboxMessages,
    SeedSummary,
    StatusChange,
    WebhookDeliveries,
    WebhookDelivery,
)
from .process import SandboxError, SandboxProcess

__all__ = [
    "AgentLaunch",
    "Arrival",
    "ClockReading",
    "ConfirmedConsent",
    "DeliveryAttempt",
    "FailedExecutions",
    "HaltedCampaign",
    "ReceivedReply",
    "RecordedRequest",
    "RecordedRequests",
    "ReviewedAgent",
    "SandboxAccount",
    "SandboxError",
    "SandboxFaults",
    "SandboxHealth",
    "SandboxMessage",
    "SandboxMessages",
    "SandboxProcess",
    "SeedSummary",
    "StatusChange",
    "WebhookDeliveries",
    "WebhookDelivery",
    "controls",
]
