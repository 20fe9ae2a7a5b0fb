"""telemetry: which messages are counted already."""

import sys
import time
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

from msgapi.telemetry.counted import Counted


def test_a_message_is_new_once() -> None:
    counted = Counted()
    assert [counted.new(name) for name in ("msg_1", "msg_2", "msg_1", "msg_2")] == [True, True, False, False]


def test_a_message_without_an_id_is_always_new() -> None:
    counted = Counted()
    assert counted.new("")
    assert counted.new("")


def test_the_oldest_is_forgotten_when_there_are_too_many() -> None:
    counted = Counted(most=2)
    assert [counted.new(name) for name in ("msg_1", "msg_2", "msg_3")] == [True, True, True]
    assert not counted.new("msg_2")
    assert counted.new("msg_1")
    assert not counted.new("msg_3")
    assert counted.new("msg_2")


def test_of_threads_that_count_the_same_message_one_finds_it_new() -> None:
    counted, names, found = Counted(), [f"msg_{n}" for n in range(200)], list[str]()
    barrier = Barrier(4)

    def elsewhere(*_: object) -> Callable[..., Any]:
        time.sleep(0)  # after every line another thread goes on
        return elsewhere

    def count() -> None:
        before = sys.gettrace()
        _ = barrier.wait()
        sys.settrace(elsewhere)
        found.extend([name for name in names if counted.new(name)])
        sys.settrace(before)

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(names)
