"""Nothing that is seen from outside, span, figure or record, has the key, the recipient or the content in it."""

import json
import logging
from contextlib import suppress
from typing import Any

import anyio
import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from msgapi import Call, NotSent, Response, Retry, Unanswered, batch, contacts, messages, observe, telemetry
from msgapi.transports import Answer
from tests.support.observers import ACCEPTED, DOWN, LOST, limited, observed

NUMBER, TEXT, KEY = "+4915198765432", "the heron flies at dawn", "sk_live_heron"
SECRETS = (NUMBER[1:], "heron")
ECHO = {
    "error": f"bad {NUMBER}",
    "message": TEXT,
    "details": [{"field": NUMBER, "message": TEXT}, {"field": TEXT, "message": KEY}],
    "topup_url": f"https://x.example/{NUMBER}",
    "key": KEY,
}
BILL = {"message_id": NUMBER, "status": TEXT, "billing": {"message_price": 0.07, "message_type": TEXT}}
SAID: list[Answer | Exception] = [
    ACCEPTED,
    DOWN,
    LOST,
    limited(2),
    limited(500),
    *(
        Response(status, {"Location": NUMBER}, orjson.dumps(ECHO))
        for status in (400, 401, 402, 404, 409, 422, 429, 500)
    ),
    Response(202, {}, orjson.dumps(BILL)),
    Response(202, {}, TEXT.encode()),
    Response(302, {"Location": KEY}, orjson.dumps({"error": NUMBER})),
    NotSent(f"no way to {NUMBER}"),
    Unanswered(f"lost on the way to {NUMBER}"),
    LookupError(NUMBER + TEXT + KEY),
]
MESSAGE = messages.Text(agent_id="ag_1", to=NUMBER, traffic_type="TRANSACTION", text=TEXT)
CALLS: list[Call[Any]] = [
    messages.send(MESSAGE),
    messages.send(MESSAGE, idempotency_key=f"order-{NUMBER}"),
    messages.send(attrs.evolve(MESSAGE, text="")),
    messages.list(contact_id=NUMBER),
    contacts.get(NUMBER),
    contacts.get(TEXT),
    contacts.create(contacts.NewContact(source="API", phone=NUMBER)),
]


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record) + repr(vars(record)))


async def seen(script: list[Answer | Exception], calls: list[Call[Any]]) -> str:
    exporter, reader, tracers = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    told = telemetry.observer(tracer_provider=tracers, meter_provider=MeterProvider([reader]))
    kept, logger = Kept(), logging.getLogger("msgapi")
    logger.addHandler(kept)
    how = {"api_key": KEY, "retry": Retry(attempts=3)}
    async with observed(observe.combine(told, observe.log()), *script, **how) as (api, transport):
        for call in calls:
            with suppress(LookupError):
                _ = await api(call)
        with suppress(LookupError):
            async with batch.send(api, calls, clock=transport.clock) as outcomes:
                async for _ in outcomes:
                    pass
    logger.removeHandler(kept)
    spans = [span.to_json() for span in exporter.get_finished_spans()]
    data = reader.get_metrics_data()
    assert len(spans) >= len(calls)
    assert data is not None
    assert kept.texts
    return json.dumps([*spans, data.to_json(), *kept.texts])


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_nothing_that_is_seen_tells_who_was_sent_what(backend: str) -> None:
    logger = logging.getLogger("msgapi")
    logger.setLevel(logging.DEBUG)

    @given(
        script=st.lists(st.sampled_from(SAID), min_size=1, max_size=8),
        calls=st.lists(st.sampled_from(CALLS), min_size=1, max_size=5),
    )
    def run(script: list[Answer | Exception], calls: list[Call[Any]]) -> None:
        found = anyio.run(seen, script, calls, backend=backend)
        assert not [secret for secret in SECRETS if secret in found]

    try:
        run()
    finally:
        logger.setLevel(logging.NOTSET)
