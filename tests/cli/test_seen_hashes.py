import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgapi.cli.batch.seen_hashes import SeenHashes


@given(st.lists(st.text(max_size=3)), st.integers(0, 5))
def test_seen_hashes_return_what_was_added_before_as_a_set_does(texts: Sequence[str], reserved: int) -> None:
    seen, before = SeenHashes(reserved), set[str]()
    for text in texts:
        assert seen.add(text) == (text in before)
        before.add(text)


@pytest.mark.parametrize("reserved", [0, 1, 50])
def test_more_texts_than_were_reserved_are_possible(reserved: int) -> None:
    seen = SeenHashes(reserved)
    texts = [f"{at}" for at in range(5000)]
    assert not any(seen.add(text) for text in texts)
    assert all(seen.add(text) for text in texts)


def test_a_row_takes_at_most_16_bytes() -> None:
    seen = SeenHashes(100_000)
    before = sys.getsizeof(seen._slots)
    for at in range(100_000):
        _ = seen.add(f"{at}")
    assert sys.getsizeof(seen._slots) == before < 16 * 100_000
