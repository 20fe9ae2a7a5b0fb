"""What is printed: data as it is, whatever is in it and whatever it is printed to."""

import os
import re
import subprocess
import sys
from errno import EBADF, ECONNREFUSED
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from msgapi.cli import app, main, output

Captured = pytest.CaptureFixture[str]
UGLY = "a[/b] :smile: \x1b[2J\x9b1m\x7f\nc"


def test_what_is_in_a_table_is_shown_and_never_carried_out(capsys: Captured) -> None:
    table = output.table_of("id[/x]", "#EUR")
    table.add_row(UGLY, "1", style="green")
    output.emit(table)
    told = capsys.readouterr().out
    assert told.splitlines()[0].split() == ["id[/x]", "EUR"]
    assert r"a[/b] :smile: \u001b[2J\u009b1m\u007f\u000ac" in told


def test_what_is_in_a_line_keeps_to_it(capsys: Captured) -> None:
    output.emit(f"first\n\t{output.line(UGLY)}")
    output.emit("\x1b[31mred")
    output.note(UGLY)
    told = capsys.readouterr()
    assert told.out == "first\n\ta[/b] :smile: \\u001b[2J\\u009b1m\\u007f\\u000ac\n\\u001b[31mred\n"
    assert told.err == "msgapi: a[/b] :smile: \\u001b[2J\\u009b1m\\u007f\\u000ac\n"


def test_json_is_the_same_when_it_is_read(capsys: Captured) -> None:
    import orjson

    output.emit_json({"text": UGLY})
    told = capsys.readouterr().out
    assert orjson.loads(told) == {"text": UGLY}
    assert "\x9b" not in told


BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_controls_of_the_direction_of_text_are_escaped_and_text_of_any_direction_is_not(capsys: Captured) -> None:
    table = output.table_of("id")
    table.add_row(BIDI)
    output.emit(table)
    output.emit(BIDI)
    output.emit_json({"a": BIDI})
    output.note(f"שלום مرحبا {BIDI}")
    told = capsys.readouterr()
    assert not {*told.out, *told.err} & {*BIDI}
    shown = "".join(f"\\u{ord(one):04x}" for one in BIDI)
    assert told.out.count(shown) == 3
    assert told.err == f"msgapi: שלום مرحبا {shown}\n"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a=1", "a=1"),
        ("'=1", "'=1"),
        ("=1+1", "'=1+1"),
        ("+4915112345678", "'+4915112345678"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1+1", "'  =1+1"),
        ("\t=1+1", "'\\u0009=1+1"),
        ("\ufeff=1", "'\ufeff=1"),
        ("\u200b\u00ad-1", "'\u200b\u00ad-1"),
        ("\u200b", "\u200b"),
        ("\r=1+1", "'\\u000d=1+1"),
        ("\n@x", "'\\u000a@x"),
        ("\tx", "\\u0009x"),
        ("\rx", "\\u000dx"),
        ("\u3000＝1", "'\u3000＝1"),  # noqa: RUF001 - full width
        ("a\x1b]0;owned\x07\u202eb", "a\\u001b]0;owned\\u0007\\u202eb"),
    ],
)
def test_a_cell_of_a_csv_file_is_one_line_of_text_and_no_formula(text: str, cell: str) -> None:
    assert output.csv_cell(text) == cell


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_what_the_encoding_of_the_terminal_lacks_is_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    with (tmp_path / "out").open("w", encoding=encoding) as file:
        monkeypatch.setattr(sys, "stdout", file)
        table = output.table_of("id")
        table.add_row("\U0001f600\udcff")
        output.emit("\U0001f600\udcff")
        output.emit(table)
    told = (tmp_path / "out").read_text(encoding=encoding)
    assert told.count("\\U0001f600\\udcff" if encoding != "utf-8" else "\U0001f600\\udcff") == 2
    assert ("\u2500" in told) == (encoding == "utf-8")
    assert "\\u2500" not in told


@pytest.mark.parametrize(
    "arguments",
    [["sandbox", "--list-recipients"], ["sandbox", "--list-recipients", "--json"], ["--help"], ["--version"]],
)
def test_a_device_that_is_full_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, arguments: list[str]
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(arguments) == 74
    told = capsys.readouterr().err
    assert re.fullmatch(r"msgapi: cannot write( standard output)?: No space left on device\n", told)


def test_a_message_that_was_sent_and_cannot_be_printed_does_not_end_as_one_that_was_not(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    message = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--to", "+4915112345678", "--text", "Hello"]
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["send", *message, "--sandbox"]) == 74
    assert "cannot write standard output" in capsys.readouterr().err


def test_an_error_of_the_system_that_is_a_bug_is_reported_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(ECONNREFUSED, "no")

    monkeypatch.setattr(app.program, "main", fail)
    assert main([]) == 70
    assert "please report this line: ConnectionRefusedError at msgapi/cli/app.py:" in capsys.readouterr().err


def test_a_pipe_that_is_closed_is_told_to_whoever_must_know() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        before, sys.stdout = sys.stdout, gone
        try:
            with pytest.raises(output.OutputClosed):
                output.write("x")
        finally:
            sys.stdout = before


def test_a_table_on_a_terminal_has_colors(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    table = output.table_of("id")
    table.add_row("x", style="green")
    output.emit(table)
    assert "\x1b[32mx" in capsys.readouterr().out


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_from_the_start_is_no_crash(closed: str) -> None:
    line = f'exec "$0" -m msgapi.cli webhooks list --sandbox {closed}'
    done = subprocess.run(["/bin/sh", "-c", line, sys.executable], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "no endpoints\n")


def test_only_a_stream_that_is_closed_is_led_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def status(number: int) -> None:
        if number == 1:
            raise OSError(EBADF, "closed")

    monkeypatch.setattr(output, "os", SimpleNamespace(**{**vars(os), "fstat": status}))
    kept, stdin = sys.stdout, sys.stdin
    monkeypatch.setattr(sys, "stdout", kept)  # so that it comes back
    output.open_missing_streams()
    assert sys.stdin is stdin
    assert sys.stdout is not kept
    with sys.stdout as nowhere:
        assert nowhere.write("x") == 1


@pytest.mark.parametrize("gone", [False, True])
def test_a_standard_error_that_takes_nothing_is_no_reason_to_end_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, gone: bool
) -> None:
    path = tmp_path / "people.csv"
    _ = path.write_text("to,text\n+4915112345678,Hi\n")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed, Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stderr", closed if gone else full)
        assert main(["batch", str(path), "--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--sandbox"]) == 0
        assert main(["messages", "get", ""]) == 2
    assert "1 of 1 row accepted" in capsys.readouterr().out


@pytest.mark.parametrize(("width", "expected"), [(40, True), (60, False)])
def test_a_table_on_a_narrow_terminal_has_its_last_column_below_the_others(
    monkeypatch: pytest.MonkeyPatch, width: int, *, expected: bool
) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    for name, value in {"COLUMNS": f"{width}", "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    table = output.table_of("outcome", "#rows", "code", "what to do")
    table.add_row("Accepted", "293", "", "Nothing: queued for delivery.")
    table.add_row("Forbidden", "7", "forbid\x1bden", "Check that the agent is approved and the key allowed to send.")
    output.emit(table)
    lines = [
        "Accepted  293",
        "  Nothing: queued for delivery.",
        "Forbidden  7  forbid\\u001bden",
        "  Check that the agent is approved and",
        "  the key allowed to send.",
    ]
    assert (screen.getvalue().splitlines() == lines) is expected
    shown = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert max(map(len, shown.splitlines())) <= width


class Screen(StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


PROSE = "line 3: to has no country code: write it with + and the country code, or `msgapi batch --resume a b`, as it is"


def test_a_terminal_breaks_prose_between_words_and_not_in_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = Screen(), Screen()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((28, 20)))
    output.note(PROSE)
    output.emit_prose(f"short\n  {PROSE}\n  {'x' * 40} y")
    assert err.getvalue().splitlines() == [
        "msgapi: line 3: to has no",
        "  country code: write it",
        "  with + and the country",
        "  code, or",
        "  `msgapi batch --resume a b`,",
        "  as it is",
    ]
    assert out.getvalue().splitlines() == [
        "short",
        "  line 3: to has no country",
        "    code: write it with +",
        "    and the country code, or",
        "    `msgapi batch --resume a b`,",
        "    as it is",
        f"  {'x' * 40}",
        "    y",
    ]


@pytest.mark.parametrize("stream", [StringIO, Screen])
@pytest.mark.parametrize("width", [0, len(PROSE) + 8])
def test_prose_is_one_line_in_a_file_and_on_a_wide_terminal(
    monkeypatch: pytest.MonkeyPatch, stream: type[StringIO], width: int
) -> None:
    err = stream()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((width, 20)))
    output.note(PROSE)
    assert err.getvalue() == f"msgapi: {PROSE}\n"


def test_prose_is_one_line_on_a_terminal_that_has_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> os.terminal_size:
        raise OSError

    err = Screen()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(os, "get_terminal_size", fail)
    output.note(PROSE)
    assert err.getvalue() == f"msgapi: {PROSE}\n"


def test_no_character_of_a_text_is_lost_when_it_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Screen()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((5, 20)))
    text = "it`s a `com mand` and ` an open `quote` `"
    output.emit_prose(text)
    assert "".join(out.getvalue().split()) == "".join(text.split())
