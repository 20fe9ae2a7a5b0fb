"""Properties: however a file is edited between runs that stop anywhere, each message is sent once, and paid once."""

from collections import Counter
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from msgapi import journal
from msgapi.cli import main
from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox
from tests.cli.test_journal import RCS, poor, reached
from tests.support.cli_files import check_sums
from tests.support.journals import edited

PRICE = Decimal("0.07")
Row = tuple[int, str]
EDITS = ("sort", "reverse", "insert", "delete", "append", "edit", "duplicate", "nothing")
STEPS = st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 10**6), st.integers(0, 8)), min_size=1, max_size=6)


class Edited:
    """A file, its sandbox, and what is known of both after each run."""

    def __init__(self, directory: str, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.path = Path(directory) / "people.csv"
        self.box: Sandbox = reached(monkeypatch, poor(0))
        self.rows: list[Row] = [(number, f"N{number}") for number in range(count)]
        self.fresh = count

    def new(self) -> Row:
        self.fresh += 1
        return (self.fresh, f"N{self.fresh}")

    def edit(self, kind: str, seed: int) -> None:
        at = seed % (len(self.rows) + 1)
        row = self.rows[at - 1] if self.rows else None
        match kind:
            case "sort":
                self.rows.sort(key=lambda row: (row[0] * 7919 + seed) % 101)
            case "reverse":
                self.rows.reverse()
            case "insert":
                self.rows.insert(at, self.new())
            case "append":
                self.rows.append(self.new())
            case "delete" if len(self.rows) > 1:
                del self.rows[at - 1]
            case "edit" if row is not None:
                self.rows = [(row[0], f"E{seed % 3}") if one == row else one for one in self.rows]
            case "duplicate" if row is not None:
                self.rows.insert(at, row)
            case _:
                pass

    def send(self, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
        lines = [f"+49151{number:08},{name}" for number, name in self.rows]
        _ = self.path.write_text("\n".join(["to,name", *lines]) + "\n")
        _ = capsys.readouterr()
        status = main(["batch", str(self.path), *RCS, "--concurrency", "2", "--json", *options])
        told = capsys.readouterr().out
        return status, orjson.loads(told) if told else {}

    def sent(self) -> set[Row]:
        return {(int(one.to[-8:]), str(orjson.loads(one.body)["content"]["text"])[3:]) for one in self.box.messages}

    def changed(self) -> set[Row]:
        """The new rows of people whose message was sent, and does not stand in the file any more."""
        sent, present = self.sent(), set(self.rows)
        gone = {number for number, name in sent if (number, name) not in present}
        return {row for row in present if row not in sent and row[0] in gone}

    def check(self, facts: dict[str, Any]) -> None:
        people = Counter(one.to for one in self.box.messages)
        assert max(people.values(), default=1) == 1
        assert facts["rows"] == len(self.rows)
        check_sums(facts)
        assert Decimal(facts["price"]) + Decimal(facts["price_not_in_the_file"]) == PRICE * len(self.box.messages)
        with journal.open_readonly(f"{self.path}.journal") as record:
            assert record.summary().price == PRICE * len(self.box.messages)
            ids = {row.message_id for row in record.rows() if row.message_id}
        assert ids == {one.id for one in self.box.messages}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 8), st.integers(0, 8), STEPS)
@example(1, 0, [("edit", 1, 0), ("edit", 0, 1), ("edit", 1, 0)])  # back to a text that was not sent
def test_each_person_gets_one_message_whatever_is_done_to_the_file(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    first: int,
    steps: list[tuple[str, int, int]],
) -> None:
    with TemporaryDirectory() as directory:
        file = Edited(directory, monkeypatch, count)
        known: set[Row] = set()  # the changed rows that were left out
        for kind, seed, affordable in [("nothing", 0, first), *steps]:
            file.edit(kind, seed)
            file.box.top_up(PRICE * affordable)  # the run stops when that is used up
            undecided = file.changed() - known
            before = len(file.box.messages)
            if undecided:
                event("a changed row")
                status, _ = file.send(capsys)
                assert status == 2
                assert len(file.box.messages) == before
            known = {row for row in known | undecided if row in file.rows}
            status, facts = file.send(capsys, *(["--changed", "skip"] if undecided else []))
            assert status in {0, 3}
            file.check(facts)
            assert facts["changed"] == len(known)
            assert not known & file.sent()
            left = {row for row in file.rows if row not in known} - file.sent()
            assert (
                len(left) <= facts["not_sent_yet"] + facts["refused"]
            )  # of duplicates, each counts until it is judged
            assert bool(left) is (status == 3)
        file.box.top_up(Decimal(10))
        status, facts = file.send(capsys)
        assert status == 0
        file.check(facts)
        assert set(file.rows) - known <= file.sent()


REFUSED = next(one.phone for one in MAGIC_RECIPIENTS if one.fault == "404")
PEOPLE = ("+4915100000001", "+4915100000002", REFUSED)
Message = tuple[str, str, str]  # the id of its row, the recipient and the name
MESSAGES = st.tuples(st.sampled_from("abc"), st.sampled_from(PEOPLE), st.sampled_from("XYZ"))
RUNS = st.tuples(
    st.lists(MESSAGES, min_size=1, max_size=4, unique_by=lambda one: one[0]), st.integers(0, 3), st.booleans()
)


def without_ids(rows: list[Message]) -> list[Message]:
    """The rows as they are identified without a column of ids: by their content."""
    return list({(to, name): ("-", to, name) for _, to, name in rows}.values())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["people", "ids"]), st.lists(RUNS, min_size=2, max_size=5))
@example("people", [([("a", PEOPLE[0], one)], paid, False) for one, paid in (("X", 0), ("Y", 1), ("X", 1))])
@example("ids", [([(one, PEOPLE[0], "X")], paid, False) for one, paid in (("a", 0), ("b", 1), ("a", 1))])
@example(
    "people",
    [([("a", PEOPLE[at], name)], 0, crash) for at, name, crash in ((0, "Y", False), (0, "X", True), (1, "X", False))]
    + [([("a", PEOPLE[0], "X")], 0, False)],
)
@example("ids", [([("a", REFUSED, "X"), ("b", PEOPLE[0], "X")], 1, False), ([("a", PEOPLE[0], "X")], 1, False)])
@example(
    "people",
    [([("a", PEOPLE[1], "X"), ("b", PEOPLE[1], "Y")], 1, False), ([("a", PEOPLE[1], "Z")], 0, True)]
    + [([("a", PEOPLE[at], "X")], 0, False) for at in (0, 1)],
)
def test_without_a_decision_each_person_gets_at_most_as_many_messages_as_a_file_has_for_them(
    monkeypatch: pytest.MonkeyPatch,
    by: str,
    runs: list[tuple[list[Message], int, bool]],
) -> None:
    with TemporaryDirectory() as directory:
        path, box = Path(directory) / "people.csv", reached(monkeypatch, poor(0))
        options = [*RCS, "--concurrency", "2", *(["--id-column", "id"] if by == "ids" else [])]
        most: Counter[str] = Counter()
        maybe: set[tuple[str, str]] = set()  # recipient and name of what was sent, or may have been
        for drawn, affordable, crashes in runs:
            rows = [(one, to, name + one) for one, to, name in drawn] if by == "ids" else without_ids(drawn)
            _ = path.write_text("\n".join(["id,to,name", *map(",".join, rows)]) + "\n")
            box.top_up(PRICE * affordable)
            before = len(box.messages)
            status = main(["batch", str(path), *options])
            here = {(to, name) for _, to, name in rows}
            if status == 2:
                event("a changed row")
                assert len(box.messages) == before
                assert maybe - here
            else:
                most |= Counter(to for _, to, _ in rows)
                sent = {(one.to, str(orjson.loads(one.body)["content"]["text"])[3:]) for one in box.messages}
                maybe |= here if crashes else sent
            if crashes and status != 2:  # the results of the rows of this file are lost, also of those not sent
                with edited(f"{path}.journal") as there:
                    _ = there.execute("UPDATE rows SET state = 0 WHERE in_file AND state IN (1, 3)")
            assert Counter(one.to for one in box.messages) <= most
