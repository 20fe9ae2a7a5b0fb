"""Whether the service answers: what is printed when it does not, and when it does again."""

from typing import Final, final

from attrs import define, field

from ...calls import Call
from ...clock import SYSTEM_CLOCK, Clock
from ...observe import Observer, Watch
from ...results import ApiError, Ok, Result, Throttled
from ..advice import describe

_FAILURES: Final = 5  # in a row: fewer are retried without a word
_PATIENCE: Final = 2.0  # seconds for which every attempt must have failed


@final
@define(eq=False)
class ServiceWatch(Observer, Watch):
    """Notices that every attempt of every row fails because of the service, from the retries of the client.

    The batch itself sees a failure only after the last retry of a row, which can take minutes.
    """

    outage_timeout: float
    clock: Clock = SYSTEM_CLOCK
    _failures: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)
    _error: ApiError | None = field(default=None, init=False)
    _announced: bool = field(default=False, init=False)

    def call(self, call: Call[object], /) -> Watch:  # noqa: ARG002 - one for all calls
        """Return the object itself."""
        return self

    def answer(self, result: Result[object], /) -> None:
        """Count a failure of the service; any other answer ends the count."""
        if isinstance(result, Ok) or result.scope != "service" or isinstance(result, Throttled):
            self._failures = 0
            return
        if not self._failures:
            self._since = self.clock.now()
        self._failures += 1
        self._error = result

    def news(self) -> str | None:
        """Return the line to print now: the service does not answer, or answers again; None if there is no news."""
        down = self._failures >= _FAILURES and self.clock.now() - self._since >= _PATIENCE
        if down and not self._announced and self._error is not None:
            self._announced = True
            return (
                f"the service is out of reach or down ({describe(self._error)}): the rows wait and are sent again, for "
                f"up to --outage-timeout {self.outage_timeout:g} s; then the batch stops, and can be continued"
            )
        if self._announced and not self._failures:
            self._announced = False
            return "the service answers again: the batch continues"
        return None
