"""The example for all outcomes of the page "Outcomes": never executed, only checked by mypy and pyright."""
# ruff: noqa: C901, I001, PLR0911, T201 - an example for a reader

from typing import assert_never

import anyio
import msgapi
from msgapi import (
    Conflict,
    Forbidden,
    InsufficientBalance,
    Invalid,
    NotFound,
    NotSent,
    Ok,
    Result,
    ServerFault,
    Throttled,
    Unanswered,
    Unauthorized,
    Unavailable,
    Unexpected,
    Unprocessable,
    Unreadable,
    messages,
)
from msgapi.messages import Accepted


def next_step(result: Result[Accepted]) -> str:
    match result:
        case Ok(accepted):
            return f"accepted as {accepted.message_id}"
        case Invalid(details=details) | Unprocessable(details=details):
            return f"correct {', '.join(detail.field for detail in details) or result.message}"
        case Unauthorized() | Forbidden():
            return f"check the key and the agent: {result.message}"
        case InsufficientBalance(topup_url=url):
            return f"top up at {url}"
        case NotFound():
            return "use another channel for this recipient, or check the agent"
        case Throttled(retry_after=seconds) if result.rate_limited:
            return f"send the same call again after {seconds or 60} s"
        case Throttled():
            return "the recipient has had enough for today"
        case NotSent() | Unanswered() | ServerFault() | Unavailable():
            return f"send the same call again later: {result.explanation}"
        case Unreadable(message_id=message_id) if result.from_service:
            return f"accepted as {message_id}, but the rest of the response cannot be read"
        case Conflict() | Unexpected() | Unreadable():
            return f"look into it: {result.explanation}"
    assert_never(result)  # a type checker reports the outcome that is missing above


async def main() -> None:
    async with msgapi.Client() as client:
        for number in ("+4915112345678", "+447700900404", "not a number"):
            text = messages.Text(agent_id="ag_live_demo", to=number, traffic_type="TRANSACTION", text="Hi")
            print(next_step(await client(messages.send(text))))


anyio.run(main)
