"""The streaq worker of a fleet: it takes chunks from the queue and holds each one until its lease is given up."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, final

import anyio
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream
from streaq import Worker
from streaq.types import StreamMessage

MESSAGE: Final[ContextVar[StreamMessage]] = ContextVar("MESSAGE")
"""The message that the running task came as."""


@final
class StreaqWorker(Worker[None]):
    """A streaq worker that leaves signals and the end of each task to the queue.

    *is_leased* returns whether a task is one that the queue has leased; *on_start* and *on_end* are called when the
    worker starts and ends.
    """

    is_leased: Callable[[str], bool]
    on_start: Callable[[], None]
    on_end: Callable[[], None]

    async def run_task(self, msg: StreamMessage) -> None:
        """Run a task, unless the queue has leased it already: then its lease was renewed too late for streaq."""
        if not self.is_leased(msg.task_id):
            _ = MESSAGE.set(msg)
            await super().run_task(msg)

    async def finish_task(self, msg: StreamMessage, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - streaq's
        """Do nothing: the queue finishes the task when the lease is given up."""

    async def run_consumers(
        self,
        receive: MemoryObjectReceiveStream[StreamMessage],
        renew_scope: anyio.CancelScope,
        produce_scope: anyio.CancelScope,
        *,
        task_status: TaskStatus[anyio.CapacityLimiter] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the tasks, and close the stream, which streaq 7.2 leaves open."""
        with receive:
            await super().run_consumers(receive, renew_scope, produce_scope, task_status=task_status)

    async def signal_handler(self, scope: anyio.CancelScope) -> None:  # noqa: ARG002 - streaq's
        """Leave signals to the program, and report the end of the worker, whose tasks cannot be cancelled."""
        try:
            self.on_start()
            await anyio.sleep_forever()
        finally:
            self.on_end()
