"""`msgapi contacts import`: one bad row costs one row, and the counts add up however it ends."""

import os
import signal
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi import NotSent, Request, Response, Unanswered
from msgapi.cli import connection, contact_import, main
from msgapi.cli.advice import NO_COUNTRY
from msgapi.cli.contact_import import ContactImport, ImportOptions, find_columns
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer
from tests.support.cli_files import through

Captured = pytest.CaptureFixture[str]
OUTCOMES = ("imported", "existing", "refused", "before_start_line", "duplicates", "empty", "unknown", "not_imported")
MIXED = (
    "Name,E-Mail,Phone Number,First Name\n"
    "x,ann@b.example,,Ann\n"
    "x,not an address,,Bo\n"
    'x,,+4915112345678,"C\ny"\n'
    ",,,\n"
    "x,,,Di\n"
    "x,ANN@b.example,,Ann\n"
    "x,,+4915112345678,Cy\n"
    "x,eve@b.example\n"
    "x,fay@b.example,12,Fay\n"
    "x,gus@b.example,,Gus\n"
)
COLUMNS = ["--phone-column", "phone number"]


def written(directory: Path, content: str, name: str = "people.csv") -> str:
    path = directory / name
    _ = path.write_text(content)
    return str(path)


def many(directory: Path, count: int) -> str:
    return written(directory, "email\n" + "".join(f"p{number}@b.example\n" for number in range(count)))


def answering(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[int, list[Any]], Answer | Awaitable[Answer]]
) -> list[list[Any]]:
    """Answer the n-th request with its rows, and return the rows of all requests."""
    sent: list[list[Any]] = []

    async def transport(request: Request, /) -> Answer:
        assert request.body is not None
        sent.append(orjson.loads(request.body)["contacts"])
        found = answer(len(sent), sent[-1])
        return await found if isinstance(found, Awaitable) else found

    through(monkeypatch, transport)
    return sent


def imported(rows: list[Any]) -> Response:
    return Response(200, {}, orjson.dumps({"imported": len(rows)}))


def run(capsys: Captured, *arguments: str, status: int = 0) -> dict[str, Any]:
    assert main(["contacts", "import", *arguments, "--json"]) == status
    found: dict[str, Any] = orjson.loads(capsys.readouterr().out)
    assert sum(found.get(name, 0) for name in (*OUTCOMES, "valid")) == found["rows"]
    assert found["exit"] == status
    return found


def test_one_bad_row_costs_one_row_and_is_named_by_its_line(tmp_path: Path, capsys: Captured) -> None:
    path = written(tmp_path, MIXED)
    assert main(["contacts", "import", path, *COLUMNS, "--sandbox"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[2:] == [
        "rows            9",
        "imported        3",
        "refused         4",
        "duplicates      2",
        "line 3: E-Mail must be an e-mail address, and has no @",
        "line 7: must have an email or a phone",
        "line 10: has 2 cells where the header has 4: the column First Name is missing",
        f"line 11: Phone Number {NO_COUNTRY}",
    ]
    assert printed.err.splitlines() == [
        "msgapi: imports E-Mail as email, Phone Number as phone, First Name as first_name; leaves out Name",
        "msgapi: lines 2 to 12 done: 3 contacts imported so far",
    ]


def test_a_dry_run_sends_nothing_and_needs_no_key(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MSGAPI_API_KEY", raising=False)
    found = run(capsys, written(tmp_path, MIXED), *COLUMNS, "--dry-run", status=1)
    assert (found["valid"], found["refused"], found["duplicates"], found["empty"]) == (3, 4, 2, 0)
    assert "imported" not in found
    assert main(["contacts", "import", written(tmp_path, MIXED), *COLUMNS, "--dry-run"]) == 1
    assert "valid           3\n" in capsys.readouterr().out
    assert main(["contacts", "import", many(tmp_path, 2)]) == 4
    assert "MSGAPI_API_KEY" in capsys.readouterr().err


def test_numbers_are_normalised(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = answering(monkeypatch, lambda _, rows: imported(rows))
    path = written(tmp_path, "phone,consent\n0151 2345678,yes\n+49 (0)151-2345679,Yes\n0049 151 2345670,no\n")
    found = run(capsys, path, "--region", "DE", "--where", "consent=yes")
    assert (found["rows"], found["left_out"]) == (2, 1)
    assert [row["phone"] for row in sent[0]] == ["+491512345678", "+491512345679"]


def test_rows_that_where_leaves_out_are_counted(tmp_path: Path, capsys: Captured) -> None:
    path = written(tmp_path, "email,consent\na@b.example,yes\nb@b.example,no\nc@b.example,no\n")
    found = run(capsys, path, "--where", "consent=yes", "--sandbox")
    assert (found["rows"], found["imported"], found["left_out"]) == (1, 1, 2)
    assert main(["contacts", "import", path, "--where", "consent=yes", "--sandbox"]) == 0
    assert "msgapi: 2 rows were left out by --where\n" in capsys.readouterr().err


def test_a_file_of_more_rows_than_a_call_takes_goes_in_several(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = answering(monkeypatch, lambda _, rows: imported(rows[1:]))
    found = run(capsys, many(tmp_path, 10_001))
    assert [len(rows) for rows in sent] == [10_000, 1]
    assert (found["imported"], found["existing"]) == (9_999, 2)


def test_a_second_import_finds_all_of_them(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Sandbox()
    monkeypatch.setattr(connection, "private_sandbox", lambda _: box)
    path = many(tmp_path, 5)
    for count in (5, 0):
        found = run(capsys, path, "--sandbox", "--chunk-size", "2")
        assert (found["imported"], found["existing"]) == (count, 5 - count)


def test_jsonl_and_standard_input_are_read(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = '{"email":"a@b.example","note":{"x":1}}\n{"email":7}\nnot json\n{}\n{"phone":null,"email":"c@b.example"}\n'
    found = run(capsys, written(tmp_path, lines, "p.jsonl"), "--sandbox", status=1)
    assert (found["imported"], found["refused"], found["empty"]) == (2, 2, 1)
    assert [row["line"] for row in found["refused_rows"]] == [2, 3]
    assert found["refused_rows"][0]["message"] == "email must be an e-mail address, and has no @"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=BytesIO(b"mail;x\na@b.example;1\n")))
    assert run(capsys, "-", "--email-column", "Mail", "--sandbox")["imported"] == 1


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("a,b\n1,2\n", [], "has no column email or phone. Its columns: a, b"),
        ("Mail,Mobile\n1,2\n", [], "If these columns hold them: --email-column 'Mail', --phone-column 'Mobile'"),
        ("a@b.example,Ann\nc@b.example,Cy\n", [], "the line that names the columns is missing"),
        ("email\nx\n", ["--phone-column", "Mobile"], "no column Mobile (--phone-column). Its columns: email"),
        ("E-mail,e_mail\nx,y\n", [], "has the columns E-mail and e_mail: name one with --email-column"),
        ("", [], "is empty"),
    ],
)
def test_columns_that_are_missing_are_named(
    content: str, options: list[str], said: str, tmp_path: Path, capsys: Captured
) -> None:
    assert main(["contacts", "import", written(tmp_path, content), *options, "--sandbox"]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert "b.example" not in printed


def test_a_column_of_exactly_that_name_comes_first(tmp_path: Path, capsys: Captured) -> None:
    path = written(tmp_path, "E-mail,email\nx,a@b.example\n")
    assert run(capsys, path, "--sandbox")["imported"] == 1
    assert run(capsys, path, "--email-column", "E-mail", "--sandbox", status=1)["refused"] == 1


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, capsys: Captured) -> None:
    for header in ("email,email", "E-Mail,E-Mail"):
        path = written(tmp_path, f"{header}\nann@b.example,bob@b.example\n")
        assert main(["contacts", "import", path, "--dry-run"]) == 2
        assert f"has the column {header.split(',')[0]} twice" in capsys.readouterr().err


def test_damaged_names_are_refused_and_doubtful_ones_are_counted(tmp_path: Path, capsys: Captured) -> None:
    names = ["#N/A", "J\ufffdrg", "A\x07", "NULL", "J\u00c3\u00b6rg", "\u200b", " Ann\u00a0"]
    lines = "".join(f"p{at}@b.example,{name}\n" for at, name in enumerate(names))
    path = written(tmp_path, f"email,first_name\n{lines}")
    found = run(capsys, path, "--sandbox", status=1)
    assert (found["imported"], [row["line"] for row in found["refused_rows"]]) == (4, [2, 3, 4])
    assert all(row["message"].startswith("the column first_name has ") for row in found["refused_rows"])
    assert [(one["warning"], one["lines"]) for one in found["warnings"]] == [
        ("null_word", [5]),
        ("broken_letters", [6]),
    ]
    assert main(["contacts", "import", path, "--dry-run"]) == 1
    assert "check 1 row: the column first_name is a word that programs write" in capsys.readouterr().err


def test_values_of_json_may_be_numbers_and_no_lists(tmp_path: Path, capsys: Captured) -> None:
    path = written(tmp_path, '{"phone":4915112345678}\n{"phone":["+4915112345679"]}\n', "p.jsonl")
    found = run(capsys, path, "--dry-run", status=1)
    assert (found["valid"], found["refused_rows"]) == (
        1,
        [{"line": 2, "message": "the column phone is a list, not a text"}],
    )


def test_rows_left_out_by_a_condition_are_counted(tmp_path: Path, capsys: Captured) -> None:
    for name, content in (
        ("a.csv", "email,ok\na@b.example,yes\nb@b.example,no\n"),
        ("a.jsonl", '{"email":"a@b.example","ok":"yes"}\n{"email":"b@b.example"}\n'),
    ):
        found = run(capsys, written(tmp_path, content, name), "--where", "ok=yes", "--dry-run")
        assert (found["rows"], found["valid"], found["left_out"]) == (1, 1, 1)


def test_a_usual_column_that_is_left_out_is_proposed(tmp_path: Path, capsys: Captured) -> None:
    path = written(tmp_path, "Email Address,Phone,\n,+4915112345678,\n")
    assert main(["contacts", "import", path, "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert said.endswith("leaves out Email Address. If these columns hold them: --email-column 'Email Address'\n")


def test_a_first_line_that_is_a_row_is_not_printed(tmp_path: Path, capsys: Captured) -> None:
    for line in ("Joanna,0151 2345678", "Joanna^0151 2345678"):
        assert main(["contacts", "import", written(tmp_path, f"{line}\n" * 2), "--dry-run"]) == 2
        assert "2345678" not in capsys.readouterr().err


def test_a_file_that_does_not_exist_is_one_line(capsys: Captured) -> None:
    assert main(["contacts", "import", "none.csv", "--sandbox"]) == 2
    assert capsys.readouterr().err == "msgapi: cannot read none.csv: No such file or directory\n"


def test_columns_that_are_left_out_are_named_and_cut_short(tmp_path: Path, capsys: Captured) -> None:
    names = [f"c{number}" for number in range(12)]
    path = written(tmp_path, f"email,{','.join(names)}\na@b.example{',' * 12}\n")
    assert main(["contacts", "import", path, "--sandbox"]) == 0
    assert "imports email as email; leaves out c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, ...\n" in capsys.readouterr().err


def test_only_the_first_rows_are_printed(tmp_path: Path, capsys: Captured) -> None:
    path = written(tmp_path, "email\n" + "bad\n" * 1_002)
    assert main(["contacts", "import", path, "--sandbox"]) == 1
    printed = capsys.readouterr()
    assert printed.out.count("line ") == 20
    assert printed.err.endswith("msgapi: 982 more rows: --json lists up to 1,000\n")
    assert len(run(capsys, path, "--sandbox", status=1)["refused_rows"]) == 1_000


def refusal(*fields: str, status: int = 400, code: str = "validation_error") -> Response:
    details = [{"field": field, "message": "is not allowed for +4915112345678"} for field in fields]
    return Response(status, {}, orjson.dumps({"error": code, "message": "no", "details": details}))


def test_rows_that_the_service_names_are_refused_and_the_others_are_imported(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(number: int, rows: list[Any]) -> Answer:
        places = {1: ("contacts[1].email", "$.contacts[3]", "contacts[99].email"), 2: ("contacts[0].email",)}
        return refusal(*places[number]) if number in places else imported(rows)

    sent = answering(monkeypatch, answer)
    found = run(capsys, many(tmp_path, 5), status=1)
    assert [len(rows) for rows in sent] == [5, 3, 2]
    assert found["imported"] == 2
    assert [(row["line"], row["message"]) for row in found["refused_rows"]] == [
        (3, "email is not allowed for ***"),
        (5, "is not allowed for ***"),
        (2, "email is not allowed for ***"),
    ]


def test_a_call_whose_rows_are_all_refused_is_not_repeated(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = answering(monkeypatch, lambda _, rows: refusal(*(f"contacts[{at}].email" for at in range(len(rows)))))
    assert run(capsys, many(tmp_path, 3), status=1)["refused"] == 3
    assert len(sent) == 1


def test_a_call_that_is_refused_without_naming_a_row_costs_its_rows(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = answering(monkeypatch, lambda number, rows: imported(rows) if number == 2 else refusal(status=422))
    found = run(capsys, many(tmp_path, 5), "--chunk-size", "2", status=1)
    assert (found["imported"], found["refused"], len(sent)) == (2, 3, 3)
    assert found["refused_rows"][0]["message"] == "its call was refused: Unprocessable validation_error: no"


def test_a_service_that_names_one_row_after_the_other_is_asked_20_times(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = answering(monkeypatch, lambda *_: refusal("contacts[0].email"))
    assert run(capsys, many(tmp_path, 50), status=1)["refused"] == 50
    assert len(sent) == 20


def test_a_call_without_an_answer_stops_the_import_and_names_its_lines(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = answering(monkeypatch, lambda number, rows: imported(rows) if number != 2 else Unanswered("no answer"))
    path = many(tmp_path, 7)
    found = run(capsys, path, "--chunk-size", "3", status=3)
    assert (found["imported"], found["unknown"], found["not_imported"]) == (3, 3, 1)
    assert found["unknown_lines"] == [5, 7]
    assert found["error"]["may_have_happened"] is True
    assert len(sent) == 2
    sent.clear()
    found = run(capsys, path, "--start-line", "5")
    assert (found["imported"], found["before_start_line"]) == (4, 3)
    assert sent[0][0]["email"] == "p3@b.example"


def test_how_to_repeat_depends_on_whether_each_row_has_an_email(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = answering(monkeypatch, lambda *_: Unanswered("no answer"))
    assert main(["contacts", "import", many(tmp_path, 3)]) == 3
    printed = capsys.readouterr()
    assert "unknown       3\n" in printed.out
    assert printed.err.splitlines()[1:] == [
        "msgapi: stopped by Unanswered unanswered: sent, but not answered: no answer",
        "msgapi: lines 2 to 4 may have been imported: there is no answer that says so",
        "msgapi: to repeat them and continue: --start-line 2; a contact with an email is not created twice",
    ]
    path = written(tmp_path, "email,phone\na@b.example,\n,+4915112345678\n")
    assert main(["contacts", "import", path]) == 3
    said = capsys.readouterr().err
    assert "1 row has no email and may be there twice if you repeat these lines: look for the contact first, " in said
    assert said.endswith("or continue after them with --start-line 4\n")


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (NotSent("no route"), 3, "Check the network"),
        (Response(401, {}, b'{"error":"unauthorized","message":"m"}'), 4, "Check the API key"),
        (Response(403, {}, b'{"error":"forbidden","message":"m"}'), 3, "Check what the API key is allowed to do"),
        (Response(429, {}, b'{"error":"rate_limit_exceeded","message":"m"}'), 3, "Run it again"),
        (Response(400, {}, b"<html>"), 3, "the answer is not the service's"),
    ],
)
def test_an_error_that_is_not_about_rows_stops_the_import_where_it_can_be_continued(
    *, answer: Answer, status: int, said: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = answering(monkeypatch, lambda number, rows: imported(rows) if number == 1 else answer)
    path = many(tmp_path, 5)
    found = run(capsys, path, "--chunk-size", "2", status=status)
    assert (found["imported"], found["unknown"], found["not_imported"], found["next_line"]) == (2, 0, 3, 4)
    _ = answering(monkeypatch, lambda *_: answer)
    assert main(["contacts", "import", path]) == status
    printed = capsys.readouterr().err
    assert "to continue: --start-line 2" in printed
    assert said in printed


def test_a_row_before_the_start_line_counts_as_an_earlier_one(tmp_path: Path, capsys: Captured) -> None:
    path = written(tmp_path, "phone\n+4915112345678\n+4915112345679\n+4915112345678\nbad\n")
    found = run(capsys, path, "--start-line", "3", "--sandbox", status=1)
    assert (found["before_start_line"], found["imported"], found["duplicates"]) == (1, 1, 1)


def interrupting(monkeypatch: pytest.MonkeyPatch, times: int) -> Callable[[int, list[Any]], Awaitable[Answer]]:
    """Answer after one Ctrl-C that the command has noticed; after two, never."""
    noted: list[str] = []
    monkeypatch.setattr(contact_import, "note", noted.append)

    async def answer(_: int, rows: list[Any]) -> Answer:
        os.kill(os.getpid(), signal.SIGINT)
        while "stopping after the call in flight; press Ctrl-C again to stop at once" not in noted:
            await anyio.lowlevel.checkpoint()
        if times > 1:
            os.kill(os.getpid(), signal.SIGINT)
            await anyio.sleep_forever()
        return imported(rows)

    return answer


def test_ctrl_c_waits_for_the_call_in_flight(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = answering(monkeypatch, interrupting(monkeypatch, 1))
    found = run(capsys, many(tmp_path, 5), "--chunk-size", "2", status=130)
    assert (found["imported"], found["not_imported"], found["next_line"]) == (2, 3, 4)
    assert len(sent) == 1


def test_ctrl_c_during_the_last_call_interrupts_nothing(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = answering(monkeypatch, interrupting(monkeypatch, 1))
    found = run(capsys, many(tmp_path, 5))
    assert (found["imported"], found["not_imported"], found["next_line"]) == (5, 0, None)


def test_a_file_that_changes_during_the_import_is_one_line(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = many(tmp_path, 3)

    def change(_: int, rows: list[Any]) -> Response:
        Path(path).write_text("email\nanother@b.example\n")
        return imported(rows)

    _ = answering(monkeypatch, change)
    assert main(["contacts", "import", path, "--chunk-size", "1"]) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"msgapi: {path} has changed since it was first read (")


def test_a_second_ctrl_c_stops_at_once_and_names_the_lines(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ = answering(monkeypatch, interrupting(monkeypatch, 2))
    found = run(capsys, many(tmp_path, 5), "--chunk-size", "2", status=130)
    assert (found["imported"], found["unknown"], found["not_imported"]) == (0, 2, 3)
    assert found["unknown_lines"] == [2, 3]


CELL = st.sampled_from(["", " ", "a@b.example", "A@b.example", "c@b.example", "+4915112345678", "bad", "x,y"])


@given(st.lists(st.tuples(CELL, CELL), max_size=8), st.integers(1, 9), st.integers(1, 3), st.lists(st.integers(0, 5)))
def test_the_counts_add_up_whatever_the_rows_and_answers_are(
    rows: list[tuple[str, str]], start: int, chunk: int, answers: list[int]
) -> None:
    from msgapi import Call, Forbidden, Invalid, Meta, Ok, Result
    from msgapi.cli.files.rows import InputRow
    from msgapi.contacts import Imported
    from msgapi.results import Detail

    listed = [InputRow(at, at + 1, {"email": email, "phone": phone}) for at, (email, phone) in enumerate(rows, 1)]
    table: Any = SimpleNamespace(rows=lambda: iter(listed), count=len(rows), columns=("email", "phone"), name="x")
    left = list(answers)

    async def api(call: Call[Any], /) -> Result[Any]:
        assert call.body is not None
        number = left.pop() if left else 0
        size = len(orjson.loads(call.body)["contacts"])
        outcomes: list[Result[Any]] = [
            Ok(Imported(imported=size), meta=Meta(status=200)),
            Ok(Imported(imported=0), meta=Meta(status=200)),
            Invalid(details=(Detail("contacts[0].email", "is wrong"),), meta=Meta(status=400)),
            Invalid(code="x", meta=Meta(status=400)),
            Unanswered("no"),
            Forbidden(code="forbidden", meta=Meta(status=403)),
        ]
        return outcomes[number]

    done = ContactImport(table, ImportOptions(columns={}, start_line=start, chunk=chunk), find_columns(table, {}))
    anyio.run(done._send, api)  # without the signals, which need the main thread
    counted = done.imported + done.existing + done.refused + done.duplicates + done.empty + done.before + done.unknown
    assert counted + done.not_imported == len(rows)
    assert done.not_imported == 0 or done.error is not None
    assert len(done.rows) == done.refused
    assert not any("a@b.example" in row.message or "x,y" in row.message for row in done.rows)


@pytest.mark.usefixtures("no_settings")
def test_without_an_api_key_an_import_is_one_line(tmp_path: Path, capsys: Captured) -> None:
    _ = (tmp_path / "people.csv").write_text("email\nann@shop.example\n")
    assert main(["contacts", "import", str(tmp_path / "people.csv")]) == 4
    assert capsys.readouterr().err == "msgapi: no API key: set MSGAPI_API_KEY, or run `msgapi configure`\n"
