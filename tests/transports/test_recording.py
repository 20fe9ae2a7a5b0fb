"""Recording and Replay: what is written, what is never written, and that a replay returns it."""

import json
from pathlib import Path

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import msgapi
from msgapi import NotSent, Ok, Request, Response, Unanswered, messages
from msgapi.results import NO_FREE_CONNECTION, Meta
from msgapi.sandbox import MAGIC_RECIPIENTS, Sandbox, serve
from msgapi.transports import Answer, Cassette, NotRecorded, Recording, RecordMode, Replay, Transport

PHONE, TEXT, KEY = "+4915112345678", "Your parcel waits at Elm Street", "sk_live_topsecret"
JSON = {"content-type": "application/json"}
BASE = "https://api.test"
pytestmark = pytest.mark.anyio


def ask(
    body: object = None, *, method: str = "POST", target: str = "/v1/messages", headers: dict[str, str] | None = None
) -> Request:
    raw = body if isinstance(body, bytes | None) else orjson.dumps(body)
    return Request(method, BASE + target, {"Authorization": f"Bearer {KEY}", **(headers or {})}, raw)


def contents(path: Path) -> str:
    return path.read_text()


def put(path: Path, text: str) -> None:
    _ = path.write_text(text)


def always(answer: Answer) -> Transport:
    async def transport(_: Request, /) -> Answer:
        return answer

    return transport


async def written(path: Path, request: Request, answer: Answer, *, unmasked: bool = False) -> str:
    with Recording(always(answer), path, unmasked=unmasked, append=True) as recording:
        assert await recording(request) == answer
    return contents(path)


def answer_of(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text.splitlines()[-1])["answer"]
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recording.jsonl"


# What is masked.


async def test_no_key_no_recipient_and_no_content_is_written(path: Path) -> None:
    body = {"agent_id": "ag_live_demo", "to": PHONE, "message_type": "MESSAGE", "content": {"text": TEXT}}
    answer = {
        "message_id": "msg_9f01aa2212345678",
        "status": "queued",
        "created_at": "2026-05-04T07:30:00Z",
        "to": PHONE,
        "message": f"Accepted for {PHONE}: {TEXT}",
        "billing": {"hold_amount": 0.11, "balance": {"free": 72.4}},
    }
    text = await written(
        path, ask(body, headers={"Idempotency-Key": "for-Jane"}), Response(200, JSON, orjson.dumps(answer))
    )
    for secret in (KEY, PHONE, PHONE[1:], TEXT, "Elm", "Jane"):
        assert secret not in text
    kept = answer | {"to": "***", "message": "***"}
    assert answer_of(text)["body"] == {"json": kept}


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({"status": "DELIVERED", "error": "not_found"}, ...),
        ({"status": "call +49 151 12345678"}, {"status": "***"}),
        ({"id": "c_4fa9", "external_id": "jane"}, {"id": "c_4fa9", "external_id": "***"}),
        ({"contact_id": "jane@mail.test"}, {"contact_id": "***"}),
        ({"id": "0b8f7c0e-8a52-4b0e-9f57-6a1f7a0c9e11"}, ...),
        ({"created_at": "2026-05-04T07:30:00.123Z", "read_at": None}, ...),
        ({"created_at": "on Jane's birthday"}, {"created_at": "***"}),
        ({"ttl": "900s", "cost": "0.0500", "sandbox": True}, ...),
        ({"cost": "4915112345678"}, {"cost": "***"}),
        ({"total": 75.0, "limit": 50, "retry_after": 0.5}, ...),
        ({"total": 4915112345678, "code": 482913}, {"total": 0, "code": 0}),
        ({"free": 10**400}, {"free": 0}),
        ({"details": [{"field": "to", "message": "is wrong"}]}, {"details": [{"field": "to", "message": "***"}]}),
        ({"custom_fields": {"jane": "doe"}, "template_data": {"otp": "1"}}, {"custom_fields": {}, "template_data": {}}),
        ({"+4915112345678": 1, "jane doe": 2}, {"***": 0}),
        ({"tags": ["vip"], "message": ""}, {"tags": ["***"], "message": ""}),
        (["jane", 7, None, False, {"a": []}], ["***", 0, None, False, {"a": []}]),
    ],
)
async def test_only_what_is_on_the_list_and_looks_like_it_stays(path: Path, body: object, kept: object) -> None:
    text = await written(path, ask(), Response(200, JSON, json.dumps(body).encode()))
    assert answer_of(text)["body"] == {"json": body if kept is ... else kept}


@pytest.mark.parametrize("echo", ["Mueller", "Mueller_", "contacts.Mueller.email"])
async def test_what_was_hidden_in_the_request_is_hidden_in_the_answer(path: Path, echo: str) -> None:
    answer = Response(400, JSON, orjson.dumps({"error": "validation_error", "details": [{"field": echo}]}))
    text = await written(path, ask({"last_name": "Mueller"}), answer)
    assert answer_of(text)["body"] == {"json": {"error": "validation_error", "details": [{"field": "***"}]}}


async def test_a_short_word_of_the_request_is_hidden_only_as_a_whole(path: Path) -> None:
    answer = Response(400, JSON, orjson.dumps({"error": "validation_error", "field": "Val"}))
    text = await written(path, ask({"first_name": "Val", "last_name": "val"}), answer)
    assert answer_of(text)["body"] == {"json": {"error": "validation_error", "field": "***"}}


@pytest.mark.parametrize(
    "body", [b"<html>Jane</html>", b'{"to": "Jane', b"\xff\xfe", b"[" * 100_000, b"NaN", b'{"a":NaN}']
)
async def test_of_a_body_that_is_no_json_only_the_size_is_kept(path: Path, body: bytes) -> None:
    request, answer = ask(body), Response(502, {"content-type": "text/html"}, body)
    text = await written(path, request, answer)
    assert "Jane" not in text
    assert await Replay(path)(request) == Response(502, {"content-type": "text/html"}, b"*" * len(body))


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/v1/messages/msg_1234567890", ...),
        ("/v1/contacts/jane%40mail.test/consent", "/v1/contacts/***/consent"),
        ("/proxy/v1/messages", "/***/v1/messages"),
        ("/v1/messages?limit=50&from=2026-05-04&status=QUEUED", ...),
        ("/v1/messages?to=%2B4915112345678&q=jane&", "/v1/messages?to=***&q=***"),
        ("/v1/messages?", "/v1/messages"),
        ("/", ...),
        ("", "/"),
        ("/v1/messages#jane", "/v1/messages"),
    ],
)
async def test_of_a_path_routes_and_ids_stay(path: Path, target: str, kept: object) -> None:
    text = await written(path, ask(target=target, method="GET"), Response(204))
    line = json.loads(text.splitlines()[1])
    assert line["request"]["target"] == (target if kept is ... else kept)


async def test_of_the_headers_only_the_known_ones_with_a_plain_value_stay(path: Path) -> None:
    kept = {
        "content-type": "application/json; charset=utf-8",
        "date": "Mon, 04 May 2026 07:30:00 GMT",
        "x-ratelimit-reset": "1764000000",
        "retry-after": "2",
    }
    more = {
        "set-cookie": "a=b",
        "x-jane": "1",
        "x-ratelimit-limit": "call +4915112345678",
        "location": "/v1/contacts/jane",
    }
    text = await written(path, ask(), Response(201, {**kept, **more}))
    assert answer_of(text)["headers"] == {**kept, "location": "/v1/contacts/***"}


async def test_the_reason_for_no_answer_is_masked(path: Path) -> None:
    reason = f"no way to reach {PHONE} or a@b.test with {TEXT} via cat"
    text = await written(path, ask({"text": TEXT, "pet": "cat"}), Unanswered(reason))
    assert answer_of(text) == {"unanswered": "no way to reach *** or *** with *** via cat"}


ANY_LEAF = st.none() | st.booleans() | st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
ANY_JSON = st.recursive(ANY_LEAF, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(ANY_JSON)
def test_any_json_can_be_recorded_and_found_again(tmp_path_factory: pytest.TempPathFactory, body: object) -> None:
    async def go() -> None:
        for unmasked in (False, True):
            path = tmp_path_factory.mktemp("any") / "r.jsonl"
            raw = json.dumps(body).encode()
            request, answer = ask(raw), Response(200, {"x": "\udcff"}, raw)
            _ = await written(path, request, answer, unmasked=unmasked)
            replayed = await Replay(path)(request)
            assert isinstance(replayed, Response)
            if unmasked:
                assert replayed == answer
            else:
                assert type(json.loads(replayed.body or b"null")) is type(json.loads(raw))

    anyio.run(go)


# Unmasked.


async def test_unmasked_everything_but_the_key_and_cookies_is_written(path: Path) -> None:
    request = ask(
        {"to": PHONE, "key": KEY}, headers={"Idempotency-Key": "k1", "Cookie": "biscuit"}, target=f"/v1?k={KEY}"
    )
    answer = Response(200, {"x": f"for {KEY}", "set-cookie": "biscuit"}, f"hello {KEY} é".encode())
    text = await written(path, request, answer, unmasked=True)
    assert KEY not in text
    assert "biscuit" not in text
    assert PHONE in text
    assert '"idempotency-key":"k1"' in text
    assert await Replay(path)(request) == Response(200, {"x": "for ***"}, "hello *** é".encode())


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b'{"a":1,"b":"\xc3\xa9"}', "json"),
        (b'{ "a": 1 }', "text"),
        (b'{"a":1.50}', "text"),
        (b"<html>", "text"),
        (b"[" * 100_000, "text"),
        (b"NaN", "text"),
        (b"\xff\x00", "base64"),
    ],
)
async def test_unmasked_a_body_comes_back_to_the_byte_in_its_most_readable_form(
    path: Path, body: bytes, form: str
) -> None:
    text = await written(path, ask(body), Response(200, {}, body), unmasked=True)
    assert list(answer_of(text)["body"]) == [form]  # type: ignore[call-overload]
    assert await Replay(path)(ask(body)) == Response(200, {}, body)


async def test_unmasked_a_request_without_a_key_is_written_as_it_is(path: Path) -> None:
    request = Request("GET", f"{BASE}/v1/messages?to=a")
    _ = await written(path, request, NotSent("refused: a"), unmasked=True)
    assert await Replay(path)(request) == NotSent("refused: a")


# Replay.


async def test_equal_requests_are_answered_in_the_order_of_the_recording_each_once(path: Path) -> None:
    answers: list[Answer] = [
        Unanswered("reset"),
        Unanswered("reset again", meta=Meta(attempts=2)),
        NotSent("refused"),
        NotSent("no free connection", code=NO_FREE_CONNECTION),
        Response(200, JSON, b"{}"),
        Response(200, JSON, b"{}", attempts=2),
    ]
    for answer in answers:
        _ = await written(path, ask({"to": PHONE}), answer)
    replay = Replay(str(path))
    assert replay.left == 6
    another = ask({"to": "+4915199999999"}, headers={"Idempotency-Key": "another"})
    assert [await replay(another) for _ in answers] == answers
    assert replay.left == 0
    with pytest.raises(NotRecorded, match=r"^POST /v1/messages is no more often in the recording .*nothing was sent"):
        _ = await replay(another)


@pytest.mark.parametrize(
    "request_",
    [
        ask({"to": PHONE}, method="PUT"),
        ask({"to": PHONE}, target="/v1/test/messages"),
        ask({"to": PHONE}, target="/v1/messages?limit=1"),
        ask({"from": PHONE}),
        ask(),
    ],
)
async def test_another_method_path_query_or_body_is_not_in_the_recording(path: Path, request_: Request) -> None:
    _ = await written(path, ask({"to": PHONE}), Response(200))
    with pytest.raises(NotRecorded, match=rf"^{request_.method} /v1/.* is (not|with another body) in the ") as raised:
        _ = await Replay(path)(request_)
    assert PHONE not in str(raised.value)
    same_route = request_.url == f"{BASE}/v1/messages" and request_.method == "POST"
    assert ("another body" in str(raised.value)) is same_route


async def test_no_body_and_an_empty_body_are_the_same(path: Path) -> None:
    _ = await written(path, ask(), Response(204))
    assert await Replay(path)(ask(b"")) == Response(204)


async def test_a_conversation_with_the_sandbox_gives_the_same_results_again(path: Path) -> None:
    def calls() -> list[msgapi.Call[messages.Accepted]]:
        to = [PHONE, *(magic.phone for magic in MAGIC_RECIPIENTS if magic.fault in {"402", "404", "422", "502", "430"})]
        return [
            messages.send(messages.Text(agent_id="ag_live_demo", to=one, traffic_type="TRANSACTION", text=TEXT))
            for one in to
        ]

    async def outcomes(transport: Transport) -> list[tuple[type, str]]:
        found = []
        async with msgapi.Client(transport=transport, api_key=sandbox.api_key, retry=msgapi.Retry(attempts=1)) as api:
            for call in calls():
                result = await api(call)
                found.append((type(result), result.value.message_id if isinstance(result, Ok) else result.code))
            page = await api(messages.list(limit=5))
            assert isinstance(page, Ok), page
            found.append((Ok, page.value.messages[0].id))
        return found

    sandbox = Sandbox()
    with Recording(sandbox, path) as recording:
        live = await outcomes(recording)
    text = contents(path)
    assert PHONE not in text
    assert TEXT not in text
    replay = Replay(path)
    assert await outcomes(replay) == live
    assert replay.left == 0


# The file.


async def test_a_second_recording_into_the_same_file_is_refused_unless_it_is_to_be_added(path: Path) -> None:
    _ = await written(path, ask(), Response(200))
    with pytest.raises(ValueError, match=r"has 1 exchanges already.*append=True"):
        _ = Recording(always(Response(201)), path)
    assert Replay(path).left == 1


async def test_a_recording_goes_on_where_the_last_one_ended(path: Path) -> None:
    for status in (200, 201):
        _ = await written(path, ask(), Response(status))
    put(path, contents(path).removesuffix("\n"))
    text = await written(path, ask(), Response(202))
    assert [json.loads(line)["answer"]["status"] for line in text.splitlines()[1:]] == [200, 201, 202]


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    Recording(always(Response(200)), path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_empty_file_is_begun(path: Path) -> None:
    path.touch()
    Recording(always(Response(200)), str(path)).close()
    assert Replay(path).left == 0


@pytest.mark.parametrize("unmasked", [True, False])
def test_masked_and_unmasked_do_not_go_into_one_file(path: Path, unmasked: bool) -> None:
    Recording(always(Response(200)), path, unmasked=unmasked).close()
    with pytest.raises(ValueError, match="take another file"):
        _ = Recording(always(Response(200)), path, unmasked=not unmasked)


def test_a_folder_that_does_not_exist_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        _ = Recording(always(Response(200)), tmp_path / "missing" / "r.jsonl")


async def test_a_line_that_was_cut_short_is_named(path: Path) -> None:
    whole = await written(path, ask(), Response(200))
    put(path, whole + whole.splitlines()[1][:-9])
    with pytest.raises(ValueError, match="line 3: it was cut short"):
        _ = Replay(path)
    with pytest.raises(ValueError, match="line 3: it was cut short"):
        _ = Recording(always(Response(200)), path)


@pytest.mark.parametrize("text", ["", "\n", "hello", "[]", "{}", '{"recording":"msgapi","version":2,"masked":true}'])
def test_a_file_that_is_no_recording_is_refused(path: Path, text: str) -> None:
    put(path, text)
    with pytest.raises(ValueError, match="line 1: this is not a recording"):
        _ = Replay(path)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "7",
        "[" * 100_000,
        '{"request":{"method":"GET","target":"/","body":null}}',
        '{"request":{"method":1,"target":"/","body":null},"answer":{"not_sent":"x"}}',
        '{"request":{"method":"GET","target":"/","body":null},"answer":{"status":"200"}}',
        '{"request":{"method":"GET","target":"/","body":null},"answer":{"unanswered":"x","attempts":"2"}}',
        '{"request":{"method":"GET","target":"/","body":null},"answer":{"status":200,"headers":{},"body":{"base64":"é"}}}',
        '{"request":{"method":"GET","target":"/","body":null},"answer":{"status":200,"headers":{},"body":{"xml":"x"}}}',
    ],
)
async def test_a_line_that_is_no_exchange_is_named(path: Path, line: str) -> None:
    first = (await written(path, ask(), Response(200))).splitlines()[0]
    put(path, f"{first}\n{line}\n")
    with pytest.raises(ValueError, match="line 2: this is not an exchange"):
        _ = Replay(path)


async def test_what_raises_is_not_written(path: Path) -> None:
    async def broken(_: Request, /) -> Answer:
        raise LookupError("a bug")

    with Recording(broken, path) as recording, pytest.raises(LookupError):
        _ = await recording(ask())
    assert Replay(path).left == 0


async def test_after_its_end_a_recording_lets_nothing_through(path: Path) -> None:
    recording = Recording(always(Response(200)), path)
    recording.close()
    with pytest.raises(RuntimeError, match="closed"):
        _ = await recording(ask())


# A cassette.


class Service:
    """Answers with the number of the request."""

    def __init__(self) -> None:
        self.requests = 0

    async def __call__(self, _: Request, /) -> Answer:
        self.requests += 1
        return Response(200, JSON, orjson.dumps({"total": self.requests}))


async def totals(cassette: Cassette, *bodies: object) -> list[int]:
    found = []
    async with cassette as transport:
        for body in bodies:
            answer = await transport(ask(body))
            assert isinstance(answer, Response)
            found.append(orjson.loads(answer.body)["total"])
    return found


@pytest.mark.parametrize(
    ("mode", "first", "second", "lines"),
    [("once", [1, 2], None, 2), ("new", [1, 2], [1, 2, 3], 3), ("all", [1, 2], [3, 4, 5], 3)],
)
async def test_a_cassette_sends_what_its_mode_says(
    path: Path, mode: RecordMode, first: list[int], second: list[int] | None, lines: int
) -> None:
    service = Service()
    made = [Cassette(path, record=mode, transport=service) for _ in range(2)]
    assert await totals(made[0], [1], [2, 2]) == first
    if second is None:
        assert await totals(made[1], [1]) == [1]
        with pytest.raises(NotRecorded, match="POST /v1/messages is with another body in"):
            _ = await totals(made[1], {"a": 1})
    else:
        assert await totals(made[1], [1], [2, 2], [3, 3, 3]) == second
    assert len(contents(path).splitlines()) == 1 + lines


async def test_a_cassette_that_only_replays_needs_its_file(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _ = await totals(Cassette(path, record="none"))
    _ = await written(path, ask([1]), Response(200, JSON, b'{"total":7}'))
    cassette = Cassette(path, record="none")
    assert cassette.left == 0  # it is read when it is opened
    assert await totals(cassette) == []
    assert cassette.left == 1
    assert await totals(cassette, [1]) == [7]
    with pytest.raises(NotRecorded, match="no more often"):
        _ = await totals(cassette, [1])


async def test_a_cassette_that_is_opened_again_goes_on(path: Path) -> None:
    service = Service()
    cassette = Cassette(path.parent / "new" / "folder" / "r.jsonl", transport=service)
    assert [await totals(cassette, [number]) for number in range(3)] == [[1], [2], [3]]
    again = Cassette(path.parent / "new" / "folder" / "r.jsonl", transport=service)
    assert [await totals(again, [1]) for _ in range(3)] == [[1], [2], [3]]  # masked: each is `[0]`
    assert (again.left, service.requests) == (0, 3)


async def test_a_cassette_opens_a_transport_that_is_not_open(path: Path) -> None:
    opened = list[str]()

    class Unopened:
        async def __aenter__(self) -> Transport:
            opened.append("open")
            return Service()

        async def __aexit__(self, *_: object) -> None:
            opened.append("closed")

    cassette = Cassette(path, transport=Unopened())
    async with cassette as transport:
        _ = await transport(ask())
        with pytest.raises(RuntimeError, match="open already"):
            _ = await cassette.__aenter__()
    assert opened == ["open", "closed"]
    await cassette.__aexit__()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_client_opens_a_cassette_and_sends_over_aiohttp_what_it_records(path: Path) -> None:
    box = Sandbox()

    async def get(base_url: str) -> str:
        async with msgapi.Client(transport=Cassette(path), api_key=box.api_key, base_url=base_url) as client:
            result = await client(messages.get("msg_a"))
            assert not isinstance(result, Ok)
            return result.code

    async with serve(box) as url:
        assert await get(url) == "not_found"
    assert await get("https://api.test") == "not_found"
    assert box.requests == 1


async def test_a_call_that_is_not_recorded_fails_its_test_at_once_and_is_not_retried(path: Path) -> None:
    _ = await written(path, ask(target="/v1/messages/msg_a", method="GET"), Response(200, JSON, b"{}"))
    async with msgapi.Client(transport=Replay(path), api_key=KEY) as client:
        with pytest.raises(NotRecorded, match=r"GET /v1/messages/msg_b1 is not in the recording .*r?ecording\.jsonl"):
            _ = await client(messages.get("msg_b1"))


def test_a_cassette_checks_its_arguments(path: Path) -> None:
    with pytest.raises(ValueError, match="record must be one of none, once, new, all, not 'sometimes'"):
        _ = Cassette(path, record="sometimes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="transport must be a transport, not int"):
        _ = Cassette(path, transport=7)  # type: ignore[arg-type]
