"""The stream of changes that a page follows, as server-sent events.

Rules:
- A stream has a position in the feed of changes, and no queue of its own: a page that does not read costs no memory.
- At most ten events a second; what changes meanwhile is in the next one.
- An id is that of a feed and a position. A page that comes back with an id gets what it has missed, or `reset`.
"""

import re
from collections.abc import AsyncGenerator
from typing import Final

import orjson

from ...clock import Clock
from ..model.changes import ChangeFeed
from ..sandbox import Sandbox
from ..waiting import wait_for_change

PAUSE: Final = 0.1  # seconds between two events
COMMENT_INTERVAL: Final = 15.0  # seconds after which a comment shows that the connection is alive
_PROGRESS_INTERVAL: Final = 1.0  # seconds between two looks at the campaigns that are running
_ID: Final = re.compile(r"([0-9a-f]+)-([0-9]{1,18})", re.ASCII)
_RETRY: Final = 1000  # milliseconds after which a browser connects again


async def stream_changes(sandbox: Sandbox, last_id: str | None, clock: Clock) -> AsyncGenerator[bytes, None]:
    """Yield the events after *last_id*, the id of the last event that a page has; without it those from now on.

    The pauses, and the intervals between comments, are on *clock*.
    """
    feed = sandbox.account.state.changes
    position = feed.count if last_id is None else _position(feed, last_id)
    yield f"retry: {_RETRY}\nid: {_id(feed, position or feed.count)}\n\n".encode()
    progress, quiet_since = _progress(sandbox), clock.now()
    while True:
        if (current := sandbox.account.state.changes) is not feed:
            feed, position = current, None
        summary, running = None if position is None else feed.since(position), _progress(sandbox)
        left = quiet_since + COMMENT_INTERVAL - clock.now()
        if summary is None:
            position = feed.count
            yield f"id: {_id(feed, position)}\nevent: reset\ndata: {{}}\n\n".encode()
        elif summary.topics or running != progress:
            position = summary.position
            data = summary.to_json() | ({"campaigns": True} if running != progress else {})
            yield b"id: %b\nevent: change\ndata: %b\n\n" % (_id(feed, position).encode(), orjson.dumps(data))
        elif left <= 0:
            yield b": nothing new\n\n"
        else:
            seconds = min(left, _PROGRESS_INTERVAL) if running else left
            await wait_for_change(sandbox, feed, seconds)
            continue
        progress, quiet_since = running, clock.now()
        await clock.sleep(PAUSE)


def _id(feed: ChangeFeed, position: int) -> str:
    return f"{feed.instance}-{position}"


def _position(feed: ChangeFeed, last_id: str) -> int | None:
    found = _ID.fullmatch(last_id)
    return int(found[2]) if found is not None and found[1] == feed.instance else None


def _progress(sandbox: Sandbox) -> tuple[tuple[str, int], ...]:
    """Return the progress of the campaigns that are running, which changes with time and not with the account."""
    now = sandbox.time()
    runs = (run.at(now) for run in sandbox.account.state.runs.values())
    return tuple((run.id, run.done) for run in runs if run.status == "RUNNING")
