"""Property: the numbers of a summary add up, whatever the service answers and however often a file is sent."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from msgapi import NotSent, Request, Response, Unanswered
from msgapi.cli import main
from msgapi.transports import Answer
from tests.support.cli_files import check_sums, through

Captured = pytest.CaptureFixture[str]
RCS = ["--agent", "ag_live_demo", "--traffic", "TRANSACTION", "--text", "Hi {name}", "--outage-timeout", "0"]
JSON = {"content-type": "application/json"}
ACCEPTED = Response(
    202,
    JSON,
    b'{"message_id": "msg_1", "status": "queued", "created_at": "2026-05-04T07:30:00Z", "billing": {"channel": "RCS",'
    b' "message_type": "basic_message", "hold_amount": 0.08, "message_price": 0.07}}',
)
PAGE = b"<html>502 Bad Gateway</html>"


def refusal(status: int, code: str) -> Response:
    return Response(status, JSON, orjson.dumps({"error": code, "message": "m"}))


ANSWERS: dict[str, Answer] = {
    "accepted": ACCEPTED,
    "forbidden": refusal(403, "forbidden"),
    "not found": refusal(404, "recipient_not_found"),
    "conflict": refusal(409, "idempotency_conflict"),
    "daily cap": refusal(429, "newsletter_daily_cap"),
    "balance": refusal(402, "insufficient_balance"),
    "unauthorized": refusal(401, "unauthorized"),
    "down": refusal(503, "unavailable"),
    "page 502": Response(502, {"content-type": "text/html"}, PAGE),
    "page 404": Response(404, {"content-type": "text/html"}, PAGE),
    "page 200": Response(200, {"content-type": "text/html"}, PAGE),
    "unreadable": Response(202, JSON, b'{"message_id": "msg_1", "status": 7, "created_at": []}'),
    "not sent": NotSent("no route"),
    "cut": Unanswered("connection reset"),
}
ROWS = st.lists(st.sampled_from(["1", "2", "3", "4", "5", "1", "bad", "6,extra"]), min_size=1, max_size=8)
ANSWERED = st.lists(st.sampled_from([*ANSWERS, "accepted", "accepted", "accepted"]), max_size=8)


def send(path: Path, rows: list[str], answers: list[str], capsys: Captured, *options: str) -> tuple[int, Any]:
    lines = (f"+4915100000{row}" if row.isdecimal() else row for row in (f"{row:>03}" for row in rows))
    _ = path.write_text("to,name\n" + "".join(f"{line},Ann\n" for line in lines))
    left = iter(answers)

    async def transport(_: Request, /) -> Answer:
        return ANSWERS[next(left, "accepted")]

    with pytest.MonkeyPatch.context() as patch:
        through(patch, transport)
        _ = capsys.readouterr()
        status = main(["batch", str(path), *RCS, "--json", "--concurrency", "2", *options])
    out = capsys.readouterr().out
    return status, orjson.loads(out) if out else {}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(ROWS, ANSWERED), min_size=1, max_size=4), st.booleans())
@example([(["1"], ["page 502"])], True)  # noqa: FBT003
@example([(["1"], ["page 502"]), (["1"], ["not sent"])], True)  # noqa: FBT003
@example([(["1"], ["cut"]), (["1"], ["conflict"]), (["1", "2"], [])], True)  # noqa: FBT003
def test_the_numbers_add_up_in_every_state(
    capsys: Captured,
    runs: list[tuple[list[str], list[str]]],
    journalled: bool,
) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "people.csv"
        for rows, answers in runs:
            options = ["--changed", "skip"] if journalled else ["--no-journal"]
            status, facts = send(path, rows, answers, capsys, *options)
            assert facts["exit"] == status
            assert facts["rows"] == len(rows)
            check_sums(facts)
            event(f"unknown: {facts['unknown'] > 0}, not sent yet: {facts['not_sent_yet'] > 0}")
            if journalled:
                _ = capsys.readouterr()
                reported = main(["batch", "report", f"{path}.journal", "--json"])
                report = orjson.loads(capsys.readouterr().out)
                same = facts.keys() & report.keys() - {
                    "outcomes",
                    "sent_earlier",
                    "exit",
                }  # a report has no run of its own
                assert {name: report[name] for name in same} == {name: facts[name] for name in same}
                assert reported == {4: 3}.get(status, status)


def test_a_row_with_an_unknown_outcome_is_never_called_refused(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "people.csv"
    for _ in range(2):
        status, facts = send(path, ["1"], ["page 502"], capsys)
        assert (status, facts["unknown"], facts["refused"]) == (3, 1, 0)
        assert [one["outcome"] for one in facts["outcomes"]] == ["unknown"]
        assert main(["batch", "report", f"{path}.journal"]) == 3
        out, err = capsys.readouterr()
        assert "Unknown" in out
        assert "efused" not in out + err
    status, facts = send(path, ["1"], [], capsys)
    assert (status, facts["accepted"], facts["this_run"]["accepted"], facts["before"]["accepted"]) == (0, 1, 1, 0)
    status, facts = send(path, ["1"], [], capsys)
    assert (status, facts["accepted"], facts["this_run"]["accepted"], facts["before"]["accepted"]) == (0, 1, 0, 1)
    assert facts["this_run"]["sent"] == 0
