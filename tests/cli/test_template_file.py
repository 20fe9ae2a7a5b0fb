"""@FILE in the place of a text, and the template file of --message: reading, placeholders, journal and resuming."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import orjson
import pytest

from msgapi import Invalid
from msgapi.cli import main
from msgapi.cli.batch.template import MessageFile, MessageTemplate, absolute, load
from msgapi.cli.files.rows import InputRow
from msgapi.cli.output import CliError
from msgapi.messages import Carousel, Email, Message, OpenUrl, Reply, RichCard, Text, ViewLocation
from msgapi.sandbox import Sandbox
from tests.support.cli_files import through

Captured = pytest.CaptureFixture[str]
RCS = {"agent_id": "ag", "traffic_type": "TRANSACTION"}
CARD = {
    "content": {
        "rich_card": {
            "standalone": {
                "content": {
                    "title": "Hi {name|you}",
                    "media": {"url": "https://example.org/{code}.png", "height": "TALL"},
                    "suggestions": [
                        {"reply": {"text": "Yes", "postback_data": "order-{code}"}},
                        {"reply": {"text": "No", "postback_data": "bm8="}},
                        {"action": {"text": "Open", "open_url": {"url": "{link}"}}},
                        {"action": {"text": "Map", "view_location": {"latitude": "{lat}", "longitude": 10.5}}},
                    ],
                }
            }
        }
    }
}
ROW: dict[str, object] = {
    "to": "+4915112345678",
    "name": "",
    "code": "A1",
    "link": "https://example.org/a",
    "lat": "48.4",
}


def written(folder: Path, value: object, name: str = "message.json") -> str:
    path = folder / name
    _ = path.write_bytes(value if isinstance(value, bytes) else orjson.dumps(value))
    return str(path)


def build(folder: Path, value: object, row: dict[str, object] | None = None, /, **given: str) -> Message | Invalid:
    row = ROW if row is None else row
    loaded = load({**given, "message": written(folder, value)})
    builder = MessageTemplate(given=loaded.values, file=loaded.file).bind(tuple(row))
    return builder.build(InputRow(1, 2, row))


def refused(folder: Path, value: object, row: dict[str, object] | None = None, **given: str) -> str:
    with pytest.raises(CliError) as error:
        _ = build(folder, value, row, **given)
    return str(error.value).removeprefix(f"{folder}/message.json")


def test_a_card_is_filled_at_any_depth(tmp_path: Path) -> None:
    card = build(tmp_path, CARD, **RCS)
    assert isinstance(card, RichCard)
    assert (card.card.title, card.orientation) == ("Hi you", "VERTICAL")
    assert card.card.media is not None
    assert (card.card.media.url, card.card.media.height) == ("https://example.org/A1.png", "TALL")
    assert card.card.suggestions == (
        Reply(text="Yes", postback_data="order-A1"),
        Reply(text="No", postback_data="no"),
        OpenUrl(text="Open", url="https://example.org/a"),
        ViewLocation(text="Map", latitude=48.4, longitude=10.5),
    )


def test_a_row_that_does_not_fit_the_file_is_invalid(tmp_path: Path) -> None:
    for value, text in (
        ("north", "latitude is not a number (the column lat)"),
        ("nan", "latitude is not a number (the column lat)"),
        ("1e999", "latitude is not a number (the column lat)"),
        ("", "the column lat is empty"),
    ):
        row = build(tmp_path, CARD, ROW | {"lat": value}, **RCS)
        assert isinstance(row, Invalid)
        assert text in row.message


def test_a_carousel_and_chips_may_stand_beside_content(tmp_path: Path) -> None:
    cards = [{"title": "A {name}"}, {"title": "B"}]
    message = build(
        tmp_path, {**RCS, "carousel": {"cards": cards}}, {"to": "+4915112345678", "name": "x", "text": "unused"}
    )
    assert isinstance(message, Carousel)
    assert ([card.title for card in message.cards], message.card_width) == (["A x", "B"], "MEDIUM")
    message = build(tmp_path, {**RCS, "text": "Hi {name}", "suggestions": [{"reply": {"text": "Ok"}}], "ttl": "60s"})
    assert isinstance(message, Invalid)  # the name is empty
    message = build(
        tmp_path, {**RCS, "text": "Hi {name}", "suggestions": [{"reply": {"text": "{name}"}}]}, ROW | {"name": "A"}
    )
    assert message == Text(to="+4915112345678", text="Hi A", suggestions=(Reply(text="A"),), **RCS)  # type: ignore[arg-type]


def test_an_option_takes_precedence_over_the_file_and_the_file_over_a_column(tmp_path: Path) -> None:
    row: dict[str, object] = {"to": "+4915112345678", "agent_id": "column", "text": "column", "ttl": "1s"}
    message = build(tmp_path, {**RCS, "text": "file", "ttl": "2s"}, row, ttl="3s")
    assert message == Text(agent_id="ag", to="+4915112345678", traffic_type="TRANSACTION", text="file", ttl="3s")
    message = build(tmp_path, {**RCS, "content": {"text": "file"}}, row, text="option")
    assert isinstance(message, Text)
    assert message.text == "option"
    message = build(tmp_path, {**RCS, "ttl": "2s"}, row)
    assert isinstance(message, Text)
    assert (message.text, message.ttl) == ("column", "2s")


def test_a_field_that_is_no_text_of_the_message_may_have_placeholders_too(tmp_path: Path) -> None:
    value = {"agent_id": "ag", "traffic_type": "{kind}", "text": "Hi", "ttl": "{ttl|}"}
    message = build(tmp_path, value, {"to": "+4915112345678", "kind": " PROMOTION ", "ttl": ""})
    assert message == Text(agent_id="ag", to="+4915112345678", traffic_type="PROMOTION", text="Hi")


def test_an_email_has_subject_html_and_text(tmp_path: Path) -> None:
    value = {
        "channel_id": "ch",
        "subject": "For {name}",
        "content": {"html": "<style>a{b:c}</style><p>{name}</p>", "text": "Hi {name}"},
    }
    message = build(tmp_path, value, {"to": "a@b.example", "name": "A&B"})
    assert message == Email(
        channel_id="ch",
        to="a@b.example",
        subject="For A&B",
        html="<style>a{b:c}</style><p>A&amp;B</p>",
        text="Hi A&B",
    )


def test_the_data_of_a_template_are_filled_at_any_depth(tmp_path: Path) -> None:
    value = {
        "channel_id": "ch",
        "template_id": "tpl",
        "template_data": {"who": {"name": "{name}"}, "n": [1, "{{x: 1}}"]},
    }
    message = build(tmp_path, value, {"to": "a@b.example", "name": "Ann", "template_data": "[not read]"})
    assert isinstance(message, Email)
    assert message.template_data == {"who": {"name": "Ann"}, "n": [1, "{x: 1}"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"{", " (--message) is not JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        (b'{"text": NaN}', " (--message) is not JSON: NaN is not a number of JSON"),
        (b'{"text": "a", "text": "b"}', " (--message) is not JSON: the key text is given twice"),
        (b"[" * 100_000, " (--message) is not JSON: it is nested too deeply"),
        (b'{"content": ' + b"[" * 400 + b"]" * 400 + b"}", " (--message) is nested too deeply"),
        (b" ", " (--message) is empty"),
        (b"\xff", " (--message) is not UTF-8 (byte 1)"),
        (b" " * ((4 << 20) + 1), " (--message) is longer than 4 MB"),
        ([], " (--message) is not a JSON object"),
        ({"to": "+4915112345678"}, ": to must be left out"),
        ({"idempotency_key": "1"}, ": idempotency_key must be left out"),
        ({"tex": "a"}, ": tex is not a field of a message; the fields are: agent_id,"),
        ({"text": 1}, ": text must be a string, not a number"),
        ({"ttl": True}, ": ttl must be a string, not a boolean"),
        ({"content": []}, ": content must be an object, not an array"),
        ({"template_data": "x"}, ": template_data must be an object, not a string"),
        ({"content": {"text": {}}}, ": text must be a string, not an object"),
        ({"text": "a", "content": {"text": "b"}}, ": text is given twice, once in content"),
        ({"rich_card": {}, "content": {"rich_card": {"a": 1}}}, ": rich_card is given twice"),
        ({"carousel": {}, "rich_card": {"carousel": {"a": 1}}}, ": carousel is given twice"),
        ({"carousel": {}, "rich_card": "x"}, ": rich_card must be an object, not a string"),
        ({"text": "Hi {nobody}"}, ": text names an unknown column: {nobody}"),
        ({"text": "Hi {{name}}"}, ": text has {{name}}, a placeholder of another tool: write {name} instead"),
        ({"rich_card": {"x": "{nobody}"}}, ": content.rich_card.x names an unknown column: {nobody}"),
        ({"suggestions": [{"reply": {"text": "[[name]]"}}]}, ": content.suggestions[0].reply.text has [[name]]"),
        ({"content": {"x": 1, "text": "a"}}, ": content.x is not a known field"),
        (
            {"rich_card": {"standalone": {"content": {"title": 1}}}},
            ": content.rich_card.standalone.content.title must be",
        ),
        ({"rich_card": {"standalone": {"content": {}}}}, ": content.rich_card.standalone.content must have"),
        ({"rich_card": "x"}, ": content.rich_card must be an object"),
        (
            {"text": "a", "rich_card": {"standalone": {"content": {"title": "{name}"}}}},
            ": content must have exactly one",
        ),
        (
            {"text": "a", "suggestions": [{"reply": {"text": "x" * 26}}]},
            ": content.suggestions[0].reply.text must have",
        ),
        (
            {"text": "a", "suggestions": [{"reply": {"text": "x", "postback_data": "yes"}}]},
            "postback_data must be base64",
        ),
        ({"text": "a", "traffic_type": "X"}, ": traffic_type must be one of"),
        ({"text": "a", "subject": "S"}, "--subject cannot be used with --agent"),
    ],
)
def test_what_is_wrong_with_the_file_is_named_by_its_path(tmp_path: Path, value: object, text: str) -> None:
    given = RCS if not isinstance(value, dict) or "traffic_type" not in value else {"agent_id": "ag"}
    assert text in refused(tmp_path, value, ROW, **given)


def test_a_limit_of_a_field_with_a_placeholder_is_checked_in_each_row(tmp_path: Path) -> None:
    value = {
        "text": "a",
        "suggestions": [{"reply": {"text": "{name}"}}, {"action": {"text": "x", "open_url": {"url": "{name}"}}}],
    }
    assert isinstance(build(tmp_path, value, ROW | {"name": "x"}, **RCS), Text)


def test_a_file_for_an_email_is_checked_as_one(tmp_path: Path) -> None:
    value = {"subject": "a\nb", "html": "{name}"}
    assert "subject must" in refused(tmp_path, value, {"to": "a", "name": "x", "channel_id": "ch"})
    assert "subject must" in refused(
        tmp_path, value, {"to": "a", "name": "x", "channel_id": "ch", "agent_id": "ag", "traffic_type": "X"}
    )


def test_what_a_file_says_literally_is_noted(tmp_path: Path) -> None:
    loaded = load(
        {**RCS, "message": written(tmp_path, {"text": "{{a b}}", "suggestions": [{"reply": {"text": "{{x}}"}}]})}
    )
    builder = MessageTemplate(given=loaded.values, file=loaded.file).bind(("to",))
    assert [one.partition(" sends ")[2][:10] for one in builder.notes] == ["the text {", "the text {"]
    assert "content.suggestions[0].reply.text sends the text {x} as it is" in builder.notes[1]
    loaded = load(
        {"message": written(tmp_path, {"channel_id": "ch", "template_id": "t", "template_data": {"a": "{{x}}"}})}
    )
    assert "template_data.a sends" in MessageTemplate(given={}, file=loaded.file).bind(("to",)).notes[0]


# @FILE


def test_a_text_is_read_from_a_file_without_its_last_line_end(tmp_path: Path) -> None:
    path = written(tmp_path, b"\xef\xbb\xbfHi {name},\r\n\r\nbye\r\n", "hi.txt")
    loaded = load({"text": f"@{path}", "subject": "@@ann", "agent_id": "@x"})
    assert loaded.values == {"text": "Hi {name},\n\nbye", "subject": "@ann", "agent_id": "@x"}
    assert list(loaded.digests) == ["text"]


@pytest.mark.parametrize(
    ("value", "text"), [("@no-such-file", "for a text that begins with @, write @@"), ("@a\0b", "--text names no file")]
)
def test_a_file_that_cannot_be_read_is_named_with_the_way_out(value: str, text: str) -> None:
    with pytest.raises(CliError) as error:
        _ = load({"text": value})
    assert text in str(error.value)


def test_paths_are_stored_as_absolute_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"text": "@a.txt", "message": "b.json", "subject": "@@c", "agent_id": "d"}
    assert absolute(given) == given | {"text": f"@{tmp_path}/a.txt", "message": f"{tmp_path}/b.json"}


# The commands


def people(folder: Path, content: str = "to,name,code,link,lat\n+4915112345678,Ann,A1,https://example.org,1\n") -> str:
    path = folder / "people.csv"
    _ = path.write_text(content)
    return str(path)


def json_of(capsys: Captured) -> Any:  # noqa: ANN401
    return orjson.loads(capsys.readouterr().out)


AGENT = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION"]


def test_a_batch_sends_the_card_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    box = Sandbox(timing=None)
    through(monkeypatch, box)
    file = written(tmp_path, CARD)
    command = ["batch", people(tmp_path), *AGENT, "--message", file]
    assert main([*command, "--dry-run", "--json"]) == 0
    facts = json_of(capsys)
    assert facts["units"] == {"single_message": 1}
    reply = facts["first_request"]["body"]["content"]["rich_card"]["standalone"]["content"]["suggestions"][0]["reply"]
    assert reply["postback_data"] == b64encode(b"order-A1").decode()
    assert main(command) == 0
    assert len(box.messages) == 1
    _ = capsys.readouterr()


def test_a_resumed_batch_reads_the_files_of_its_options_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = Sandbox(timing=None)
    through(monkeypatch, box)
    monkeypatch.chdir(tmp_path)
    _ = written(tmp_path, CARD)
    journal = f"{people(tmp_path)}.journal"
    assert main(["batch", "people.csv", *AGENT, "--message", "message.json"]) == 0
    assert main(["batch", "--resume", journal]) == 0
    moved = tmp_path / "moved.json"
    _ = (tmp_path / "message.json").rename(moved)
    _ = capsys.readouterr()
    assert main(["batch", "--resume", journal]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path}/message.json is missing, and the journal {journal} does not have its content" in said
    assert main(["batch", "people.csv", *AGENT, "--message", str(moved)]) == 0  # the path is no part of the recipe
    _ = moved.write_bytes(orjson.dumps(CARD | {"ttl": "60s"}))
    _ = capsys.readouterr()
    assert main(["batch", "people.csv", *AGENT, "--message", str(moved)]) == 2
    assert "was made with a different --message: nothing was sent" in capsys.readouterr().err
    assert len(box.messages) == 1


def test_the_digest_of_a_text_file_is_part_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    through(monkeypatch, Sandbox(timing=None))
    file = written(tmp_path, b"Hi {name}", "hi.txt")
    command = ["batch", people(tmp_path), *AGENT, "--text", f"@{file}"]
    assert main(command) == 0
    _ = written(tmp_path, b"Bye {name}", "hi.txt")
    _ = capsys.readouterr()
    assert main(command) == 2
    assert "was made with a different --text" in capsys.readouterr().err
    Path(file).unlink()
    assert main(["batch", "--resume", f"{tmp_path}/people.csv.journal"]) == 2
    assert f"with --text @{file} by its new path" in capsys.readouterr().err


def test_one_message_is_sent_from_a_file_with_its_placeholders_filled_from_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = Sandbox(timing=None)
    through(monkeypatch, box)
    value = {
        "agent_id": "ag_live_demo",
        "traffic_type": "TRANSACTION",
        "text": "Hi {name}",
        "suggestions": [{"reply": {"text": "Ok"}}],
    }
    command = ["send", "--to", "+4915112345678", "--message", written(tmp_path, value)]
    assert main([*command, "--data", "name=Ann"]) == 0
    assert len(box.messages) == 1
    assert main([*command, "--data", "name=Ann", "--text", "{plain}", "--dry-run"]) == 0
    assert '"text": "{plain}"' in capsys.readouterr().out
    assert main(command) == 2
    assert "text names an unknown column: {name}; the columns are: to" in capsys.readouterr().err
    assert main([*command, "--data", "name=#N/A"]) == 2
    assert "has the error of a spreadsheet" in capsys.readouterr().err
    assert main(["send", "--to", "+4915112345678", "--sandbox", *command[3:], "--data", "name=Ann"]) == 0


def test_a_fallback_of_one_message_takes_no_template_file(tmp_path: Path, capsys: Captured) -> None:
    file = written(tmp_path, {"text": "Hi"})
    command = ["send", "--to", "+4915112345678", *AGENT, "--message", file, "--fallback-email", "ann@example.org"]
    assert main([*command, "--dry-run"]) == 2
    assert "--message cannot be used with --fallback-email" in capsys.readouterr().err


def test_one_message_reads_its_text_from_a_file(tmp_path: Path, capsys: Captured) -> None:
    file = written(tmp_path, b"<p>Hi</p>\n", "mail.html")
    email = ["--channel", "ch_demo", "--subject", "S", "--html", f"@{file}", "--text", "Hi"]
    assert main(["send", "--to", "ann@example.org", *email, "--dry-run"]) == 0
    assert '"html": "<p>Hi</p>"' in capsys.readouterr().out


def test_a_file_with_a_fallback_describes_the_rcs_message(tmp_path: Path, capsys: Captured) -> None:
    content = "to,name,mail\n+4915112345678,Ann,ann@example.org\n"
    fallback = ["--fallback-email", "mail", "--channel", "ch_demo", "--subject", "S", "--html", "<p>{name}</p>"]
    file = written(tmp_path, {"carousel": {"cards": [{"title": "{name}"}, {"title": "B"}]}})
    assert main(["batch", people(tmp_path, content), *AGENT, *fallback, "--message", file, "--dry-run", "--json"]) == 0
    facts = json_of(capsys)
    assert facts["first_request"]["body"]["content"]["rich_card"]["carousel"]["cards"][0]["title"] == "Ann"
    assert facts["fallback_request"]["body"]["content"] == {"html": "<p>Ann</p>"}
    refused_files: tuple[dict[str, object], ...] = ({"subject": "S"}, {"template_data": {}}, {"channel_id": "c"})
    for value in refused_files:
        file = written(tmp_path, value)
        assert main(["batch", people(tmp_path, content), *AGENT, *fallback, "--message", file, "--dry-run"]) == 2
        assert f"--message describes the RCS message: leave {next(iter(value))} out" in capsys.readouterr().err


def test_a_file_without_content_leaves_it_to_the_rows() -> None:
    assert not MessageFile(path="x", fields={"ttl": "1s"}).has_content
    assert MessageFile(path="x", fields={"template_id": "t"}).has_content
