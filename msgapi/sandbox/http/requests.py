"""Requests: the API key, the JSON body, the idempotency key and the query of a request, and repeated requests.

What a request contains is parsed and validated for its route. One idempotency key stands for one operation, which has
one response.

A response is stored for a day, however many messages follow it. So what is stored takes little memory: digests in place
of the key and the request, and the response compressed.
"""

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from struct import Struct
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, final
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
from attrs import define, field, frozen

from ...codegen import constructor, copier
from ...http import Response
from ...messages import check_key
from ...results import Detail
from ...schema.requests import Schema
from ...schema.validators import month as month_rule
from .codecs import read_model
from .responses import JSON_HEADERS, SimulatedResponse, error_response, invalid_request

T = TypeVar("T")
MAX_BODY: Final = 1_048_576  # bytes
PAGE_SIZE: Final = 50
MAX_PAGE_SIZE: Final = 200
ID_SEGMENT: Final = "{id}"
"""The segment of the path of a route that stands for an id."""
DATE_OR_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
"""A date, or a time; one without a zone is UTC."""
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_CURSOR: Final = re.compile(r"cur_[0-9a-f]{16}")
_INTEGER: Final = re.compile(r"\d+", re.ASCII)
_MAX_PARAMETERS: Final = 50
_BEARER: Final = "bearer "
_KEY_HEADER: Final = "idempotency-key"
KEY_FIELD: Final = "idempotency_key"
_RETENTION: Final = 86_400.0  # seconds for which a response is kept
_SWEEP_INTERVAL: Final = 3_600.0  # seconds between two removals of expired responses
_STORED: Final = Struct("<16sdHII")
"""The digest of the request, the end of the retention in Unix seconds, the status, the block, and the line in it."""
_BLOCK_LINES: Final = 64  # responses that are compressed at once: one at a time would take ten times as long
_MAX_BLOCK: Final = 2**24  # bytes of a block; a longer one is not ours


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


new_request: Final = constructor(RouteRequest)
"""`RouteRequest(...)`, in half of the time."""
with_fields: Final = copier(RouteRequest, "fields", "key")
"""A function of a RouteRequest, its fields and its key, which returns the request with them."""


def split_url(url: str) -> tuple[str, str]:
    """Return the path and the query of a *url*; both are empty if it is not a URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    # A lone surrogate cannot be encoded in a response that quotes the query.
    return parts.path, parts.query if parts.query.isascii() else parts.query.encode(errors="replace").decode()


def match_path(template: Sequence[str], path: Sequence[str]) -> str | None:
    """Return the unquoted id in the segments of a *path*; None if they do not match those of the *template*.

    `{id}` in the template matches any one segment. Without it, the id is empty.
    """
    if len(template) != len(path):
        return None
    pairs = list(zip(template, path, strict=True))
    if not all(wanted in {one, ID_SEGMENT} for wanted, one in pairs):
        return None
    return next((unquote(one) for wanted, one in pairs if wanted == ID_SEGMENT), "")


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
    key = _find_key(headers, value)
    if isinstance(key, Detail):
        return invalid_request([key])
    others = {name: part for name, part in value.items() if name != KEY_FIELD} if KEY_FIELD in value else value
    if without_fields and others:
        return invalid_request([Detail(name, "is not a known field") for name in others])
    return others, key


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


def parse_cursor(text: str) -> int:
    """Return the place that a cursor stands for."""
    if not _CURSOR.fullmatch(text):
        raise QueryError("must be the next_cursor of a page before")
    return int(text[4:], 16)


def format_cursor(place: int) -> str:
    """Return the cursor for a *place* in a list."""
    return f"cur_{place:016x}"


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


# Idempotency keys.


def _find_key(headers: Mapping[str, str], fields: Mapping[str, object]) -> str | Detail | None:
    """Return the idempotency key from the headers or the body *fields*, or the problem with it; None without one."""
    found: str | None = None
    for name, source in ((_KEY_HEADER, headers), (KEY_FIELD, fields)):
        if name not in source:
            continue
        key = source[name]
        problem = check_key(key) if isinstance(key, str) else Detail(name, "must be a string")
        if problem is not None:
            return Detail(name, problem.message)
        if found is not None and found != key:
            return Detail(KEY_FIELD, "differs from the Idempotency-Key header")
        found = str(key)
    return found


@final
class KeyedOperation(NamedTuple):
    """What an idempotency key stands for: the digest of its route and the key, and that of the request."""

    name: bytes
    body: bytes


def operation_of(route: str, request: RouteRequest) -> KeyedOperation:
    """Return the operation of a *request*, which has a key. It does not depend on how the JSON was written."""
    try:
        body = orjson.dumps(request.fields, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        body = request.body  # nested deeper than can be written; no route accepts that
    name = f"{route} {request.id}\n{request.key}"
    return KeyedOperation(_digest(name.encode(errors="surrogatepass")), _digest(body))


@final
@define(eq=False, repr=False)
class IdempotencyStore:
    """The accepted operations of the last 24 hours, by their names.

    A response is one line of a block: its Location, a space, and its JSON. A full block is compressed.
    """

    _stored: dict[bytes, bytes] = field(factory=dict, init=False)
    _sweep_at: float = field(default=0.0, init=False)
    _blocks: dict[int, bytes] = field(factory=dict, init=False)
    _lines: list[bytes] = field(factory=list, init=False)  # of the last block
    _block: int = field(default=0, init=False)  # the number of the last block

    def replay(self, operation: KeyedOperation, now: float) -> SimulatedResponse | None:
        """Return the stored response, or a conflict if the request differs; None if the name is unknown."""
        stored = self._stored.get(operation.name)
        if stored is None:
            return None
        digest, until, status, block, line = _STORED.unpack(stored)
        if until <= now:
            return None
        if digest != operation.body:
            return error_response(409, "idempotency_conflict", "This idempotency key belongs to another request.")
        location, _, body = self._lines_of(block)[line].partition(b" ")
        headers = {**JSON_HEADERS, "location": location.decode()} if location else JSON_HEADERS
        return SimulatedResponse(Response(status, headers, body), replayed=True)

    def store(self, operation: KeyedOperation, response: Response, now: float) -> None:
        """Store the *response* to an operation for 24 hours."""
        if now >= self._sweep_at:
            self._sweep(now)
        lines = self._lines
        place = (self._block, len(lines))
        self._stored[operation.name] = _STORED.pack(operation.body, now + _RETENTION, response.status, *place)
        lines.append(response.headers.get("location", "").encode() + b" " + response.body)
        if len(lines) == _BLOCK_LINES:
            self._blocks[self._block] = zlib.compress(b"\n".join(lines), 1)
            self._lines = []
            self._block += 1

    def index(self) -> None:
        """Check what was set from a snapshot. Raise ValueError if a response is not there, or is not text."""
        lines: dict[int, int] = {}
        for number in (*self._blocks, self._block):
            found = self._lines_of(number)
            lines[number] = len(found)
            _ = b"".join(found).decode()
        for stored in self._stored.values():
            if len(stored) != _STORED.size:
                raise ValueError("an operation is not of the right length")
            *_, block, line = _STORED.unpack(stored)
            if line >= lines.get(block, 0):
                raise ValueError("the response to an operation is not there")

    def _lines_of(self, block: int) -> list[bytes]:
        if block == self._block:
            return self._lines
        stream = zlib.decompressobj()
        lines = stream.decompress(self._blocks[block], _MAX_BLOCK).split(b"\n")
        if not stream.eof:
            raise ValueError("a block of responses is too long, or is cut off")
        return lines

    def _sweep(self, now: float) -> None:
        kept = {name: stored for name, stored in self._stored.items() if _STORED.unpack(stored)[1] > now}
        used = {_STORED.unpack(stored)[3] for stored in kept.values()}
        self._stored = kept
        self._blocks = {number: block for number, block in self._blocks.items() if number in used}
        self._sweep_at = now + _SWEEP_INTERVAL


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()
