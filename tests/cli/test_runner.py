import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import anyio
import orjson
import pytest

from msgapi import (
    ApiError,
    Forbidden,
    InsufficientBalance,
    Meta,
    NotFound,
    NotSent,
    Ok,
    Pace,
    Result,
    ServerFault,
    Throttled,
    Unanswered,
    Unauthorized,
    Unavailable,
    Unreadable,
)
from msgapi.batch import Reason, Stopped
from msgapi.cli.batch import command, dry_run, summary
from msgapi.cli.batch.command import open_rows, run_batch
from msgapi.cli.batch.progress import outcome_parts
from msgapi.cli.files.rows import InputRow
from msgapi.cli.files.tables import InputFile
from msgapi.cli.output import CliError, Exit
from msgapi.messages import Accepted, Billing
from tests.support.cli_files import Answer, Scripted, lines, mailed, mailing, mode, people, text

PRICE = Billing(message_price=Decimal("0.07"), hold_amount=Decimal("0.08"), message_type="basic_message")
ONCE = Meta(status=200, attempts=1)
pytestmark = pytest.mark.anyio


def accepted(_: int = 0) -> Result[Accepted]:
    return Ok(Accepted(message_id="msg_1", billing=PRICE), meta=ONCE)


async def test_every_row_ends_in_the_results_and_what_was_refused_can_be_sent_again(tmp_path: Path) -> None:
    path = people(tmp_path, 5, more="6,bad,Ann\n7,+4915100000001,Ann\n8,+4915100000008,Ann,x\n")
    refusal = Forbidden(code="forbidden", message="not to +49151234567", meta=Meta(status=403, attempts=1))
    job = mailing(tmp_path, path)
    run = await mailed(job, lambda at: refusal if at == 3 else accepted())
    assert run.status is Exit.REFUSED
    results = lines(job.results)
    assert sorted(one["row"] for one in results) == list(range(1, 9))
    kinds = {one["row"]: one["kind"] for one in results}
    assert [kinds[row] for row in (6, 7, 8)] == ["Invalid", "Duplicate", "Invalid"]
    assert "+49151" not in text(job.results)
    (forbidden,) = [one for one in results if one["kind"] == "Forbidden"]
    failed = text(job.failed).splitlines()
    assert failed[0] == "id,to,name,idempotency_key"
    assert len(failed) == 4
    assert forbidden["idempotency_key"]
    assert [line.rsplit(",", 1)[1] for line in failed[1:3]] == ["", ""]
    assert (run.counts.spend, run.counts.held) == (Decimal("0.28"), Decimal("0.32"))
    again = await mailed(mailing(tmp_path, str(job.failed), results=None, failed=None), accepted)
    assert (again.counts.accepted, again.counts.refused) == (1, 2)


async def test_all_accepted_is_status_0_and_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    job = mailing(tmp_path, people(tmp_path, 100), concurrency=3)
    run = await mailed(job, accepted)
    assert run.status is Exit.ACCEPTED
    assert len(lines(job.results)) == 100
    assert mode(job.failed) == 0o600


async def test_duplicates_are_sent_when_that_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    _ = path.write_text("to,name\n+4915100000001,Ann\n+4915100000001,Ann\n")
    job = mailing(tmp_path, str(path), allow_duplicates=True, with_recipients=True)
    run = await mailed(job, accepted)
    assert run.counts.accepted == 2
    assert [one["to"] for one in lines(job.results)] == ["+4915100000001"] * 2


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (InsufficientBalance(code="x", message="no money"), Exit.STOPPED, "balance"),
        (Unauthorized(code="x", message="no"), Exit.CONFIGURATION, "unauthorized"),
        (NotSent("no route"), Exit.STOPPED, "refusals"),
    ],
)
async def test_a_batch_that_stops_itself_says_so_and_keeps_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: ApiError, status: Exit, reason: str
) -> None:
    job = mailing(tmp_path, people(tmp_path, 200), concurrency=2, outage_timeout=0)
    run = await mailed(job, lambda at: error if at > 20 else accepted())
    assert run.status is status
    assert run.stopped is not None
    assert run.stopped.reason == reason
    assert run.counts.not_sent_yet + run.counts.ended == 200
    assert len(lines(job.results)) == 200
    assert text(job.failed) == "id,to,name,idempotency_key\n"  # none of them was refused
    assert summary.report(run, json=False, results=None, failed=job.failed) is status
    told = capsys.readouterr()
    assert "Not sent yet" in told.out
    assert "stopped" in told.err
    assert "180 rows are not sent yet or unknown: --results FILE.jsonl shows which" in told.err
    assert summary.summary(run)["stopped"] == reason


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("outage", "was down for longer than --outage-timeout, or did not answer in the first 10 s: down"),
        ("rate_limit", "the rate limit let no row through for longer than --outage-timeout: down"),
        (
            "foreign",
            "service's: down; check the base URL (MSGAPI_BASE_URL or the profile) and any proxy",
        ),
        ("spend", "max-spend"),
    ],
)
async def test_a_stop_says_why(tmp_path: Path, reason: Reason, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = await mailed(mailing(tmp_path, people(tmp_path, 2)), accepted)
    run.stopped = Stopped(reason, None if reason == "spend" else Unavailable(message="down"))
    _ = summary.report(run, json=False, results=None, failed=None)
    assert said in capsys.readouterr().err
    assert run.status is Exit.STOPPED


def interrupting(times: int) -> Answer:
    async def answer() -> Result[Accepted]:
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            await anyio.sleep(0.02)
        await anyio.sleep(0.02 if times == 1 else 60)
        return accepted()

    return lambda at: answer() if at == 10 else accepted()


async def test_one_ctrl_c_lets_what_is_in_flight_settle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def slow() -> Result[Accepted]:
        await anyio.sleep(0.005)
        return accepted()

    once = interrupting(1)
    run = await mailed(
        mailing(tmp_path, people(tmp_path, 100), concurrency=2), lambda at: once(at) if at == 10 else slow()
    )
    assert run.status is Exit.INTERRUPTED
    assert run.counts.interrupted == 0
    assert run.counts.accepted + run.counts.not_sent_yet == 100
    _ = summary.report(run, json=False, results=None, failed=None)
    told = capsys.readouterr().err
    assert "stopping: no more rows are sent" in told
    assert "interrupted: " in told
    assert "rows are not sent yet or unknown: --results FILE.jsonl shows which" in told


async def test_two_ctrl_c_cut_off_what_is_in_flight_and_name_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = mailing(tmp_path, people(tmp_path, 100), concurrency=1)
    run = await mailed(job, interrupting(2))
    assert run.status is Exit.INTERRUPTED
    assert (run.counts.accepted, run.counts.interrupted, run.counts.not_sent_yet) == (9, 1, 90)
    (cut,) = [one for one in lines(job.results) if one["kind"] == "Unknown"]
    assert cut["idempotency_key"]
    assert "stopped at once, with 1 request in flight that may have been received" in capsys.readouterr().err
    _ = summary.report(run, json=False, results=job.results, failed=job.failed)
    assert "Unknown" in capsys.readouterr().out


async def test_two_ctrl_c_without_result_files_count_what_is_cut_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = mailing(tmp_path, people(tmp_path, 100), concurrency=1, results=None, failed=None)
    run = await mailed(job, interrupting(2))
    assert run.files is None
    assert (run.counts.accepted, run.counts.interrupted, run.counts.not_sent_yet) == (9, 1, 90)
    _ = summary.report(run, json=False, results=None, failed=None)
    assert "91 rows are not sent yet or unknown: --results FILE.jsonl shows which" in capsys.readouterr().err


async def test_an_interruption_that_left_nothing_out_is_none(tmp_path: Path) -> None:
    async def last() -> Result[Accepted]:
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep(0.02)
        return accepted()

    run = await mailed(
        mailing(tmp_path, people(tmp_path, 10), concurrency=1), lambda at: last() if at == 10 else accepted()
    )
    assert (run.interrupted, run.status) == (1, Exit.ACCEPTED)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotSent("no route"), "interrupted: 9 rows settled, 0 unknown, 1 not sent yet"),
        (Unanswered("reset"), "interrupted: 9 rows settled, 1 unknown, 0 not sent yet"),
    ],
)
async def test_an_interruption_that_left_the_last_row_without_a_verdict_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Result[Accepted], said: str
) -> None:
    async def last() -> Result[Accepted]:
        os.kill(os.getpid(), signal.SIGINT)
        await anyio.sleep(0.02)
        return error

    job = mailing(tmp_path, people(tmp_path, 10), concurrency=1)
    run = await mailed(job, lambda at: last() if at == 10 else accepted())
    assert (run.interrupted, run.status) == (1, Exit.INTERRUPTED)
    _ = summary.report(run, json=False, results=None, failed=None)
    assert said in capsys.readouterr().err


async def test_a_full_disk_stops_the_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = mailing(tmp_path, people(tmp_path, 500), results="/dev/full", failed=None, concurrency=1)
    run = await mailed(job, accepted)
    assert run.status is Exit.STOPPED
    assert run.counts.not_sent_yet > 400
    _ = summary.report(run, json=False, results=job.results, failed=None)
    assert "stopped: cannot write /dev/full: No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), CliError("a.csv: line 3 is not UTF-8")])
async def test_a_file_that_fails_half_way_ends_the_batch_and_not_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    job = mailing(tmp_path, people(tmp_path, 50), results=None, failed=None)

    def broken(_: InputFile) -> Iterator[InputRow]:
        yield InputRow(1, 2, {"to": "+4915100000001", "name": "Ann"})
        raise error

    with open_rows(job) as (table, plan):
        monkeypatch.setattr(InputFile, "rows", broken)
        run = await run_batch(job, table, plan, api=Scripted(accepted), pace=Pace())
    assert run.status is Exit.STOPPED
    assert (run.counts.accepted, run.counts.not_sent_yet) == (1, 49)
    assert run.failure is not None


async def test_a_report_names_a_few_rows_and_what_may_have_happened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(at: int) -> Result[Accepted]:
        if at == 2:
            return accepted()
        kinds: list[Result[Accepted]] = [
            ServerFault(code=f"code{at}", message="to a@b.example"),
            Unanswered("cut"),
            Throttled(code="newsletter_daily_cap", message="x"),
        ]
        return kinds[at % 3]

    run = await mailed(mailing(tmp_path, people(tmp_path, 150), results=None, failed=None, outage_timeout=0), answer)
    assert run.status is Exit.STOPPED
    _ = summary.report(run, json=False, results=None, failed=None)
    told = capsys.readouterr().out
    assert "first rows that were not accepted (all of them" in told
    assert "Unknown: ServerFault" in told
    assert "Unknown: Unanswered" in told
    assert told.count("  line ") == 10
    assert "(others)" in told
    assert "a@b" not in told
    _ = summary.report(run, json=True, results=None, failed=None)
    facts = summary.summary(run)
    assert (facts["accepted"], facts["refused"], facts["unknown"], facts["not_sent_yet"]) == (1, 49, 100, 0)


async def test_rows_without_a_verdict_are_not_called_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(at: int) -> Result[Accepted]:
        kinds: list[Result[Accepted]] = [
            accepted(),
            Unavailable(code="down", message="later", meta=Meta(status=503)),
            NotFound(code="http_404", message="a page", meta=Meta(status=404), from_service=False),
            Unreadable(message="a page", meta=Meta(status=200), from_service=False),
            Throttled(code="rate_limit_exceeded", message="slower"),
        ]
        return kinds[at % 5]

    job = mailing(tmp_path, people(tmp_path, 20), outage_timeout=0)
    run = await mailed(job, answer)
    assert run.status is Exit.STOPPED
    assert (run.counts.ended, run.counts.settled, run.counts.without_verdict) == (20, 4, 16)
    assert summary.report(run, json=False, results=None, failed=job.failed) is Exit.STOPPED
    out, err = capsys.readouterr()
    assert "not finished, 16 rows are not sent yet or unknown: --results FILE.jsonl shows which" in err
    assert "refused" not in (out + err).replace("0 refused", "")
    for words in ("Unknown: Unavailable", "Not sent yet: NotFound", "Unknown: Unreadable", "Not sent yet: Throttled"):
        assert words in out
    facts = summary.summary(run)
    assert (facts["accepted"], facts["refused"], facts["unknown"], facts["not_sent_yet"]) == (4, 0, 8, 8)
    assert {(one["outcome"], one["kind"]) for one in facts["outcomes"]} == {  # type: ignore[attr-defined]
        ("unknown", "Unavailable"),
        ("unknown", "Unreadable"),
        ("not_sent_yet", "NotFound"),
        ("not_sent_yet", "Throttled"),
    }
    assert outcome_parts(run.counts) == ["8 unknown", "8 not sent yet", "4 accepted"]
    assert text(job.failed) == "id,to,name,idempotency_key\n"  # they are sent by the same command, not by this file


BAD_IDS = ["x" * 256, "a\x00b", "a\x1bb", "a\x7fb", "a\x85b", "a\u2028b", "\u2029"]


@pytest.mark.parametrize("bad", BAD_IDS)
@pytest.mark.parametrize("column", ["id", None])
def test_a_value_that_cannot_be_an_id_costs_its_row_only_and_is_named_by_its_line(
    tmp_path: Path, bad: str, column: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.jsonl"
    names = ["", "y" * 255, "a b\u00a0ü", bad, "last", bad]
    values = ({"id": name, "to": f"+4915100000{at:03}", "name": "Ann"} for at, name in enumerate(names))
    _ = path.write_bytes(b"\n".join(map(orjson.dumps, values)) + b"\n")
    config = mailing(tmp_path, str(path), id_column=column)
    run = anyio.run(mailed, config, accepted)
    assert (run.counts.accepted, run.counts.refused) == ((4, 2) if column else (6, 0))
    assert command.start(config, show_only=True) == (1 if column else 0)
    shown = capsys.readouterr().out
    assert ("  line 4: id " in shown, "  line 6: id " in shown) == ((True, True) if column else (False, False))
    assert bad not in shown


async def test_a_dry_run_counts_what_the_batch_then_does(tmp_path: Path) -> None:
    more = "6,bad,Ann\n7,+4915100000001,Ann\n8,+4915100000008,Ann,x\n2,+4915100000099,Ann\n" + "z" * 256 + ",+491,B\n"
    config = mailing(tmp_path, people(tmp_path, 5, more=more), id_column="id")
    with open_rows(config) as (table, calls):
        found = dry_run.examine(table, calls)
        assert found.rows == table.count == 10
    run = await mailed(config, accepted)
    assert run.counts.accepted == sum(found.units.values()) == 4
    assert (run.counts.refused, run.counts.duplicate) == (found.invalid, found.duplicate) == (5, 1)
    assert [row.line for row, _ in found.invalid_rows] == [3, 7, 9, 10, 11]
    assert found.duplicate_lines == [8]
