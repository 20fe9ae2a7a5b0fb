"""Watching: the hooks, each of which does nothing until a subclass says what.

Rules:
- A hook is a plain function, called by the task that makes the call: what takes time there holds up the call.
- For one call: `attempt` and `answer` in turn, `wait` before an attempt, `retry` after an answer, and at
  the end `result`, once, whatever the end is.
- What a hook is given shows no key, no recipient and no content in its repr, but for what is the caller's own.
"""

from collections.abc import Mapping

from ..calls import Call
from ..http import Request
from ..results import ApiError, Result


class Watch:
    """What is told of one call, in the order in which it happens."""

    def attempt(self, request: Request, /) -> Mapping[str, str] | None:  # noqa: ARG002 - for a subclass
        """Learn that *request* is about to leave; may give headers to send with it, such as `traceparent`.

        A header that the request has already stays as it is, and none can be added that says where it
        goes, what its body is, or which operation it belongs to.
        """
        return None

    def answer(self, result: Result[object], /) -> None:
        """Learn what the attempt came to."""

    def wait(self, seconds: float, /) -> None:
        """Learn that the call has waited for *seconds* for its turn at the rate limit."""

    def retry(self, error: ApiError, seconds: float, /) -> None:
        """Learn that the call will rest for *seconds* after *error*, and then go again."""

    def result(self, result: Result[object] | None, /) -> None:
        """Learn what the call came to; None if it was cancelled or its transport raised.

        What ended it then is `sys.exception()`.
        """


class BatchWatch:
    """What is told of one batch, in the order in which it happens."""

    def outcome(self, call: Call[object], result: Result[object], /) -> None:
        """Learn what became of a row: once for each, and once more if it was sent again by `resume`."""

    def stopped(self, reason: str, error: ApiError | None, /) -> None:
        """Learn that no more is sent, as `batch.Stopped` explains."""

    def resumed(self) -> None:
        """Learn that sending goes on after a stop."""

    def broken(self, error: BaseException, /) -> None:
        """Learn that *error* comes out of the batch: raised by the loop, the source or the api, or a cancellation."""

    def ended(self) -> None:
        """Learn that the batch was left, at its end or before: once, whatever the end is, and last of all."""


class Observer:
    """Whoever wants to know: is asked at the start of each call and of each batch what to tell of it to.

    Subclass it and pass it to `Client` or `batch.sending`. One that raises changes nothing about the
    call: that is logged, and it is told no more of that call or batch.
    """

    def call(self, call: Call[object], /) -> Watch | None:  # noqa: ARG002 - for a subclass
        """Give what is to be told of *call*; None to be told nothing."""
        return None

    def batch(self) -> BatchWatch | None:
        """Give what is to be told of a batch; None to be told nothing."""
        return None
