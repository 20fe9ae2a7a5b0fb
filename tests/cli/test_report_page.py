"""The page of --html: its figures, its charts, its markup, and the file that it is written to."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta, timezone
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import pytest
from attrs import evolve

from msgapi import Forbidden, Meta, journal
from msgapi.cli import main
from msgapi.cli.batch import summary
from msgapi.cli.batch.counts import Counts
from msgapi.cli.batch.report_charts import (
    TimeAxis,
    duration_chart,
    most_bars,
    nice_top,
    spend_chart,
    throughput_chart,
)
from msgapi.cli.batch.report_figures import (
    OutcomeGroup,
    ReportFigures,
    intervals,
    percentile,
    read_figures,
    shown_id,
)
from msgapi.cli.batch.report_markup import Html, LocalTime, element, percentage, span, with_code
from msgapi.cli.batch.report_page import batch_name, render_page
from msgapi.cli.output import RowOutcome
from msgapi.fleet.chunk import ChunkRecord, ChunkTiming, RowRecord
from msgapi.journal import JournalReader
from msgapi.journal.resumption import request_digest
from msgapi.journal.timeline import Bucket, NotableRow, RunHistory
from msgapi.sandbox import MAGIC_RECIPIENTS
from tests.cli.test_journal import RCS, poor, reached
from tests.support.cli_files import mode, people
from tests.support.cli_fleets import enqueue, placed
from tests.support.journals import Service, edited, opened, rows, sent

PHONES = {magic.fault: magic.phone for magic in MAGIC_RECIPIENTS}
UTC_TIMES = LocalTime(zone=UTC)
BEGAN = 1_796_062_500.0
EVIL = "<script>alert(1)</script>\u202e"
Captured = pytest.CaptureFixture[str]


class Page(HTMLParser):
    """The elements of a page; each tag must be closed where it was opened."""

    VOID = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @property
    def shown(self) -> str:
        return " ".join(" ".join(self.text).split())

    def values(self, name: str) -> list[str]:
        return [value or "" for _, one, value in self.attributes if one == name]


def check(text: str) -> Page:
    """Check what holds for every page, and return it."""
    page = Page(text)
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & page.tags.keys()
    names = {name for _, name, _ in page.attributes}
    assert not {"href", "src", "style", "action", "xlink:href"} & names
    assert not any(name.startswith("on") for name in names)
    assert not re.search(r"url\((?!#)|@import|https?:", text)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    assert ("meta", "content", policy) in page.attributes
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {one for value in page.values("aria-labelledby") for one in value.split()} <= set(ids)
    assert page.tags["table"] == page.tags["caption"]
    charts = [one for one in page.attributes if one == ("svg", "role", "img")]
    assert len(charts) == page.tags["desc"]
    assert (page.tags["h1"], page.tags["main"], page.tags["title"] > 0) == (1, 1, True)
    assert ("html", "lang", "en") in page.attributes
    assert not re.search(r'"-?(nan|inf)', text)
    return page


def run_of(number: int = 1, began: float = BEGAN, seconds: float = 60.0, **more: Any) -> RunHistory:  # noqa: ANN401 - the fields
    given: dict[str, Any] = {
        "ended_by": "done",
        "buckets": tuple(Bucket(number=at, accepted=5, spend=Decimal("0.35")) for at in range(int(seconds * 4))),
        "answers": (0, 0, 5, 10, 0, 1),
    }
    return RunHistory(number=number, began=began, ended=began + seconds, width=0.25, **(given | more))


def figures_of(*runs: RunHistory, **more: Any) -> ReportFigures:  # noqa: ANN401 - the fields
    counts = Counts(10, accepted=10)
    given: dict[str, Any] = {
        "journal": "x.csv.journal",
        "command": "msgapi batch report x.csv.journal",
        "counts": counts,
        "groups": (OutcomeGroup(outcome=RowOutcome.ACCEPTED, rows=10),),
        "parts": {},
        "runs": runs,
        "numbers": len(runs),
    }
    return ReportFigures(**(given | more))


def rendered(figures: ReportFigures) -> str:
    return render_page(figures, "x.csv", BEGAN, UTC_TIMES)


# Markup


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    inner = element("b", "<&>", title='"x"')
    assert element("p", inner, "<i>", class_="a", aria_label=None) == (
        '<p class="a"><b title="&quot;x&quot;">&lt;&amp;&gt;</b>&lt;i&gt;</p>'
    )
    assert isinstance(inner, Html)
    assert element("p", "a\u202eb\x00\n") == "<p>a\\u202eb\\u0000\\u000a</p>"
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_commands_between_backticks_are_code() -> None:
    assert with_code("run `a <b>` now") == 'run <code class="command">a &lt;b&gt;</code> now'


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0841, "84 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (8.24, "8.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (72, "1 min 12 s"),
        (3600, "1 h"),
        (11_100, "3 h 5 min"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("part", "text"), [(0, "0 %"), (1, "< 0.1 %"), (50, "0.5 %"), (9999, "> 99.9 %"), (10_000, "100 %")]
)
def test_a_share_is_0_or_100_only_if_it_is(part: int, text: str) -> None:
    assert percentage(part, 10_000) == text


def test_times_have_a_zone_and_any_number_is_a_time() -> None:
    assert UTC_TIMES.moment(BEGAN) == "30 Nov 2026, 18:15:00 UTC"
    assert LocalTime(zone=timezone(timedelta(hours=2))).moment(BEGAN) == "30 Nov 2026, 20:15:00 UTC+02:00"
    assert UTC_TIMES.moment(1e30).startswith("1 Jan 9999")
    assert UTC_TIMES.moment(-1e30).startswith("1 Jan 1970")
    assert LocalTime().moment(BEGAN).endswith(LocalTime().at(BEGAN).tzname() or "")


# Figures


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ("order-12", "order-12"),
        ("+4915112345678", "***"),
        ("ann@example.com", "***"),
        (f"{'3f' * 16}#2", ""),
        ("row 7", ""),
        (f"{'3g' * 16}#2", f"{'3g' * 16}#2"),
        ("a#2", "a#2"),
    ],
)
def test_an_id_is_masked_and_a_hash_is_not_shown(row: str, shown: str) -> None:
    assert shown_id(row) == shown


def test_a_percentile_is_the_bound_of_its_slot() -> None:
    assert percentile((0, 0, 5, 5, 0), 0.5) == 0.002
    assert percentile((0, 0, 5, 5, 0), 0.95) == pytest.approx(0.0028, abs=1e-4)
    assert percentile((0, 0), 0.5) is None
    assert percentile((), 0.5) is None


def test_intervals_cover_the_run_and_lose_nothing() -> None:
    run = run_of(seconds=10.1, buckets=tuple(Bucket(number=at, accepted=at, unknown=1) for at in (0, 1, 7, 40)))
    found = intervals(run, 5)
    assert [round(one.seconds, 3) for one in found] == [2.25, 2.25, 2.25, 2.25, 1.1]
    assert [one.total.accepted for one in found] == [8, 0, 0, 0, 40]
    assert found[-1].end == run.ended
    assert found[0].per_second(9) == 4
    (empty,) = intervals(run_of(seconds=0.0, buckets=()), 5)
    assert (empty.seconds, empty.per_second(3)) == (0.0, 0.0)


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> str:
    """The path of the journal of a batch that was stopped because of its balance, and then sent to its end."""
    more = f"51,bad,Ann\n52,+4915100000001,Ann\n53,{PHONES['404']},Ann\n54,{PHONES['404']},Bo\n"
    path, box = people(tmp_path, 50, more=more), poor(30)
    command = ["batch", path, *RCS, "--concurrency", "4", "--id-column", "id"]
    assert main(reached(monkeypatch, box) and command) == 3
    box.top_up(Decimal(10))
    assert main(command) == 1
    _ = capsys.readouterr()
    return f"{path}.journal"


def read(path: str) -> ReportFigures:
    with journal.open_readonly(path) as record:
        return read_figures(record, path)


def test_the_figures_are_the_outcomes_the_runs_and_the_lines(batch: str) -> None:
    figures = read(batch)
    assert [(one.outcome.value, one.kind, one.rows) for one in figures.groups] == [
        ("accepted", "", 50),
        ("refused", "NotFound", 2),
        ("invalid", "Invalid", 1),
        ("duplicate", "Duplicate", 1),
    ]
    assert [[row.line for row in one.first] for one in figures.groups] == [[], [54, 55], [52], [53]]
    assert figures.groups[1].reason == "The recipient's device cannot receive RCS."
    assert "Use another channel" in figures.groups[1].advice
    assert figures.parts[RowOutcome.SENT_EARLIER] == 30
    assert [(run.number, run.ended_by) for run in figures.runs] == [(1, "balance"), (2, "done")]
    assert figures.accepted_over_time == 50
    assert sum(figures.answers) == 50 + 2 + 4  # four rows were in flight when the balance was used up
    assert figures.rate is not None
    assert figures.missing == ()
    assert len(figures.slowest) == 10
    assert all(one.line == (one.number or 0) + 1 for one in figures.slowest)
    assert figures.rows_of(RowOutcome.REFUSED, RowOutcome.INVALID) == 3


def test_the_page_shows_outcomes_runs_and_what_to_do(batch: str, tmp_path: Path, capsys: Captured) -> None:
    target = tmp_path / "report.html"
    assert main(["batch", "report", batch, "--html", str(target)]) == 1
    told = capsys.readouterr()
    assert "50 of 54 rows accepted, 3.50 EUR" in told.out
    assert f"the report is in {target}" in told.err
    assert mode(str(target)) == 0o600
    page = check(target.read_text())
    for text in (
        "Finished. 50 of 54 rows accepted; 3 rows were refused or invalid.",
        "Cost of the accepted rows: 3.50 EUR.",
        "Sent by 2 runs,",
        "Refused: NotFound",
        "54, 55",
        "stopped: the balance was used up",
        "sent to the end of the file",
        "This report has no recipients and no content.",
        f"msgapi batch report {batch} --export csv --only refused",
        "people.csv",
    ):
        assert text in page.shown, text
    assert "+49151" not in page.shown
    assert page.tags["figure"] == 4


def test_a_file_is_replaced_only_on_request_and_the_journal_never(batch: str, tmp_path: Path, capsys: Captured) -> None:
    target = tmp_path / "report.html"
    _ = target.write_text("mine")
    report = ["batch", "report", batch, "--html"]
    assert main([*report, str(target)]) == 2
    assert "exists and is not empty: move it away, or use --overwrite" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert main([*report, str(target), "--overwrite"]) == 1
    _ = check(target.read_text())
    assert main([*report, batch, "--overwrite"]) == 2
    assert "is the journal: it would be overwritten" in capsys.readouterr().err
    assert main([*report, str(tmp_path / "none" / "x.html")]) == 2
    assert "cannot write" in capsys.readouterr().err
    (tmp_path / "empty.html").touch()
    assert main([*report, str(tmp_path / "empty.html")]) == 1


def test_standard_output_gets_the_page_alone(batch: str, capsys: Captured) -> None:
    assert main(["batch", "report", batch, "--html", "-"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("<!DOCTYPE html>")
    assert told.out.endswith("</html>\n")
    _ = check(told.out)


def test_json_and_a_page_can_be_had_at_once(batch: str, tmp_path: Path, capsys: Captured) -> None:
    assert main(["batch", "report", batch, "--json", "--html", str(tmp_path / "x.html")]) == 1
    facts = orjson.loads(capsys.readouterr().out)
    assert (facts["accepted"], facts["in_use"]) == (50, False)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--overwrite"], "--overwrite needs --html FILE"),
        (["--html", "x", "--export", "csv"], "--html and --export cannot be used together"),
        (["--html", "-", "--json"], "--html - and --json both write to standard output"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(options: list[str], told: str, capsys: Captured) -> None:
    assert main(["batch", "report", "none.journal", *options]) == 2
    assert told in capsys.readouterr().err


def test_a_journal_of_an_earlier_version_is_shown_without_charts(batch: str) -> None:
    with edited(batch) as connection:
        for table in ("runs", "buckets", "notable"):
            _ = connection.execute(f"DROP TABLE {table}")
    figures = read(batch)
    assert (figures.runs, figures.rate, figures.waits, figures.answers) == ((), None, (0, 0, 0, 0), ())
    assert [one.id for one in figures.groups[1].first] == ["53", "54"]
    page = check(rendered(figures))
    assert "This journal has no figures over time" in page.shown
    assert "Sent by" not in page.shown
    assert page.tags["figure"] == 1


def test_runs_of_an_earlier_version_are_missing_by_number(batch: str) -> None:
    with edited(batch) as connection:
        _ = connection.execute("UPDATE about SET value = '3' WHERE name = 'run'")
    assert "1 earlier run has no figures over time in this journal." in read(batch).missing
    with edited(batch) as connection:
        _ = connection.execute("UPDATE about SET value = '5' WHERE name = 'run'")
    assert "3 earlier runs have no figures over time in this journal." in read(batch).missing


def test_an_unfinished_batch_says_how_many_rows_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    path = people(tmp_path, 50)
    assert main(reached(monkeypatch, poor(30)) and ["batch", path, *RCS, "--concurrency", "1"]) == 3
    assert main(["batch", "report", f"{path}.journal", "--html", "-"]) == 3
    page = check(capsys.readouterr().out.partition("<!DOCTYPE")[2])
    assert "Not finished. 30 of 50 rows accepted; 20 rows are not sent yet or unknown." in page.shown
    assert f"msgapi batch --resume {path}.journal" in page.shown
    assert "Not sent yet: InsufficientBalance" in page.shown


def test_text_of_the_service_and_of_the_file_does_nothing(batch: str) -> None:
    with edited(batch) as connection:
        _ = connection.execute("UPDATE rows SET code = ?, message = ? WHERE kind = 'NotFound'", (EVIL, EVIL))
        _ = connection.execute("UPDATE notable SET code = ? WHERE kind = 'NotFound'", (EVIL,))
        _ = connection.execute("UPDATE rows SET id = ? WHERE id = '53'", (EVIL,))
        _ = connection.execute("UPDATE notable SET id = ?, line = NULL WHERE id = '53'", (EVIL,))
        _ = connection.execute("UPDATE runs SET ended_by = ?", (EVIL,))
    text = render_page(read(batch), EVIL, BEGAN, UTC_TIMES)
    page = check(text)
    assert "\u202e" not in text
    assert "<script" not in text
    assert page.shown.count("<script>alert(1)</script>\\u202e") >= 5


def test_an_unknown_outcome_is_that_of_a_run_before_unless_it_was_settled(batch: str) -> None:
    with edited(batch) as connection:
        _ = connection.execute("UPDATE rows SET state = 4, kind = 'Unanswered', code = 'timeout' WHERE id = '1'")
        _ = connection.execute("UPDATE rows SET state = 0, kind = NULL, price = NULL WHERE id = '2'")
        _ = connection.execute("UPDATE rows SET in_file = 0 WHERE id = '3'")
        _ = connection.execute("UPDATE rows SET state = 6, kind = 'Invalid', code = 'row_changed' WHERE id = '4'")
        _ = connection.execute("UPDATE rows SET state = 1, kind = 'Unreadable', code = 'unreadable' WHERE id = '5'")
        _ = connection.execute("UPDATE rows SET state = 3, kind = NULL WHERE id = '6'")
    figures = read(batch)
    assert {(one.outcome.value, one.kind): one.rows for one in figures.groups} == {
        ("accepted", ""): 44,
        ("refused", "NotFound"): 2,
        ("invalid", "Invalid"): 1,
        ("duplicate", "Duplicate"): 1,
        ("changed", "Changed"): 1,
        ("unknown", "Unanswered"): 1,
        ("unknown", "Unreadable"): 1,
        ("unknown", ""): 1,
        ("not_sent_yet", ""): 2,
    }
    assert figures.parts[RowOutcome.NOT_IN_THE_FILE] == 1
    page = check(rendered(figures))
    assert "Rows that differ from rows that were sent were left out" in page.shown
    assert "rows of earlier runs that the file does not have any more" in page.shown


@pytest.mark.anyio
async def test_a_journal_of_a_program_has_ids_in_place_of_lines(tmp_path: Path) -> None:
    refusal = Forbidden(code="forbidden", meta=Meta(status=403, attempts=1, elapsed=1.0))
    async with opened(tmp_path) as record:
        _ = await sent(Service({2: refusal}), rows(5), record, concurrency=1)
    figures = read(str(tmp_path / "run.db"))
    assert [one for one in figures.missing if "not written by `msgapi batch`" in one] == [
        (
            "The journal was not written by `msgapi batch`: the number of rows of the input is not known, and the "
            "lines of its rows are not recorded."
        )
    ]
    page = check(rendered(figures))
    assert "not recorded" in page.shown
    with journal.open_readonly(str(tmp_path / "run.db")) as reader:
        assert batch_name(reader.about) == "b1"


@pytest.mark.parametrize(("path", "name"), [("/a/people.csv", "people.csv"), ("-", "standard input")])
def test_a_batch_is_named_by_its_file(batch: str, path: str, name: str) -> None:
    with journal.open_readonly(batch) as record:
        about = dict(record.about)
    command = orjson.loads(about["command"]) | {"path": path}
    assert batch_name(about | {"command": orjson.dumps(command).decode()}) == name


def test_a_batch_that_is_being_sent_says_so(batch: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    with edited(batch) as connection:
        _ = connection.execute("UPDATE runs SET ended_by = NULL")
        _ = connection.execute("UPDATE rows SET state = 0, kind = NULL WHERE id = '9'")

    @contextmanager
    def in_use(path: str, *, in_use: str) -> Iterator[JournalReader]:
        assert in_use == "copy"
        with journal.open_readonly(path) as record:
            yield evolve(record, is_in_use=True)

    monkeypatch.setattr(summary, "reading", in_use)
    assert main(["batch", "report", batch]) == 3
    told = capsys.readouterr()
    assert "another program is sending this batch: the report has what is recorded so far" in told.err
    assert "not finished, 1 row is left: another program is sending them" in told.err
    assert main(["batch", "report", batch, "--html", "-"]) == 3
    told = capsys.readouterr()
    page = check(told.out)
    assert "Sending. 49 of 54 rows accepted so far" in page.shown
    assert "Sent, and without an answer so far." in page.shown
    assert "Unknown 1 no answer so far Not sent yet 0 none" in page.shown
    assert "make the report again to see more" in page.shown
    assert "still sending" in page.shown
    assert "cut off: killed, or the machine went down" in page.shown


def test_a_journal_without_its_newest_rows_says_so(batch: str) -> None:
    page = check(rendered(evolve(read(batch), is_incomplete=True)))
    assert "The -wal file of the journal is missing" in page.shown


def test_the_report_of_a_fleet_has_what_its_workers_have_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    there = placed(monkeypatch)
    assert main(enqueue(people(tmp_path, 120))) == 0
    for chunk in there.queued():
        timing = ChunkTiming(attempt=1, began=BEGAN, ended=BEGAN + 9, accepted=len(chunk.rows), spend=Decimal("0.07"))
        found = RowRecord(id="", request_hash="", state=1, kind="Accepted", status=202, price="0.07", hold="0.07")
        rows_ = tuple(evolve(found, id=row.id, request_hash=request_digest(*row.call.legs).hex()) for row in chunk.rows)
        record = ChunkRecord(id=chunk.id, stage="done", rows=rows_, timings=(timing,))
        there.records._documents[chunk.batch, chunk.id] = (record.dump(), 1)
    _ = capsys.readouterr()
    target = tmp_path / "may.html"
    assert main(["fleet", "report", "--batch", "may", "--html", str(target)]) == 0
    page = check(target.read_text())
    for text in ("Finished. 120 of 120 rows accepted.", "Sent by a fleet", "sent by workers", "people.csv"):
        assert text in page.shown, text
    assert "The workers of a fleet record neither what they wait for nor the lines" in page.shown
    assert "msgapi fleet report --batch may" in page.shown
    assert "Nothing: each row is settled." in page.shown


# Charts


def test_the_axis_shows_gaps_and_gives_each_run_a_part() -> None:
    axis = TimeAxis.of([run_of(1), run_of(2, BEGAN + 86_460.0), run_of(3, BEGAN + 86_521.0, 0.0, buckets=())])
    first, second, third = axis.segments
    assert first.left == 0
    assert second.left > first.left + first.width + 1
    assert third.width > 1
    assert third.place(BEGAN) == third.left
    assert third.left + third.width == pytest.approx(100)
    assert first.place(BEGAN + 30) == pytest.approx(first.width / 2)


def test_a_chart_of_several_runs_names_them_and_the_days_between_them() -> None:
    figures = figures_of(run_of(1), run_of(2, BEGAN + 3 * 86_400), groups=())
    text = throughput_chart(figures, UTC_TIMES)
    assert ">run 1</text>" in text
    assert ">run 2</text>" in text
    assert "<title>Nothing was sent for 2 d 23 h</title>" in text
    assert ">30 Nov 18:15</text>" in text
    assert ">3 Dec 18:16</text>" in text
    far = throughput_chart(figures_of(run_of(0), run_of(2, BEGAN + 300 * 86_400)), UTC_TIMES)
    assert ">fleet</text>" in far
    assert ">26 Sep</text>" in far


def test_many_runs_are_drawn_as_the_last_twenty() -> None:
    figures = figures_of(*(run_of(at, BEGAN + at * 100) for at in range(1, 41)))
    page = check(rendered(figures))
    assert "Only the last 20 runs are drawn." in page.shown
    assert "20 runs drawn" in page.shown
    assert spend_chart(figures, UTC_TIMES).count('class="gap"') == 19
    assert len(rendered(figures)) < 400_000


def test_waits_have_a_lane_each_and_are_in_the_advice() -> None:
    waits = {1: (0.25, 0.0, 0.0, 0.0), 2: (0.25, 0.0, 0.0, 0.0), 9: (0.0, 0.25, 0.0, 0.0), 12: (0.1, 0.0, 0.2, 0.2)}
    buckets = tuple(Bucket(number=at, accepted=1, waits=waits.get(at, (0.0,) * 4)) for at in range(14))
    page = check(rendered(figures_of(run_of(seconds=3.5, buckets=buckets, answers=()))))
    for text in (
        "waited for the rate limit: 600 ms",
        "waited during an outage: 250 ms",
        "waited for a top-up of the balance: 200 ms",
        "waited for the disk: 200 ms",
        "The service was down or out of reach for 250 ms",
        "Rows waited for a top-up for 200 ms: with --price",
        "The disk of the journal was slow for 200 ms",
    ):
        assert text in page.shown, text
    assert "set the pace" not in page.shown
    limited = tuple(Bucket(number=at, accepted=1, waits=(0.2, 0.0, 0.0, 0.0)) for at in range(14))
    assert (
        "in 80.0 % of the time, so it set the pace"
        in check(rendered(figures_of(run_of(seconds=3.5, buckets=limited)))).shown
    )


def test_results_of_every_kind_are_in_the_legend_and_the_bars() -> None:
    buckets = (Bucket(number=0, accepted=1, refused=2, invalid=3, unknown=4, not_sent=5), Bucket(number=5))
    text = rendered(figures_of(run_of(seconds=2.0, buckets=buckets)))
    page = check(text)
    assert "refused or invalid unknown not sent" in page.shown
    assert "1 accepted, 2 refused, 3 invalid, 4 unknown, 5 not sent" in page.shown
    for class_ in ("accepted", "refused", "unknown", "notsent"):
        assert f'class="bar {class_}"' in text


def test_a_run_in_which_nothing_ended_has_charts_too() -> None:
    page = check(rendered(figures_of(run_of(seconds=0.0, buckets=(), answers=()))))
    assert "accepted; at best" not in page.shown  # the rate is not known
    assert "Rows waited for nothing that is recorded" in page.shown


def test_a_batch_without_rows_has_no_table_of_outcomes() -> None:
    figures = figures_of(groups=(), counts=Counts(0))
    page = check(rendered(figures))
    assert "There are no rows." in page.shown


def test_the_duration_chart_shows_the_used_slots() -> None:
    text = duration_chart((5, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1))
    assert ">0 s</text>" in text
    assert "<title>5 rows in 0 s to 1 ms</title>" in text
    assert "<title>9 rows in 3 ms to 4 ms</title>" in text
    assert "Half of the rows took at most about 4 ms" in text
    assert duration_chart((1,) * 13).count('text-anchor="start"') == 4  # the fifth has no room


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (1.2, 1.5), (7, 8), (9.7, 10), (97, 100), (251, 300), (0.034, 0.04), (1e6, 1e6)]
)
def test_the_top_of_an_axis_is_a_round_number(value: float, top: float) -> None:
    assert nice_top(value) == pytest.approx(top)


def test_a_long_run_has_at_most_one_bar_a_second() -> None:
    assert (most_bars(run_of(seconds=1.0)), most_bars(run_of(seconds=100.4))) == (8, 100)


def test_the_hold_is_named_if_it_is_not_the_price() -> None:
    counts = Counts(1, accepted=1, spend=Decimal("0.07"), held=Decimal("0.08"))
    assert "0.07 EUR (0.08 EUR held)" in check(rendered(figures_of(counts=counts))).shown


def test_the_slowest_rows_say_what_is_known() -> None:
    slow = NotableRow(id="a b", at=BEGAN, elapsed=2.5, attempts=2, kind="NotFound", code="x", number=12_345, line=6)
    page = check(rendered(figures_of(run_of(), slowest=(slow,))))
    assert "12345 6 a b 2.5 s 2 NotFound x 30 Nov 2026, 18:15:00 UTC" in page.shown
