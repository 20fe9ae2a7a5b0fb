"""What a row may hold: structured fields of JSONL, texts with placeholders, damaged and doubtful values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import Invalid
from msgapi.cli import main
from msgapi.cli.batch.template import MessageTemplate
from msgapi.cli.files.rows import InputRow
from msgapi.messages import Carousel, Email, Message, Reply, RichCard, Text, send
from msgapi.sandbox import Sandbox
from tests.support.cli_files import through

Captured = pytest.CaptureFixture[str]
RCS = {"agent_id": "ag", "traffic_type": "TRANSACTION"}
TO = "+4915112345678"
CARD = {"standalone": {"content": {"title": "T"}}}
CHIPS = [{"reply": {"text": "Ok"}}]


def build(
    row: Mapping[str, object],
    given: dict[str, str] | None = None,
    *,
    typed: bool = True,
    **other: Any,  # noqa: ANN401
) -> Message | Invalid:
    values: dict[str, object] = {"to": TO, **row}
    template = MessageTemplate(given=RCS if given is None else given, **other)
    return template.bind(tuple(values), typed=typed).build(InputRow(1, 2, values))


def why(row: Mapping[str, object], given: dict[str, str] | None = None, **other: Any) -> str:  # noqa: ANN401
    found = build(row, given, **other)
    assert isinstance(found, Invalid)
    return found.message


def test_a_card_a_carousel_and_chips_of_a_row_are_carried() -> None:
    card = build({"rich_card": CARD})
    assert isinstance(card, RichCard)
    assert card.card.title == "T"
    carousel = build({"carousel": {"card_width": "SMALL", "cards": [{"title": "A"}, {"title": "B"}]}})
    assert isinstance(carousel, Carousel)
    assert carousel.card_width == "SMALL"
    assert build({"text": "Hi", "suggestions": CHIPS}) == Text(
        to=TO, text="Hi", suggestions=(Reply(text="Ok"),), agent_id="ag", traffic_type="TRANSACTION"
    )
    assert isinstance(build({"suggestions": CHIPS}, RCS | {"text": "Hi"}), Text)


def test_content_as_the_api_has_it_is_carried() -> None:
    row = {**RCS, "message_type": "MESSAGE", "content": {"text": "Look", "suggestions": CHIPS}}
    found = build(row, {})
    assert isinstance(found, Text)
    assert (found.text, len(found.suggestions)) == ("Look", 1)
    found = build(
        {"channel_id": "ch", "to": "a@b.example", "subject": "S", "content": {"html": "<p>", "text": "T"}}, {}
    )
    assert found == Email(channel_id="ch", to="a@b.example", subject="S", html="<p>", text="T")
    found = build(
        {"to": "a@b.example", "template_id": "t", "template_data": {"a": 1}, "content": {}}, {"channel_id": "c"}
    )
    assert isinstance(found, Email)
    assert found.template_data == {"a": 1}
    found = build({"content": {"text": "row"}}, RCS | {"text": "option"})
    assert isinstance(found, Text)
    assert found.text == "option"


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"text": "a", "rich_card": CARD}, "content must have exactly one of text, rich_card"),
        (
            {"rich_card": {"standalone": {"content": {"titel": "T"}}}},
            "rich_card.standalone.content.titel is not a known",
        ),
        (
            {"rich_card": {"standalone": {"content": {"title": 1}}}},
            "content.rich_card.standalone.content.title must be",
        ),
        ({"rich_card": CARD, "carousel": {"cards": []}}, "must have exactly one of standalone, carousel"),
        ({"rich_card": [1]}, "content.rich_card must be an object"),
        ({"rich_card": "x"}, "the column rich_card is not JSON"),
        ({"text": "a", "suggestions": "Yes"}, "suggestions must be an array, not a string"),
        ({"text": "a", "content": "Yes"}, "content must be an object, not a string"),
        ({"content": [1], "text": "a"}, "content must be an object, not an array"),
        ({"text": "a", "content": {"text": "b"}}, "text is given twice, once in content"),
        ({"text": "a", "card": {"title": "T"}}, "card is not a field of a row: it belongs into rich_card"),
        (
            {"text": "a", "suggestions": [{"reply": {"text": "\x1b"}}]},
            "content.suggestions[0].reply.text has a control",
        ),
        (
            {"to": "+4915112345678", "text": "a", "suggestions": [{"reply": {"text": "{to}"}}]},
            "has the placeholder {to}, which is",
        ),
        ({"text": "a", "suggestions": [{"reply": {"text": "a", "postback_data": "yes"}}]}, "must be base64"),
    ],
)
def test_what_a_row_cannot_carry_is_refused_by_its_path(row: dict[str, object], text: str) -> None:
    assert text in why(row)


def test_chips_are_not_for_an_email() -> None:
    row = {"to": "a@b.example", "subject": "S", "text": "T", "suggestions": CHIPS}
    assert "content.suggestions is not a known field" in why(row, {"channel_id": "ch"})


def test_a_csv_cell_is_structured_if_it_is_json_and_otherwise_a_column_of_its_own() -> None:
    card = build({"rich_card": orjson.dumps(CARD).decode()}, typed=False)
    assert isinstance(card, RichCard)
    given = RCS | {"text": "{content}"}
    found = build({"content": "[Ad] news", "suggestions": "none", "rich_card": "", "card": "x"}, given, typed=False)
    assert isinstance(found, Text)
    assert found.text == "[Ad] news"
    assert "the column content is not JSON" in why({"content": "{a"}, given, typed=False)
    assert "the column content is nested too deeply" in why(
        {"content": '{"a":' * 200 + "1" + "}" * 200}, given, typed=False
    )
    found = build({"content": "news", "media": [1]}, given | {"text": "{content}"}, data_columns=("media",))
    assert isinstance(found, Text)


def test_a_row_without_structured_fields_is_an_ordinary_text() -> None:
    found = build({"text": "Hi", "rich_card": None, "suggestions": None, "content": None})
    assert isinstance(found, Text)
    assert build({"text": "Hi", "card": "gold"}) == found
    assert build({"text": "", "suggestions": CHIPS}) == build({"suggestions": CHIPS})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hi {name}", "{name}"),
        ("Hi { name }", "{ name }"),
        ("Hi {{name}}", "{{name}}"),
        ("Hi [name]", "[name]"),
        ("Hi %name%", "%name%"),
        ("Hi *|NAME|*", "*|NAME|*"),
        ("Hi *|SECRET|*", "*|...|*"),
    ],
)
@pytest.mark.parametrize("column", ["text", "html", "subject"])
def test_a_placeholder_in_the_text_of_a_row_is_refused(column: str, text: str, found: str) -> None:
    row: dict[str, object] = {"to": "a@b.example", "name": "Ann", "subject": "S", "html": "<p>", column: text}
    assert f"the column {column} has the placeholder {found}, which is not filled" in why(row, {"channel_id": "ch"})


@pytest.mark.parametrize("text", ["Hi {x: 1}", "100% [1] * a_b", "<b>Hi</b>"])
def test_ordinary_text_of_a_row_is_sent(text: str) -> None:
    found = build({"text": text, "name": "Ann"})
    assert isinstance(found, Text)
    assert found.text == text


def test_data_of_a_template_are_checked_and_keep_their_types() -> None:
    given = {"channel_id": "ch", "template_id": "t"}
    row: dict[str, object] = {
        "to": "a@b.example",
        "n": 1,
        "city": " Ulm ",
        "deep": ["a"],
        "template_data": {"x": ["y"]},
    }
    found = build(row, given, data_columns=("n", "city", "deep"))
    assert isinstance(found, Email)
    assert found.template_data == {"x": ["y"], "n": 1, "city": "Ulm", "deep": ["a"]}
    for bad, path in (
        ({"city": "\0"}, "column city"),
        ({"deep": ["\0"]}, "deep[0]"),
        ({"template_data": {"x": ["\0"]}}, "x[0]"),
    ):
        assert f"{path} has a control character" in why(row | bad, given, data_columns=("n", "city", "deep"))


# The commands


def people(folder: Path, content: str, name: str = "people.csv") -> str:
    path = folder / name
    _ = path.write_text(content)
    return str(path)


AGENT = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION"]


def test_doubtful_values_are_reported_by_the_dry_run_and_in_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = Sandbox(timing=None)
    through(monkeypatch, box)
    path = people(tmp_path, f"to,name\n{TO},NULL\n+4915112345679,J\u00c3\u00b6rg\n+4915112345680,Ann\n")
    command = ["batch", path, *AGENT, "--text", "Hi {name} {{vorname}}"]
    assert main([*command, "--dry-run"]) == 0
    shown = capsys.readouterr()
    assert "check 1 row: the column name is a word that programs write for no value" in shown.out
    assert "check 1 row: the column name may have broken letters" in shown.out
    assert "(line 3)" in shown.out
    assert "J\u00c3" not in shown.out
    assert "--text sends the text {vorname} as it is" in shown.err
    assert main([*command, "--dry-run", "--json"]) == 0
    facts = orjson.loads(capsys.readouterr().out)
    assert facts["warnings"][0] == {"column": "name", "warning": "null_word", "rows": 1, "lines": [2]}
    assert "as it is" in facts["notes"][0]
    assert main([*command, "--json"]) == 0
    shown = capsys.readouterr()
    assert orjson.loads(shown.out)["warnings"] == facts["warnings"]
    assert "check 1 row: the column name may have broken letters" in shown.err
    assert len(box.messages) == 3


def test_braces_in_the_text_of_a_row_are_reported(tmp_path: Path, capsys: Captured) -> None:
    path = people(tmp_path, f"to,text\n{TO},Hi {{vorname}}\n")
    assert main(["batch", path, *AGENT, "--dry-run"]) == 0
    assert "the column text has braces that are sent as they are" in capsys.readouterr().out


@pytest.mark.parametrize("second", ["Ann ", "\u00a0Ann", "Ann\u200b"])
def test_spaces_around_a_value_make_no_other_message(tmp_path: Path, capsys: Captured, second: str) -> None:
    path = people(tmp_path, f"to,name\n{TO},Ann\n{TO},{second}\n")
    assert main(["batch", path, *AGENT, "--text", "Hi {name}", "--dry-run", "--json"]) == 0
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["units"], facts["duplicate_lines"]) == ({"basic_message": 1}, [3])


def test_a_card_in_jsonl_is_sent_with_the_default_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Sandbox(timing=None)
    through(monkeypatch, box)
    lines = [{"to": TO, "rich_card": CARD}, {"to": "+4915112345679", "text": "Hi"}]
    path = people(tmp_path, "\n".join(orjson.dumps(line).decode() for line in lines), "people.jsonl")
    assert main(["batch", path, *AGENT]) == 0
    assert len(box.messages) == 2


def test_the_dry_run_says_what_the_units_and_the_price_assume(tmp_path: Path, capsys: Captured) -> None:
    content = f"to,text\n{TO},{'a' * 160}\n+4915112345679,{chr(0xFC) * 160}\n+4915112345680,{chr(0x1F600) * 100}\n"
    command = ["batch", people(tmp_path, content), *AGENT, "--dry-run"]
    assert main(command) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "up to 160 characters, counted as Unicode code points (the API does not define a character)" in shown
    assert (
        "2 rows with letters outside ASCII would be a single_message if the service counts UTF-16 units or bytes"
        in shown
    )
    assert "EUR more" not in shown
    assert main([*command, "--price", "basic=0.07", "--price", "single=0.10", "--json"]) == 0
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["maybe_single"], facts["amount"]) == (2, 0.21)
    assert facts["assumptions"][1].endswith("bytes, for 0.06 EUR more")
    assert facts["assumptions"][-1].startswith("price: the prices of --price")


def test_the_dry_run_says_how_conversations_and_emails_are_counted(tmp_path: Path, capsys: Captured) -> None:
    path = people(tmp_path, f"to,text\n{TO},Hi\n")
    assert main(["batch", path, *AGENT, "--message-type", "CONVERSATION", "--dry-run", "--json"]) == 0
    (said,) = orjson.loads(capsys.readouterr().out)["assumptions"]
    assert "a conversation is billed once per session" in said
    path = people(tmp_path, f"to,text,subject\nann@example.org,{chr(0xFC) * 160},S\n", "mail.csv")
    assert main(["batch", path, "--channel", "ch_demo", "--dry-run", "--json"]) == 0
    facts = orjson.loads(capsys.readouterr().out)
    assert (len(facts["assumptions"]), facts["maybe_single"]) == (1, 0)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda one: (
        st.lists(one, max_size=2)
        | st.dictionaries(
            st.sampled_from(["text", "rich_card", "standalone", "carousel", "cards", "content", "title", "reply", "x"]),
            one,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "text",
                "html",
                "content",
                "rich_card",
                "carousel",
                "suggestions",
                "card",
                "name",
                "template_data",
                "message_type",
                "ttl",
            ]
        ),
        JSON_VALUES,
        max_size=4,
    ),
    st.booleans(),
)
def test_no_row_raises_and_none_is_changed_unsaid(row: dict[str, object], typed: bool) -> None:
    found = (
        build(row, RCS | {"text": "Hi {to}"} if "text" not in row else RCS, typed=typed)
        if row.keys() & {"text", "content"}
        else build(row, RCS | {"text": "Hi"}, typed=typed)
    )
    assert isinstance(found, Text | RichCard | Carousel | Invalid)
    if not isinstance(found, Invalid):
        call = send(found)
        assert call.invalid is not None or call.body is not None
