"""Sentry: a breadcrumb for each call and each retry, and an event for the outcomes that a person must act on.

    SENTRY_DSN=https://... python sentry_observer.py +4915100000001

An event has the route, the outcome, the code and the explanation of an error; no key, no recipient and no content.
Outcomes that concern one recipient are breadcrumbs only: they are results, not faults.
"""

import os
import sys
from typing import Any, TypeAlias, final

import anyio
import sentry_sdk
from sentry_sdk.integrations.argv import ArgvIntegration
from sentry_sdk.transport import Transport

import msgapi
from msgapi import (
    ApiError,
    Call,
    CallFailed,
    InsufficientBalance,
    Ok,
    Result,
    Unauthorized,
    Unreadable,
    messages,
    observe,
)
from msgapi.observe import BatchWatch, Observer, Watch

Kinds: TypeAlias = tuple[type[Any], ...]
ACT_ON: Kinds = (Unauthorized, InsufficientBalance, Unreadable)


@final
class SentryObserver(Observer):
    """Adds a breadcrumb for each call, and captures the errors of the classes *capture*."""

    def __init__(self, capture: Kinds = ACT_ON) -> None:
        """Capture the errors that are an instance of one of *capture*."""
        self._capture = capture

    def call(self, call: Call[object], /) -> Watch:
        """Return the hooks of a call."""
        return _SentryWatch(observe.route_of(call), self._capture)

    def batch(self) -> BatchWatch:
        """Return the hooks of a batch."""
        return _SentryBatchWatch()


@final
class _SentryWatch(Watch):
    def __init__(self, route: str, capture: Kinds) -> None:
        self._route, self._capture = route, capture

    def retry(self, error: ApiError, seconds: float, /) -> None:
        add_breadcrumb(f"{self._route}: retry", "warning", outcome=type(error).__name__, seconds=seconds)

    def result(self, result: Result[object] | None, /) -> None:
        if result is None:  # cancelled, or the transport raised: Sentry sees the exception itself
            add_breadcrumb(f"{self._route}: not finished", "info")
            return
        facts = {"outcome": type(result).__name__, "status": result.meta.status, "attempts": result.meta.attempts}
        add_breadcrumb(self._route, "info" if isinstance(result, Ok) else "warning", **facts)
        if not isinstance(result, Ok) and isinstance(result, self._capture):
            capture_error(result, self._route)


@final
class _SentryBatchWatch(BatchWatch):
    def stopped(self, reason: str, error: ApiError | None, /) -> None:
        add_breadcrumb(f"a batch has stopped: {reason}", "warning", outcome=type(error).__name__ if error else None)


def add_breadcrumb(message: str, level: str, **data: object) -> None:
    """Add a breadcrumb of the category `msgapi`."""
    sentry_sdk.add_breadcrumb(category="msgapi", message=message, level=level, data=data)


def capture_error(error: ApiError, route: str) -> None:
    """Capture *error* as an event; the events of one class, code and route are one issue."""
    kind = type(error).__name__
    with sentry_sdk.new_scope() as scope:
        scope.fingerprint = ["msgapi", route, kind, error.code]
        scope.set_tag("msgapi.route", route)
        scope.set_tag("msgapi.outcome", kind)
        scope.set_tag("msgapi.code", error.code)
        _ = sentry_sdk.capture_exception(CallFailed(error))


def start_sentry(transport: Transport | None = None) -> None:
    """Start Sentry, without local variables, arguments and requests: those of an application have recipients."""
    _ = sentry_sdk.init(
        dsn=os.environ.get("SENTRY_DSN"),
        transport=transport,
        disabled_integrations=[ArgvIntegration()],
        data_collection={  # what is left out of it is collected
            "stack_frame_variables": False,
            "user_info": False,
            "cookies": {"mode": "off"},
            "http_headers": {"request": {"mode": "off"}},
            "http_bodies": [],
            "url_query_params": {"mode": "off"},
            "database_query_data": False,
            "queues": False,
        },
    )


async def main(numbers: list[str]) -> None:
    """Send a text to each of *numbers*."""
    async with msgapi.Client(observer=SentryObserver()) as client:
        for to in numbers:
            text = messages.Text(agent_id="ag_live_demo", to=to, traffic_type="TRANSACTION", text="Your parcel is here")
            _ = await client(messages.send(text))


if __name__ == "__main__":
    start_sentry()
    anyio.run(main, sys.argv[1:])
