"""Seeding: adds the contents of a seed to an account, through the same routes and rules as requests.

`model.seeds` documents the format.

Rules:
- A problem has the path of its value in the seed, and quotes no value.
- A seed that has a problem may be added in part, so the caller tries it on an account that it throws away.
- What is added is the past: no webhooks are sent for it. The endpoints of the seed are added last.
- Afterwards the balance is that of the seed, or else as before: the messages of the seed are not paid from it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import attrs
import orjson
from attrs import AttrsInstance, evolve

from ..results import Detail
from ..schema.free_json import json_object
from ..schema.validators import prefix_path, problems_of
from .account import Account
from .http.codecs import read_model
from .http.requests import RouteRequest
from .http.responses import SimulatedResponse
from .model.agents import SandboxAgent, create_record
from .model.billing import AMOUNT_BOUND
from .model.campaigns import Campaign
from .model.seeds import SEED, SeedConsent, SeedContact, SeedDocument, SeedMessage, SeedWebhook
from .model.state import AccountState
from .model.webhooks import Endpoints
from .routes import contacts, messages, webhooks
from .rules import controls
from .rules.account import change_consent
from .rules.controls import ControlError
from .rules.lifecycle import advance, change_status

Problems = Iterator[Detail]
_KINDS: Final = ("agents", "channels", "templates", "campaigns", "contacts", "webhooks", "messages")
_MAX_SHOWN: Final = 20  # problems


def apply_seed(account: Account, seed: object, now: float) -> dict[str, int]:
    """Add what *seed* has to *account* at the time *now*; return how many things of each kind that were.

    Raise ControlError with all problems.
    """
    found, details = read_model(seed, SeedDocument)
    details = details or SEED.check(found)
    if found is None or details:
        raise _invalid(details)
    problems = list(_apply(account.state, found, now))
    if problems:
        raise _invalid(problems)
    advance(account.state, now)
    account.state.changes.add("account")
    account.state.changes.add("campaigns")
    return {kind: len(getattr(found, kind)) for kind in _KINDS}


def _invalid(details: Iterable[Detail]) -> ControlError:
    first, *others = shown = list(details)
    more = f" (and {len(others)} more)" if others else ""
    return ControlError(f"{first.field} {first.message}".strip() + more, shown[:_MAX_SHOWN])


def _apply(state: AccountState, seed: SeedDocument, now: float) -> Problems:
    if seed.prices is not None:
        given = attrs.asdict(seed.prices, filter=lambda _, value: value is not None)
        state.prices = evolve(state.prices, **given)
    _define(state, seed)
    endpoints, state.endpoints = state.endpoints, Endpoints()
    free = state.wallet.free if seed.balance is None else seed.balance
    state.wallet.free = AMOUNT_BOUND - 1
    try:
        for at, contact in enumerate(seed.contacts):
            yield from prefix_path(f"contacts[{at}]", _add_contact(state, contact, now))
        for at, message in sorted(enumerate(seed.messages), key=lambda one: one[1].time(now)):
            yield from prefix_path(f"messages[{at}]", _add_message(state, message, now))
    finally:
        state.wallet.free, state.endpoints = free, endpoints
    for at, webhook in enumerate(seed.webhooks):
        yield from prefix_path(f"webhooks[{at}]", _add_webhook(state, webhook, now))


def _define(state: AccountState, seed: SeedDocument) -> None:
    for one in seed.agents:
        agent = SandboxAgent(
            agent_id=one.agent_id,
            channel_id=one.channel_id or f"ch_{one.agent_id}",
            use_case=one.use_case,
            status=one.status,
            launched=one.launched,
            newsletter_enabled=one.newsletter_enabled,
        )
        state.agents.put(evolve(create_record(agent), display_name=one.display_name or one.agent_id))
    campaigns = {one.campaign_id: Campaign(**attrs.asdict(one, recurse=False)) for one in seed.campaigns}
    state.channels = {**state.channels, **{one.channel_id: one for one in seed.channels}}
    state.templates = {**state.templates, **{one.template_id: one for one in seed.templates}}
    state.campaigns = {**state.campaigns, **campaigns}


def _add_contact(state: AccountState, given: SeedContact, now: float) -> Problems:
    made = _call(contacts.create, state, now, fields=_fields_of(given, "consents", "status"))
    if isinstance(made, list):
        yield from made
        return
    contact_id = made["id"]
    if given.status != "ACTIVE":
        changed = _call(contacts.update, state, now, id=contact_id, fields={"status": given.status})
        yield from changed if isinstance(changed, list) else ()
    for at, consent in enumerate(given.consents):
        yield from prefix_path(f"consents[{at}]", _add_consent(state, contact_id, consent, now))


def _add_consent(state: AccountState, contact_id: str, given: SeedConsent, now: float) -> Problems:
    fields = {**_fields_of(given, "status"), "enforced_doi": given.status == "PENDING"}
    made = _call(contacts.create_consent, state, now, id=contact_id, fields=fields)
    if isinstance(made, list):
        yield from made
        return
    contact = state.contacts.find(contact_id)
    if contact is not None and given.status == "REVOKED":
        consent = next(one for one in contact.consents if one.id == made["id"])
        _ = change_consent(state, contact, evolve(consent, status="REVOKED", revoked_at=now), now)


def _add_webhook(state: AccountState, given: SeedWebhook, now: float) -> Problems:
    known = next((one.id for one in state.endpoints if one.url == given.url), "")
    made = _call(webhooks.update if known else webhooks.create, state, now, id=known, fields=_fields_of(given))
    yield from made if isinstance(made, list) else ()


def _add_message(state: AccountState, given: SeedMessage, now: float) -> Problems:
    at = given.time(now)
    if at > now:
        yield Detail("at", "must not be in the future")
        return
    try:
        if given.reply is not None:
            _ = controls.reply(state, given.reply.user, given.reply.agent_id, given.reply.text, at)
            return
        made = _call(messages.send, state, at, fields=dict(given.send or {}))
        if isinstance(made, list):
            yield from prefix_path("send", made)
        else:
            _set_status(state, made["message_id"], given, at)
    except ControlError as error:
        yield Detail("reply" if given.reply is not None else "reason", str(error))


def _set_status(state: AccountState, message_id: str, given: SeedMessage, at: float) -> None:
    if given.status == "FAILED":
        _ = controls.fail(state, message_id, given.reason, at)
    elif given.status == "READ":
        _ = change_status(state, message_id, "DELIVERED", at)
        _ = change_status(state, message_id, "READ", at)
    elif given.status != "QUEUED":
        _ = change_status(state, message_id, given.status, at)


def _call(
    action: Callable[[AccountState, RouteRequest], SimulatedResponse],
    state: AccountState,
    now: float,
    *,
    id: str = "",  # noqa: A002 - that of the request
    fields: dict[str, object],
) -> Any:  # noqa: ANN401 - JSON
    # Return the body of the response, or the problems if the request is refused.
    problems = problems_of("", json_object, fields)
    if problems:  # a file, or a program, may have what no request can have
        return problems
    body = orjson.dumps(fields)
    answer = action(state, RouteRequest(now, id=id, body=body, fields=fields)).response
    said: Any = orjson.loads(answer.body)
    if answer.status < 300:  # noqa: PLR2004 - accepted
        return said
    details = [Detail(one["field"], one["message"]) for one in said.get("details", ())]
    return details or [Detail("", f"is refused: {said['error']}: {said['message']}")]


def _fields_of(given: AttrsInstance, *without: str) -> dict[str, object]:
    # As JSON has it: an array is a list.
    found: Mapping[str, Any] = attrs.asdict(given, recurse=False)
    return {
        name: [*part] if isinstance(part, tuple) else part
        for name, part in found.items()
        if part is not None and name not in without
    }
