"""Dry runs: show what would be sent. Needs no key and sends nothing."""

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final, final

import orjson
from attrs import define, field

from ... import billing
from ...billing import Estimate
from ...calls import Call, new_key
from ...client import Client
from ...fallback import AnyCall
from ...http import Request
from ...messages import Accepted, Message, Text
from ...messages.models import BASIC_MAX_LENGTH
from ...results import Invalid, NotSent
from ...retry import Retry
from ..advice import explain
from ..connection import run_async, service_settings
from ..files.rows import InputRow
from ..files.tables import InputFile
from ..output import Exit, RowOutcome, counted, emit, emit_json, emit_prose, table_of
from .calls import RowCalls
from .progress import reported
from .spending import UnitPrices, price_of
from .values import RecipientReport

_MOST_SHOWN: Final = 10
_HIDDEN: Final = "Bearer ***"


@final
@define(eq=False, repr=False)
class DryRun:
    """The counts of a batch that is not sent; *fallbacks* is how many of the rows have a second message."""

    rows: int
    first: AnyCall[Accepted] | None = None
    fallbacks: int = 0
    units: Counter[str] = field(factory=Counter)
    longer_in_units: int = 0
    invalid: int = 0
    invalid_rows: list[tuple[InputRow, str]] = field(factory=list)
    duplicate: int = 0
    duplicate_lines: list[int] = field(factory=list)
    amount: Decimal | None = None
    recipients: RecipientReport = field(factory=RecipientReport)

    @property
    def estimate(self) -> Estimate:
        """The highest possible cost: a conversation or month that several rows share is counted for each row."""
        return Estimate(messages=sum(self.units.values()), amount=self.amount or Decimal(0))

    @property
    def status(self) -> Exit:
        """The exit status: REFUSED if rows are invalid."""
        return Exit.REFUSED if self.invalid else Exit.ACCEPTED


def show(table: InputFile, calls: RowCalls, *, json: bool, prices: UnitPrices | None = None) -> Exit:
    """Print what would be sent, and return the exit status."""
    found = examine(table, calls, prices=prices)
    call = found.first
    first = () if call is None else (call if call.idempotency_key else call.under(new_key())).legs
    requests = [run_async(partial(_capture, leg)) for leg in first]
    if json:
        emit_json(
            _facts(found, table, requests)
            | {"warnings": calls.builder.warnings.facts(), "notes": calls.builder.notes}
            | {"assumptions": list(_assumptions(found, prices)), "maybe_single": found.longer_in_units}
        )
        return found.status
    for title, request in zip(("the first request", "if the service answers 404"), requests, strict=False):
        emit(f"{title}:\n\n{_format(request)}\n")
    counts = table_of("outcome", "#rows")
    for unit, count in sorted(found.units.items()):
        counts.add_row(f"sent, billed as {unit}", f"{count:,}")
    if found.fallbacks:
        counts.add_row("of them with a fallback by email", f"{found.fallbacks:,}")
    counts.add_row(f"not sent: {RowOutcome.INVALID.words}", f"{found.invalid:,}")
    fate = "sent" if calls.allow_duplicates else "not sent"
    counts.add_row(f"{fate}: {RowOutcome.DUPLICATE.words}", f"{found.duplicate:,}")
    counts.add_row("all rows", f"{found.rows:,}")
    if table.left_out:
        counts.add_row("left out by --where", f"{table.left_out:,}")
    if found.amount is not None:
        counts.add_row("EUR at most", f"{found.amount:,}")
    emit(counts)
    warnings = calls.builder.warnings.texts()
    emit_prose("\n".join([*table.line_breaks.describe(), *warnings, *_assumptions(found, prices), *_lines(found)]))
    return found.status


def examine(table: InputFile, calls: RowCalls, *, prices: UnitPrices | None = None) -> DryRun:
    """Count the rows of *table* as a batch would and, if there are *prices*, add up their highest possible cost."""
    found = DryRun(table.count, amount=None if prices is None else Decimal(0))
    rows = reported(table.rows(), table.count, f"checking {table.name}")
    for made in calls.make_each(rows, table.count):
        message = made.message
        if made.repeats:
            found.duplicate += 1
            if len(found.duplicate_lines) < _MOST_SHOWN:
                found.duplicate_lines.append(made.row.line)
        elif message is None:
            _add_invalid(found, made.row, made.call.invalid)
        if message is None:
            continue
        unit = billing.unit(message)
        found.units[unit] += 1
        found.longer_in_units += unit == "basic_message" and _is_longer_in_units(message)
        found.fallbacks += made.second is not None
        if prices is not None and found.amount is not None:
            found.amount += max(price_of(one, prices) for one in (message, made.second) if one is not None)
        found.first = found.first or made.call
    found.recipients = calls.recipients
    return found


def _is_longer_in_units(message: Message) -> bool:
    # Whether a text that is short in code points is long in UTF-16 units or in bytes of UTF-8.
    text = message.text if isinstance(message, Text) else ""
    if text.isascii():
        return False  # it is a basic message by its code points
    return len(text.encode()) > BASIC_MAX_LENGTH or len(text.encode("utf-16-le")) // 2 > BASIC_MAX_LENGTH


def _assumptions(found: DryRun, prices: UnitPrices | None) -> Iterator[str]:
    """Yield what the units and the price assume where the documentation of the API leaves it open."""
    if found.units["basic_message"] or found.units["single_message"]:
        yield (
            f"units: an RCS text without suggestions is a basic_message up to {BASIC_MAX_LENGTH} characters, counted "
            "as Unicode code points (the API does not define a character); longer texts and cards are a "
            "single_message; an email is a basic_message"
        )
    if found.longer_in_units:
        more = ""
        if prices is not None and "single_message" in prices and "basic_message" in prices:
            extra = (prices["single_message"] - prices["basic_message"]) * found.longer_in_units
            more = f", for {extra:,} EUR more"
        yield (
            f"units: {counted(found.longer_in_units)} with letters outside ASCII would be a single_message if the "
            f"service counts UTF-16 units or bytes{more}"
        )
    if found.units["conversation"] or found.units["mau"]:
        yield (
            "units: a conversation is billed once per session and a mau once per subscriber and month; each row is "
            "counted here"
        )
    if prices is not None:
        yield "price: the prices of --price, without tiers; rows that are refused cost nothing"


def _add_invalid(found: DryRun, row: InputRow, why: Invalid | None) -> None:
    found.invalid += 1
    if len(found.invalid_rows) < _MOST_SHOWN and why is not None:
        found.invalid_rows.append((row, explain(why)))


def _lines(found: DryRun) -> Iterator[str]:
    if found.invalid:
        yield f"{RowOutcome.INVALID.words}{_of(found.invalid)}:"
        for row, why in found.invalid_rows:
            yield f"  {row.place}: {why}"
    if found.duplicate:
        yield f"{RowOutcome.DUPLICATE.words}{_of(found.duplicate)}: line {', '.join(map(str, found.duplicate_lines))}"
    yield from found.recipients.lines()
    yield "nothing was sent"


def _of(count: int) -> str:
    return f" (the first {_MOST_SHOWN} of {count:,})" if count > _MOST_SHOWN else ""


def _facts(found: DryRun, table: InputFile, requests: Sequence[Request]) -> dict[str, Any]:
    first, second = [*map(_request_facts, requests), None, None][:2]
    return {
        "rows": found.rows,
        "units": dict(found.units),
        **({} if found.amount is None else {"amount": float(found.amount)}),
        RowOutcome.INVALID.value: found.invalid,
        "invalid_rows": [{"row": row.number, "line": row.line, "message": why} for row, why in found.invalid_rows],
        RowOutcome.DUPLICATE.value: found.duplicate,
        "duplicate_lines": found.duplicate_lines,
        **found.recipients.facts(),
        "left_out": table.left_out,
        "rows_with_line_breaks": table.line_breaks.used,
        "suspect_rows": table.line_breaks.suspect_rows,
        "first_request": first,
        "fallbacks": found.fallbacks,
        "fallback_request": second,
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
    """Return the request that *call* would make as text, with the key hidden."""
    return _format(await _capture(call))


def _format(request: Request) -> str:
    facts = _request_facts(request)
    head = "\n".join(f"{name}: {value}" for name, value in facts["headers"].items())
    body = orjson.dumps(facts["body"], option=orjson.OPT_INDENT_2).decode()
    return f"{request.method} {request.url}\n{head}\n\n{body}"


async def _capture(call: Call[Accepted]) -> Request:
    requests: list[Request] = []

    async def catch(request: Request, /) -> NotSent:
        requests.append(request)
        return NotSent("a dry run")

    base_url = service_settings().base_url
    async with Client(api_key="hidden", base_url=base_url, transport=catch, retry=Retry(attempts=1)) as api:
        _ = await api(call)
    return requests[0]
