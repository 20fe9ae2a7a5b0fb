"""Each field of each request has exactly the JSON type that the docs show."""

from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import orjson
import pytest

from msgapi.billing import AutoReload
from msgapi.sandbox import Sandbox
from msgapi.sandbox.http.codecs import read_message, read_model
from msgapi.sandbox.http.responses import format_time
from msgapi.sandbox.openapi.operations import CONTROLS, OPERATIONS, Operation
from msgapi.schema.mapping import field_paths
from tests.support.sandbox_refusals import ACCEPTED, CONSENT, CONTACT, HOOK, NEW_AGENT, REPLY, SEED, TEST, TOP_UP, WHOLE
from tests.support.sandbox_requests import TO, ask, email, fields_of, request, said, send, still, text

ACTIONS: Final[list[dict[str, Any]]] = [
    {"open_url": {"url": "https://x.example"}},
    {"open_url_in_webview": {"url": "https://x.example"}},
    {"dial": {"phone_number": TO}},
    {"view_location": {"latitude": 50.5, "longitude": -8, "label": "Here"}},
    {"share_location": {}},
    {
        "create_calendar_event": {
            "title": "T",
            "start_time": "2026-05-04T12:00:00Z",
            "end_time": "2026-05-04T13:00:00+00:00",
            "description": "D",
        }
    },
]
CHIPS: Final[list[dict[str, Any]]] = [
    {"reply": {"text": "Yes", "postback_data": "eWVz"}},
    *({"action": {"text": "Go", "fallback_url": "https://x.example", **inner}} for inner in ACTIONS),
]
MEDIA: Final = {"url": "https://x.example/a", "thumbnail_url": "https://x.example/b", "height": "TALL"}
CARD: Final[dict[str, Any]] = {"title": "T", "description": "D", "media": MEDIA, "suggestions": CHIPS[:4]}
TEMPLATE: Final = {"template_id": "tpl_welcome", "template_version": "4", "template_data": {"name": ["Ada", 1, None]}}
MESSAGES: Final[list[dict[str, Any]]] = [
    text(ttl="900s", content={"text": "Hello", "suggestions": CHIPS}),
    text(content={"rich_card": {"standalone": {"orientation": "VERTICAL", "content": CARD}}}),
    text(content={"rich_card": {"carousel": {"card_width": "SMALL", "cards": [CARD, CARD]}}}),
    email(),
    {name: part for name, part in email(**TEMPLATE).items() if name != "content"},
]
PERSON: Final = {"email": "ada@shop.example", "phone": TO, "first_name": "Ada", "last_name": "L"}
FULL: Final[dict[str, list[dict[str, Any]]]] = {
    "messages.send": MESSAGES,
    "testagent.send": [TEST],
    "testagent.register": [{"phone": TO}],
    "testagent.verify": [{"phone": TO, "code": "000000"}],
    "agents.create": [{**NEW_AGENT, "newsletter_enabled": True}],
    "agents.update": [{**WHOLE, "display_name": "Shop", "phone": TO, "website": "https://shop.example"}],
    "contacts.create": [{**CONTACT, **PERSON, "tags": ["vip"], "custom_fields": {"a": [1]}}],
    "contacts.update": [{**PERSON, "status": "ACTIVE", "tags": ["vip"], "custom_fields": {"a": [1]}}],
    "contacts.import_contacts": [{"contacts": [PERSON]}],
    "contacts.create_consent": [{**CONSENT, "proof_text": "p", "enforced_doi": True, "doi_channel": "RCS"}],
    "billing.top_up": [TOP_UP],
    "billing.add_payment_method": [{"type": "sepa"}],
    "billing.set_auto_reload": [{"enabled": True, "trigger_threshold": 20.5, "reload_amount": 50}],
    "billing.set_alert": [{"low_balance_threshold": 5}],
    "webhooks.create": [HOOK],
    "webhooks.update": [HOOK],
    "sandbox.fail": [{"reason": "full"}],
    "sandbox.top_up": [{"amount": 10}],
    "sandbox.set_balance": [{"free": 10}],
    "sandbox.set_clock": [{"paused": True, "advance": 60}],
    "sandbox.set_faults": [
        {
            **dict.fromkeys(("429", "500", "502", "503", "lost", "slow"), 0.1),
            "slow_seconds": 2.5,
            "webhooks": dict.fromkeys(("late", "late_by", "repeated", "reordered"), 0.5),
        }
    ],
    "sandbox.delay": [{"seconds": 60}],
    "sandbox.seed": [dict(SEED)],
    "sandbox.reply": [REPLY],
    "sandbox.tap": [{"message_id": "msg_1", "text": "Yes"}],
    "sandbox.reject": [{"reason": "logo"}],
    "sandbox.launch": [{"carrier": "telekom_de", "status": "REJECTED", "reason": "logo"}],
    "sandbox.halt": [{"status": "PAUSED_BALANCE"}],
    "sandbox.fail_executions": [{"executions": 1}],
}
"""Bodies that together have every field of each operation."""
OPEN: Final = {"template_data", "custom_fields", "send"}
"""Objects in which anything may stand."""
OTHER_WAY: Final = {"payment_method_id": "names a payment method that there must be"}
VALUES: Final[list[Any]] = [True, 7, 1.5, "text", [], {}]
Step = str | int


def kind(value: object) -> str:
    numbers = {int: "number", float: "number"}
    return numbers.get(type(value), type(value).__name__)


def places(value: Any, at: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Any]]:  # noqa: ANN401 - JSON
    """Every value in a body, with the way to it."""
    if at:
        yield at, value
    if at[-1:] and at[-1] in OPEN:
        return
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield from places(part, (*at, name))


def changed(body: Any, at: tuple[Step, ...], value: object) -> Any:  # noqa: ANN401 - JSON
    whole = deepcopy(body)
    inner = whole
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = value
    return whole


def dotted(at: tuple[Step, ...]) -> str:
    return "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in at).removeprefix(".")


BODIES: Final = [  # a snapshot has tests of its own
    (one, number)
    for one in (*OPERATIONS, *CONTROLS)
    if one.takes is not None and one.name != "sandbox.restore"
    for number in range(len(FULL[one.name]))
]


def asked(one: Operation, box: Sandbox, body: object) -> Any:  # noqa: ANN401 - a response
    accepted = ACCEPTED[one.name](box)
    return ask(box, request(one.method, one.path.replace("{id}", accepted.id), body=body))


@pytest.mark.parametrize(("one", "number"), BODIES, ids=lambda value: getattr(value, "name", value))
def test_a_value_of_each_other_json_type_is_refused_for_each_field(one: Operation, number: int) -> None:
    body = FULL[one.name][number]
    tried = 0
    for at, value in places(body):
        for other in VALUES:
            if kind(other) != kind(value):
                found = fields_of(asked(one, still(), changed(body, at, other)))
                # The object that makes a suggestion what it is has its problem at the suggestion.
                assert any(f"{dotted(at)}.".startswith(f"{name}.") for name in found), (at, other, found)
                tried += 1
    assert tried >= 4 * len(body)


@pytest.mark.parametrize(("one", "number"), BODIES, ids=lambda value: getattr(value, "name", value))
def test_null_is_the_same_as_a_missing_field(one: Operation, number: int) -> None:
    body = FULL[one.name][number]
    for at, _ in places(body):
        if isinstance(at[-1], str) and len(at) == 1:
            without = {name: part for name, part in body.items() if name != at[-1]}
            statuses = {asked(one, still(), each).status for each in (changed(body, at, None), without)}
            assert len(statuses) == 1, at


def test_every_field_of_every_request_is_in_one_of_these_bodies() -> None:
    models = {one.takes for one, _ in BODIES}
    assert len(models) > 15
    for one, _ in BODIES:
        given = {
            dotted(tuple(step for step in at if isinstance(step, str))) for b in FULL[one.name] for at, _ in places(b)
        }
        if attrs.has(one.takes):
            paths = field_paths(one.takes) or {field.name: field.name for field in attrs.fields(one.takes)}
            assert set(paths.values()) - set(OTHER_WAY) <= given, one.name


@pytest.mark.parametrize("amount", ["10", " 1e1 ", "ten", True, [10], {"eur": 10}])
def test_money_as_anything_but_a_number_is_refused(amount: object) -> None:
    for method, target, name in (
        ("POST", "/v1/billing/topup", "amount"),
        ("PUT", "/v1/billing/alerts", "low_balance_threshold"),
        ("PUT", "/v1/billing/auto-reload", "reload_amount"),
    ):
        body = {"enabled": True, "trigger_threshold": 5, name: amount} if "auto" in target else {name: amount}
        assert fields_of(ask(still(), request(method, target, body=body))) == [name]


def test_money_is_exact_to_the_cent() -> None:
    read, details = read_model({"enabled": True, "trigger_threshold": 0.1, "reload_amount": 10.07}, AutoReload)
    assert details == ()
    assert read is not None
    assert (str(read.trigger_threshold), str(read.reload_amount)) == ("0.1", "10.07")


@pytest.mark.parametrize("data", ["", "eWVz", "/w==", "AA==", "/+8=", "A" * 2048])
def test_postback_data_may_be_base64_of_any_bytes(data: str) -> None:
    box = Sandbox()
    suggestions = [{"reply": {"text": "Yes", "postback_data": data}}]
    answer = send(box, text(content={"text": "Hi", "suggestions": suggestions}))
    assert answer.status == 200
    entry = ask(box, request("GET", f"/v1/messages/{said(answer)['message_id']}"))
    assert said(entry)["content"]["suggestions"] == suggestions


@pytest.mark.parametrize("data", ["MENU!", "eWV", "eWVz\n", "ÿ", "=", "====", "A" * 2052, "eW Vz", "-_==", "\ud800"])
def test_postback_data_that_is_not_base64_or_too_long_is_refused(data: str) -> None:
    body = text(content={"text": "Hi", "suggestions": [{"reply": {"text": "Yes", "postback_data": data}}]})
    _, details = read_message(body)
    assert [one.field for one in details] == ["content.suggestions[0].reply.postback_data"]
    assert all(data not in one.message for one in details)


@pytest.mark.parametrize(
    "time",
    ["2026-05-04", "2026-05-04T07:30:00", "20260504T073000Z", "2026-02-30T00:00:00Z", "0001-01-01T00:00:00+23:00"],
)
def test_a_time_without_a_zone_or_in_another_form_is_refused(time: str) -> None:
    event = {"title": "T", "start_time": time, "end_time": "2026-05-04T13:00:00Z"}
    chip = {"action": {"text": "Go", "create_calendar_event": event}}
    found = fields_of(send(still(), text(content={"text": "Hi", "suggestions": [chip]})))
    assert found == ["content.suggestions[0].action.create_calendar_event.start_time"]


def test_a_whole_number_may_be_written_with_a_point_but_has_no_fraction() -> None:
    one = next(one for one in CONTROLS if one.name == "sandbox.fail_executions")
    assert read_model({"executions": 2.0}, one.takes) == (one.takes(executions=2), ())
    assert fields_of(asked(one, still(), {"executions": 1.5})) == ["executions"]


def test_every_problem_is_reported_at_its_path() -> None:
    chips = [
        {"reply": {"text": 1}},
        {"action": {"text": "x", "share_location": {"accuracy": 1}}},
        {"action": {"text": "x", "open_url": "secret"}},
        {"reply": {"text": "x"}, "action": {"text": "y", "dial": {"phone_number": TO}}},
        "secret",
    ]
    body = text(to=7, ttl=[], colour="secret", content={"suggestions": chips, "footer": "secret"})
    found, details = read_message(body)
    kinds = "reply, action.open_url, action.open_url_in_webview, action.dial, action.view_location"
    kinds += ", action.share_location, action.create_calendar_event"
    assert found is None
    assert {one.field: one.message for one in details} == {
        "to": "must be a string, not a number",
        "ttl": "must be a string, not an array",
        "colour": "is not a known field",
        "content.text": "is required",
        "content.footer": "is not a known field",
        "content.suggestions[0].reply.text": "must be a string, not a number",
        "content.suggestions[1].action.share_location.accuracy": "is not a known field",
        "content.suggestions[2].action.open_url": "must be an object, not a string",
        "content.suggestions[3]": f"must have exactly one of {kinds}",
        "content.suggestions[4]": "must be an object, not a string",
    }


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"channel_id": "ch_demo"}, "channel_id", "must not be given beside agent_id"),
        ({"content": {"text": "x", "rich_card": {}}}, "content", "must have exactly one of text, rich_card"),
        (
            {"content": {"rich_card": {"standalone": {}, "carousel": {}}}},
            "content.rich_card",
            "must have exactly one of standalone, carousel",
        ),
        ({"content": {"rich_card": {}}}, "content.rich_card.standalone.content", "is required"),
        ({"content": {"rich_card": 5}}, "content.rich_card", "must be an object, not a number"),
        ({"content": "x"}, "content", "must be an object, not a string"),
        ({"content": None}, "content.text", "is required"),
        ({"message_type": None}, "message_type", "is required"),
    ],
)
def test_a_message_that_is_two_or_none_is_refused(fields: dict[str, Any], field: str, message: str) -> None:
    found, details = read_message(text(**fields))
    assert found is None
    assert (field, message) in [(one.field, one.message) for one in details]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_body_that_is_not_plain_utf_8_is_refused(encoding: str) -> None:
    body = orjson.dumps({"amount": 20}).decode().encode(encoding)
    answer = ask(Sandbox(), request("POST", "/v1/billing/topup", body=body))
    assert (answer.status, fields_of(answer)) == (400, [""])


@pytest.mark.parametrize("moment", [0, 1.9999996, 1.0009996, 1_777_852_800.1234, -0.5, -1e-20, 253_402_300_799.0])
def test_a_time_is_formatted_as_datetime_rounds_it(moment: float) -> None:
    expected = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert format_time(moment) == expected
