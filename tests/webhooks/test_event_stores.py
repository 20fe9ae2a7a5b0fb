"""Event stores: one contract for the stores in memory, SQLite and Redis, and what each does beyond it."""

import gc
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import redis
import redis.asyncio
from attrs import frozen

from msgapi import VirtualClock, webhooks
from msgapi.webhooks import EventStore, EventStoreError, MemoryEventStore, RedisEventStore, SqliteEventStore
from msgapi.webhooks.receivers import event_store
from tests.support.brokers import Broker, valkey

pytestmark = pytest.mark.anyio
STORES = ["memory", "sqlite", "redis"]
DAY = 86400.0


@frozen
class Case:
    """A store, another store for the same events if there can be one, and a function that lets time pass."""

    store: EventStore
    other: EventStore
    pass_seconds: Callable[[float], Awaitable[None]]


@pytest.fixture(params=STORES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "redis":
        yield from redis_case(request.getfixturevalue("valkey_broker").url)
        return
    clock = VirtualClock()

    async def pass_seconds(seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        clock.advance(seconds)

    if request.param == "memory":
        store = MemoryEventStore(clock=clock, lease=10, retention=2 * DAY)
        yield Case(store, store, pass_seconds)
        return
    options: dict[str, Any] = {"clock": clock, "lease": 10, "retention": 2 * DAY}
    path = tmp_path / "events.db"
    with SqliteEventStore(path, **options) as one, SqliteEventStore(f"{path}", **options) as two:
        yield Case(one, two, pass_seconds)


def redis_case(url: str) -> Iterator[Case]:
    prefix = f"{uuid.uuid4().hex}:"
    with redis.Redis.from_url(url) as client:

        def expire(seconds: float) -> None:
            # The server's clock cannot be moved, so the keys are moved towards their end.
            for key in client.scan_iter(f"{prefix}*"):
                _ = client.pexpire(key, max(int(client.pttl(key) - seconds * 1000), 0))

        async def pass_seconds(seconds: float) -> None:
            await anyio.to_thread.run_sync(expire, seconds)

        options: dict[str, Any] = {"prefix": prefix, "lease": 10, "retention": 2 * DAY}
        with RedisEventStore(url, **options) as one, RedisEventStore(client, **options) as two:
            yield Case(one, two, pass_seconds)


# The contract.


async def test_one_owner_gets_the_event_and_others_see_that_it_is_busy(case: Case) -> None:
    assert await case.store.claim("evt_1", "a") == "new"
    assert await case.store.claim("evt_1", "b") == "busy"
    assert await case.other.claim("evt_1", "c") == "busy"
    assert await case.other.claim("evt_2", "c") == "new"


async def test_an_event_that_was_handled_is_done_for_every_owner(case: Case) -> None:
    assert await case.store.claim("evt_1", "a") == "new"
    await case.store.complete("evt_1", "a")
    await case.store.complete("evt_1", "a")
    assert [await one.claim("evt_1", owner) for one in (case.store, case.other) for owner in "ab"] == ["done"] * 4


async def test_an_event_that_was_released_is_new_again(case: Case) -> None:
    assert await case.store.claim("evt_1", "a") == "new"
    await case.store.release("evt_1", "a")
    await case.store.release("evt_1", "a")
    assert await case.other.claim("evt_1", "b") == "new"


async def test_a_claim_ends_after_its_lease(case: Case) -> None:
    assert await case.store.claim("evt_1", "killed") == "new"
    await case.pass_seconds(9)
    assert await case.other.claim("evt_1", "b") == "busy"
    await case.pass_seconds(2)
    assert await case.other.claim("evt_1", "b") == "new"
    assert await case.store.claim("evt_1", "killed") == "busy"


async def test_an_owner_that_claims_again_keeps_its_event(case: Case) -> None:
    for _ in range(4):
        assert await case.store.claim("evt_1", "a") == "new"
        await case.pass_seconds(8)
        assert await case.other.claim("evt_1", "b") == "busy"


async def test_an_owner_whose_lease_has_ended_cannot_release_the_claim_of_the_next(case: Case) -> None:
    assert await case.store.claim("evt_1", "slow") == "new"
    await case.pass_seconds(11)
    assert await case.other.claim("evt_1", "next") == "new"
    await case.store.release("evt_1", "slow")
    assert await case.store.claim("evt_1", "third") == "busy"


async def test_an_event_that_was_handled_after_its_lease_stays_done(case: Case) -> None:
    assert await case.store.claim("evt_1", "slow") == "new"
    await case.pass_seconds(11)
    assert await case.other.claim("evt_1", "next") == "new"
    await case.store.complete("evt_1", "slow")
    await case.other.release("evt_1", "next")
    assert await case.other.claim("evt_1", "third") == "done"


async def test_an_event_is_forgotten_after_the_retention_and_not_before(case: Case) -> None:
    assert await case.store.claim("evt_1", "a") == "new"
    await case.store.complete("evt_1", "a")
    await case.pass_seconds(2 * DAY - 5)
    assert await case.store.claim("evt_1", "b") == "done"
    await case.pass_seconds(2 * DAY + 5)
    assert await case.store.claim("evt_1", "b") == "new"


async def test_of_many_claims_at_once_one_gets_the_event(case: Case) -> None:
    states: list[str] = []

    async def claim(number: int) -> None:
        states.append(await (case.store, case.other)[number % 2].claim("evt_1", f"{number}"))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(claim, number)
    assert sorted(states) == ["busy"] * 19 + ["new"]


async def test_claims_from_event_loops_in_several_threads_exclude_each_other(case: Case, anyio_backend: str) -> None:
    states: list[str] = []

    async def claim(owner: str) -> None:
        for number in range(5):
            states.append(await case.store.claim(f"evt_{number}", owner))  # noqa: PERF401

    async with anyio.create_task_group() as tasks:
        for owner in "abcd":
            tasks.start_soon(anyio.to_thread.run_sync, partial(anyio.run, claim, owner, backend=anyio_backend))
    assert states.count("new") == 5
    assert states.count("busy") == 15


async def test_any_id_can_be_stored(case: Case) -> None:
    for event_id in ("", "evt ü\n", "x" * 5000, "'; DROP TABLE events; --", "*", "\0"):
        assert await case.store.claim(event_id, "a") == "new"
        await case.store.complete(event_id, "a")
        assert await case.other.claim(event_id, "b") == "done"


@pytest.mark.parametrize(
    "make", [MemoryEventStore, partial(SqliteEventStore, "x.db"), partial(RedisEventStore, "redis://h")]
)
def test_a_retention_within_which_the_service_still_delivers_is_refused(make: Callable[..., EventStore]) -> None:
    for seconds in (0, 3600, 25 * 3600, float("nan")):
        with pytest.raises(ValueError, match="up to 25 hours after the first"):
            _ = make(retention=seconds)
    with pytest.raises(ValueError, match="lease"):
        _ = make(lease=0)
    store: Any = make()
    assert store.retention > 26 * 3600
    assert store.lease < 60


# Memory.


async def test_a_memory_store_forgets_the_least_recent_id_beyond_its_maximum() -> None:
    store = MemoryEventStore(max_events=2)
    for name in ("a", "b"):
        assert await store.claim(name, "1") == "new"
        await store.complete(name, "1")
    assert await store.claim("a", "2") == "done"
    assert await store.claim("c", "2") == "new"
    await store.complete("c", "2")
    assert [await store.claim(name, "3") for name in ("a", "b", "c")] == ["done", "new", "done"]


# SQLite.


def files_in(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


async def test_the_file_is_readable_by_its_owner_only_and_the_file_beside_it_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with SqliteEventStore(path) as store:
        assert not path.exists()
        assert await store.claim("evt_1", "a") == "new"
        assert {stat.S_IMODE(file.stat().st_mode) for file in files_in(tmp_path)} == {0o600}
    assert {file.name: file.stat().st_size > 0 for file in files_in(tmp_path)} == {
        "events.db": True,
        "events.db-journal": False,
    }


async def test_a_store_can_be_used_again_after_it_was_closed(tmp_path: Path) -> None:
    store = SqliteEventStore(tmp_path / "events.db")
    store.close()
    assert await store.claim("evt_1", "a") == "new"
    store.close()
    store.close()
    assert await store.claim("evt_1", "b") == "busy"
    store.close()


@pytest.mark.filterwarnings("error::ResourceWarning")
async def test_what_was_recorded_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    with SqliteEventStore(tmp_path / "events.db") as store:
        assert await store.claim("evt_1", "a") == "new"
        await store.complete("evt_1", "a")
    with SqliteEventStore(tmp_path / "events.db") as store:
        assert await store.claim("evt_1", "b") == "done"
    _ = gc.collect()


async def test_expired_ids_are_removed_from_the_file(tmp_path: Path) -> None:
    clock = VirtualClock()
    with SqliteEventStore(tmp_path / "events.db", clock=clock) as store:
        for number in range(120):
            assert await store.claim(f"evt_{number}", "a") == "new"
            await store.complete(f"evt_{number}", "a")
        clock.advance(8 * DAY)
        for number in range(3):
            assert await store.claim(f"later_{number}", "a") == "new"
    with sqlite3.connect(tmp_path / "events.db") as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (3,)
    connection.close()


async def test_a_file_that_is_not_an_event_store_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    _ = connection.execute("CREATE TABLE orders (id)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with SqliteEventStore(path) as store, pytest.raises(EventStoreError, match="another SQLite file"):
        _ = await store.claim("evt_1", "a")
    assert path.read_bytes() == before
    text = tmp_path / "text.txt"
    _ = text.write_text("no database at all " * 100)
    with SqliteEventStore(text) as store, pytest.raises(EventStoreError, match="not a database"):
        _ = await store.claim("evt_1", "a")


async def test_a_directory_that_is_missing_is_an_event_store_error(tmp_path: Path) -> None:
    with SqliteEventStore(tmp_path / "none" / "events.db") as store:
        with pytest.raises(EventStoreError, match="No such file or directory"):
            _ = await store.claim("evt_1", "a")
        (tmp_path / "none").mkdir()
        assert await store.claim("evt_1", "a") == "new"


def test_memory_is_no_path() -> None:
    with pytest.raises(ValueError, match="MemoryEventStore"):
        _ = SqliteEventStore(":memory:")


async def test_a_file_that_another_process_keeps_locked_is_an_error_and_does_not_block_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msgapi.webhooks.receivers.event_store._BUSY_TIMEOUT", 0.2)
    path = tmp_path / "events.db"
    with SqliteEventStore(path) as store:
        assert await store.claim("evt_1", "a") == "new"
        locking = sqlite3.connect(path, isolation_level=None)
        _ = locking.execute("BEGIN IMMEDIATE")
        steps = 0
        async with anyio.create_task_group() as tasks:

            async def count() -> None:
                nonlocal steps
                while True:
                    await anyio.sleep(0.001)
                    steps += 1

            tasks.start_soon(count)
            with pytest.raises(EventStoreError, match="locked"):
                _ = await store.claim("evt_2", "a")
            tasks.cancel_scope.cancel()
        assert steps > 10
        _ = locking.execute("ROLLBACK")
        locking.close()
        assert await store.claim("evt_2", "a") == "new"


async def test_a_thread_waits_for_the_others_for_a_few_seconds_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msgapi.webhooks.receivers.event_store._BUSY_TIMEOUT", 0.05)
    with SqliteEventStore(tmp_path / "events.db") as store:
        with store._lock, pytest.raises(EventStoreError, match="other threads wait"):
            _ = await store.claim("evt_1", "a")
        assert await store.claim("evt_1", "a") == "new"


async def test_a_statement_that_fails_is_rolled_back(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with SqliteEventStore(path) as store:
        assert await store.claim("evt_1", "a") == "new"
        spoiling = sqlite3.connect(path, isolation_level=None)
        _ = spoiling.execute("ALTER TABLE events RENAME TO others")
        with pytest.raises(EventStoreError, match="no such table"):
            _ = await store.claim("evt_2", "a")
        _ = spoiling.execute("ALTER TABLE others RENAME TO events")
        spoiling.close()
        assert await store.claim("evt_2", "a") == "new"


LOCKING = """
import sqlite3, sys

try:
    sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    print(error)
"""


async def test_opening_a_second_store_leaves_the_lock_of_the_first_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The system drops all locks of a process on a file when the process closes any descriptor of that file.
    monkeypatch.setattr("msgapi.webhooks.receivers.event_store._BUSY_TIMEOUT", 0.05)
    path = tmp_path / "events.db"
    with SqliteEventStore(path) as one, SqliteEventStore(path) as two:
        assert await one.claim("evt_1", "a") == "new"
        assert one._connection is not None
        with event_store._transaction(one._connection):
            with pytest.raises(EventStoreError, match="locked"):
                _ = await two.claim("evt_1", "b")
            program = [sys.executable, "-c", LOCKING, f"{path}"]
            other = await anyio.run_process(program)
        assert other.stdout.strip() == b"database is locked"
        assert await two.claim("evt_1", "b") == "busy"


async def test_a_file_that_was_deleted_or_replaced_is_opened_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.db"
    with SqliteEventStore(path) as store, SqliteEventStore(path) as other:
        for one in (store, other):
            _ = await one.claim("evt_1", "a")
        path.unlink()
        assert await store.claim("evt_2", "a") == "new"
        assert await other.claim("evt_2", "b") == "busy"
        with SqliteEventStore(tmp_path / "backup.db") as backup:
            await backup.complete("evt_3", "a")
        _ = (tmp_path / "backup.db").replace(path)
        assert [await one.claim("evt_3", "b") for one in (store, other)] == ["done", "done"]
    assert caplog.text.count("was deleted or replaced") == 4


FORKING = """
import os, sys, anyio
from msgapi.webhooks import RedisEventStore, SqliteEventStore

store = RedisEventStore(sys.argv[1], prefix=sys.argv[2]) if "://" in sys.argv[1] else SqliteEventStore(sys.argv[1])

async def use(event_id, owner):
    print(event_id, await store.claim(event_id, owner), flush=True)

anyio.run(use, "before", "parent")
if (child := os.fork()) == 0:
    anyio.run(use, "before", "child")
    anyio.run(use, "after", "child")
    store.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
anyio.run(use, "after", "parent")
anyio.run(use, "last", "parent")
store.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_forked_child_opens_the_store_for_itself(kind: str, tmp_path: Path, valkey_broker: Broker) -> None:
    where = str(tmp_path / "events.db") if kind == "sqlite" else valkey_broker.url
    command = [sys.executable, "-X", "dev", "-c", FORKING, where, f"{uuid.uuid4().hex}:"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this interpreter
    assert done.stdout.splitlines() == ["before new", "before busy", "after new", "after busy", "last new"]
    assert "ResourceWarning" not in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_child_leaves_the_connection_of_its_parent_alone(tmp_path: Path) -> None:
    # What runs in a forked child, run here, where the connection of the parent can be seen.
    with SqliteEventStore(tmp_path / "events.db") as store, SqliteEventStore(tmp_path / "unused.db") as unused:
        assert await store.claim("evt_1", "parent") == "new"
        event_store._after_fork()
        assert await store.claim("evt_1", "child") == "busy"
        assert await unused.claim("evt_1", "child") == "new"
        (parent,) = event_store._parents
        assert parent.execute("SELECT owner FROM events").fetchall() == [("parent",)]
        event_store._parents.clear()
        parent.close()


# Redis.


def test_a_store_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "msgapi-sdk\[redis\]"'):
        _ = RedisEventStore("redis://127.0.0.1:1")


@pytest.mark.parametrize("client", [redis.asyncio.Redis(), 5, None, b"redis://h"])
def test_another_client_is_a_type_error_that_says_what_to_pass(client: Any) -> None:  # noqa: ANN401 - as a caller may
    with pytest.raises(TypeError, match=r"takes a URL such as redis://.* or a client of the class redis.Redis"):
        _ = RedisEventStore(client)


def test_a_url_of_another_scheme_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="URL"):
        _ = RedisEventStore("http://127.0.0.1")


def test_the_password_is_in_no_repr() -> None:
    assert "secret" not in repr(RedisEventStore("redis://user:secret@127.0.0.1/0"))


async def test_a_server_that_is_down_is_an_event_store_error_and_can_come_back(tmp_path: Path) -> None:
    with valkey(tmp_path) as broker, RedisEventStore(broker.url) as store:
        assert await store.claim("evt_1", "a") == "new"
        await store.complete("evt_1", "a")
        broker.kill()
        with pytest.raises(EventStoreError, match="cannot be used"):
            _ = await store.claim("evt_1", "b")
        broker.start()
        assert await store.claim("evt_1", "b") == "done"


async def test_a_server_that_does_not_answer_is_an_error_within_the_time_of_a_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msgapi.webhooks.receivers.redis_event_store._TIMEOUT", 0.1)
    with valkey(tmp_path) as broker, RedisEventStore(broker.url) as store:
        assert await store.claim("evt_1", "a") == "new"
        broker.freeze()
        try:
            with pytest.raises(EventStoreError, match="imeout"):
                _ = await store.claim("evt_2", "a")
        finally:
            broker.thaw()
        assert await store.claim("evt_2", "b") in {"new", "busy"}  # the frozen claim may have been carried out
        assert await store.claim("evt_2", "a") in {"new", "busy"}


async def test_a_client_that_decodes_responses_is_used_and_left_open(valkey_broker: Broker) -> None:
    with redis.Redis.from_url(valkey_broker.url, decode_responses=True) as client:
        prefix = f"{uuid.uuid4().hex}:"
        with RedisEventStore(client, prefix=prefix) as store:
            assert await store.claim("evt_1", "a") == "new"
            await store.complete("evt_1", "a")
        assert client.get(f"{prefix}evt_1") == "done"
        assert await RedisEventStore(client, prefix=prefix).claim("evt_1", "b") == "done"


# All.


async def test_a_cancelled_claim_is_known_or_can_be_released(case: Case) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        _ = await case.store.claim("evt_1", "a")
    await case.store.release("evt_1", "a")
    assert await case.store.claim("evt_1", "b") == "new"


async def test_slow_handlers_that_use_all_threads_do_not_stop_a_store(case: Case) -> None:
    go = threading.Event()
    limiter = anyio.to_thread.current_default_thread_limiter()
    async with anyio.create_task_group() as tasks:
        for _ in range(int(limiter.total_tokens)):
            tasks.start_soon(anyio.to_thread.run_sync, go.wait, 20)
        await anyio.wait_all_tasks_blocked()
        assert limiter.available_tokens == 0
        assert await case.store.claim("evt_1", "a") == "new"
        go.set()


async def test_the_stores_are_exported() -> None:
    for name in ("EventStore", "EventStoreError", "MemoryEventStore", "RedisEventStore", "SqliteEventStore"):
        assert name in webhooks.__all__
