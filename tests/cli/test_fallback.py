"""msgapi batch --fallback-email: an email for those whom RCS does not reach, and each person one message."""

import os
import re
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import anyio
import orjson
import pytest

from msgapi import Call, Invalid, Meta, NotFound, NotSent, Pace, Request, Result, Unanswered, fallback
from msgapi.cli import main
from msgapi.cli.batch.command import BatchConfig, open_rows, run_batch
from msgapi.cli.output import Exit
from msgapi.fallback import Fallback
from msgapi.journal import State
from msgapi.journal import open_readonly as open_journal
from msgapi.messages import Email, Text
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer
from tests.support.cli_files import lines, through
from tests.support.cli_fleets import Fleet, placed

T = TypeVar("T")
Captured = pytest.CaptureFixture[str]
NO_RCS = "+447700900404"
RCS = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}"]
EMAIL = ["--fallback-email", "mail", "--channel", "ch_demo", "--subject", "Hi {name}", "--html", "<p>Hi {name}</p>"]
FILE = f"""to,name,mail
+4915112345678,Ada,ada@example.org
{NO_RCS},Bob,bob@example.org
{NO_RCS},Cy,
{NO_RCS},Dan,not-an-address
"""


def people(folder: Path, content: str = FILE, name: str = "people.csv") -> str:
    _ = (folder / name).write_text(content)
    return str(folder / name)


def batch(folder: Path, *options: str, content: str = FILE) -> list[str]:
    return ["batch", people(folder, content), *RCS, *EMAIL, *options]


def json_of(capsys: Captured) -> Any:  # noqa: ANN401
    return orjson.loads(capsys.readouterr().out)


def calls_of(path: str, **options: Any) -> list[Any]:  # noqa: ANN401 - the fields of the config
    given = {"agent_id": "ag_1", "traffic_type": "TRANSACTION", "text": "Hi", "channel_id": "ch_1", "subject": "S"}
    values = {**given, "html": "<p>{name}</p>", **options.pop("values", {})}
    config = BatchConfig(path=path, message_values=values, fallback_email="mail", **options)
    with open_rows(config) as (table, calls):
        return list(calls.make_each(table.rows(), table.count))


def test_a_dry_run_shows_both_requests_and_counts_the_higher_price(tmp_path: Path, capsys: Captured) -> None:
    priced = ["--price", "basic=0.07", "--price", "email=0.10"]
    assert main(batch(tmp_path, "--dry-run", *priced)) == 1
    shown = capsys.readouterr().out
    assert "the first request:" in shown
    assert "if the service answers 404:" in shown
    assert "of them with a fallback by email" in shown
    assert "line 5: mail must be an e-mail address, and has no @" in shown
    assert main(batch(tmp_path, "--dry-run", "--json", *priced)) == 1
    facts = json_of(capsys)
    assert (facts["fallbacks"], facts["units"], facts["amount"]) == (2, {"basic_message": 3}, 0.27)
    assert facts["first_request"]["body"]["to"] == "+4915112345678"
    body = facts["fallback_request"]["body"]
    assert (body["to"], body["subject"], body["content"]) == ("ada@example.org", "Hi Ada", {"html": "<p>Hi Ada</p>"})
    keys = [facts[name]["headers"]["Idempotency-Key"] for name in ("first_request", "fallback_request")]
    assert keys[1] == fallback.leg_key(keys[0], 2)


def test_a_dry_run_without_a_fallback_shows_one_request(tmp_path: Path, capsys: Captured) -> None:
    path = people(tmp_path)
    assert main(["batch", path, *RCS, "--dry-run", "--json"]) == 0
    facts = json_of(capsys)
    assert (facts["fallbacks"], facts["fallback_request"]) == (0, None)
    assert main(["batch", people(tmp_path, "to,name,mail\nx,y,z\n"), *RCS, *EMAIL, "--dry-run", "--json"]) == 1
    assert json_of(capsys)["first_request"] is None


def test_each_person_gets_one_message_and_the_files_say_over_which_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = Sandbox(timing=None)
    through(monkeypatch, box)
    results = tmp_path / "r.jsonl"
    assert main(batch(tmp_path, "--results", str(results), "--json")) == 1
    facts = json_of(capsys)
    assert (facts["accepted"], facts["sent_by_email"], facts["refused"]) == (2, 1, 2)
    assert [(entry.channel, entry.to) for entry in box.messages] == [
        ("RCS", "+4915112345678"),
        ("EMAIL", "bob@example.org"),
    ]
    found = {line["row"]: line for line in lines(results)}
    assert [found[row].get("channel") for row in (1, 2, 3, 4)] == ["rcs", "email", "rcs", None]
    keys = {entry.channel: entry.idempotency_key for entry in box.messages}
    assert (found[1]["idempotency_key"], found[2]["idempotency_key"]) == (keys["RCS"], keys["EMAIL"])
    asked = box.requests
    assert main(batch(tmp_path, "--results", str(results), "--json")) == 1
    again = json_of(capsys)
    assert (box.requests, again["accepted"], again["sent_by_email"]) == (asked, 2, 1)
    found = {line["row"]: line for line in lines(results)}
    assert [found[row].get("channel") for row in (1, 2, 3, 4)] == ["rcs", "email", "rcs", None]
    assert found[2]["idempotency_key"] == keys["EMAIL"]
    assert main(["batch", "report", f"{tmp_path / 'people.csv'}.journal"]) == 1
    assert "Sent by email" in capsys.readouterr().out
    assert main(["batch", "report", f"{tmp_path / 'people.csv'}.journal", "--export", "jsonl"]) == 1
    exported = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(row["leg"], row["key"]) for row in exported if row["state"] == "accepted"} == {
        (1, keys["RCS"]),
        (2, keys["EMAIL"]),
    }


def test_without_a_fallback_the_results_have_no_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    through(monkeypatch, Sandbox(timing=None))
    results = tmp_path / "r.jsonl"
    assert main(["batch", people(tmp_path), *RCS, "--results", str(results)]) == 1
    assert all("channel" not in line for line in lines(results))


def test_a_batch_that_was_stopped_between_the_messages_continues_with_the_email(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box, sent = Sandbox(timing=None), list[str]()

    async def broken(request: Request) -> Answer:
        to = orjson.loads(request.body or b"")["to"]
        sent.append(to)
        return NotSent("refused") if "@" in to else await box(request)

    content = f"to,name,mail\n{NO_RCS},Bob,bob@example.org\n"
    through(monkeypatch, broken)
    assert main(batch(tmp_path, "--outage-timeout", "0", content=content)) in {1, 3}
    with open_journal(f"{tmp_path / 'people.csv'}.journal") as read:
        assert [(row.state, row.leg) for row in read.rows()] == [(State.NOT_SENT, 2)]
    through(monkeypatch, box)
    _ = capsys.readouterr()
    assert main(batch(tmp_path, "--json", content=content)) == 0
    assert json_of(capsys)["sent_by_email"] == 1
    assert sent == [NO_RCS, "bob@example.org"]
    assert [entry.to for entry in box.messages] == ["bob@example.org"]
    assert box.requests == 2


@pytest.mark.parametrize(
    "other", [["--fallback-email", "mail2"], ["--subject", "Another"], ["--html", "<p>Another</p>"]], ids=str
)
def test_a_batch_is_continued_only_with_the_same_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, other: list[str]
) -> None:
    box = Sandbox(timing=None)
    through(monkeypatch, box)
    content = f"to,name,mail,mail2\n{NO_RCS},Bob,bob@example.org,bob2@example.org\n"
    assert main(batch(tmp_path, content=content)) == 0
    _ = capsys.readouterr()
    assert main(batch(tmp_path, *other, content=content)) == 2
    assert f"was made with a different {other[0]}" in capsys.readouterr().err
    assert len(box.messages) == 1


def test_a_resumed_batch_has_the_fallback_of_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = Sandbox(timing=None, balance=Decimal("0.001"))
    through(monkeypatch, box)
    content = f"to,name,mail\n{NO_RCS},Bob,bob@example.org\n"
    assert main(batch(tmp_path, content=content)) == 3
    box.top_up(Decimal(10))
    _ = capsys.readouterr()
    assert main(["batch", "--resume", f"{tmp_path / 'people.csv'}.journal", "--json"]) == 0
    assert json_of(capsys)["sent_by_email"] == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--fallback-email", "nope"], "there is no column nope for the recipients: try `--fallback-email mail`"),
        (["--fallback-email", "mail"], "--fallback-email needs an email channel: give --channel"),
        (["--fallback-email", "mail", "--channel", "ch_1"], "--fallback-email needs --subject"),
        (["--fallback-email", "mail", "--channel", "ch_1", "--subject", "S"], "--fallback-email needs --html"),
        (
            ["--fallback-email", "mail", "--channel", "ch_1", "--subject", "{x}", "--html", "h"],
            "--subject names an unknown column: {x}",
        ),
    ],
)
def test_what_a_fallback_lacks_is_named(tmp_path: Path, capsys: Captured, options: list[str], text: str) -> None:
    assert main(["batch", people(tmp_path), *RCS, *options, "--dry-run"]) == 2
    assert text in capsys.readouterr().err


def test_a_fallback_is_for_rcs(tmp_path: Path, capsys: Captured) -> None:
    assert main(["batch", people(tmp_path), *EMAIL, "--text", "x", "--dry-run"]) == 2
    assert "--fallback-email is for RCS messages: give --agent" in capsys.readouterr().err
    assert main(["batch", people(tmp_path), "--agent", "ag_1", *EMAIL, "--text", "x", "--dry-run"]) == 2
    assert "no traffic_type" in capsys.readouterr().err


def test_the_messages_are_made_of_the_fields_of_their_channels(tmp_path: Path) -> None:
    content = "to,name,mail,subject,ttl,message_type\n+4915112345678,A & B,ada@example.org,Mine,900s,NEWSLETTER\n"
    (row,) = calls_of(people(tmp_path, content), values={"traffic_type": "PROMOTION"})
    assert isinstance(row.call, Fallback)
    first, second = row.message, row.second
    assert isinstance(first, Text)
    assert isinstance(second, Email)
    assert (first.ttl, first.text, first.message_type) == ("900s", "Hi", "NEWSLETTER")
    assert (second.html, second.subject, second.message_type) == ("<p>A &amp; B</p>", "S", "NEWSLETTER")


def test_the_data_of_a_template_is_that_of_the_email(tmp_path: Path) -> None:
    content = 'to,name,mail,template_data\n+4915112345678,Ada,ada@example.org,"{""a"":1}"\n'
    config = BatchConfig(
        path=people(tmp_path, content),
        message_values={
            "agent_id": "ag_1",
            "traffic_type": "TRANSACTION",
            "text": "Hi",
            "channel_id": "ch_1",
            "template_id": "tpl_1",
        },
        fallback_email="mail",
        data=("name",),
    )
    with open_rows(config) as (table, calls):
        (row,) = calls.make_each(table.rows(), table.count)
    assert isinstance(row.second, Email)
    assert row.second.template_data == {"a": 1, "name": "Ada"}
    assert isinstance(row.message, Text)


def test_a_template_of_an_email_needs_no_subject_and_no_content(tmp_path: Path, capsys: Captured) -> None:
    options = ["--fallback-email", "mail", "--channel", "ch_demo", "--template", "tpl_welcome"]
    assert main(["batch", people(tmp_path), *RCS, *options, "--dry-run", "--json"]) == 1
    assert json_of(capsys)["fallback_request"]["body"]["template_id"] == "tpl_welcome"


def test_an_email_in_place_of_a_message_in_a_conversation_is_a_message(tmp_path: Path) -> None:
    (row, *_) = calls_of(people(tmp_path), values={"message_type": "CONVERSATION"})
    assert (row.message.message_type, row.second.message_type) == ("CONVERSATION", "MESSAGE")


def test_a_row_whose_fallback_cannot_be_made_is_invalid(tmp_path: Path) -> None:
    content = (
        '{"to":"+4915112345678","name":"","mail":"ada@example.org"}\n'
        '{"to":"+4915112345679","name":"Bob","mail":["bob@example.org"]}\n'
        "[]\n"
        '{"to":"+4915112345670","name":"Cy","mail":null}\n'
    )
    first, second, third, fourth = (row.call for row in calls_of(people(tmp_path, content, "people.jsonl")))
    assert isinstance(first.invalid, Invalid)
    assert first.invalid.message == "fallback the column name is empty"
    assert isinstance(second.invalid, Invalid)
    assert second.invalid.message == "mail the column mail is a list, not a text"
    assert third.invalid is not None
    assert fourth.invalid is None
    assert len(fourth.legs) == 1


def test_the_first_message_makes_the_duplicate(tmp_path: Path) -> None:
    phone = "+4915112345678,Ada"
    content = f"to,name,mail\n{phone},ada@example.org\n{phone},other@example.org\n{phone},\n"
    path = people(tmp_path, f"{content}{phone},ada@example.org\n+4915112345679,Ada,ada@example.org\n")
    made = calls_of(path)
    assert [one.repeats for one in made] == [False, True, True, True, False]
    allowed = calls_of(path, allow_duplicates=True)
    assert [one.repeats for one in allowed] == [False, False, False, True, False]
    assert (len({one.id for one in allowed}), allowed[0].id) == (5, made[0].id)


def test_a_phone_number_with_another_address_gets_no_second_message_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Sandbox(timing=None)
    through(monkeypatch, box)
    first, second = (f"+4915112345678,Ada,{name}@example.org\n" for name in ("ada", "other"))
    assert main(batch(tmp_path, content=f"to,name,mail\n{first}")) == 0
    assert main(batch(tmp_path, content=f"to,name,mail\n{first}{second}")) == 0
    assert main(batch(tmp_path, content=f"to,name,mail\n{second}{first}")) == 2
    assert main(batch(tmp_path, "--changed", "skip", content=f"to,name,mail\n{second}{first}")) == 0
    assert len(box.messages) == 1


def test_a_fleet_queues_both_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there: Fleet = placed(monkeypatch)
    path = people(tmp_path)
    assert main(["fleet", "enqueue", path, "--batch", "may", *RCS, *EMAIL, "--fleet-url", "redis://127.0.0.1:1"]) == 0
    rows = [row for chunk in there.queued() for row in chunk.rows]
    assert [len(row.call.legs) for row in rows] == [2, 2, 1, 1]
    assert [row.when for row in rows] == [("NotFound",), ("NotFound",), (), ()]
    assert rows[3].invalid is not None


def test_another_address_of_somebody_who_got_an_email_is_a_changed_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = Sandbox(timing=None)
    through(monkeypatch, box)
    content = f"to,name,mail\n{NO_RCS},Bob,bob@example.org\n"
    assert main(batch(tmp_path, content=content)) == 0
    for edited in (content.replace("bob@", "robert@"), content.replace(NO_RCS, "+4915112345678")):
        _ = capsys.readouterr()
        assert main(batch(tmp_path, content=edited)) == 2
        assert "1 row of" in capsys.readouterr().err
    assert main(batch(tmp_path, "--changed", "skip", content=content.replace("bob@", "robert@"))) == 0
    assert main(batch(tmp_path, content=content.replace("bob@", "BOB@"))) == 0
    assert len(box.messages) == 1


def test_a_batch_never_spends_more_than_the_higher_price_of_each_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    box = Sandbox(timing=None)
    through(monkeypatch, box)
    content = "to,name,mail\n" + "".join(f"{NO_RCS},Bob{at},bob{at}@example.org\n" for at in range(4))
    limits = ["--price", "basic=0.07", "--price", "email=0.005", "--max-spend", "0.08", "--json"]
    assert main(batch(tmp_path, *limits, content=content)) == 3
    facts = json_of(capsys)
    assert (facts["stopped"], facts["sent_by_email"], facts["price"]) == ("spend", 3, "0.015")
    assert main(batch(tmp_path, "--dry-run", "--price", "basic=0.07", content=content)) == 2
    assert "billed as email" in capsys.readouterr().err


@pytest.mark.parametrize(("mail", "options"), [("404@magic.example", ()), ("bob@example.org", ("--changed", "send"))])
def test_the_results_have_the_key_under_which_a_changed_row_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mail: str, options: tuple[str, ...]
) -> None:
    box = Sandbox(timing=None)
    through(monkeypatch, box)
    content, results = f"id,to,name,mail\n1,{NO_RCS},Bob,{mail}\n", tmp_path / "r.jsonl"
    assert main(batch(tmp_path, "--id-column", "id", content=content)) in {0, 1}
    before = len(box.messages)
    changed = ["--id-column", "id", "--results", str(results), *options]
    for _ in range(2):  # the second time from the journal
        assert main(batch(tmp_path, *changed, content=content.replace(mail, "robert@example.org"))) == 0
        (sent,) = box.messages[before:]
        assert [line["idempotency_key"] for line in lines(results)] == [sent.idempotency_key]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_a_second_ctrl_c_names_the_key_of_the_message_in_flight(tmp_path: Path) -> None:
    sent: list[str | None] = []

    async def api(call: Call[T], /) -> Result[T]:
        sent.append(call.idempotency_key)
        if len(sent) == 1:
            return NotFound(meta=Meta(status=404, attempts=1))
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            await anyio.sleep(0.02)
        await anyio.sleep_forever()
        raise AssertionError("cancelled")

    values = {"agent_id": "ag_1", "traffic_type": "TRANSACTION", "text": "Hi", "channel_id": "ch_1", "subject": "S"}
    path, results = people(tmp_path, f"to,mail\n{NO_RCS},bob@example.org\n"), str(tmp_path / "r.jsonl")
    config = BatchConfig(path=path, message_values={**values, "html": "<p>"}, fallback_email="mail", results=results)
    with open_rows(config) as (table, calls):
        run = await run_batch(config, table, calls, api=api, pace=Pace())
    assert (run.status, len(sent)) == (Exit.INTERRUPTED, 2)
    assert [(line["kind"], line["idempotency_key"]) for line in lines(results)] == [("Unknown", sent[1])]


# One message.


SEND = ["send", "--sandbox", *RCS[:4], "--text", "Hi", "--to"]
ADDRESS = ["--fallback-email", "bob@example.org", "--channel", "ch_demo"]
CONTENT = ["--subject", "Parcel", "--html", "<p>Hi</p>"]


def test_one_message_goes_by_email_only_if_rcs_does_not_reach_the_recipient(capsys: Captured) -> None:
    assert main([*SEND, "+4915112345678", *ADDRESS, *CONTENT, "--json"]) == 0
    said = json_of(capsys)
    assert (said["kind"], said["leg"], said["billing"]["channel"]) == ("Accepted", 1, "RCS")
    assert main([*SEND, NO_RCS, *ADDRESS, *CONTENT, "--json", "--idempotency-key", "k1"]) == 0
    said = json_of(capsys)
    assert (said["leg"], said["billing"]["channel"]) == (2, "EMAIL")
    assert said["idempotency_key"] == fallback.leg_key("k1", 2)
    assert main([*SEND, NO_RCS, *ADDRESS, *CONTENT]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("queued as msg_")
    assert "sent by email, since the RCS message was refused: NotFound not_rcs_capable" in printed.err


def test_a_dry_run_of_one_message_shows_both_requests(capsys: Captured) -> None:
    template = ["--template", "tpl_demo", "--data", "name=Bob"]
    assert main([*SEND, NO_RCS, *ADDRESS, *template, "--dry-run", "--message-type", "MESSAGE"]) == 0
    first, second = (
        orjson.loads(one) for one in re.findall(r"^\{.*?^\}", capsys.readouterr().out, re.MULTILINE | re.DOTALL)
    )
    assert (first["to"], first["content"]) == (NO_RCS, {"text": "Hi"})
    assert (second["to"], second["template_data"]) == ("bob@example.org", {"name": "Bob"})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["send", "--to", NO_RCS, *ADDRESS, *CONTENT], "--fallback-email is for RCS messages: give --agent"),
        ([*SEND, NO_RCS, *ADDRESS[:2], *CONTENT], "--fallback-email needs an email channel: give --channel"),
        ([*SEND, NO_RCS, *ADDRESS, *CONTENT[:2]], "--fallback-email needs --subject and --html, or --template"),
        ([*SEND, NO_RCS, "--fallback-email", "bob", *ADDRESS[2:], *CONTENT], "this message is not valid: fallback.to"),
    ],
)
def test_a_fallback_of_one_message_that_is_not_complete_is_a_mistake(
    options: list[str], said: str, capsys: Captured
) -> None:
    assert main(options) == 2
    assert said in capsys.readouterr().err


def test_after_an_email_without_an_answer_the_email_alone_is_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    async def transport(request: Request, /) -> Answer:
        return Unanswered("cut") if b"channel_id" in (request.body or b"") else await Sandbox()(request)

    through(monkeypatch, transport)
    assert main([one for one in SEND if one != "--sandbox"] + [NO_RCS, *ADDRESS, *CONTENT, "--idempotency-key", "k1"])
    said = capsys.readouterr().err.splitlines()
    key = fallback.leg_key("k1", 2)
    alone = f"send the email alone, with --to and the options of the email, and --idempotency-key {key}"
    assert said[0] == f"msgapi: the RCS message was refused; to repeat without a second effect: {alone}"
    assert said[-1] == f"msgapi: it may have been sent; to repeat it without sending it twice: {alone}"
