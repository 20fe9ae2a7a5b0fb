"""The progress of a batch: the line on a terminal of any width, and the plain lines without one."""

import io
import re
import sys

import pytest

from msgapi import Pace, VirtualClock
from msgapi.cli.batch import progress
from msgapi.cli.batch.counts import Counts
from msgapi.cli.batch.progress import BatchProgress, PlainDisplay
from msgapi.cli.batch.runner import STOPPING, Waiting, duration

Captured = pytest.CaptureFixture[str]
OUTAGE = Waiting("outage", ("retry in 8 s", "stops in 13:37", "for 1:23"))
RATE_LIMIT = Waiting("rate limit", ("wait 12 s",), 12.0)
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def tally(accepted: int = 0, refused: int = 0, duplicates: int = 0) -> Counts:
    return Counts(10_000, accepted, refused, duplicates)


def test_the_speed_is_measured_over_the_last_seconds() -> None:
    clock = VirtualClock()
    speed = progress.SpeedMeter(clock)
    assert speed.measure(0) == 0
    clock.advance(1)
    assert speed.measure(100) == 100
    for at in range(1, 20):
        clock.advance(1)
        found = speed.measure(100 + 10 * at)
    assert found == pytest.approx(10)


def test_the_line_shows_the_most_important_parts_first() -> None:
    counts = tally(accepted=4000, refused=8, duplicates=2)
    counts.unknown = counts.not_carried_out = 1
    assert progress.progress_parts(counts, 64, 798.6) == [
        "4,010/10,000",
        "8 refused",
        "1 unknown",
        "1 not sent yet",
        "8 s left",
        "799/s",
        "4,000 accepted",
        "64 in flight",
        "2 duplicate",
    ]
    assert progress.progress_parts(tally(accepted=10_000), 0, 500) == [
        "10,000/10,000",
        "10,000 accepted",
        "0 in flight",
    ]
    assert "3:05:00 left" in progress.progress_parts(Counts(11_101, accepted=1), 1, 1)


def test_what_is_waited_for_comes_first_and_no_rate_is_shown() -> None:
    assert progress.progress_parts(tally(accepted=4000), 64, 798.6, OUTAGE) == [
        "outage",
        "retry in 8 s",
        "4,000/10,000",
        "stops in 13:37",
        "for 1:23",
        "4,000 accepted",
        "64 waiting",
    ]
    stopping = Waiting(STOPPING, ("disk full", "3 in flight"))
    assert progress.progress_parts(tally(), 3, 0, stopping) == [
        "stopping",
        "disk full",
        "0/10,000",
        "3 in flight",
        "0 accepted",
    ]
    assert progress.progress_parts(tally(), 0, 0, Waiting("waiting for top-up"))[-1] == "0 accepted"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (7.2, "8 s"), (59.5, "1:00"), (83, "1:23"), (3599.5, "1:00:00")]
)
def test_durations_are_rounded_up(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_last_parts_are_left_out_of_a_narrow_line() -> None:
    assert progress.fit_line(["5 accepted", "1 refused"], 80) == "5 accepted · 1 refused"
    assert progress.fit_line(["5 accepted", "1 refused"], 20) == "5 accepted"
    assert progress.fit_line(["5 accepted", "1 refused"], 5) == "5 accepted"


def test_without_a_terminal_a_plain_line_is_printed_every_few_seconds(capsys: Captured) -> None:
    clock = VirtualClock()
    with progress.open_progress(Pace(50), clock) as shown:
        assert shown.interval == PlainDisplay.poll
        for _ in range(11):
            shown.update(tally(), 3)
            clock.advance(0.5)
        assert capsys.readouterr().err == ""  # nothing has ended yet
        shown.update(tally(accepted=4), 3)
        assert capsys.readouterr().err == "msgapi: 4/10,000, 4 accepted, 3 in flight, limit 50/s\n"
        clock.advance(4.5)
        shown.update(tally(accepted=10), 3)
        assert capsys.readouterr().err == ""
        clock.advance(0.5)
        shown.update(tally(accepted=20), 3)
        assert capsys.readouterr().err.startswith("msgapi: 20/10,000, 51:59 left, 3/s, 20 accepted, ")
        shown.finish(tally(accepted=21), "stopped")
    assert capsys.readouterr().err == "msgapi: stopped after 11 s, 21/10,000, 21 accepted\n"


def test_without_a_terminal_each_change_of_what_is_waited_for_is_a_line(capsys: Captured) -> None:
    clock = VirtualClock()
    shown = BatchProgress(PlainDisplay(), Pace(), clock)
    shown.update(tally(), 3, OUTAGE)
    assert capsys.readouterr().err == (
        "msgapi: outage, retry in 8 s, 0/10,000, stops in 13:37, for 1:23, 0 accepted, 3 waiting\n"
    )
    shown.update(tally(), 3, Waiting("outage", ("retry in 7 s",)))
    assert capsys.readouterr().err == ""
    shown.update(tally(), 3, RATE_LIMIT)
    assert capsys.readouterr().err.startswith("msgapi: rate limit, wait 12 s, 0/10,000")
    shown.update(tally(), 3)
    assert capsys.readouterr().err == "msgapi: 0/10,000, 0 accepted, 3 in flight\n"
    shown.update(tally(), 3, Waiting("rate limit", ("wait 2 s",), 2.0))
    assert capsys.readouterr().err == ""  # a short wait for the rate limit is nothing to report in a log
    clock.advance(5)
    shown.update(tally(), 3, OUTAGE)
    assert capsys.readouterr().err.count("\n") == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch, width: int, **environment: str) -> Terminal:
    for name, value in {"TERM": "xterm", "COLUMNS": f"{width}", **environment}.items():
        monkeypatch.setenv(name, value)
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    return made


def test_on_a_terminal_one_line_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, 100)
    with progress.open_progress(Pace(), VirtualClock()) as shown:
        shown.update(tally(accepted=5), 3)
        shown.update(tally(accepted=6, refused=1), 3)
        shown.print_line("stopping")
        shown.print_line("\x1b]0;owned\x07\u202e")
    written = screen.getvalue()
    assert "msgapi: \\u001b]0;owned\\u0007\\u202e\n" in written
    assert "6 accepted" in written
    assert "msgapi: stopping\n" in written
    assert "\x1b[2K" in written


@pytest.mark.parametrize("waiting", [None, OUTAGE, RATE_LIMIT, Waiting("waiting for top-up", ("123.45 EUR missing",))])
@pytest.mark.parametrize("width", [10, 40, 80, 130])
def test_the_line_never_wraps_and_the_wait_is_there_at_40_columns(
    monkeypatch: pytest.MonkeyPatch, width: int, waiting: Waiting | None
) -> None:
    screen = terminal(monkeypatch, width)
    clock = VirtualClock()
    with progress.open_progress(Pace(50), clock) as shown:
        shown.update(tally(), 3, waiting)
        clock.advance(1)
        shown.update(tally(accepted=4000, refused=8, duplicates=2), 64, waiting)
    lines = [line.rstrip("\r") for line in CONTROL.sub("", screen.getvalue()).replace("\r", "\n").splitlines()]
    last = [line for line in lines if line][-1]
    assert all(len(line) < width for line in lines)
    assert ("━" in last) == ("40%" in last) == (width >= 80)
    if width >= 40:
        expected = ["8 refused"] if waiting is None else [waiting.reason, *waiting.parts[:1]]
        expected += ["4,010/10,000"] if len("".join(expected)) < 30 else []
        assert all(part in last for part in expected)


def test_a_terminal_without_unicode_gets_plain_separators(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ascii(Terminal):
        encoding = "ascii"

    _ = terminal(monkeypatch, 80)
    screen = Ascii()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.open_progress(Pace(), VirtualClock()) as shown:
        shown.update(tally(accepted=5), 3)
    assert "5/10,000, 5 accepted, 3 in flight" in screen.getvalue()
    assert screen.getvalue().isascii()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, 130, NO_COLOR="1")
    with progress.open_progress(Pace(), VirtualClock()) as shown:
        shown.update(tally(accepted=5), 3)
        shown.update(tally(accepted=6, refused=1), 3, OUTAGE)
    assert "5 accepted" in screen.getvalue()
    assert "\x1b[3" not in screen.getvalue()
    assert "\x1b[9" not in screen.getvalue()


def test_a_terminal_without_cursor_control_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch, 80, TERM="dumb")
    with progress.open_progress(Pace(), VirtualClock()) as shown:
        shown.update(tally(), 3, OUTAGE)
        shown.finish(tally(accepted=10_000), "done")
    assert "\x1b" not in screen.getvalue()
    assert screen.getvalue().splitlines() == [
        "msgapi: outage, retry in 8 s, 0/10,000, stops in 13:37, for 1:23, 0 accepted, 3 waiting",
        "msgapi: done in 0 s, 10,000/10,000, 10,000 accepted",
    ]
