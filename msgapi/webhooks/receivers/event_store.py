"""Seen: which events were handled already, as deliveries repeat and overlap."""

from collections import OrderedDict
from typing import Literal, Protocol, TypeAlias, final

from attrs import define, field
from attrs.validators import ge

Standing: TypeAlias = Literal["new", "busy", "done"]


class Seen(Protocol):
    """A store of event ids; one for several processes is written in these three functions.

    A `begin` that gave `new` is followed by `done` or `forget`, unless the process dies: a store that
    outlives it should let a `busy` id become `new` again after a while.
    """

    async def begin(self, event_id: str) -> Standing:
        """Take an id on: `new` if it is for the caller to handle, `busy` if somebody does, `done` if it was."""
        ...  # pragma: no cover

    async def done(self, event_id: str) -> None:
        """Remember that it was handled."""
        ...  # pragma: no cover

    async def forget(self, event_id: str) -> None:
        """Forget it: it was not handled, and is to be when it comes again."""
        ...  # pragma: no cover


@final
@define(eq=False)
class Remembered:
    """The ids of the last *most* events that were handled, in the memory of this process."""

    most: int = field(default=10_000, validator=ge(1))
    _done: "OrderedDict[str, None]" = field(factory=OrderedDict, init=False, repr=False)
    _busy: set[str] = field(factory=set, init=False, repr=False)

    async def begin(self, event_id: str) -> Standing:
        """Take an id on."""
        if event_id in self._done:
            self._done.move_to_end(event_id)
            return "done"
        if event_id in self._busy:
            return "busy"
        self._busy.add(event_id)
        return "new"

    async def done(self, event_id: str) -> None:
        """Remember that it was handled; the one that was not seen for longest goes if there are too many."""
        self._busy.discard(event_id)
        self._done[event_id] = None
        if len(self._done) > self.most:
            _ = self._done.popitem(last=False)

    async def forget(self, event_id: str) -> None:
        """Forget it."""
        self._busy.discard(event_id)
