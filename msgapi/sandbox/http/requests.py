"""Requests: the API key, the JSON body and the query of a request, parsed and validated for its route."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeAlias, TypeVar, final
from urllib.parse import parse_qsl

import orjson
from attrs import field, frozen

from ...results import Detail
from ...schema.requests import Schema
from ...schema.validators import month as month_rule
from .codecs import read_model
from .idempotency import FIELD, find_key
from .responses import SimulatedResponse, invalid_request

T = TypeVar("T")
MAX_BODY: Final = 1_048_576  # bytes
PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 200
DATE_OR_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
"""A date, or a time; one without a zone is UTC."""
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INTEGER: Final = re.compile(r"\d+", re.ASCII)
_MAX_PARAMETERS: Final = 50
_BEARER: Final = "bearer "


@final
@frozen(repr=False)
class RouteRequest:
    """An authorised request for its route: the *id* from the path, the query, and the body.

    *fields* is the JSON object of the body without its idempotency key, and *key* is that key.
    """

    now: float
    id: str = ""
    query: str = ""
    body: bytes = b""
    fields: dict[str, object] = field(factory=dict)
    key: str | None = None


def bearer_token(authorization: str) -> str | None:
    """Return the token of an Authorization header, or None if its scheme is not Bearer."""
    size = len(_BEARER)
    return authorization[size:] if authorization[:size].lower() == _BEARER else None


def read_body(
    headers: Mapping[str, str], body: bytes, *, max_bytes: int = MAX_BODY, without_fields: bool = False
) -> tuple[dict[str, object], str | None] | SimulatedResponse:
    """Return the JSON object and the idempotency key of a request, or the error response.

    A body *without_fields* may be left out.
    """
    if len(body) > max_bytes:
        return invalid_request([Detail("", f"is larger than {max_bytes} bytes")], "The body is too large.")
    value = {} if without_fields and not body else _read_object(headers, body)
    if isinstance(value, SimulatedResponse):
        return value
    key = find_key(headers, value)
    if isinstance(key, Detail):
        return invalid_request([key])
    others = {name: part for name, part in value.items() if name != FIELD}
    if without_fields and others:
        return invalid_request([Detail(name, "is not a known field") for name in others])
    return others, key


def canonical_body(value: Mapping[str, object], body: bytes) -> bytes:
    """Return *value*, the JSON of *body* without its key, in a form that does not depend on how it was written."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return body  # nested deeper than can be written; no route accepts that


def _read_object(headers: Mapping[str, str], body: bytes) -> dict[str, object] | SimulatedResponse:
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return invalid_request([Detail("content-type", "must be application/json")])
    try:
        value = orjson.loads(body)  # JSON is UTF-8 without a byte order mark (RFC 8259)
    except ValueError:
        return invalid_request([Detail("", "is not JSON" if body else "is empty")], "The body is not JSON.")
    return value if isinstance(value, dict) else invalid_request([Detail("", "must be an object")])


def parse_body(form: Schema, model: type[T], value: Mapping[str, object]) -> T | SimulatedResponse:
    """Return the body *value* as the *model* of *form*, or the error response.

    A field that has a default may be left out or be null. An unknown field is an error.
    """
    found, details = read_model(value, model)
    if found is not None:
        details = (*details, *form.check(found))
    return invalid_request(details) if found is None or details else found


class QueryError(ValueError):
    """A parameter of a query is invalid. The message says how, and never quotes the value."""


Parser: TypeAlias = Callable[[str], object]
"""Parses one parameter of a query; raises QueryError if it is invalid."""


def parse_query(query: str, parsers: Mapping[str, Parser]) -> dict[str, Any] | SimulatedResponse:
    """Return the parameters of a *query*, or the error response.

    Each parameter may be given once, and must have a parser.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        return invalid_request([Detail("query", f"has more than {_MAX_PARAMETERS} parameters")])
    found: dict[str, Any] = {}
    details = []
    for index, (name, value) in enumerate(pairs):
        try:
            if name not in parsers:
                raise QueryError("is not a known parameter")
            if any(name == other for other, _ in pairs[:index]):
                raise QueryError("is given twice")
            found[name] = parsers[name](value)
        except QueryError as error:
            details.append(Detail(name, str(error)))
    return invalid_request(details) if details else found


def parse_choice(*choices: str) -> Parser:
    """Return a parser that accepts one of *choices*."""

    def parser(text: str) -> str:
        if text not in choices:
            raise QueryError(f"must be one of {', '.join(choices)}")
        return text

    return parser


def parse_integer(least: int, most: int, *, digits: int = 19) -> Parser:
    """Return a parser for an integer from *least* to *most*, written with at most so many *digits*."""

    def parser(text: str) -> int:
        if not _INTEGER.fullmatch(text) or len(text) > digits or not least <= int(text) <= most:
            raise QueryError(f"must be a whole number from {least} to {most}")
        return int(text)

    return parser


@final
@frozen
class TimeSpan:
    """A span of time with a *name*, from *start* up to but without *end*, in Unix seconds."""

    name: str
    start: float
    end: float


def parse_day(text: str) -> TimeSpan:
    """Return the span of a day in UTC such as `2026-05-04`."""
    message = "must be a date such as 2026-05-04"
    if not _DATE.fullmatch(text):
        raise QueryError(message)
    try:
        start = _midnight(text)
        return TimeSpan(text, start.timestamp(), (start + timedelta(days=1)).timestamp())
    except (ValueError, OverflowError):
        raise QueryError(message) from None


def parse_month(text: str) -> TimeSpan:
    """Return the span of a month in UTC such as `2026-05`."""
    message = "must be a month such as 2026-05"
    if month_rule(text) is not None:
        raise QueryError(message)
    try:
        start = _midnight(f"{text}-01")
        end = (start + timedelta(days=31)).replace(day=1)
        return TimeSpan(text, start.timestamp(), end.timestamp())
    except (ValueError, OverflowError):
        raise QueryError(message) from None


def parse_date_or_time(text: str) -> tuple[datetime, datetime]:
    """Return the beginning and the end of a date, or of the millisecond of a time."""
    message = "must be an ISO 8601 date or time such as 2026-05-04 or 2026-05-04T07:30:00Z"
    if DATE_OR_TIME.fullmatch(text) is None:
        raise QueryError(message)
    try:
        if _DATE.fullmatch(text):
            day = _midnight(text)
            return day, day + timedelta(days=1)
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC, microsecond=moment.microsecond // 1000 * 1000)
        start = moment.astimezone(UTC)
        return start, start + timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise QueryError(message) from None


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), UTC)
