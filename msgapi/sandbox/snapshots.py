"""Snapshots: an account as plain JSON values, and an account made from them again.

Rules:
- A snapshot has everything on which a later response, event or delivery depends, also the generator of the ids.
- What follows from the rest is left out: the indexes of the contacts, the sums of the months, the reserved money.
- A delivery that was taken and has no recorded attempt is pending in a snapshot, so it is made at least once.
- Reading is strict: a missing or unknown field and a value of another type raise ValueError with the path. No error
  quotes a value, since a snapshot contains recipients, content, and the secrets of webhook endpoints.
"""

import re
import zlib
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from math import inf, isfinite
from random import Random
from struct import Struct
from types import MappingProxyType, UnionType
from typing import Any, Final, Literal, TypeVar, Union, final, get_args, get_origin, get_type_hints

import attrs
import orjson
from attrs import frozen

from ..schema.validators import is_unicode
from .account import Account
from .model.billing import LedgerTransaction, Pair, TransactionLedger
from .model.messages import LogEntry
from .model.state import AccountOptions, ClockState, NextStep, ReloadRetry, ScheduledItem, ScheduledItems, ScheduleRow
from .model.webhooks import EmittedEvent, EventRow, PendingDelivery, event_of

T = TypeVar("T")
FORMAT: Final = "msgapi-sandbox"
VERSION: Final = 4
"""The version of the snapshots that this version of the package writes and reads."""
_LARGE: Final = re.compile(r"-?[0-9]{19,4000}")
_EARLIEST: Final = -62_135_596_800.0  # the year 1; a time before is not a date
_LATEST: Final = 1e11  # the year 5138: every time until then is a date, also with the time to live of a message
_MAX_DIGITS: Final = 18  # of an amount, before the point
_FREE: Final = ("options.", "schedule.")  # where a float is no date, and so may have any value
_WORDS: Final = Struct("<625I")  # the state of the random generator
_RANDOM_VERSION: Final = 3  # of `Random.getstate`
_STARTING: Final = ("balance", "agents", "channels", "templates", "campaigns")  # options whose effect is in the state

STORED_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "wallet": ("free", "ledger", "_holds"),
    "faults": ("_names",),
    "agents": ("_by_id", "_renamed"),
    "schedule": ("_items", "_order"),
    "webhook_queue": ("_attempts", "_numbers"),
    "log": ("accepted", "dropped", "_entries", "_final", "_usage"),
    "idempotency": ("_stored", "_sweep_at", "_blocks", "_lines", "_block"),
    "sessions": ("_open",),
    "newsletters": ("_subscribers",),
    "events": ("_events",),
    "contacts": ("_by_id",),
    "endpoints": ("_by_id",),
    "payments": (
        "methods",
        "auto_reload",
        "low_balance_threshold",
        "_day",
        "_reloads",
        "_failures",
        "_failed_at",
    ),
    "test_agent": ("awaits_code", "phone", "sent"),
}
"""The parts of the state, and the fields of each that a snapshot has. The others are options, or follow from these."""
_STATE_FIELDS: Final = ("channels", "templates", "campaigns", "runs", "_random", "_volumes")


@final
@frozen
class SnapshotCodec:
    """How the values of one type are written as JSON values, and read from them at a path."""

    write: Callable[[Any], Any]
    read: Callable[[Any, str], Any]


class SnapshotError(ValueError):
    """A snapshot cannot be read. *field* is the path of the *problem* in it, empty for the snapshot as a whole."""

    def __init__(self, problem: str, field: str = "") -> None:
        """Create the error."""
        super().__init__(f"the snapshot is damaged at {field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


@final
@frozen
class RestoredSandbox:
    """What a snapshot has: the account, and the clock as it was."""

    account: Account
    clock: ClockState


def take_snapshot(account: Account, clock: ClockState) -> dict[str, Any]:
    """Return the snapshot of *account* at the time of *clock*, as the types of JSON."""
    state, options, current = account.state, _options_codec(), current_options(account)
    parts = {name: _write_fields(getattr(state, name), fields) for name, fields in STORED_FIELDS.items()}
    parts["webhook_queue"]["pending"] = _PENDING.write(state.webhook_queue.pending)
    return {
        "format": FORMAT,
        "version": VERSION,
        "time": clock.time,
        "clock": {"paused": clock.paused, "offset": clock.offset},
        "options": {name: codec.write(getattr(current, name)) for name, codec in options.items()},
        "requests": account.requests,
        "windows": {name: one.counted for name, one in account.counters.items()},
        **_write_fields(state, _STATE_FIELDS),
        **parts,
    }


def current_options(account: Account) -> AccountOptions:
    """Return the options of *account*, with those that were changed since it was created."""
    state = account.state
    return attrs.evolve(
        account.options,
        prices=state.prices,
        faults=state.faults.shares,
        slow=state.slow,
        webhooks=state.webhook_queue.faults,
    )


def restore_account(snapshot: object, options: Mapping[str, object] = MappingProxyType({})) -> RestoredSandbox:
    """Return a new account in the state of *snapshot*, and its clock. *options* replace those of the snapshot.

    Raise SnapshotError if it is not one that can be read.
    """
    if not isinstance(snapshot, Mapping) or snapshot.get("format") != FORMAT:
        raise SnapshotError("this is not the snapshot of a sandbox")
    if snapshot.get("version") != VERSION:
        raise SnapshotError(
            f"the snapshot is of another version of msgapi-sdk: it must have the version {VERSION} of the format"
        )
    try:
        return _restore(snapshot, options)
    except _Damaged as error:
        path, _, problem = str(error).partition(": ")
        raise SnapshotError(problem, path) from None


class _Damaged(Exception):
    """A part of a snapshot cannot be read; the text has its path and the reason."""


def _restore(snapshot: Mapping[str, Any], options: Mapping[str, object]) -> RestoredSandbox:
    names = {"format", "version", "time", "clock", "options", "requests", "windows", *STORED_FIELDS}
    _check_names(snapshot, names | {_public(one) for one in _STATE_FIELDS}, "")
    time = _codec(float).read(snapshot["time"], "time")
    _check_names(snapshot["clock"], ("paused", "offset"), "clock")
    clock = ClockState(
        time=time,
        paused=_codec(bool).read(snapshot["clock"]["paused"], "clock.paused"),
        offset=_codec(float).read(snapshot["clock"]["offset"], "clock.offset"),
    )
    codecs, given = _options_codec(), snapshot["options"]
    _check_names(given, codecs.keys(), "options")
    values: dict[str, Any] = {name: codec.read(given[name], f"options.{name}") for name, codec in codecs.items()}
    values |= {**dict.fromkeys(_STARTING[1:], ()), **options}
    account = _build(Account, "options", AccountOptions(**values))
    account.requests = _codec(int).read(snapshot["requests"], "requests")
    for name, counted in _codec(dict[str, tuple[int, int]]).read(snapshot["windows"], "windows").items():
        account.counter(name).counted = counted
    state = account.state
    _read_fields(state, _STATE_FIELDS, {name: snapshot[name] for name in map(_public, _STATE_FIELDS)}, "")
    for name, fields in STORED_FIELDS.items():
        more = ("pending",) if name == "webhook_queue" else ()
        _check_names(snapshot[name], {*map(_public, fields), *more}, name)
        _read_fields(getattr(state, name), fields, snapshot[name], name)
    pending = _PENDING.read(snapshot["webhook_queue"]["pending"], "webhook_queue.pending")
    state.webhook_queue.add_pending(pending)
    state.webhook_queue.index(state.events)
    for part in (state.wallet, state.log, state.contacts):
        _build(part.index, "log")
    _build(state.idempotency.index, "idempotency")
    return RestoredSandbox(account, clock)


def _public(name: str) -> str:
    return name.lstrip("_")


def _write_fields(owner: object, fields: Iterable[str]) -> dict[str, Any]:
    hints = get_type_hints(type(owner))
    return {_public(one): _codec(hints[one]).write(getattr(owner, one)) for one in fields}


def _read_fields(owner: object, fields: Iterable[str], found: Mapping[str, Any], path: str) -> None:
    hints = get_type_hints(type(owner))
    for one in fields:
        at = _join(path, _public(one))
        value = _codec(hints[one]).read(found[_public(one)], at)
        before = getattr(owner, one)
        if isinstance(before, deque):  # keeps its greatest length
            before.extend(value)
        else:
            setattr(owner, one, value)
            _build(attrs.validate, at, owner)


def _options_codec() -> dict[str, SnapshotCodec]:
    hints = get_type_hints(AccountOptions)
    return {name: _codec(kind) for name, kind in hints.items() if name not in _STARTING}


def _check_names(value: object, names: Iterable[str], path: str) -> None:
    if not isinstance(value, Mapping):
        raise _Damaged(f"{path or 'the top'}: must be an object")
    for name in names:
        if name not in value:
            raise _Damaged(f"{_join(path, name)}: is required")
    if len(value) > len({*names}):
        raise _Damaged(f"{path or 'the top'}: has an unknown field")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _build(function: Callable[..., T], path: str, *args: object, **named: object) -> T:
    # The validators of the model check what a type does not say.
    try:
        return function(*args, **named)
    except (ValueError, TypeError, KeyError, OverflowError, OSError, zlib.error) as error:  # OSError is of dates, too
        raise _Damaged(f"{path}: {type(error).__name__}") from None


# The codecs by type.


@cache
def _codec(kind: Any) -> SnapshotCodec:  # noqa: ANN401 - any type of a field
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if get_origin(kind) is not None:
        return _generic(get_origin(kind), get_args(kind))
    if kind is LogEntry:  # the log has plain tuples
        entry = _model(LogEntry, LogEntry._fields)
        return SnapshotCodec(lambda row: entry.write(LogEntry._make(row)), entry.read)
    if issubclass(kind, tuple):  # a named tuple
        return _row(lambda values: kind(*values), tuple(get_type_hints(kind).values()))
    return _model(kind, tuple(one.name for one in attrs.fields(kind)))


def _generic(origin: Any, parts: tuple[Any, ...]) -> SnapshotCodec:  # noqa: ANN401 - such as tuple of tuple[str, ...]
    if origin is Literal:
        return SnapshotCodec(_same, _one_of(parts))
    if origin in {Union, UnionType}:
        return _optional(_codec(next(part for part in parts if part is not type(None))))
    if origin is tuple and parts[-1] is not ...:
        return _row(tuple, parts)
    if origin in {tuple, list, deque}:
        return _array(_codec(parts[0]), list if origin is deque else origin)
    return _object(_codec(parts[1])) if parts[0] is str else _pairs(_codec(parts[0]), _codec(parts[1]))


def _same(value: T) -> T:
    return value


def _exact(*kinds: type) -> SnapshotCodec:
    def read(value: Any, path: str) -> object:  # noqa: ANN401 - JSON
        if type(value) not in kinds:
            raise _Damaged(f"{path}: is of another type")
        return _build(kinds[-1], path, value)

    return SnapshotCodec(_same, read)


def _one_of(values: tuple[object, ...]) -> Callable[[Any, str], Any]:
    def read(value: object, path: str) -> object:
        if value not in values:
            raise _Damaged(f"{path}: is none of the known values")
        return value

    return read


def _optional(inner: SnapshotCodec) -> SnapshotCodec:
    return SnapshotCodec(
        lambda value: None if value is None else inner.write(value),
        lambda value, path: None if value is None else inner.read(value, path),
    )


def _read_array(value: object, path: str, size: int | None = None) -> list[Any]:
    if not isinstance(value, list | tuple) or size not in {None, len(value)}:
        raise _Damaged(f"{path}: must be an array{'' if size is None else f' of {size}'}")
    return [*value]


def _array(inner: SnapshotCodec, make: Callable[[list[Any]], Any]) -> SnapshotCodec:
    return SnapshotCodec(
        lambda values: [inner.write(one) for one in values],
        lambda value, path: make([inner.read(one, f"{path}[{at}]") for at, one in enumerate(_read_array(value, path))]),
    )


def _row(make: Callable[[list[Any]], Any], kinds: tuple[Any, ...]) -> SnapshotCodec:
    codecs = [_codec(kind) for kind in kinds]

    def read(value: object, path: str) -> object:
        found = zip(codecs, _read_array(value, path, len(codecs)), strict=True)
        return make([codec.read(one, f"{path}[{at}]") for at, (codec, one) in enumerate(found)])

    return SnapshotCodec(lambda row: [codec.write(one) for codec, one in zip(codecs, row, strict=True)], read)


def _object(inner: SnapshotCodec) -> SnapshotCodec:
    def read(value: object, path: str) -> object:
        if not isinstance(value, dict):
            raise _Damaged(f"{path}: must be an object")
        return {_codec(str).read(name, path): inner.read(one, f"{path}.*") for name, one in value.items()}

    return SnapshotCodec(lambda values: {name: inner.write(one) for name, one in values.items()}, read)


def _pairs(key: SnapshotCodec, inner: SnapshotCodec) -> SnapshotCodec:
    def read(value: object, path: str) -> object:
        rows = [_read_array(one, f"{path}[{at}]", 2) for at, one in enumerate(_read_array(value, path))]
        return {
            key.read(name, f"{path}[{at}][0]"): inner.read(one, f"{path}[{at}][1]")
            for at, (name, one) in enumerate(rows)
        }

    return SnapshotCodec(lambda values: [[key.write(name), inner.write(one)] for name, one in values.items()], read)


def _model(kind: Any, names: tuple[str, ...]) -> SnapshotCodec:  # noqa: ANN401 - a class
    hints = get_type_hints(kind)
    codecs = {name: _codec(hints[name]) for name in names}
    if kind is LogEntry:
        codecs["body"] = SnapshotCodec(bytes.decode, _read_json)

    def read(value: Any, path: str) -> object:  # noqa: ANN401 - JSON
        _check_names(value, codecs.keys(), path)
        found = {name: codec.read(value[name], _join(path, name)) for name, codec in codecs.items()}
        return _build(kind, path, **found)

    return SnapshotCodec(lambda one: {name: codec.write(getattr(one, name)) for name, codec in codecs.items()}, read)


def _read_decimal(value: Any, path: str) -> Decimal:  # noqa: ANN401 - JSON
    try:
        found = Decimal(_codec(str).read(value, path))
    except InvalidOperation:
        raise _Damaged(f"{path}: is not a number") from None
    if not found.is_finite():
        raise _Damaged(f"{path}: is not a number")
    if found.adjusted() >= _MAX_DIGITS:
        raise _Damaged(f"{path}: is out of range")
    return found


def _read_text(value: object, path: str) -> str:
    found: str = _exact(str).read(value, path)
    if not is_unicode(found):
        raise _Damaged(f"{path}: is not valid Unicode")
    return found


def _read_bytes(value: Any, path: str) -> bytes:  # noqa: ANN401 - JSON
    return _build(b64decode, path, _codec(str).read(value, path), validate=True)


def _read_json(value: Any, path: str) -> bytes:  # noqa: ANN401 - JSON
    body: bytes = _codec(str).read(value, path).encode(errors="replace")
    if not isinstance(_build(orjson.loads, path, body), dict):
        raise _Damaged(f"{path}: is not a JSON object")
    return body


def _write_int(value: int) -> int | str:
    return value if -(2**63) <= value < 2**64 else str(value)  # a parser of JSON may have no other integers


def _read_int(value: Any, path: str) -> int:  # noqa: ANN401 - JSON
    if path.endswith("seed"):  # of random numbers, of any size; the others are in responses
        return int(value) if isinstance(value, str) and _LARGE.fullmatch(value) else int(_exact(int).read(value, path))
    found: int = _exact(int).read(value, path)
    if not -(2**63) <= found < 2**63:
        raise _Damaged(f"{path}: is out of range")
    return found


def _write_float(value: float) -> float | str:
    return value if isfinite(value) else repr(value)  # JSON has no infinity


def _read_float(value: Any, path: str) -> float:  # noqa: ANN401 - JSON
    is_date = not path.startswith(_FREE)
    if value == "inf" and not is_date:
        return inf
    found: float = _exact(int, float).read(value, path)
    if not isfinite(found):
        raise _Damaged(f"{path}: is not a number")
    if is_date and not _EARLIEST <= found <= _LATEST:
        raise _Damaged(f"{path}: is out of range")
    return found


def _write_random(random: Random) -> str:
    return b64encode(_WORDS.pack(*random.getstate()[1])).decode()


def _read_random(value: object, path: str) -> Random:
    random, words = Random(0), _read_bytes(value, path)  # noqa: S311 - predictable ids are intended
    if len(words) != _WORDS.size:
        raise _Damaged(f"{path}: is of another length")
    _build(random.setstate, path, (_RANDOM_VERSION, _WORDS.unpack(words), None))
    return random


def _write_item(item: ScheduledItem) -> dict[str, Any]:
    if isinstance(item, NextStep):
        return {"steps": _codec(NextStep).write(item)}
    return {"reload": True} if isinstance(item, ReloadRetry) else {"session": _codec(Pair).write(item)}


def _read_item(value: Any, path: str) -> ScheduledItem:  # noqa: ANN401 - JSON
    if value == {"reload": True}:
        return ReloadRetry()
    if isinstance(value, dict) and [*value] == ["steps"]:
        steps: NextStep = _codec(NextStep).read(value["steps"], f"{path}.steps")
        if not steps.steps:
            raise _Damaged(f"{path}.steps: has no step")
        return steps
    _check_names(value, ["session"], path)
    pair: Pair = _codec(Pair).read(value["session"], f"{path}.session")
    return pair


def _write_scheduled(items: ScheduledItems) -> list[Any]:
    written: list[Any] = _codec(list[ScheduleRow]).write(items.rows)
    return written


def _read_scheduled(value: object, path: str) -> ScheduledItems:
    items, rows = ScheduledItems(), _codec(list[ScheduleRow]).read(value, path)
    steps = [item.message_id for _, _, item in rows if isinstance(item, NextStep)]
    if len({number for _, number, _ in rows}) < len(rows) or len({*steps}) < len(steps):
        raise _Damaged(f"{path}: has an item twice")
    for at, number, item in rows:
        items.push(at, number, item)
    return items


def _write_event(row: EventRow) -> dict[str, Any]:
    written: dict[str, Any] = _codec(EmittedEvent).write(event_of(row))
    return written


def _read_event(value: object, path: str) -> EventRow:
    event: EmittedEvent = _codec(EmittedEvent).read(value, path)
    return event.id, event.event, event.at, None, event.data


def _write_ledger(ledger: TransactionLedger) -> list[Any]:
    return [_codec(LedgerTransaction).write(ledger[number]) for number in range(len(ledger))]


def _read_ledger(value: object, path: str) -> TransactionLedger:
    ledger, rows = TransactionLedger(), _codec(list[LedgerTransaction]).read(value, path)
    for at, one in enumerate(rows):
        _build(ledger.add, f"{path}[{at}]", one.type, one.amount, one.at, one.message_id)
    return ledger


def _plain(value: object) -> Any:  # noqa: ANN401 - JSON
    return orjson.loads(orjson.dumps(value))


_SIMPLE: Final[Mapping[object, SnapshotCodec]] = {
    str: SnapshotCodec(_same, _read_text),
    bool: _exact(bool),
    int: SnapshotCodec(_write_int, _read_int),
    float: SnapshotCodec(_write_float, _read_float),
    object: SnapshotCodec(_plain, lambda value, path: _build(_plain, path, value)),
    None: SnapshotCodec(_same, _one_of((None,))),
    Decimal: SnapshotCodec(str, _read_decimal),
    bytes: SnapshotCodec(lambda value: b64encode(value).decode(), _read_bytes),
    EventRow: SnapshotCodec(_write_event, _read_event),
    ScheduledItems: SnapshotCodec(_write_scheduled, _read_scheduled),
    ScheduledItem: SnapshotCodec(_write_item, _read_item),
    Random: SnapshotCodec(_write_random, _read_random),
    TransactionLedger: SnapshotCodec(_write_ledger, _read_ledger),
}
_PENDING: Final = _codec(list[PendingDelivery])
