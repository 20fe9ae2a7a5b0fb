import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi.cli.batch import calls
from msgapi.cli.batch.calls import RepeatedRows, RowIds, SeenHashes
from msgapi.cli.batch.command import open_rows
from msgapi.cli.batch.input import open_input
from tests.support.cli_files import mailing, people


@given(st.lists(st.text(max_size=3)), st.sampled_from([0, 3, 1000, 1 << 30]))
def test_seen_hashes_return_what_was_added_before_as_a_set_does(texts: Sequence[str], rows: int) -> None:
    seen, before = SeenHashes(rows), set[str]()
    for text in texts:
        assert (text in seen) == (text in before)
        assert seen.add(text) == (text in before)
        assert text in seen
        before.add(text)


def test_a_hash_that_spans_two_others_was_not_added(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = {"a": b"1234567", "b": b"8901234", "c": b"5678901", "d": b"4567890"}
    monkeypatch.setattr(calls, "_hash", lambda text, _: (0, hashes[text]))
    seen = SeenHashes(4)
    assert [seen.add(text) for text in "abcdabcd"] == [False] * 4 + [True] * 4


@pytest.mark.parametrize("expected", [1_000, 100_000])
def test_a_text_takes_at_most_8_bytes_and_more_than_expected_are_possible(expected: int) -> None:
    seen = SeenHashes(expected)
    for at in range(100_000):
        assert not seen.add(f"{at}")
    assert sum(bucket.__sizeof__() for bucket in seen._buckets) + seen._buckets.__sizeof__() < 8 * 100_000


@pytest.mark.parametrize("column", [None, "id"])
def test_a_row_takes_at_most_16_bytes_with_ids_and_without(tmp_path: Path, column: str | None) -> None:
    def peak(rows: int) -> int:
        config = mailing(tmp_path, people(tmp_path, rows), id_column=column)
        tracemalloc.start()
        try:
            with open_rows(config) as (table, row_calls):
                sent = sum(made.message is not None for made in row_calls.make_each(table.rows(), table.count))
            assert sent == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = 2_000, 12_000
    assert (peak(many) - peak(few)) / (many - few) <= 16


def test_rows_whose_id_an_earlier_row_has_are_found_before_the_first_is_sent(tmp_path: Path) -> None:
    ids = ["a", "b", "a", *(f"{number}" for number in range(20)), "b", "", "", "a"]
    path = tmp_path / "people.csv"
    _ = path.write_text("id,to\n" + "".join(f'"{name}",+4915{number:09}\n' for number, name in enumerate(ids)))
    with open_input(str(path)) as table:
        found = RepeatedRows.find(table, RowIds(column="id"))
        assert [number for number in range(40) if number in found] == [3, 24, 27]
        assert RowIds().may_exist(table) is False
        assert not any(number in RepeatedRows.find(table, RowIds()) for number in range(40))
