import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi.cli.batch.calls import RowIds, SeenHashes
from msgapi.cli.batch.command import open_rows
from msgapi.cli.files.rows import InputRow
from msgapi.cli.output import CliError
from tests.support.cli_files import mailing, people


@given(st.lists(st.text(max_size=3)), st.sampled_from([0, 3, 1000, 1 << 30]))
def test_seen_hashes_return_what_was_added_before_as_a_set_does(texts: Sequence[str], rows: int) -> None:
    seen, before = SeenHashes(rows), set[str]()
    for text in texts:
        assert (text in seen) == (text in before)
        assert seen.add(text) == (text in before)
        assert text in seen
        before.add(text)


def test_a_hash_that_spans_two_others_was_not_added() -> None:
    bucket = bytes(2)
    hashes = [one + bucket for one in (b"1234567", b"8901234", b"5678901", b"4567890")]
    seen = SeenHashes(4)
    assert [seen.add_hash(one) for one in hashes * 2] == [False] * 4 + [True] * 4


@pytest.mark.parametrize("expected", [1_000, 100_000])
def test_a_text_takes_at_most_8_bytes_and_more_than_expected_are_possible(expected: int) -> None:
    seen = SeenHashes(expected)
    for at in range(100_000):
        assert not seen.add(f"{at}")
    assert sum(bucket.__sizeof__() for bucket in seen._buckets) + seen._buckets.__sizeof__() < 8 * 100_000


@pytest.mark.parametrize("column", [None, "id"])
def test_a_row_takes_at_most_16_bytes_with_ids_and_without(tmp_path: Path, column: str | None) -> None:
    def held(rows: int) -> int:
        config = mailing(tmp_path, people(tmp_path, rows), id_column=column)
        tracemalloc.start()
        try:
            with open_rows(config) as (table, row_calls):
                sent = sum(made.message is not None for made in row_calls.make_each(table.rows(), table.count))
                assert sent == rows
                return tracemalloc.get_traced_memory()[0]  # not the peak, which is that of a block of the file
        finally:
            tracemalloc.stop()

    few, many = 1_000, 5_000
    _ = held(few)  # the first time, modules that are imported count as well
    assert 0 < (held(many) - held(few)) / (many - few) <= 16


def test_no_row_is_sent_whose_id_or_key_another_row_has(tmp_path: Path) -> None:
    ids = ["a", "b", "a", *(f"{number}" for number in range(20)), "b", "", "", "a", "k1"]
    keys = ["", "", "", "k1", "k2", "k2", "k3"]
    path = tmp_path / "people.csv"
    rows = (f'"{name}",+4915{number:09},Ann,{dict(enumerate(keys)).get(number, "")}' for number, name in enumerate(ids))
    _ = path.write_text("\n".join(["ID,to,name,Idempotency Key", *rows]) + "\n")

    def refused(column: str | None) -> list[int]:
        config = mailing(tmp_path, str(path), id_column=column)
        with open_rows(config) as (table, row_calls):
            made = list(row_calls.make_each(table.rows(), table.count))
            assert row_calls.repeated.rows == (2 if column is None else 5)  # two more have the key of another
        return [one.row.number for one in made if one.message is None]

    assert refused("id") == [1, 2, 3, 5, 6, 24, 27]
    assert refused(None) == [5, 6]


@pytest.mark.parametrize(
    ("column", "columns"), [(None, ()), ("id", ("id",)), ("idempotency_key", ("idempotency_key",))]
)
def test_the_columns_of_ids_are_those_that_the_file_has(column: str | None, columns: tuple[str, ...]) -> None:
    assert RowIds(column=column).columns(["id", *columns, "to"]) == columns


def test_a_file_in_which_no_row_has_an_id_of_its_own_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    _ = path.write_text("id,to,name\n1,+4915100000001,A\n1,+4915100000002,B\n2,+4915100000003,C\n2,+4915100000004,D\n")
    with (
        pytest.raises(CliError, match="each row has the idempotency_key or id of another row"),
        open_rows(mailing(tmp_path, str(path), id_column="id")),
    ):
        pass


@pytest.mark.parametrize(("name", "why"), [("a\x01b", "has a control character"), ("z" * 256, "is longer than 255")])
def test_what_cannot_be_an_id_refuses_its_row_and_is_not_compared(name: str, why: str) -> None:
    ids = RowIds(column="id")
    problem = ids.problem(InputRow(1, 2, {"id": name}))
    assert problem is not None
    assert problem.message.startswith(f"id {why}")
    assert ids.unique_of([name]) == ids.unique(InputRow(1, 2, {"id": name, "idempotency_key": "k"})) == ()


def test_a_row_with_the_id_of_one_row_and_the_key_of_another_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    rows = (f"+491510000000{number},Ann,{own}" for number, own in enumerate(["a,k1", "a,k2", "b,k1", "c,k4"]))
    _ = path.write_text("\n".join(["to,name,id,idempotency_key", *rows]) + "\n")
    with open_rows(mailing(tmp_path, str(path), id_column="id")) as (table, row_calls):
        made = list(row_calls.make_each(table.rows(), table.count))
    assert [one.message is None for one in made] == [True, True, True, False]
