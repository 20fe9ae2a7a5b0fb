"""The routes below `/_sandbox` for the sandbox as a whole: its clock, its faults, its webhook deliveries and its state.

The clock and the state as a whole belong to the owner of the state; an account without one answers with 404.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, final

from attrs import evolve, fields, frozen

from ...results import Detail
from ...schema.mapping import map_fields
from ...schema.requests import Schema
from ...schema.validators import boolean, optional
from ..http.requests import RouteRequest
from ..http.responses import to_datetime
from ..model.faults import FaultShares
from ..model.seeds import SEED
from ..model.state import AccountState, ClockState, StateOwner
from ..model.webhooks import WebhookFaults
from ..rules import controls
from ..rules.controls import ControlError, FaultSettings, check_seconds
from .controls import Control

_NAMES: Final = {one.name: one.name.removeprefix("status_") for one in fields(FaultShares)}
"""The name in JSON of each share."""


@final
@frozen(kw_only=True)
class ClockChange:
    """Whether the time stands still, and by how many seconds it is moved forward. What is None stays as it is."""

    paused: bool | None = None
    advance: float | None = None


@final
@frozen(kw_only=True)
class ClockResponse:
    """The time, whether it stands still, and how many seconds it is ahead of the clock of the machine."""

    time: datetime
    paused: bool
    offset: float


@final
@frozen(kw_only=True)
class WebhookFaultChanges:
    """The new shares of webhook deliveries that are late, repeated or reordered. What is None stays as it is."""

    late: float | None = None
    late_by: float | None = None
    repeated: float | None = None
    reordered: float | None = None


@final
@frozen(kw_only=True)
class FaultChanges:
    """The new shares of the random faults. What is None stays as it is."""

    status_429: float | None = None
    status_500: float | None = None
    status_502: float | None = None
    status_503: float | None = None
    lost: float | None = None
    slow: float | None = None
    slow_seconds: float | None = None
    webhooks: WebhookFaultChanges | None = None


@final
@frozen(kw_only=True)
class WebhookFaultsResponse:
    """The shares of webhook deliveries that are late, by *late_by* seconds, repeated or reordered."""

    late: float
    late_by: float
    repeated: float
    reordered: float


@final
@frozen(kw_only=True)
class FaultsResponse:
    """The shares of the requests that have each random fault, and those of the webhook deliveries."""

    status_429: float
    status_500: float
    status_502: float
    status_503: float
    lost: float
    slow: float
    slow_seconds: float
    webhooks: WebhookFaultsResponse


_WEBHOOK_NAMES: Final = tuple(one.name for one in fields(WebhookFaultChanges))
_PATHS: Final = {model: map_fields(model, _NAMES) for model in (FaultChanges, FaultsResponse)}


@final
@frozen(kw_only=True)
class DeliveryDelay:
    """By how many seconds a delivery is delayed."""

    seconds: float


@final
@frozen(kw_only=True)
class DeliveryResponse:
    """A webhook delivery, and when its next attempt is due."""

    id: str
    next_attempt_at: datetime


@final
@frozen(kw_only=True)
class ResetResponse:
    """The sandbox is as it was started."""

    reset: bool


@final
@frozen(kw_only=True)
class SeededResponse:
    """How many things of each kind were added."""

    agents: int
    channels: int
    templates: int
    campaigns: int
    contacts: int
    webhooks: int
    messages: int


@final
@frozen(kw_only=True)
class SnapshotDocument:
    """The parts of a snapshot."""

    format: str
    version: int
    time: float
    clock: Mapping[str, object]
    options: Mapping[str, object]
    requests: int
    windows: Mapping[str, object]
    channels: Mapping[str, object]
    templates: Mapping[str, object]
    campaigns: Mapping[str, object]
    runs: Mapping[str, object]
    random: str
    volumes: tuple[object, ...]
    wallet: Mapping[str, object]
    faults: Mapping[str, object]
    agents: Mapping[str, object]
    schedule: Mapping[str, object]
    webhook_queue: Mapping[str, object]
    log: Mapping[str, object]
    idempotency: Mapping[str, object]
    sessions: Mapping[str, object]
    newsletters: Mapping[str, object]
    events: Mapping[str, object]
    contacts: Mapping[str, object]
    endpoints: Mapping[str, object]
    payments: Mapping[str, object]
    test_agent: Mapping[str, object]


def clock(state: AccountState, _request: RouteRequest, _: None) -> ClockResponse:
    """Return the time of the sandbox."""
    return clock_response(_owner(state).clock_state)


def clock_response(found: ClockState) -> ClockResponse:
    """Return the time as it is shown."""
    return ClockResponse(time=to_datetime(found.time), paused=found.paused, offset=round(found.offset, 3))


def set_clock(state: AccountState, _: RouteRequest, given: ClockChange) -> ClockResponse:
    """Pause the clock, or let it run, and move it forward: `{"paused", "advance"}`."""
    return clock_response(_owner(state).set_clock(paused=given.paused, advance=given.advance or 0.0))


def faults(state: AccountState, _request: RouteRequest, _: None) -> dict[str, object]:
    """Return the random faults."""
    return faults_to_json(controls.faults(state))


def faults_to_json(found: FaultSettings) -> dict[str, object]:
    """Return the random faults as JSON values."""
    return {
        **{shown: getattr(found.shares, name) for name, shown in _NAMES.items()},
        "slow_seconds": found.slow_seconds,
        "webhooks": {name: getattr(found.webhooks, name) for name in _WEBHOOK_NAMES},
    }


def set_faults(state: AccountState, request: RouteRequest, given: FaultChanges) -> dict[str, object]:
    """Change any of the shares of the random faults, which are at most 1 together."""
    before = controls.faults(state)
    try:
        shares: FaultShares = _changed(before.shares, given, _NAMES)
    except ValueError:
        problem = "is too much: the shares of all faults are more than 1 together"
        details = [Detail(shown, problem) for name, shown in _NAMES.items() if getattr(given, name)]
        raise ControlError(problem, details) from None
    webhooks: WebhookFaults = before.webhooks
    if given.webhooks is not None:
        webhooks = _changed(webhooks, given.webhooks, _WEBHOOK_NAMES)
    seconds = before.slow_seconds if given.slow_seconds is None else given.slow_seconds
    controls.set_faults(state, FaultSettings(shares=shares, slow_seconds=seconds, webhooks=webhooks))
    return faults(state, request, None)


def replay(state: AccountState, request: RouteRequest, _: None) -> DeliveryResponse:
    """Make a webhook delivery now: the next attempt of a pending one, or the first one again."""
    return _delivery(request, controls.replay(state, request.id, request.now))


def duplicate(state: AccountState, request: RouteRequest, _: None) -> DeliveryResponse:
    """Make a webhook delivery once more: at the time of the pending one, or now."""
    return _delivery(request, controls.duplicate(state, request.id, request.now))


def delay(state: AccountState, request: RouteRequest, given: DeliveryDelay) -> DeliveryResponse:
    """Delay a pending webhook delivery, or make another one again after so long: `{"seconds"}`."""
    return _delivery(request, controls.delay(state, request.id, given.seconds, request.now))


def reorder(state: AccountState, request: RouteRequest, _: None) -> DeliveryResponse:
    """Make a webhook delivery now, and a second later that of the event before it to the same endpoint."""
    return _delivery(request, controls.reorder(state, request.id, request.now))


def reset(state: AccountState, _request: RouteRequest, _: None) -> ResetResponse:
    """Replace the state by that with which the sandbox was started."""
    _owner(state).reset()
    return ResetResponse(reset=True)


def seed(state: AccountState, _: RouteRequest, given: Mapping[str, Any]) -> SeededResponse:
    """Add agents, contacts, messages and more, or nothing if anything of it is not valid."""
    return SeededResponse(**_owner(state).seed(given))


def snapshot(state: AccountState, _request: RouteRequest, _: None) -> dict[str, Any]:
    """Return the whole state. It has recipients, content, the API key, and the secrets of webhook endpoints."""
    return _owner(state).snapshot()


def restore(state: AccountState, _: RouteRequest, given: Mapping[str, Any]) -> ResetResponse:
    """Replace the state by that of a snapshot. The API key and the role stay."""
    _owner(state).restore(given)
    return ResetResponse(reset=True)


def _owner(state: AccountState) -> StateOwner:
    if state.owner is None:
        raise ControlError("This account belongs to no sandbox: it has no clock, and its state cannot be replaced.")
    return state.owner


def _delivery(request: RouteRequest, due: float) -> DeliveryResponse:
    return DeliveryResponse(id=request.id, next_attempt_at=to_datetime(due))


def _changed(before: Any, given: object, names: Iterable[str]) -> Any:  # noqa: ANN401 - one of two attrs classes
    changes = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    return evolve(before, **changes)


def _check_share(value: object) -> str | None:
    return None if isinstance(value, float) and 0 <= value <= 1 else "must be from 0 to 1"


def _check_shares(given: FaultChanges) -> Iterable[Detail]:
    for name, shown in _NAMES.items():
        problem = optional(_check_share)(getattr(given, name))
        if isinstance(problem, str):
            yield Detail(shown, problem)


_WEBHOOK_FAULTS: Final = Schema(
    WebhookFaultChanges,
    {**dict.fromkeys(("late", "repeated", "reordered"), optional(_check_share)), "late_by": optional(check_seconds)},
)
_FAULTS: Final = Schema(
    FaultChanges, {"slow_seconds": optional(check_seconds), "webhooks": optional(_WEBHOOK_FAULTS.check)}, _check_shares
)
_CLOCK: Final = Schema(ClockChange, {"paused": optional(boolean), "advance": optional(check_seconds)})
_DELAY: Final = Schema(DeliveryDelay, {"seconds": check_seconds})
_SNAPSHOT: Final = Schema(SnapshotDocument, {})

STATE_CONTROLS: Final = (
    Control("/_sandbox/clock", clock, None, ClockResponse, method="GET", codes=()),
    Control("/_sandbox/clock", set_clock, _CLOCK, ClockResponse, codes=()),
    Control("/_sandbox/faults", faults, None, FaultsResponse, method="GET", codes=()),
    Control("/_sandbox/faults", set_faults, _FAULTS, FaultsResponse, codes=()),
    Control("/_sandbox/deliveries/{id}/replay", replay, None, DeliveryResponse),
    Control("/_sandbox/deliveries/{id}/duplicate", duplicate, None, DeliveryResponse),
    Control("/_sandbox/deliveries/{id}/delay", delay, _DELAY, DeliveryResponse),
    Control("/_sandbox/deliveries/{id}/reorder", reorder, None, DeliveryResponse),
    Control("/_sandbox/reset", reset, None, ResetResponse, codes=()),
    Control("/_sandbox/seed", seed, SEED, SeededResponse, is_large=True, codes=()),
    Control("/_sandbox/snapshot", snapshot, None, SnapshotDocument, method="GET", codes=()),
    Control("/_sandbox/snapshot", restore, _SNAPSHOT, ResetResponse, method="PUT", is_large=True, codes=()),
)
"""The controls of the sandbox as a whole. The table of routes and the OpenAPI document are made from them."""
