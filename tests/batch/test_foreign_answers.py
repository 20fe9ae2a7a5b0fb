"""Batches behind a proxy, a login page or a wrong base URL: what is not the service's answer settles no row."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import orjson
import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from msgapi import Call, Client, Ok, Request, Response, Retry, VirtualClock, batch, journal, messages
from msgapi.journal import State
from msgapi.messages import Accepted

pytestmark = pytest.mark.anyio
HTML = {"Content-Type": "text/html"}
PAGE = b"<html>no such page</html>"
BODIES = [PAGE, b"", b"{}", b'{"error":"Not Found","message":"no such route"}', b'{"message":"Forbidden"}', b"[]"]
STATUSES = [200, 201, 202, 203, 204, 301, 302, 307, 400, 401, 402, 403, 404, 405, 409, 410, 421, 422, 425]
UNKNOWN = {200, 201, 202, 203, 204}


def calls(count: int) -> Iterator[tuple[str, Call[Accepted]]]:
    for row in range(count):
        text = messages.Text(agent_id="ag_1", to=f"+49151{row:08}", traffic_type="TRANSACTION", text="Hi")
        yield f"r{row}", messages.send(text)


@define
class Proxied:
    """A service that accepts each key once, behind a proxy that has *answers* of its own; *well* lets calls through."""

    answers: list[Response]
    asked: int = 0
    keys: Counter[str] = field(factory=Counter)
    recipients: Counter[str] = field(factory=Counter)
    well: bool = False

    async def __call__(self, request: Request, /) -> Response:
        self.asked += 1
        key = request.headers["Idempotency-Key"]
        if self.answers and not self.well:
            return self.answers[self.asked % len(self.answers)]
        if not self.keys[key]:
            self.recipients[orjson.loads(request.body or b"")["to"]] += 1
        self.keys[key] += 1
        return Response(200, {}, orjson.dumps({"message_id": f"msg_{key}"}))


async def run(service: Proxied, path: Path, count: int, attempts: int = 2) -> batch.Outcomes[Accepted]:
    clock = VirtualClock()
    async with (
        clock.autojump(),
        Client(api_key="sk", transport=service, clock=clock, retry=Retry(attempts=attempts)) as client,
        journal.open(str(path), batch="b", clock=clock) as record,
        batch.send(client, calls(count), journal=record, concurrency=4, clock=clock) as outcomes,
    ):
        async for outcome in outcomes:
            assert isinstance(outcome.result, Ok) or not outcome.result.from_service
    return outcomes


def states(path: Path) -> Counter[State]:
    with journal.open_readonly(str(path)) as record:
        return Counter(row.state for row in record.rows())


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("body", BODIES[:2])
async def test_a_page_settles_no_row_stops_the_batch_and_is_forgotten_once_the_service_answers(
    tmp_path: Path, status: int, body: bytes
) -> None:
    path = tmp_path / "journal"
    service = Proxied([Response(status, HTML, body)])
    outcomes = await run(service, path, 60)
    assert outcomes.stopped is not None
    assert outcomes.stopped.reason == "foreign"
    assert service.asked <= 2 * 20
    assert set(states(path)) <= {State.UNKNOWN if status in UNKNOWN else State.NOT_SENT}
    service.well = True
    assert (await run(service, path, 60)).stopped is None
    assert states(path) == {State.ACCEPTED: 60}
    assert (set(service.recipients.values()), len(service.recipients)) == ({1}, 60)


async def test_a_few_such_answers_cost_a_repetition_and_no_row(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    service = Proxied([])
    pages = iter([Response(404, HTML, PAGE), Response(200, HTML, PAGE), Response(302, {}, b"")])

    async def api(request: Request, /) -> Response:
        return next(pages, None) or await service(request)

    clock = VirtualClock()
    async with (
        clock.autojump(),
        Client(api_key="sk", transport=api, clock=clock) as client,
        journal.open(str(path), batch="b", clock=clock) as record,
        batch.send(client, calls(20), journal=record, concurrency=4, clock=clock) as outcomes,
    ):
        results = [outcome.result async for outcome in outcomes]
    assert all(isinstance(result, Ok) for result in results)
    assert (set(service.keys.values()), len(service.keys)) == ({1}, 20)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_no_mix_of_answers_that_are_not_the_services_settles_a_row_or_sends_one_twice(anyio_backend: str) -> None:
    @settings(max_examples=50)
    @given(answers=st.lists(st.tuples(st.sampled_from(STATUSES), st.sampled_from(BODIES)), min_size=1, max_size=6))
    def mix(answers: list[tuple[int, bytes]]) -> None:
        with TemporaryDirectory() as directory:
            pages = [Response(status, HTML, body) for status, body in answers]
            anyio.run(check, Path(directory) / "journal", Proxied(pages), backend=anyio_backend)

    async def check(path: Path, service: Proxied) -> None:
        outcomes = await run(service, path, 30)
        assert outcomes.stopped is not None
        assert outcomes.stopped.reason == "foreign"
        assert {State.ACCEPTED, State.REFUSED}.isdisjoint(states(path))
        service.well = True
        _ = await run(service, path, 30)
        assert states(path) == {State.ACCEPTED: 30}
        assert (set(service.recipients.values()), len(service.recipients)) == ({1}, 30)

    mix()
