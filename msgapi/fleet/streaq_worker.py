"""Workers of streaq as a fleet runs them: they take chunks out of the queue, and hold them until we are done."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, final

import anyio
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream
from streaq import Worker
from streaq.types import StreamMessage

MESSAGE: Final[ContextVar[StreamMessage]] = ContextVar("MESSAGE")
"""What the task that runs came as."""


@final
class Running(Worker[None]):
    """A worker of streaq whose tasks wait for us, and which leaves signals and finishing to us."""

    busy: Callable[[str], bool]
    begun: Callable[[], None]
    ended: Callable[[], None]

    async def run_task(self, msg: StreamMessage) -> None:
        """Run a task, unless it is the one of a lease that we have: that was renewed too late for streaq."""
        if not self.busy(msg.task_id):
            _ = MESSAGE.set(msg)
            await super().run_task(msg)

    async def finish_task(self, msg: StreamMessage, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - streaq's
        """Do nothing: it is done where it was decided."""

    async def run_consumers(
        self,
        receive: MemoryObjectReceiveStream[StreamMessage],
        renew_scope: anyio.CancelScope,
        produce_scope: anyio.CancelScope,
        *,
        task_status: TaskStatus[anyio.CapacityLimiter] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run the tasks, and close what streaq 7.2 leaves open."""
        with receive:
            await super().run_consumers(receive, renew_scope, produce_scope, task_status=task_status)

    async def signal_handler(self, scope: anyio.CancelScope) -> None:  # noqa: ARG002 - streaq's
        """Leave signals to the program, and tell when the worker ends: its tasks can't be cancelled."""
        try:
            self.begun()
            await anyio.sleep_forever()
        finally:
            self.ended()
