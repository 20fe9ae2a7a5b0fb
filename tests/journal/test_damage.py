"""A journal that was cut or changed is refused, or right; never taken for a new one."""

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from msgapi import journal
from msgapi.journal import State, Unusable
from msgapi.journal.mainfile import Seal, SealState
from tests.support.journals import Service, edited, message, opened, rows, sent

pytestmark = pytest.mark.anyio
ROWS = 200


@pytest.fixture(params=["closed", "killed"])
async def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the folder of a journal with accepted rows, as a program that has ended or was killed leaves it."""
    folder, copied = tmp_path / "first", tmp_path / "stored"
    folder.mkdir()
    async with opened(folder) as record:
        _ = await sent(Service(), rows(ROWS), record)
        await record.flush()
        if request.param == "killed":
            _ = shutil.copytree(folder, copied)
    if request.param == "closed":
        _ = shutil.copytree(folder, copied)
    return copied


async def refused_or_right(folder: Path) -> bool:
    """Return whether the journal in *folder* is refused; if it is not, no row is sent again."""
    reasons: list[str] = []
    try:
        with journal.open_readonly(str(folder / "run.db")) as record:
            assert record.summary().rows(State.ACCEPTED) == record.summary().rows() == ROWS
            assert len(list(record.rows())) == ROWS
    except Unusable as error:
        reasons.append(error.reason)
    service = Service()
    try:
        async with opened(folder) as journalled:
            _ = await sent(service, rows(ROWS), journalled)
    except Unusable as error:
        reasons.append(error.reason)
    assert service.keys == []
    assert reasons in ([], ["damaged"] * 2, ["foreign"] * 2)
    return bool(reasons)


def cuts(size: int) -> Iterator[int]:
    for page in range(0, size, 4096):
        yield from (at for at in (page - 1, page, page + 1) if 0 <= at < size)
    yield from (Random(1).randrange(size) for _ in range(20))  # noqa: S311 - places in a file


async def test_every_cut_of_the_main_file_is_refused_or_has_lost_nothing(stored: Path, tmp_path: Path) -> None:
    size = (stored / "run.db").stat().st_size
    has_wal = (stored / "run.db-wal").exists()
    for number, at in enumerate(cuts(size)):
        folder = shutil.copytree(stored, tmp_path / f"{number}")
        os.truncate(folder / "run.db", at)
        refused = await refused_or_right(folder)
        assert refused or has_wal  # pages that are in the WAL are not lost


async def test_every_changed_byte_of_the_main_file_is_refused_or_has_changed_nothing(
    stored: Path, tmp_path: Path
) -> None:
    whole = (stored / "run.db").read_bytes()
    has_wal = (stored / "run.db-wal").exists()
    chosen = Random(2)  # noqa: S311 - places in a file
    places = [*range(0, 100, 3), *range(8192 - 64, 8192, 3), *(chosen.randrange(len(whole)) for _ in range(60))]
    for number, at in enumerate(places):
        folder = shutil.copytree(stored, tmp_path / f"{number}")
        changed = bytearray(whole)
        changed[at] ^= 1 << chosen.randrange(8)
        _ = (folder / "run.db").write_bytes(changed)
        refused = await refused_or_right(folder)
        assert refused or has_wal


@pytest.mark.parametrize("place", [0, 1], ids=["first", "last"])
@pytest.mark.parametrize("stored", ["killed"], indirect=True)
async def test_a_row_that_the_index_does_not_find_is_damage(stored: Path, place: int) -> None:
    path = stored / "run.db"
    with closing(sqlite3.connect(path)) as connection:  # as if the killed program had just written all of it here
        _ = connection.execute("INSERT INTO rows (id, digest, state, started) VALUES ('with a long id', x'00', 1, 0)")
        connection.commit()
        _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    whole = path.read_bytes()
    places = [found.start() for found in re.finditer(b"with a long id", whole)]
    assert len(places) == 2  # in the table and in the index
    at = places[place]
    _ = path.write_bytes(whole[:at] + b"~" + whole[at + 1 :])
    assert await refused_or_right(stored)


@pytest.mark.parametrize(
    "content", [b"S", b"SQLite format 3\0", bytes(4096), bytes(50)], ids=["1", "16", "0s", "few 0s"]
)
async def test_what_remains_of_a_journal_is_damaged(tmp_path: Path, content: bytes) -> None:
    _ = (tmp_path / "run.db").write_bytes(content)
    with pytest.raises(Unusable, match="is damaged") as caught:
        async with opened(tmp_path):
            pass
    assert caught.value.reason == "damaged"
    assert (tmp_path / "run.db").read_bytes() == content


async def test_an_empty_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "run.db").touch()
    with pytest.raises(Unusable, match="is empty: delete it, or name a file that does not exist"):
        async with opened(tmp_path):
            pass
    with pytest.raises(Unusable, match="is empty"), journal.open_readonly(str(tmp_path / "run.db")):
        pass
    assert (tmp_path / "run.db").read_bytes() == b""


DAMAGE = [
    "UPDATE rows SET kind = 'Ac6epted'",
    "UPDATE rows SET kind = '__name__'",
    "UPDATE rows SET state = 99",
    "UPDATE rows SET state = 'x'",
    "UPDATE rows SET started = 'x'",
    "UPDATE rows SET started = 9e999",
    "UPDATE rows SET price = 'x'",
    "UPDATE rows SET price = 'NaN'",
    "UPDATE rows SET hold = x'00'",
    "UPDATE rows SET code = x'00'",
    "UPDATE rows SET key = x'00'",
    "UPDATE rows SET status = 'x'",
    "UPDATE rows SET message = CAST(x'ff' AS TEXT)",
    "UPDATE rows SET id = CAST(x'00' AS BLOB)",
    "UPDATE about SET value = x'00' WHERE name = 'version'",
    "INSERT INTO about VALUES ('merged_at', 'x')",
    "INSERT INTO about VALUES ('merged_at', 'nan')",
    "INSERT INTO about VALUES ('lost_since', 'x')",
    "DROP TABLE rows",
    "ALTER TABLE rows RENAME COLUMN price TO prize",
]


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_value_that_a_journal_never_stores_is_damage(tmp_path: Path, damage: str) -> None:
    async with opened(tmp_path) as record:
        _ = await sent(Service(), rows(1), record)
    with edited(tmp_path / "run.db") as connection:
        _ = connection.execute(damage)

    def read() -> None:
        with journal.open_readonly(str(tmp_path / "run.db")) as record:
            _ = record.merged_at, record.summary(), list(record.rows())

    with pytest.raises(Unusable, match="is damaged") as caught:
        read()
    assert caught.value.reason == "damaged"


@pytest.mark.parametrize(
    "damage", ["UPDATE rows SET digest = 'x'", "UPDATE rows SET key = x'00'", "UPDATE rows SET state = 99"]
)
async def test_a_row_that_is_damaged_is_not_begun(tmp_path: Path, damage: str) -> None:
    async with opened(tmp_path) as record:
        _ = await sent(Service(), rows(1), record)
    with edited(tmp_path / "run.db") as connection:
        _ = connection.execute(damage)

    async def begin() -> None:
        async with opened(tmp_path) as record:
            _ = await record.begin([("0", message(0))])

    with pytest.raises(Unusable, match="is damaged"):
        await begin()


def test_a_seal_is_read_as_it_was_written_and_every_changed_bit_is_noticed() -> None:
    seal = Seal(SealState.OPEN, 1_800_000_000.25, 77, bytes(range(32)))
    assert Seal.from_bytes(seal.to_bytes()) == seal
    assert len(seal.to_bytes()) == 64
    for bit in range(8 * 64):
        changed = bytearray(seal.to_bytes())
        changed[bit // 8] ^= 1 << bit % 8
        assert Seal.from_bytes(bytes(changed)) is None
    assert Seal.from_bytes(seal.to_bytes()[:-1]) is None
