import io
import sys

import pytest
from rich.console import Console
from rich.live import Live as RichLive

from msgapi import Pace, VirtualClock
from msgapi.cli.batch import display
from msgapi.cli.batch.counts import Counts


def tally(accepted: int = 0, refused: int = 0, duplicates: int = 0) -> Counts:
    return Counts(10_000, accepted, refused, duplicates)


def test_the_speed_is_measured_over_the_last_seconds() -> None:
    clock = VirtualClock()
    speed = display.SpeedMeter(clock)
    assert speed.measure(0) == 0
    clock.advance(1)
    assert speed.measure(100) == 100
    for at in range(1, 20):
        clock.advance(1)
        found = speed.measure(100 + 10 * at)
    assert found == pytest.approx(10)


def test_a_line_says_the_most_important_first() -> None:
    said = display.progress_parts(tally(accepted=4000, refused=8, duplicates=2), 64, 798.6, 801.0)
    assert said == [
        "4,010/10,000",
        "4,000 accepted",
        "8 refused",
        "799/s",
        "0:08 left",
        "64 in flight",
        "2 duplicate",
        "limit 801/s",
    ]
    assert display.progress_parts(tally(accepted=10_000), 0, 500, None)[-1] == "0 in flight"
    assert "3:05:00 left" in display.progress_parts(Counts(11_101, accepted=1), 1, 1, None)


@pytest.mark.parametrize("width", [10, 30, 80, 120])
def test_a_line_fits_its_terminal_by_leaving_out_the_last(width: int) -> None:
    said = display.progress_parts(tally(accepted=4000, refused=8, duplicates=2), 64, 798.6, 801.0)
    line = display.fit_line(said, 0.4, width)
    assert len(line) <= max(width, 18)
    assert line.startswith(" 40% ")
    assert ("━" in line) == (width > 10)


def test_a_line_without_an_end_in_sight_has_no_bar() -> None:
    assert display.fit_line(["5 accepted", "1 refused"], None, 80) == "5 accepted · 1 refused"
    assert display.fit_line(["5 accepted", "1 refused"], None, 20) == "5 accepted"


def test_without_a_terminal_there_is_a_plain_line_once_something_has_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    with display.open_progress(Pace(50), VirtualClock()) as shown:
        shown.update(tally(), 3)
        assert capsys.readouterr().err == ""
        shown.update(tally(accepted=5), 3)
    assert capsys.readouterr().err == "msgapi: 5/10,000, 5 accepted, 0 refused, 3 in flight, limit 50/s\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with display.open_progress(Pace(), VirtualClock()) as shown:
        shown.update(tally(accepted=5), 3)
        shown.update(tally(accepted=6, refused=1), 3)
        shown.print_line("stopping")
        shown.print_line("\x1b]0;owned\x07\u202e")
    written = terminal.getvalue()
    assert "msgapi: \\u001b]0;owned\\u0007\\u202e\n" in written
    assert "6 accepted" in written
    assert "msgapi: stopping\n" in written
    assert "\x1b[2K" in written


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    console = Console(file=terminal, force_terminal=True, width=80)
    with RichLive(console=console, auto_refresh=False) as live:
        display.BatchProgress(display.LiveDisplay(console, live), Pace(), VirtualClock()).update(tally(accepted=5), 3)
    assert "5 accepted" in terminal.getvalue()
    assert "\x1b[3" not in terminal.getvalue()
