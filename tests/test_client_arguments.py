"""client: each slip in how it is made is one sentence that says what to do, before anything is sent."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import httpx2 as library
import pytest
import trio
from aiohttp import ClientSession

import msgapi
from msgapi import Client, Misconfigured, Ok, Pace, Request, Response, Retry, billing, transports, webhooks
from msgapi.transports import Transport, aiohttp, httptools, httpx2

KEY = "sk_never_shown"


async def answer(_: Request, /) -> Response:
    return Response(200, {}, b'{"free":1}')


SLIPS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"timeout": None}, TypeError, "timeout must be a number of seconds, such as 30.0, not None"),
    ({"timeout": True}, TypeError, "timeout must be a number of seconds, such as 30.0, not bool"),
    ({"timeout": 0}, ValueError, "timeout must be a number of seconds above 0 and finite, not 0"),
    ({"timeout": float("nan")}, ValueError, "timeout must be .* not nan"),
    ({"timeout": float("inf")}, ValueError, "timeout must be .* not inf"),
    ({"max_connections": 0}, ValueError, "max_connections must be at least 1, not 0"),
    ({"max_connections": "9"}, TypeError, "max_connections must be a whole number, such as 100, not str"),
    ({"max_connections": 1.5}, TypeError, "max_connections must be a whole number, such as 100, not float"),
    ({"max_connections": True}, TypeError, "max_connections must be a whole number, such as 100, not bool"),
    ({"max_connections": 9, "transport": httptools.open()}, ValueError, "pass it to the `open` of the transport"),
    ({"retry": 3}, TypeError, r"retry must be a Retry, such as Retry\(attempts=3\), not int"),
    ({"retry": None}, TypeError, "retry must be a Retry, .* not None"),
    ({"pace": 5}, TypeError, r"pace must be a Pace, such as Pace\(per_second=5\), not int"),
    ({"clock": msgapi.VirtualClock}, TypeError, "clock must have the methods now, time, sleep.* not the class Virtual"),
    ({"clock": 1}, TypeError, "clock must have the methods"),
    ({"observer": print}, TypeError, "observer must be an Observer, such as .*, not builtin"),
    ({"api_key": b"sk"}, TypeError, "api_key must be a string, not bytes"),
    ({"api_key": ""}, Misconfigured, "no API key"),
    ({"base_url": 1}, TypeError, "base_url must be a string such as https://"),
    ({"base_url": "http://h.example"}, Misconfigured, "must be https"),
    ({"base_url": "https://h..example"}, Misconfigured, "must be like https://"),
    ({"base_url": "https://."}, Misconfigured, "must be like https://"),
    ({"base_url": f"https://{'h' * 64}.example"}, Misconfigured, "must be like https://"),
    ({"transport": "aiohttp"}, TypeError, r"transport must be a transport, not str: pass transports.aiohttp.open\(\)"),
    ({"transport": aiohttp}, TypeError, r"not the module .*: pass transports.aiohttp.open\(\)"),
    ({"transport": transports}, TypeError, r"not the module .*: pass transports.aiohttp.open\(\)"),
    ({"transport": httptools.open}, TypeError, r"not the function open: pass transports.httptools.open\(\), which"),
    ({"transport": aiohttp.open}, TypeError, r"not the function open: pass transports.aiohttp.open\(\), which"),
    ({"transport": Client}, TypeError, "not the class Client: pass"),
    ({"transport": library.AsyncClient()}, TypeError, r"pass transports.httpx2.open\(client=...\)"),
]


@pytest.mark.parametrize(("given", "kind", "text"), SLIPS)
def test_a_slip_is_one_sentence_and_shows_no_key(given: dict[str, Any], kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text) as error:
        Client(**{"api_key": KEY, **given})
    assert type(error.value) is kind
    trace = error.value.__traceback__
    assert trace is not None
    while (trace := trace.tb_next) is not None:
        assert KEY not in repr(trace.tb_frame.f_locals)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_session_is_passed_in_a_transport() -> None:
    async with ClientSession() as session:
        with pytest.raises(TypeError, match=r"pass transports.aiohttp.open\(session=...\)"):
            Client(api_key=KEY, transport=session)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_transport_may_be_opened_by_any_context_manager() -> None:
    closed = []

    @asynccontextmanager
    async def opening() -> AsyncIterator[Transport]:
        yield answer
        closed.append(True)

    async with Client(api_key=KEY, transport=opening()) as client:
        assert isinstance(await client(billing.balance()), Ok)
    assert closed == [True]


@pytest.mark.parametrize("opening", [None, aiohttp, httptools])
def test_on_trio_the_error_names_what_to_install_and_to_write(opening: ModuleType | None) -> None:
    client = Client(api_key=KEY, transport=None if opening is None else opening.open())
    with pytest.raises((Misconfigured, RuntimeError), match=r"on trio, .*httpx2") as error:
        trio.run(client, billing.balance())
    if opening is None:
        assert 'pip install "msgapi-sdk[trio]"' in str(error.value)
        assert "transport=transports.httpx2.open()" in str(error.value)


@pytest.mark.parametrize("module", [aiohttp, httptools, httpx2])
@pytest.mark.parametrize("option", ["timeout", "connect_timeout"])
def test_the_seconds_of_a_transport_are_checked_before_it_opens(module: ModuleType, option: str) -> None:
    with pytest.raises(TypeError, match=f"{option} must be a number of seconds"):
        module.open(**{option: None})
    with pytest.raises(ValueError, match=f"{option} must be a number of seconds above 0"):
        module.open(**{option: 0})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Retry(attempts="3"), "attempts must be a whole number, not str"),  # type: ignore[arg-type]
        (lambda: Retry(attempts=2.5), "attempts must be a whole number, not float"),  # type: ignore[arg-type]
        (lambda: Retry(base=None), "base must be a number, not None"),  # type: ignore[arg-type]
        (lambda: Pace(per_second="5"), "per_second must be a number, not str"),  # type: ignore[arg-type]
        (lambda: Pace(shared=5), "shared must have the methods reserve, such as"),  # type: ignore[arg-type]
        (lambda: webhooks.read({}, b"", secret=None), "secret must be a string, or several in a list, not NoneType"),  # type: ignore[arg-type]
        (lambda: webhooks.read({}, b"", secret=b"x"), "secret must be a string, or several in a list, not bytes"),  # type: ignore[arg-type]
    ],
)
def test_a_value_of_a_wrong_type_is_one_sentence(make: Callable[[], object], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        make()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("messages", r"a call is a value: await client\(messages.send\(...\)\)"),
        ("contacts", r"await client\(contacts.create\(...\)\)"),
        ("send", r"a call is a value: await client\(messages.send\(...\)\)"),
        ("balance", r"await client\(billing.balance\(...\)\)"),
        ("list", r"await client\(messages.list\(...\)\)"),
        ("pages", r"async for page in messages.pages\(client\)"),
        ("iterate", r"async for item in messages.iterate\(client\)"),
        ("batch", r"batch.send\(client, calls\)"),
        ("close", r"await client.aclose\(\)"),
        ("nonsense", "'Client' has no attribute 'nonsense'$"),
        ("_nonsense", "'Client' has no attribute '_nonsense'$"),
    ],
)
def test_what_is_no_attribute_is_answered_by_the_line_to_write(name: str, line: str) -> None:
    with pytest.raises(AttributeError, match=line):
        getattr(Client(), name)


@pytest.mark.anyio
async def test_other_ways_to_open_it_say_how() -> None:
    client: Any = Client(api_key=KEY, transport=answer)
    with pytest.raises(TypeError, match="a client is not awaited"):
        await client
    with pytest.raises(TypeError, match="write `async with`, not `with`"), client:
        pass  # pragma: no cover
    client.__exit__()
    with pytest.raises(TypeError, match=r"a client takes a call, such as messages.send\(...\), not str"):
        await client("send")
