"""batch with a journal and fallbacks, as a state machine: each recipient gets exactly one message.

Between two runs a recipient can become reachable by RCS, or stop being so. A run that wrongly begins at the first leg
again then sends a second message, which is seen in the log of the service.
"""

from collections.abc import Iterable
from typing import Any

from attrs import define, field
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from msgapi import Ok, Request, Response, fallback, journal, messages
from msgapi.fallback import AnyCall, leg_key
from msgapi.journal import KEY_USED, State
from msgapi.messages import Accepted
from msgapi.sandbox import Sandbox
from msgapi.transports import Answer
from tests.batch.test_states import SCHEDULES, Batches, Row, Told
from tests.support.batch_calls import BACKENDS

ADDRESSES = ("404@magic.example", "422@magic.example", "503-once@magic.example", "lost@magic.example")
NOT_CAPABLE = Response(404, {}, b'{"error":"not_rcs_capable","message":"The device cannot receive RCS."}')


@define
class FallbackRow(Row):
    email: str = ""

    def call(self) -> AnyCall[Accepted]:
        mail = messages.Email(channel_id="ch_demo", to=self.email, subject="Parcel", html="<p>It is here</p>")
        return fallback.chain(self.rcs(), messages.send(mail))


@define
class Reach:
    """The service, which answers 404 to an RCS message to one of *lost*, unless it has accepted it already."""

    box: Sandbox
    lost: set[str] = field(factory=set)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the service has
        return getattr(self.box, name)

    async def __call__(self, request: Request) -> Answer:
        return NOT_CAPABLE if self.refuses(request) else await self.box(request)

    def handle(self, request: Request) -> object:
        return NOT_CAPABLE if self.refuses(request) else self.box.handle(request)

    def refuses(self, request: Request) -> bool:
        sent = any(entry.idempotency_key == request.headers.get("Idempotency-Key") for entry in self.box.messages)
        return not sent and any(f'"to":"{phone}"'.encode() in (request.body or b"") for phone in self.lost)


class Fallbacks(Batches):
    """One batch of fallbacks, run again and again."""

    @property
    def reach(self) -> Reach:
        world: Any = self.world
        if not isinstance(world.box, Reach):
            world.box = Reach(world.box, {row.to for row in self.rows[::2]})
        found: Reach = world.box
        return found

    def row(self, name: str, to: str, text: str) -> Row:
        at = int(name)  # row 0 may be repeated: if it were refused, the second of its id would replace it
        return FallbackRow(name, to, text, ADDRESSES[at // 2 % 4] if at and at % 2 == 0 else f"row{name}@example.org")

    def _live(self, *how: Any) -> Told:  # noqa: ANN401 - as the base class
        _ = self.reach
        return super()._live(*how)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def change_reach(self, data: st.DataObject) -> None:
        self.world.arrive()  # what is under way is answered by what holds now
        self.reach.lost ^= {data.draw(st.sampled_from([row.to for row in self.rows]))}

    def _keys(self, row: Row) -> Iterable[str]:
        for key in super()._keys(row):
            yield from (key, leg_key(key, 2))

    def check_end(self, told: Told) -> None:
        super().check_end(told)
        for line in self.lines().values():
            if line.state is State.REFUSED and line.leg == 1:
                assert line.status != 404
            if line.leg == 2 and line.state is State.NOT_SENT:  # only if the row is not to be sent any more
                assert {result.code for result in told[line.id] if not isinstance(result, Ok)} & {
                    KEY_USED,
                    "validation_error",
                }
        for row, entries in self.accepted().items():
            entry, line = entries[-1], self.lines()[row]
            if line.state is State.ACCEPTED and line.message_id is not None:
                second = entry.channel == "EMAIL"
                assert line.leg == 1 + second


@BACKENDS
def test_through_any_weather_and_any_death_each_row_gets_one_message_over_one_channel(backend: str) -> None:
    machine = type("Machine", (Fallbacks,), {"backend": backend})
    few = settings(max_examples=SCHEDULES, stateful_step_count=8, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine, settings=few)


def test_the_key_of_a_leg_is_that_of_its_row_and_its_number() -> None:
    row = FallbackRow("7", "+4915100000007", "Hi", "ada@example.org")
    first, second = row.call().under(journal.key_of("b", "7")).legs
    assert first.idempotency_key == journal.key_of("b", "7")
    assert second.idempotency_key == leg_key(journal.key_of("b", "7"), 2)
