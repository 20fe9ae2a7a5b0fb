"""The commands `msgapi agents get`, `create`, `update`, `submit` and `launch`."""

from typing import Any, Final, get_args

import click

from ... import agents, codec
from ...agents import Agent, AgentChanges, BillingCategory, LaunchStatus, NewAgent, Region, Submitted, UseCase
from ..connection import run_call
from ..options import from_option, json_option, read_body, sandbox_option
from ..output import TextTable, outline, table_of

_REGIONS: Final = get_args(Region)


@click.command
@click.argument("agent_id")
@json_option
@sandbox_option
def get(*, agent_id: str, json: bool, sandbox: bool) -> int:
    """Show one agent with its status."""
    return run_call(agents.get(agent_id), _lines, json=json, sandbox=sandbox)


@click.command
@from_option
@click.option("--display-name", metavar="TEXT", help="The name that users see.")
@click.option(
    "--region", type=click.Choice(_REGIONS, case_sensitive=False), help=f"Default without --from: {_REGIONS[0]}."
)
@click.option(
    "--billing-category",
    type=click.Choice(get_args(BillingCategory), case_sensitive=False),
    help="How messages are billed; it cannot be changed later.",
)
@click.option(
    "--use-case",
    type=click.Choice(get_args(UseCase), case_sensitive=False),
    help="What the agent may send; it cannot be changed later.",
)
@click.option("--newsletter-enabled", is_flag=True, help="Allow newsletters; it cannot be changed later.")
@json_option
@sandbox_option
def create(*, path: str | None, newsletter_enabled: bool, json: bool, sandbox: bool, **given: str | None) -> int:
    """Create an agent as a draft.

    \b
      msgapi agents create --display-name Shop \\
        --billing-category CONVERSATIONAL --use-case TRANSACTIONAL

    Add what the review needs by `msgapi agents update`, then run `msgapi agents submit`.
    """  # noqa: D301 - \b is click's own
    region = given["region"] or (_REGIONS[0] if path is None else None)
    fields = {**given, "region": region, "newsletter_enabled": newsletter_enabled or None}
    call = agents.create(read_body(NewAgent, path, fields))
    return run_call(call, lambda made: f"created {made.agent_id}", json=json, sandbox=sandbox)


@click.command
@click.argument("agent_id")
@from_option
@click.option("--display-name", metavar="TEXT", help="The name that users see.")
@click.option("--description", metavar="TEXT", help="Plain text.")
@click.option("--color", metavar="#RRGGBB", help="A color with a contrast to white of at least 4.5 to 1.")
@click.option("--logo-url", metavar="URL", help="An image of at least 224 x 224 pixels and at most 50 kB.")
@click.option("--banner-url", metavar="URL", help="An image of 1440 x 448 pixels and at most 200 kB.")
@click.option("--phone", metavar="NUMBER", help="The phone number of the business, with +.")
@click.option("--email", metavar="ADDRESS", help="The email address of the business.")
@click.option("--website", metavar="URL", help="The website of the business.")
@click.option("--privacy-policy-url", metavar="URL", help="The privacy policy.")
@click.option("--terms-of-service-url", metavar="URL", help="The terms of service.")
@json_option
@sandbox_option
def update(*, agent_id: str, path: str | None, json: bool, sandbox: bool, **given: Any) -> int:  # noqa: ANN401 - AgentChanges
    """Change a draft or a rejected agent.

    What is not given stays as it is.
    """
    call = agents.update(agent_id, read_body(AgentChanges, path, given))
    return run_call(call, lambda changed: f"updated {changed.agent_id}", json=json, sandbox=sandbox)


@click.command
@click.argument("agent_id")
@json_option
@sandbox_option
def submit(*, agent_id: str, json: bool, sandbox: bool) -> int:
    """Submit an agent for review."""
    return run_call(agents.submit(agent_id), _submitted, json=json, sandbox=sandbox)


@click.command
@click.argument("agent_id")
@json_option
@sandbox_option
def launch_status(*, agent_id: str, json: bool, sandbox: bool) -> int:
    """Show the launch of an approved agent by carrier."""
    return run_call(agents.launch_status(agent_id), _carriers, json=json, sandbox=sandbox)


def _lines(agent: Agent) -> str:
    return outline(codec.to_dict(agent))


def _submitted(found: Submitted) -> str:
    days = found.estimated_review_days
    return f"{found.agent_id} is in review" + ("" if days is None else f"; estimated days: {days}")


def _carriers(found: LaunchStatus) -> str | TextTable:
    if not found.carriers:
        return "no carriers"
    table = table_of("carrier", "status", "launched", "reason")
    for one in found.carriers:
        launched = "" if one.launched_at is None else f"{one.launched_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(one.carrier, one.status or "", launched, one.rejection_reason or "")
    return table
