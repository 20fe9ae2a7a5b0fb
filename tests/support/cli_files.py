"""Files and APIs for the tests of the command line."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest

from msgapi import Call, Client, Pace, Result, Retry
from msgapi.cli import connection
from msgapi.cli.batch.command import BatchConfig, open_rows, run_batch
from msgapi.cli.batch.runner import BatchRun
from msgapi.cli.files.rows import ReadingOptions
from msgapi.cli.files.tables import InputFile, open_input
from msgapi.transports import Transport

T = TypeVar("T")
RCS = {"agent_id": "ag_live_demo", "traffic_type": "TRANSACTION", "text": "Hi {name}"}
Answer = Callable[[int], Awaitable[Result[Any]] | Result[Any]]


class Scripted:
    """An API that gives the outcome that a function has for the n-th call; refuses what is invalid."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.keys: list[str | None] = []

    async def __call__(self, call: Call[T], /) -> Result[T]:
        if call.invalid is not None:
            return call.invalid
        self.keys.append(call.idempotency_key)
        answer = self.answer(len(self.keys))
        return await answer if isinstance(answer, Awaitable) else answer


def people(directory: Path, count: int, *, more: str = "") -> str:
    lines = [f"{at},+49151{at:08},Ann" for at in range(1, count + 1)]
    path = directory / "people.csv"
    _ = path.write_text("\n".join(["id,to,name", *lines]) + "\n" + more)
    return str(path)


def mailing(directory: Path, path: str, **options: object) -> BatchConfig:
    files = {"results": str(directory / "results.jsonl"), "failed": str(directory / "failed.csv")}
    chosen: dict[str, Any] = {"path": path, "message_values": RCS, "overwrite": True, **files, **options}
    return BatchConfig(**chosen)


async def mailed(config: BatchConfig, answer: Answer) -> BatchRun:
    with open_rows(config) as (table, calls):
        return await run_batch(config, table, calls, api=Scripted(answer), pace=Pace())


@contextmanager
def scanned(path: str, **options: Any) -> Iterator[InputFile]:  # noqa: ANN401 - ReadingOptions
    """Open a file of rows that was read once."""
    with open_input(path, ReadingOptions(**options)) as source:
        yield source.scan()


def mode(path: str | None) -> int:
    return Path(path or "").stat().st_mode & 0o777


def text(path: str | Path | None) -> str:
    return Path(path or "").read_text()


def lines(path: str | Path | None) -> list[Any]:
    return [orjson.loads(line) for line in text(path).splitlines()]


def through(monkeypatch: pytest.MonkeyPatch, transport: Transport) -> None:
    """Let the commands send over *transport*, once each, as if a service were there."""

    def connected(**options: object) -> AbstractAsyncContextManager[Client]:
        more: dict[str, Any] = {**options, "transport": transport, "retry": Retry(attempts=1)}
        return Client(**more)

    monkeypatch.setenv("MSGAPI_API_KEY", "sk_sandbox")
    monkeypatch.setenv("MSGAPI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(connection, "Client", connected)


def check_sums(facts: dict[str, Any]) -> None:
    """Check that the numbers of a summary add up, and what this run has done and what was done before to their sum."""
    settled = ("accepted", "refused", "duplicate", "changed", "unknown")
    assert facts["rows"] == sum(facts[name] for name in (*settled, "not_sent_yet")), facts
    assert facts["interrupted"] <= facts["unknown"]
    assert facts["sent_by_email"] <= facts["accepted"]
    now, before = facts["this_run"], facts["before"]
    for name in settled:
        assert facts[name] == now[name] + before[name], (name, facts)
        assert min(now[name], before[name]) >= 0, (name, facts)
    for name in ("price", "hold"):
        assert Decimal(facts[name]) == Decimal(now[name]) + Decimal(before[name])
    assert facts["sent_earlier"] == before["accepted"]
    assert now["accepted"] + now["unknown"] <= now["sent"]
    errors = sum(one["count"] for one in facts["outcomes"] if one["outcome"] == "unknown")
    assert facts["unknown"] == errors + facts["interrupted"]
