"""schema.mapping: an answer is read from each of its forms, and an odd field does not cost the others."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import orjson
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from msgapi import Balance, Detail, agents, billing, campaigns, codec, contacts, messages, testagent, webhooks
from msgapi.codec import Problems, converter
from msgapi.codec.converter import is_answer
from msgapi.schema.mapping import map_answer_by
from tests.support.strategies import JSON


@frozen
class Answer:
    id: str
    state: str = "new"
    at: datetime | None = None
    tags: tuple[str, ...] = ()
    extra: Mapping[str, object] = field(factory=dict)


def _by_name(value: dict[str, Any]) -> dict[str, Any]:
    return {"id" if given == "name" else given: part for given, part in value.items()}


map_answer_by(_by_name, Answer, names=frozenset({"name"}), array="tags")


def written(value: object) -> Any:  # noqa: ANN401 - JSON
    return orjson.loads(codec.to_json(value))


def test_an_answer_is_read_by_either_name_and_written_with_all_fields() -> None:
    assert codec.from_dict({"name": "x", "state": None, "new": 1}, Answer) == Answer("x", extra={"new": 1})
    assert codec.from_dict({"name": "x", "id": "y"}, Answer) == Answer("y")
    assert codec.from_dict({"name": 5}, Answer) == Problems((Detail("id", "must be a string, not a number"),))
    assert codec.from_dict(5, Answer) == Problems((Detail("", "must be an object, not a number"),))
    assert written(Answer("x")) == {"id": "x", "state": "new", "tags": []}
    assert written(Answer("x", at=datetime(2026, 5, 4, tzinfo=UTC)))["at"] == "2026-05-04T00:00:00Z"


NOUNS = (messages, contacts, agents, billing, webhooks, testagent, campaigns)
ANSWERS = [
    Balance,
    *dict.fromkeys(
        model
        for noun in NOUNS
        for model in vars(noun).values()
        if isinstance(model, type) and attrs.has(model) and is_answer(model) and model is not webhooks.UnknownEvent
    ),
]
SAMPLES: Mapping[object, object] = {
    "str": "x",
    "int": 5,
    "bool": True,
    "Decimal": 1.5,
    "datetime": "2026-05-04T07:30:00Z",
}


def sample(model: Any) -> dict[str, Any]:  # noqa: ANN401 - any attrs class
    """The least that *model* can be read from."""
    needed = [one for one in attrs.fields(attrs.resolve_types(model)) if one.default is attrs.NOTHING]
    marker = converter.marker_of(model)
    fields = {one.name: SAMPLES[one.type.__name__] if isinstance(one.type, type) else [] for one in needed}
    return {**fields, **({marker[0]: marker[1]} if marker else {})}


def test_every_answer_and_event_has_extra() -> None:
    requests = {model.model for noun in (agents, contacts, testagent, webhooks) for model in noun.SCHEMAS}
    assert len(ANSWERS) > 50
    for noun in NOUNS:
        for model in vars(noun).values():
            if isinstance(model, type) and attrs.has(model) and model not in ANSWERS and model not in requests:
                assert model.__name__ in NOT_ANSWERS or model.__name__.startswith("_"), model


NOT_ANSWERS = """Text RichCard Carousel Email Card Media Reply OpenUrl OpenUrlInWebview Dial ViewLocation ShareLocation
CreateCalendarEvent UseCase ImportRow ImportRows Alert AutoReload Prices Estimate Shortage BalanceUnknown Problems Call
UnknownEvent InvalidDelivery MemoryEventStore Receiver Registration Verification Schema Invalid Detail
MessageState RedisEventStore SqliteEventStore""".split()


@pytest.mark.parametrize("model", ANSWERS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("odd", [7.25, [[]], {"a": {}}, "\u2028", True])
def test_a_field_of_an_unexpected_type_is_kept_as_it_came_and_costs_no_other(model: Any, odd: object) -> None:  # noqa: ANN401
    whole = sample(model)
    for one in attrs.fields(attrs.resolve_types(model)):
        if one.default is attrs.NOTHING or one.name in {"extra", "next_cursor"}:
            continue
        found = codec.from_dict({**whole, one.name: odd, "brand_new": 1}, model)
        assert isinstance(found, model), one.name
        if one.name in found.extra:
            assert found.extra == {"brand_new": 1, one.name: odd}
            default = getattr(codec.from_dict(whole, model), one.name)
            assert getattr(found, one.name) == default
        else:
            assert found.extra == {"brand_new": 1}
        assert codec.from_json(codec.to_json(found), model) == found


@pytest.mark.parametrize("model", ANSWERS, ids=lambda model: model.__name__)
def test_an_odd_element_of_an_array_is_kept_and_costs_no_other(model: Any) -> None:  # noqa: ANN401 - any attrs class
    for one in attrs.fields(attrs.resolve_types(model)):
        if getattr(one.type, "__origin__", None) is not tuple:
            continue
        element = one.type.__args__[0]
        good = "x" if element is str else sample(element)
        found = codec.from_dict({**sample(model), one.name: [good, 5, good, [None]]}, model)
        assert isinstance(found, model)
        assert len(getattr(found, one.name)) == 2
        assert found.extra == {one.name: [5, [None]]}
        assert codec.from_json(codec.to_json(found), model) == found


@given(st.sampled_from(ANSWERS), st.data())
def test_the_tolerant_reader_reads_what_the_fast_one_reads(model: Any, data: st.DataObject) -> None:  # noqa: ANN401
    names = [one.name for one in attrs.fields(model)]
    more = data.draw(st.dictionaries(st.sampled_from([*names, "id", "message_id", "items", "cursor", "x"]), JSON))
    value = {**sample(model), **more}
    try:
        fast = converter.fast.structure(value, model)
    except Exception:  # noqa: BLE001 - the fast reader only refuses
        assert isinstance(codec.from_dict(value, model), model | Problems)
    else:
        assert converter.detailed.structure(value, model) == fast
