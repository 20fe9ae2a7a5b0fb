"""The page of `msgapi batch report --html` in a browser: accessible, readable on a phone and on paper, and inert."""

from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser

from msgapi.cli.batch.report_figures import OutcomeGroup
from msgapi.cli.output import RowOutcome
from msgapi.journal.timeline import Bucket, NotableRow
from tests.cli.test_report_page import BEGAN, EVIL, figures_of, rendered, run_of
from tests.support.browser import assert_accessible

WAITS = {3: (0.25, 0.0, 0.0, 0.0), 9: (0.0, 0.25, 0.0, 0.0), 12: (0.1, 0.0, 0.2, 0.1)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a report with all of its parts, and with markup in the names that come from outside."""
    buckets = tuple(
        Bucket(number=at, accepted=9, refused=1, unknown=at % 3, not_sent=at % 2, waits=WAITS.get(at, (0.0,) * 4))
        for at in range(200)
    )
    slow = NotableRow(id=EVIL, at=BEGAN, elapsed=2.0, attempts=3, kind="NotFound", code=EVIL, number=7, line=8)
    figures = figures_of(
        run_of(1, seconds=50.0, buckets=buckets, ended_by=EVIL),
        *(run_of(at, BEGAN + at * 9_000) for at in range(2, 9)),
        groups=(
            OutcomeGroup(outcome=RowOutcome.ACCEPTED, rows=4_000),
            *(
                OutcomeGroup(outcome=one, rows=200, kind=one.kind, code=EVIL, reason=EVIL, advice=EVIL, first=(slow,))
                for one in (
                    RowOutcome.REFUSED,
                    RowOutcome.INVALID,
                    RowOutcome.DUPLICATE,
                    RowOutcome.CHANGED,
                    RowOutcome.UNKNOWN,
                    RowOutcome.NOT_SENT_YET,
                )
            ),
        ),
        parts=dict.fromkeys((RowOutcome.BY_EMAIL, RowOutcome.SENT_EARLIER, RowOutcome.NOT_IN_THE_FILE), 5),
        slowest=(slow,),
        missing=(EVIL,),
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    _ = path.write_text(rendered(figures))
    return path.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 700, 1280, 1920])
def test_the_page_is_accessible_and_as_wide_as_the_window(
    browser: Browser, report: str, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True)
    page, problems = context.new_page(), list[str]()
    page.on("request", lambda request: problems.append(request.url) if request.url != report else None)
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(f"{error}"))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    _ = page.goto(report)
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert_accessible(page)
    assert problems == []
    context.close()


def test_the_tables_are_not_cut_off_on_paper(browser: Browser, report: str) -> None:
    page = browser.new_page(viewport={"width": 688, "height": 1000})  # A4 without its margins
    _ = page.goto(report)
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    page.close()


def test_the_page_needs_no_script_and_fits_on_paper(browser: Browser, report: str, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    _ = page.goto(report)
    assert page.get_by_role("img", name="Rows per second over time, by result").is_visible()
    assert page.get_by_role("heading", name="What to do next").is_visible()
    page.emulate_media(media="print")
    assert not page.locator("details").is_visible()
    path = tmp_path / "report.pdf"
    _ = page.pdf(path=path, format="A4")
    assert path.read_bytes().startswith(b"%PDF")
    context.close()
