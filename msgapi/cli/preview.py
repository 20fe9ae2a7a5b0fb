"""Dry runs: what would be sent, with nothing sent and no key needed."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any, Final, final

import orjson
from attrs import define, field

from .. import billing
from ..billing import Estimate
from ..calls import Call
from ..client import Client
from ..http import Request
from ..messages import Accepted, send
from ..results import Invalid, NotSent
from ..retry import Retry
from .advice import explain
from .connection import launch
from .costs import Prices, price
from .draft import Plan, own_key, same
from .exits import Exit
from .output import emit, emit_json, table_of
from .rows import Row, Table
from .seen import Seen

_MOST_SHOWN: Final = 10
_HIDDEN: Final = "Bearer ***"


@final
@define(eq=False, repr=False)
class Preview:
    """What a batch would be: counted without sending anything."""

    rows: int
    first: Call[Accepted] | None = None
    units: Counter[str] = field(factory=Counter)
    invalid: int = 0
    invalid_rows: list[tuple[Row, str]] = field(factory=list)
    duplicates: int = 0
    duplicate_lines: list[int] = field(factory=list)
    amount: Decimal | None = None

    @property
    def estimate(self) -> Estimate:
        """What the batch costs at most: a conversation or a month that several rows share is counted for each."""
        return Estimate(messages=sum(self.units.values()), amount=self.amount or Decimal(0))

    @property
    def status(self) -> Exit:
        """Tell what to exit with: rows that would be refused are refusals here too."""
        return Exit.REFUSED if self.invalid else Exit.ACCEPTED


def show(table: Table, plan: Plan, *, duplicates: bool, json: bool, prices: Prices | None = None) -> Exit:
    """Print what the batch would be; gives the exit status. With *duplicates* they count as messages."""
    preview = examine(table, plan, duplicates=duplicates, prices=prices)
    request = None if preview.first is None else launch(partial(_captured, preview.first))
    if json:
        emit_json(_facts(preview, request))
        return preview.status
    if request is not None:
        emit(f"the first request:\n\n{_written(request)}\n")
    counts = table_of("what would happen", "#rows")
    for unit, count in sorted(preview.units.items()):
        counts.add_row(f"sent, billed as {unit}", f"{count:,}")
    counts.add_row("refused as invalid", f"{preview.invalid:,}")
    counts.add_row(
        "sent in spite of being duplicates" if duplicates else "skipped as duplicates", f"{preview.duplicates:,}"
    )
    counts.add_row("rows in all", f"{preview.rows:,}")
    if preview.amount is not None:
        counts.add_row("EUR, at most", f"{preview.amount:,}")
    emit(counts)
    emit("\n".join(_lines(preview)))
    return preview.status


def examine(table: Table, plan: Plan, *, duplicates: bool, prices: Prices | None = None) -> Preview:
    """Go through all rows of *table* as a batch would, and add up what they cost at most if there are *prices*."""
    preview, seen = Preview(table.count, amount=None if prices is None else Decimal(0)), Seen(table.count)
    for row in table.rows():
        message = plan.message(row)
        call = None if isinstance(message, Invalid) else send(message, idempotency_key=own_key(row))
        why = message if isinstance(message, Invalid) else call.invalid if call is not None else None
        if isinstance(message, Invalid) or call is None or why is not None:
            _refuse(preview, row, why)
            continue
        if seen.again(same(message)):
            preview.duplicates += 1
            if len(preview.duplicate_lines) < _MOST_SHOWN:
                preview.duplicate_lines.append(row.line)
            if not duplicates:
                continue
        preview.units[billing.unit(message)] += 1
        if prices is not None and preview.amount is not None:
            preview.amount += price(message, prices)
        preview.first = preview.first or call
    return preview


def _refuse(preview: Preview, row: Row, why: Invalid | None) -> None:
    preview.invalid += 1
    if len(preview.invalid_rows) < _MOST_SHOWN and why is not None:
        preview.invalid_rows.append((row, explain(why)))


def _lines(preview: Preview) -> Iterator[str]:
    if preview.invalid:
        yield f"invalid{_of(preview.invalid)}:"
        for row, why in preview.invalid_rows:
            yield f"  line {row.line}: {why}"
    if preview.duplicates:
        yield f"duplicates{_of(preview.duplicates)}: line {', '.join(map(str, preview.duplicate_lines))}"
    yield "nothing was sent"


def _of(count: int) -> str:
    return f" (the first {_MOST_SHOWN} of {count:,})" if count > _MOST_SHOWN else ""


def _facts(preview: Preview, request: Request | None) -> dict[str, Any]:
    return {
        "rows": preview.rows,
        "units": dict(preview.units),
        **({} if preview.amount is None else {"amount": float(preview.amount)}),
        "invalid": preview.invalid,
        "invalid_rows": [{"row": row.number, "line": row.line, "message": why} for row, why in preview.invalid_rows],
        "duplicates": preview.duplicates,
        "duplicate_lines": preview.duplicate_lines,
        "first_request": None if request is None else _request_facts(request),
    }


def _request_facts(request: Request) -> dict[str, Any]:
    headers = {**request.headers, "Authorization": _HIDDEN}
    return {
        "method": request.method,
        "url": request.url,
        "headers": headers,
        "body": orjson.loads(request.body or b"null"),
    }


async def first_request(call: Call[Accepted]) -> str:
    """Write the request that *call* would make as text, with the key hidden."""
    return _written(await _captured(call))


def _written(request: Request) -> str:
    facts = _request_facts(request)
    head = "\n".join(f"{name}: {value}" for name, value in facts["headers"].items())
    body = orjson.dumps(facts["body"], option=orjson.OPT_INDENT_2).decode()
    return f"{request.method} {request.url}\n{head}\n\n{body}"


async def _captured(call: Call[Accepted]) -> Request:
    caught: list[Request] = []

    async def catch(request: Request, /) -> NotSent:
        caught.append(request)
        return NotSent("a dry run")

    async with Client(api_key="hidden", transport=catch, retry=Retry(attempts=1)) as api:
        _ = await api(call)
    return caught[0]
