"""Tests against a sandbox that another process serves: its control plane as calls, and the process itself.

- `controls`: the calls of the control plane, such as `controls.deliver`; their answers and filters are here, too.
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
    FaultOptions,
    FaultShares,
    HaltedCampaign,
    MessageFilters,
    ReceivedReply,
    RecordedRequest,
    RecordedRequests,
    ReviewedAgent,
    SandboxAccount,
    SandboxHealth,
    SandboxMessage,
    SandboxMessages,
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
    "FaultOptions",
    "FaultShares",
    "HaltedCampaign",
    "MessageFilters",
    "ReceivedReply",
    "RecordedRequest",
    "RecordedRequests",
    "ReviewedAgent",
    "SandboxAccount",
    "SandboxError",
    "SandboxHealth",
    "SandboxMessage",
    "SandboxMessages",
    "SandboxProcess",
    "StatusChange",
    "WebhookDeliveries",
    "WebhookDelivery",
    "controls",
]
