from typing import get_args

import attrs
import pytest

from msgapi import Detail, Invalid
from msgapi.cli import options
from msgapi.cli.batch.builder import own_key
from msgapi.cli.batch.template import OPTIONS, MessageTemplate
from msgapi.cli.files.rows import InputRow
from msgapi.cli.output import CliError
from msgapi.messages import Email, MessageType, Text, TrafficType

RCS = {"agent_id": "ag", "traffic_type": "TRANSACTION", "text": "Hi {name}"}
EMAIL = {"channel_id": "ch", "subject": "For {name}", "html": "<p>{name}</p>"}


def write(given: dict[str, str], values: dict[str, object], **other: object) -> Text | Email | Invalid:
    draft = MessageTemplate(given=given, **other)  # type: ignore[arg-type]
    message = draft.bind(tuple(values)).build(InputRow(1, 2, values))
    assert isinstance(message, Text | Email | Invalid)
    return message


def said(message: object) -> tuple[Detail, ...]:
    assert isinstance(message, Invalid)
    return message.details


def test_options_and_columns_make_an_rcs_text() -> None:
    message = write(
        RCS, {"to": " +4915100000001 ", "name": "Ann", "ttl": "900s", "message_type": "", "channel_id": "x"}
    )
    assert message == Text(agent_id="ag", to="+4915100000001", traffic_type="TRANSACTION", text="Hi Ann", ttl="900s")


def test_columns_alone_can_say_it_all_and_are_taken_without_spaces_around() -> None:
    row = {
        "to": "+4915100000001",
        "agent_id": "ag",
        "traffic_type": "PROMOTION",
        "text": " Hi ",
        "message_type": "NEWSLETTER",
    }
    message = write({}, dict(row))
    assert message == Text(**(row | {"text": "Hi"}))  # type: ignore[arg-type]


def test_an_option_wins_over_a_column() -> None:
    message = write(RCS, {"to": "+4915100000001", "name": "Ann", "agent_id": "other", "text": "other"})
    assert isinstance(message, Text)
    assert (message.agent_id, message.text) == ("ag", "Hi Ann")


def test_what_fills_html_is_escaped_and_what_fills_a_subject_is_not() -> None:
    message = write(EMAIL, {"email": "a@b.example", "name": "<b>&"}, to_column="email")
    assert message == Email(channel_id="ch", to="a@b.example", subject="For <b>&", html="<p>&lt;b&gt;&amp;</p>")


def test_the_data_of_a_template_come_from_columns_and_from_json() -> None:
    given = {"channel_id": "ch", "template_id": "tpl", "template_version": "4"}
    row: dict[str, object] = {"to": "a@b.example", "city": "Ulm", "template_data": '{"n": 1}'}
    message = write(given, row, data_columns=("city",))
    assert isinstance(message, Email)
    assert message.template_data == {"n": 1, "city": "Ulm"}
    assert write(given, row | {"template_data": {"n": 1}}, data_columns=("city",)) == message
    bare = write(given, {"to": "a@b.example", "template_data": ""})
    assert isinstance(bare, Email)
    assert bare.template_data is None


@pytest.mark.parametrize(("data", "problem"), [("{", "is not JSON"), ("[1]", "is not a JSON object"), (3, "is not a")])
def test_template_data_that_are_no_object_make_the_row_invalid(data: object, problem: str) -> None:
    message = write({"channel_id": "ch", "template_id": "t"}, {"to": "a@b.example", "template_data": data})
    assert problem in said(message)[0].message


def test_an_empty_placeholder_makes_the_row_invalid_unless_it_is_allowed() -> None:
    assert said(write(RCS, {"to": "+4915100000001", "name": " "})) == (Detail("", "the column name is empty"),)
    message = write(RCS, {"to": "+4915100000001", "name": ""}, allow_empty=True)
    assert isinstance(message, Text)
    assert message.text == "Hi "


def test_a_text_of_spaces_is_missing() -> None:
    row: dict[str, object] = {"to": "+4915100000001", "name": ""}
    for text in ("  ", " {name} ", "\n{name|}"):
        assert said(write({**RCS, "text": text}, row, allow_empty=True)) == (Detail("text", "is missing"),)


def test_a_row_that_could_not_be_read_is_invalid() -> None:
    plan = MessageTemplate(given=RCS).bind(("to", "name"))
    assert said(plan.build(InputRow(1, 2, problem="is ragged"))) == (Detail("", "the row is ragged"),)


def test_what_a_row_leaves_out_is_named() -> None:
    row: dict[str, object] = {"to": "", "agent_id": "ag", "traffic_type": "", "text": "x", "channel_id": ""}
    assert said(write({}, row)) == (Detail("to", "is missing"), Detail("traffic_type", "is missing"))
    assert "needs agent_id" in said(write({}, row | {"agent_id": ""}))[0].message
    assert "give one" in said(write({}, row | {"channel_id": "ch"}))[0].message


@pytest.mark.parametrize(
    ("given", "columns", "problem"),
    [
        (RCS, ("rank", "name"), "no column to for the recipients: name it with --to-column; .* rank, name"),
        (RCS, ("to",), r"--text names an unknown column: \{name\}; the columns are: to"),
        ({"text": "x"}, ("to",), "no sender"),
        ({"agent_id": "a", "text": "x"}, ("to",), "no traffic_type: give --traffic"),
        ({"agent_id": "a", "traffic_type": "x"}, ("to",), "no text: give --text"),
        ({"channel_id": "a"}, ("to",), "no content"),
        ({"channel_id": "a", "agent_id": "b"}, ("to",), "give one of them"),
        (RCS | {"subject": "x"}, ("to", "name"), "--subject cannot be used with --agent"),
        (EMAIL | {"ttl": "1s"}, ("to", "name"), "--ttl cannot be used with --channel"),
    ],
)
def test_what_is_wrong_for_every_row_is_said_before_any(
    given: dict[str, str], columns: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(CliError, match=problem):
        _ = MessageTemplate(given=given).bind(columns)


def test_a_data_column_that_is_not_there_is_named() -> None:
    with pytest.raises(CliError, match=r"no column city \(--data\); the columns are: to, name"):
        _ = MessageTemplate(given=EMAIL, data_columns=("city",)).bind(("to", "name"))


def test_the_key_of_a_row_is_its_own_if_it_has_one() -> None:
    values: list[dict[str, object]] = [{"idempotency_key": " k "}, {"idempotency_key": ""}, {"idempotency_key": 3}, {}]
    assert [own_key(InputRow(1, 2, one)) for one in values] == ["k", None, "3", None]


def test_the_choices_of_the_options_are_those_of_the_models() -> None:
    assert get_args(TrafficType) == options.TRAFFIC
    assert get_args(MessageType) == options.KINDS
    assert set(OPTIONS) <= {field.name for field in (*attrs.fields(Text), *attrs.fields(Email))}
