"""Agents: RCS agents from the draft to the launch, and the calls about them (docs: /api/rcs/agents-create).

The docs show no route that lists or deletes agents, or that starts a launch.
"""

from .calls import SCHEMAS, contrast, create, get, launch_status, submit, update
from .models import (
    Agent,
    AgentChanges,
    BillingCategory,
    CarrierLaunch,
    LaunchStatus,
    NewAgent,
    Region,
    Submitted,
    UseCase,
)

__all__ = [
    "SCHEMAS",
    "Agent",
    "AgentChanges",
    "BillingCategory",
    "CarrierLaunch",
    "LaunchStatus",
    "NewAgent",
    "Region",
    "Submitted",
    "UseCase",
    "contrast",
    "create",
    "get",
    "launch_status",
    "submit",
    "update",
]
