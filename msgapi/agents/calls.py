"""Calls: create, read, change and submit agents, and read the status of their launch."""

from typing import Final

from ..calls import Call
from ..schema.requests import build_call
from .models import Agent, AgentChanges, LaunchStatus, NewAgent, Submitted
from .validation import CHANGES, NEW

_ROUTE: Final = "/v1/rcs/agents"
_ONE: Final = f"{_ROUTE}/{{agent_id}}"


def create(agent: NewAgent) -> Call[Agent]:
    """Return the call that creates an agent as a draft (docs: /api/rcs/agents-create).

    If *agent* is not valid, the call returns `Invalid` with details and is not sent. No idempotency key is
    documented here, so the call is not repeated automatically once a byte may have been sent.
    """
    return build_call("POST", _ROUTE, Agent, body=agent, schema=NEW)


def get(agent_id: str) -> Call[Agent]:
    """Return the call that reads an agent (docs: /api/rcs/agents-get). It may be repeated.

    An unknown id is `NotFound`.
    """
    return build_call("GET", _ONE, Agent, path_params={"agent_id": agent_id})


def update(agent_id: str, changes: AgentChanges) -> Call[Agent]:
    """Return the call that changes a draft or a rejected agent (docs: /api/rcs/agents-update).

    It has no idempotency key, so it is not repeated automatically once a byte may have been sent.

    If *changes* is empty or not valid, the call returns `Invalid` with details and is not sent. An unknown id is
    `NotFound`, an agent in another state is `Conflict`.
    """
    return build_call("PATCH", _ONE, Agent, path_params={"agent_id": agent_id}, body=changes, schema=CHANGES)


def submit(agent_id: str) -> Call[Submitted]:
    """Return the call that submits a draft or a rejected agent for review (docs: /api/rcs/agents-submit).

    An incomplete agent is `Unprocessable` with the missing fields in its details, a wrong state is `Conflict`.
    The call is not repeated automatically: if it is `Unanswered`, read the status of the agent with `get`.
    """
    return build_call("POST", f"{_ONE}/submit", Submitted, path_params={"agent_id": agent_id})


def launch_status(agent_id: str) -> Call[LaunchStatus]:
    """Return the call that reads the launch of an approved agent, by carrier (docs: /api/rcs/agents-launch).

    It may be repeated. An unknown id is `NotFound`, an agent that is not approved is `Conflict` in the sandbox;
    the docs do not name the error.
    """
    return build_call("GET", f"{_ONE}/launch", LaunchStatus, path_params={"agent_id": agent_id})
