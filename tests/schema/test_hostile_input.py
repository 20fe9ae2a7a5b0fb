"""No input makes a rule raise: hostile values at every field of every function that builds a call."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from random import Random
from types import ModuleType
from typing import Any, Final
from uuid import UUID

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import Call, Invalid, agents, billing, campaigns, contacts, messages, testagent, webhooks
from msgapi.messages import Message


class Boom(Exception):
    pass


def boom(*_: object, **__: object) -> Any:  # noqa: ANN401 - never returns
    raise Boom


METHODS: Final = """__str__ __repr__ __eq__ __ne__ __len__ __bool__ __iter__ __hash__ __lt__ __le__ __gt__ __ge__
__contains__ __getitem__ __format__ __int__ __float__ __index__ __add__ __mod__ __round__ keys items values encode
isascii isprintable partition split strip astimezone utcoffset is_finite as_tuple isoformat get count""".split()
Raising: Final = {
    base.__name__: type(f"Raising{base.__name__}", (base,), dict.fromkeys(METHODS, boom))
    for base in (object, str, int, float, tuple, list, dict, bytes, datetime, Decimal)
}


class Unclassed:
    """An object whose class cannot be looked at."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # noqa: ANN401 - never returns
        raise Boom


class Zone(tzinfo):
    """A time zone that raises, or returns something else than an offset."""

    def __init__(self, offset: Callable[[], Any]) -> None:
        self.offset = offset

    def utcoffset(self, _: object) -> Any:  # noqa: ANN401 - hostile
        return self.offset()

    dst = tzname = utcoffset


class NaT(datetime):
    """As pandas.NaT: a datetime that is not a time."""

    def utcoffset(self) -> Any:  # noqa: ANN401 - hostile
        return self

    def astimezone(self, _: object = None) -> Any:  # noqa: ANN401 - hostile
        return self

    def isoformat(self, *_: object) -> str:
        return "NaT"


class Endless(Mapping[str, object]):
    def __getitem__(self, _: str) -> object:
        return self

    def __iter__(self) -> Iterator[str]:
        return iter("ab")

    def __len__(self) -> int:
        return 2


def deep(levels: int) -> object:
    value: object = 1
    for turn in range(levels):
        value = [value] if turn % 2 else {"a": value}
    return value


def cyclic() -> object:
    value: dict[str, object] = {}
    value |= {"a": value, "b": [value, value]}
    return value


AT: Final = datetime(2026, 5, 4)  # noqa: DTZ001 - the zone is added below
HOSTILE: Final[list[Any]] = [
    *(Raising[name]() for name in ("object", "str", "int", "float", "tuple", "list", "dict", "bytes", "Decimal")),
    Raising["str"]("+4915112345678"),
    Raising["str"]("a@shop.example"),
    Raising["tuple"]((1,)),
    Raising["dict"](a=1),
    Raising["datetime"](2026, 5, 4),
    Raising["Decimal"]("10.50"),
    Unclassed(),
    Endless(),
    NaT(2026, 5, 4),
    *(AT.replace(tzinfo=Zone(offset)) for offset in (boom, lambda: 5, lambda: timedelta(days=9), lambda: None)),
    datetime.max,  # noqa: DTZ901 - hostile
    10**5000,
    -(10**400),
    float("nan"),
    Decimal("sNaN"),
    Decimal("1E+999999"),
    Decimal("-1E-999999"),
    UUID(int=5),
    "\ud800",
    "a\0b",
    b"\xff",
    deep(70),
    deep(5000),
    cyclic(),
    type,
    boom,
    None,
    {1: 2},
    {"\ud800": 1},
    (Unclassed(),),
    {"a": Unclassed()},
    [Raising["str"]("a")],
]


class Chooser:
    """Chooses hostile values by a seed, so that a test tool does not print or compare them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - a test

    def value(self) -> Any:  # noqa: ANN401 - hostile
        some = [self.random.choice(HOSTILE) for _ in range(self.random.randint(1, 3))]
        return self.random.choice([some[0], some[0], some, tuple(some), {"a": some[0], "b": some[-1]}])

    def model(self, kind: Any) -> Any:  # noqa: ANN401 - any attrs class
        return kind(**{one.name: self.field() for one in attrs.fields(kind)})

    def field(self) -> Any:  # noqa: ANN401 - hostile
        if self.random.random() < 0.7:  # as many plain values as parts
            return self.value()
        parts = tuple(
            kind(**{one.name: self.value() for one in attrs.fields(kind)}) for kind in self.random.choices(PARTS, k=2)
        )
        return self.random.choice([parts, parts[0]])

    def argument(self, name: str) -> Any:  # noqa: ANN401 - hostile
        kinds = MODELS.get(name)
        return self.model(self.random.choice(kinds)) if kinds and self.random.random() < 0.8 else self.value()


NOUNS: Final[tuple[ModuleType, ...]] = (messages, contacts, agents, billing, webhooks, testagent, campaigns)


def builders() -> Iterator[Any]:
    for noun in NOUNS:
        for name in noun.__all__:
            function = getattr(noun, name)
            returned = inspect.signature(function).return_annotation if inspect.isfunction(function) else None
            if getattr(returned, "__origin__", None) is Call:
                yield pytest.param(function, id=f"{noun.__name__.removeprefix('msgapi.')}.{name}")


BUILDERS: Final = list(builders())
MODELS: Final[Mapping[str, tuple[type, ...]]] = {
    "message": (*messages.Message.__args__,),
    "contact": (contacts.NewContact,),
    "changes": (contacts.ContactChanges, agents.AgentChanges, webhooks.EndpointChanges),
    "consent": (contacts.NewConsent,),
    "agent": (agents.NewAgent,),
    "endpoint": (webhooks.NewEndpoint,),
    "setting": (billing.AutoReload, billing.Alert),
}
PARTS: Final = (*messages.Suggestion.__args__, messages.Card, messages.Media)


def check(call: object) -> None:
    assert isinstance(call, Call)
    if call.invalid is not None:
        assert isinstance(call.invalid, Invalid)
        assert call.body is None
        for detail in call.invalid.details:
            assert f"{detail.field} {detail.message}".encode()
        assert repr(call)
    assert call.target.encode()


def test_every_function_that_builds_a_call_is_tried() -> None:
    assert len(BUILDERS) > 35


@pytest.mark.parametrize("function", BUILDERS)
@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_no_function_that_builds_a_call_raises(function: Callable[..., object], seed: int) -> None:
    chooser = Chooser(seed)
    parameters = [one for one in inspect.signature(function).parameters.values() if one.name != "strict"]
    named = {one.name: chooser.argument(one.name) for one in parameters}
    ordered = [named.pop(one.name) for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    if "strict" in inspect.signature(function).parameters:
        named["strict"] = chooser.random.random() < 0.5
    check(function(*ordered, **named))


VALID: Final[list[Any]] = [
    messages.Text(agent_id="a", to="+4915112345678", traffic_type="TRANSACTION", text="Hi"),
    messages.Email(channel_id="c", to="a@shop.example", subject="S", text="T"),
    messages.Email(channel_id="c", to="a@shop.example", template_id="t", template_data={"a": 1}),
    messages.RichCard(agent_id="a", to="+4915112345678", traffic_type="TRANSACTION", card=messages.Card(title="T")),
]


@pytest.mark.parametrize("at", range(len(HOSTILE)))
@pytest.mark.parametrize("valid", VALID)
def test_a_message_with_one_hostile_field_is_a_call(valid: Message, at: int) -> None:
    for one in attrs.fields(type(valid)):
        message = attrs.evolve(valid, **{one.name: HOSTILE[at]})
        for strict in (True, False):
            check(messages.send(message, strict=strict))
            assert isinstance(messages.check(message, strict=strict), tuple)
        assert messages.unit(message) in {"basic_message", "single_message", "conversation", "mau"}
        assert billing.estimate([message], PRICES).messages == 1
    for value in (HOSTILE[at], {"a": HOSTILE[at]}, {"a": [HOSTILE[at]]}):
        check(messages.send(attrs.evolve(VALID[2], template_data=value)))
        check(billing.add_payment_method(value))


ONE: Final = Decimal(1)
PRICES: Final = billing.Prices(basic_message=ONE, single_message=ONE, conversation=ONE, mau=ONE, email=ONE)


@pytest.mark.parametrize("at", range(len(HOSTILE)))
def test_a_row_of_an_import_with_a_hostile_field_is_a_call(at: int) -> None:
    rows = [contacts.ImportRow(email="a@shop.example"), HOSTILE[at], contacts.ImportRow(phone=HOSTILE[at])]
    valid, invalid = contacts.import_contacts(rows)
    check(valid)
    check(invalid)
    assert valid.invalid is None
    assert invalid.invalid is not None


@pytest.mark.parametrize("number", [5, UUID(int=5), 5.0, b"x"])
def test_an_id_that_is_no_string_is_invalid_with_its_type(number: Any) -> None:  # noqa: ANN401 - as a caller may
    call = messages.get(number)
    assert call.invalid is not None
    (detail,) = call.invalid.details
    assert (detail.field, detail.message) == ("message_id", f"must be a string, not {type(number).__name__}")
