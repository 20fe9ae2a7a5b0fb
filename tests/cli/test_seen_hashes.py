from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi.cli.batch import calls
from msgapi.cli.batch.calls import SeenHashes


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
