"""The report of a batch as one HTML file: `--html` of `msgapi batch report` and `msgapi fleet report`.

Rules:
- The file needs nothing else: no script, no font, no image, and nothing from another origin. Its Content Security
  Policy allows its own styles only.
- It names rows by number, line and id. It has no recipient and no content.
- The headline, the figures and the charts say the same as the summary that the command prints.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from ...clock import SYSTEM_CLOCK
from ...journal import JournalReader
from ...journal.timeline import NotableRow, RunHistory
from ...version import VERSION
from ..output import CliError, Exit, RowOutcome, cannot_write, counted, note, write_if_open
from .counts import BATCH_ADVICE, RestAdvice
from .journal import COMMAND, parse_command
from .report_charts import (
    TimeAxis,
    duration_chart,
    most_bars,
    outcome_bar,
    patterns,
    spend_chart,
    throughput_chart,
)
from .report_figures import (
    Interval,
    OutcomeGroup,
    ReportFigures,
    add_waits,
    intervals,
    percentile,
    read_figures,
    shown_id,
)
from .report_markup import (
    Html,
    LocalTime,
    cell,
    element,
    legend,
    percentage,
    section,
    span,
    table_of_rows,
    with_code,
)
from .result_files import create_file
from .summary import next_step

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_TABLE_ROWS: Final = 24  # of the figures of a chart
_MUCH: Final = 0.2  # share of the time from which a wait is worth a line of advice
_MIDDLE: Final = 0.5
_MOST: Final = 0.95
_CLASSES: Final[Mapping[RowOutcome, str]] = {
    RowOutcome.ACCEPTED: "accepted",
    RowOutcome.REFUSED: "refused",
    RowOutcome.INVALID: "invalid",
    RowOutcome.DUPLICATE: "left",
    RowOutcome.CHANGED: "left",
    RowOutcome.UNKNOWN: "unknown",
    RowOutcome.NOT_SENT_YET: "notsent",
}
_PARTS: Final[Mapping[RowOutcome, str]] = {
    RowOutcome.BY_EMAIL: "Among the accepted ones: they could not be reached by RCS.",
    RowOutcome.SENT_EARLIER: "Among the accepted ones: accepted before the last run.",
    RowOutcome.NOT_IN_THE_FILE: "Not counted above: rows of earlier runs that the file does not have any more.",
}
_ENDINGS: Final[Mapping[str, str]] = {
    "done": "sent to the end of the file",
    "ended": "ended by the program",
    "interrupted": "stopped by Ctrl-C or a signal",
    "asked": "stopped on request",
    "balance": "stopped: the balance was used up",
    "unauthorized": "stopped: the API key was refused",
    "refusals": "stopped: the same refusal was repeated too often",
    "foreign": "stopped: the answers were not the service's",
    "outage": "stopped: the service was down too long",
    "rate_limit": "stopped: the rate limit let no row through",
    "spend": "stopped: --max-spend was reached",
    "exception": "stopped by an error",
}
_PRIVACY: Final = (
    "This report has no recipients and no content. It names rows by their number, their line in the file and their id; "
    "long numbers and addresses in ids are shown as ***."
)
_WAIT_WORDS: Final = ("rate limit", "outage", "balance", "disk")


def write_report(
    record: JournalReader,
    path: str,
    target: str,
    *,
    overwrite: bool = False,
    command: str | None = None,
    advice: RestAdvice = BATCH_ADVICE,
) -> None:
    """Write the report of the journal at *path* to the file *target*, readable by its owner only.

    The name `-` stands for standard output. An existing file that is not empty is replaced only with *overwrite*, and
    the journal never. *command* and *advice* are those of `read_figures`. Raise CliError if the file cannot be written.
    """
    page = render_page(read_figures(record, path, command, advice), batch_name(record.about), SYSTEM_CLOCK.time())
    if target == "-":
        write_if_open(page)
        return

    def is_journal(existing: os.stat_result) -> bool:
        return os.path.samestat(existing, Path(path).stat())

    try:
        with create_file(target, overwrite=overwrite, source="the journal", is_source=is_journal) as file:
            _ = file.write(page.encode())
    except OSError as error:
        raise CliError(cannot_write(target, error)) from None
    note(f"the report is in {target}")


def batch_name(about: Mapping[str, str]) -> str:
    """Return the name of a batch for its title: that of its file, if the journal says it, else of the batch."""
    command = parse_command(about.get(COMMAND, ""))
    path = None if command is None else command["path"]
    return about["batch"] if path is None else "standard input" if path == "-" else Path(path).name


def render_page(figures: ReportFigures, what: str, now: float, times: LocalTime | None = None) -> str:
    """Return the report of the batch *what* as an HTML document, made at the Unix time *now*."""
    times = LocalTime() if times is None else times
    style = files(__name__.rpartition(".")[0]).joinpath("report.css").read_text(encoding="utf-8")
    moment = times.moment(now)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{what}: report of {moment}"),
        element("style", Html(style)),
    )
    body = element("body", patterns(), _header(figures, what, moment), _main(figures, times), _footer(figures))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _header(figures: ReportFigures, what: str, moment: str) -> Html:
    journal = Path(figures.journal).name
    about = f"Report of {moment} · journal {journal}" if journal != what else f"Report of {moment}"
    return element(
        "header", element("p", "Batch report", class_="kind"), element("h1", what), element("p", about, class_="about")
    )


def _main(figures: ReportFigures, times: LocalTime) -> Html:
    parts = [_headline(figures), _tiles(figures), _next(figures), _outcomes(figures)]
    if figures.runs:
        parts += [_throughput(figures, times), _spend(figures, times)]
        if any(figures.answers):
            parts.append(_durations(figures, times))
        parts.append(_runs(figures, times))
    parts.append(_notes(figures))
    return element("main", *parts)


def _headline(figures: ReportFigures) -> Html:
    counts = figures.counts
    accepted = f"{counts.accepted:,} of {counted(counts.total)} accepted"
    failed = figures.rows_of(RowOutcome.REFUSED, RowOutcome.INVALID)
    rest = f"{counted(counts.without_verdict, verb='are')} not sent yet or unknown"
    if figures.is_running:
        class_, word, text = "", "Sending.", f"{accepted} so far; {rest}."
    elif counts.status is Exit.STOPPED:
        class_, word, text = "bad", "Not finished.", f"{accepted}; {rest}."
    elif failed:
        class_, word, text = "warn", "Finished.", f"{accepted}; {counted(failed, verb='were')} refused or invalid."
    else:
        class_, word, text = "good", "Finished.", f"{accepted}."
    spend = f"{counts.spend} EUR" + (f" ({counts.held} EUR held)" if counts.held != counts.spend else "")
    more = [f"Cost of the accepted rows: {spend}."]
    if figures.runs:
        sending = f"{counted(figures.numbers, 'run')}, {span(figures.sending)} in all" if figures.numbers else "a fleet"
        more.append(f"Sent by {sending}.")
    first = element("p", element("strong", word), text)
    return element("div", first, element("p", " ".join(more)), class_=f"headline {class_}".strip())


def _tiles(figures: ReportFigures) -> Html:
    counts, total = figures.counts, max(1, figures.counts.total)
    tiles = [("Accepted", f"{counts.accepted:,}", f"{percentage(counts.accepted, total)} of {counted(counts.total)}")]
    for outcome, text in (
        (RowOutcome.REFUSED, "by the service"),
        (RowOutcome.INVALID, "before sending"),
        (RowOutcome.UNKNOWN, "no answer so far" if figures.is_running else "may have been sent"),
        (RowOutcome.NOT_SENT_YET, "still to be sent" if figures.is_running else "the next run sends them"),
    ):
        rows = figures.rows_of(outcome)
        tiles.append((outcome.title, f"{rows:,}", text if rows else "none"))
    each = f"{counts.spend / counts.accepted:.4f} EUR a row" if counts.accepted else "nothing accepted"
    tiles.append(("Cost, EUR", f"{counts.spend}", each))
    if figures.rate is not None:
        every = (one for run in figures.runs for one in intervals(run, most_bars(run)))
        peak = max(one.per_second(one.total.accepted) for one in every)
        tiles.append(("Rows per second", f"{figures.rate:,.1f}", f"accepted; at best {peak:,.0f}"))
    if (half := percentile(figures.answers, _MIDDLE)) is not None:
        most = percentile(figures.answers, _MOST) or half
        tiles.append(("Time of a row", f"≈ {span(half)}", f"95 of 100 within ≈ {span(most)}"))
    return element(
        "dl",
        *(element("div", element("dt", a), element("dd", b), element("dd", c)) for a, b, c in tiles),
        class_="figures",
    )


def _next(figures: ReportFigures) -> Html:
    steps = [element("li", with_code(step)) for step in _steps(figures)]
    what = element("ol", *steps, class_="next") if steps else element("p", "Nothing: each row is settled.")
    return section("next", "What to do next", what)


def _steps(figures: ReportFigures) -> Iterator[str]:
    # Commands stand between backticks.
    if figures.is_running:
        yield "A program is sending this batch: make the report again to see more."
    if figures.is_incomplete:
        yield (
            "The -wal file of the journal is missing, with its newest rows: rows that are shown as not sent yet may "
            "have been sent. Put it back, or run the command of the batch again: it keeps their idempotency keys."
        )
    if not figures.is_running:
        step = next_step(figures.counts, figures.journal, figures.advice)
        if step is not None:
            yield f"{step[0].upper()}{step[1:]}."
    refused = figures.rows_of(RowOutcome.REFUSED, RowOutcome.INVALID)
    if refused:
        command = f"`{figures.command} --export csv --only refused`"
        yield f"{counted(refused, verb='were')} refused or invalid, and the table below says why: {command} lists them."
    if figures.rows_of(RowOutcome.CHANGED):
        yield "Rows that differ from rows that were sent were left out: `--changed send` sends them as well."
    yield from _pace_advice(figures)


def _pace_advice(figures: ReportFigures) -> Iterator[str]:
    limited, outage, balance, disk = figures.waits
    if limited > _MUCH * figures.sending:
        yield (
            f"Rows waited for the rate limit in {percentage(limited, figures.sending)} of the time, so it set the "
            "pace: a higher `--concurrency` would not make the batch faster, a higher limit of the API key would."
        )
    if outage:
        yield f"The service was down or out of reach for {span(outage)}; the rows waited, and were sent afterwards."
    if balance:
        yield f"Rows waited for a top-up for {span(balance)}: with `--price`, the balance is checked before sending."
    if disk:
        yield f"The disk of the journal was slow for {span(disk)}: put the journal on a faster one."


def _outcomes(figures: ReportFigures) -> Html:
    total = sum(group.rows for group in figures.groups)
    if not total:
        return section("outcome", "Outcomes", element("p", "There are no rows."))
    by_outcome: dict[RowOutcome, int] = {}
    for group in figures.groups:
        by_outcome[group.outcome] = by_outcome.get(group.outcome, 0) + group.rows
    shares = [(_CLASSES[outcome], outcome.words, rows) for outcome, rows in by_outcome.items()]
    explained = legend([(class_, f"{words}: {rows:,}") for class_, words, rows in shares])
    rows = [_outcome_row(group, total) for group in figures.groups]
    rows += [_part_row(outcome, number) for outcome, number in figures.parts.items() if number]
    head = ("Outcome", "#Rows", "#Share", "Code", "First lines, or ids", "Why, and what to do")
    caption = "Rows by their current outcome. Lines are those of the input file; the header of a CSV file is line 1."
    bar = element("figure", outcome_bar(shares, total), explained)
    return section("outcome", "Outcomes", bar, table_of_rows(caption, head, rows))


def _outcome_row(group: OutcomeGroup, total: int) -> Html:
    what = group.outcome.title if group.kind in {"", group.outcome.kind} else f"{group.outcome.title}: {group.kind}"
    code = [element("code", group.code)] if group.code else []
    reason = f"For example: {group.reason}" if group.outcome is RowOutcome.INVALID and group.reason else group.reason
    why = [element("p", text) for text in (reason, group.advice) if text]
    return element(
        "tr",
        element("th", what, scope="row"),
        cell(f"{group.rows:,}", "rows"),
        cell(percentage(group.rows, total), "share"),
        element("td", *code, class_="word", data_label="code"),
        element("td", _lines(group), class_="lines", data_label="lines or ids"),
        element("td", *why, class_="text"),
    )


def _part_row(outcome: RowOutcome, number: int) -> Html:
    empty, why = element("td"), element("td", _PARTS[outcome], class_="text")
    head = element("th", outcome.title, scope="row")
    return element("tr", head, cell(f"{number:,}", "rows"), empty, empty, empty, why, class_="part")


def _lines(group: OutcomeGroup) -> str:
    known = [f"{row.line}" if row.line is not None else shown_id(row.id) for row in group.first]
    known = [one for one in known if one]
    return ", ".join(known) + (", …" if known and group.rows > len(known) else "")


def _throughput(figures: ReportFigures, times: LocalTime) -> Html:
    every = [bucket for run in figures.runs for bucket in run.buckets]
    results = (
        ("accepted", "accepted", sum(one.accepted for one in every)),
        ("refused", "refused or invalid", sum(one.refused + one.invalid for one in every)),
        ("unknown", "unknown", sum(one.unknown for one in every)),
        ("notsent", "not sent", sum(one.not_sent for one in every)),
    )
    explained = legend([(class_, words) for class_, words, rows in results if rows or class_ == "accepted"])
    caption = "Each bar is an interval; its height is the number of rows that ended in it, per second."
    drawn = len(TimeAxis.of(figures.runs).segments)
    if drawn > 1:
        caption += " Dotted areas are the time between two runs, cut short."
    if drawn < len(figures.runs):
        caption += f" Only the last {drawn} runs are drawn."
    chart = element("figure", element("figcaption", caption), explained, throughput_chart(figures, times))
    return section("time", "Throughput and waits", chart, _data(figures, times))


def _waited(figures: ReportFigures) -> list[tuple[int, str]]:
    # The causes for which rows have waited: their places, and the words of their columns.
    return [(place, f"waited: {word}") for place, word in enumerate(_WAIT_WORDS) if figures.waits[place]]


def _data(figures: ReportFigures, times: LocalTime) -> Html:
    runs, waited = figures.runs[-_TABLE_ROWS:], _waited(figures)
    share = max(1, _TABLE_ROWS // len(runs))
    rows = [_data_row(run, one, waited, times) for run in runs for one in intervals(run, share)]
    head = ("#Run", "From", "#Seconds", "#Accepted", "#Refused or invalid", "#Unknown or not sent", "#Cost, EUR")
    table = table_of_rows(
        "The figures of the chart", (*head, *(f"#{words.capitalize()}, s" for _, words in waited)), rows
    )
    return element("details", element("summary", "The figures of the chart as a table"), table)


def _data_row(run: RunHistory, one: Interval, waited: Sequence[tuple[int, str]], times: LocalTime) -> Html:
    total = one.total
    cells = (
        (f"{one.seconds:.1f}", "seconds"),
        (f"{total.accepted:,}", "accepted"),
        (f"{total.refused + total.invalid:,}", "refused or invalid"),
        (f"{total.unknown + total.not_sent:,}", "unknown or not sent"),
        (f"{total.spend}", "cost, EUR"),
        *((f"{total.waits[place]:.1f}", f"{words}, s") for place, words in waited),
    )
    first = element("th", f"{run.number or 'fleet'}", scope="row", class_="number", data_label="run")
    when = element("td", times.clock(one.begin), class_="time", data_label="from")
    return element("tr", first, when, *(cell(text, label) for text, label in cells))


def _spend(figures: ReportFigures, times: LocalTime) -> Html:
    caption = (
        "The price of the accepted rows, added up; where the service has named no price, the amount that it holds."
    )
    return section(
        "cost", "Cost over time", element("figure", element("figcaption", caption), spend_chart(figures, times))
    )


def _durations(figures: ReportFigures, times: LocalTime) -> Html:
    caption = (
        "From the start of the last call of a row to its result, with its waits for the rate limit and its retries. "
        "The scale of the durations is logarithmic."
    )
    chart = element("figure", element("figcaption", caption), duration_chart(figures.answers))
    rows = [_slow_row(one, times) for one in figures.slowest]
    head = ("#Row", "#Line", "Id", "#Duration", "#Attempts", "Result", "Ended")
    table = table_of_rows("The slowest rows of all runs", head, rows)
    return section("duration", "Durations and the slowest rows", chart, *([table] if rows else []))


def _slow_row(one: NotableRow, times: LocalTime) -> Html:
    number, line = ("" if value is None else f"{value}" for value in (one.number, one.line))
    return element(
        "tr",
        element("th", number or "not recorded", scope="row", class_="number", data_label="row"),
        cell(line, "line"),
        element("td", shown_id(one.id), class_="word", data_label="id"),
        cell(span(one.elapsed), "duration"),
        cell(f"{one.attempts:,}", "attempts"),
        element("td", f"{one.kind} {one.code}".strip(), data_label="result"),
        element("td", times.moment(one.at), class_="time", data_label="ended"),
    )


def _runs(figures: ReportFigures, times: LocalTime) -> Html:
    waited = _waited(figures)
    rows = [_run_row(figures, run, waited, times) for run in figures.runs]
    waits = [f"#{words.capitalize()}" for _, words in waited]
    head = ("#Run", "Began", "#Lasted", "#Accepted", "#Cost, EUR", *waits, "How it ended")
    caption = "A run is one command from its start to its end. Accepted rows and their cost are those of the run."
    return section("runs", "Runs", table_of_rows(caption, head, rows))


def _run_row(figures: ReportFigures, run: RunHistory, waited: Sequence[tuple[int, str]], times: LocalTime) -> Html:
    waits = add_waits(one.waits for one in run.buckets)
    cells = (
        (span(run.ended - run.began), "lasted"),
        (f"{sum(one.accepted for one in run.buckets):,}", "accepted"),
        (f"{sum(one.spend for one in run.buckets)}", "cost, EUR"),
        *((span(waits[place]) if waits[place] else "none", words) for place, words in waited),
    )
    return element(
        "tr",
        element("th", f"{run.number or 'fleet'}", scope="row", class_="number", data_label="run"),
        element("td", times.moment(run.began), data_label="began"),
        *(cell(text, label) for text, label in cells),
        element("td", _ending(figures, run), data_label="how it ended"),
    )


def _ending(figures: ReportFigures, run: RunHistory) -> str:
    if run.ended_by is not None:
        return _ENDINGS.get(run.ended_by, run.ended_by)
    if figures.is_running and run is figures.runs[-1]:
        return "still sending"
    return "sent by workers" if not run.number else "cut off: killed, or the machine went down"


def _notes(figures: ReportFigures) -> Html:
    texts = [_PRIVACY, *figures.missing]
    if len(figures.runs) > 1:
        texts.append("A row that was sent in two runs is one row in the outcomes, and counts in both runs over time.")
    return section("notes", "About this report", *(element("p", text, class_="note") for text in texts))


def _footer(figures: ReportFigures) -> Html:
    return element("footer", element("p", f"Made by msgapi-sdk {VERSION} from ", element("code", figures.command)))
