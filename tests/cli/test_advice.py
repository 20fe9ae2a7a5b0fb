"""What to do about each way in which a command that sends no message can fail."""

from typing import Any, get_args

import attrs
import pytest

from msgapi import (
    ApiError,
    Call,
    Conflict,
    Forbidden,
    InsufficientBalance,
    Invalid,
    Meta,
    NotFound,
    NotSent,
    Request,
    Response,
    ServerFault,
    Throttled,
    Unanswered,
    Unauthorized,
    Unavailable,
    Unexpected,
    Unprocessable,
    Unreadable,
    billing,
    messages,
    webhooks,
)
from msgapi.cli import main
from msgapi.cli.advice import advise_call, advise_message, advise_row, status_of
from msgapi.cli.batch.counts import sample_error
from msgapi.cli.output import Exit
from msgapi.journal.resumption import state_of
from msgapi.transports import Answer
from tests.support.cli_files import through

Captured = pytest.CaptureFixture[str]
READ = billing.balance()
REVOKE = messages.revoke("msg_1")
TRY = webhooks.test("x")
OF_BATCHES = ["--rate", "--resend-unknown", "--allow-duplicates", "key", "rows", "Send", "these", "another day"]


def errors() -> list[ApiError]:
    plain: list[Any] = [kind for kind in get_args(ApiError) if kind not in {NotSent, Unanswered}]
    return [*(kind(code="http_429") for kind in plain), Throttled(code="other"), NotSent("x"), Unanswered("y")]


@pytest.mark.parametrize("call", [READ, REVOKE, TRY])
@pytest.mark.parametrize("error", errors(), ids=lambda one: type(one).__name__)
def test_no_command_is_told_what_only_a_batch_can_do(call: Call[object], error: ApiError) -> None:
    told = advise_call(error, call)
    assert told.endswith(".")
    words = [word for word in OF_BATCHES if word in told.replace("MSGAPI_API_KEY", "").replace("API key", "")]
    assert words == []


@pytest.mark.parametrize(
    "error",
    [Unanswered("x"), ServerFault(), Unavailable(), Unexpected(), Unreadable(), Conflict(may_have_happened=True)],
)
def test_what_may_have_been_done_and_is_done_twice_if_it_is_repeated_is_looked_for_first(error: ApiError) -> None:
    assert "before you run it again" in advise_call(error, TRY)
    assert "before you run it again" not in advise_call(error, READ) + advise_call(error, REVOKE)


def test_what_was_not_done_can_be_tried_again_whatever_it_was() -> None:
    for call in (READ, REVOKE, TRY):
        assert (
            advise_call(NotSent("x"), call)
            == "Check the network and the base URL (MSGAPI_BASE_URL or the profile), then run it again."
        )
        assert advise_call(ServerFault(may_have_happened=False), call) == "Run it again later."


def test_what_is_not_found_to_be_deleted_may_be_too_late_or_done_already() -> None:
    assert (
        advise_call(NotFound(), READ)
        == "Check the id and the base URL (MSGAPI_BASE_URL or the profile): the service does not know this id."
    )
    assert "or it is too late" in advise_call(NotFound(), REVOKE)
    assert "an earlier attempt may have succeeded" in advise_call(NotFound(may_have_happened=True), REVOKE)


def foreign(kind: type[Any], status: int, *, happened: bool = False) -> ApiError:
    made: ApiError = kind(meta=Meta(status=status), may_have_happened=happened, from_service=False)
    return made


FOREIGN = [
    foreign(Invalid, 400),
    foreign(Unauthorized, 401),
    foreign(InsufficientBalance, 402),
    foreign(NotFound, 404),
    foreign(NotFound, 404, happened=True),
    foreign(Conflict, 409),
    foreign(Unexpected, 302),
    foreign(Unreadable, 200, happened=True),
]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda one: type(one).__name__)
def test_whatever_the_status_an_answer_that_is_not_the_services_says_what_to_check(error: ApiError) -> None:
    for advice in (
        advise_row(error),
        advise_message(error),
        *(advise_call(error, call) for call in (READ, REVOKE, TRY)),
    ):
        assert "Check the base URL" in advice
        assert "the answer is not the service's" in advice
    assert ("before you run it again" in advise_call(error, TRY)) is error.may_have_happened
    assert status_of(error) is Exit.REFUSED


@pytest.mark.parametrize("error", [*FOREIGN, *errors()], ids=lambda one: type(one).__name__)
def test_the_advice_for_a_row_that_is_read_from_a_journal_is_that_for_its_error(error: ApiError) -> None:
    status = error.meta.status
    code = f"http_{status}" if status is not None and not error.from_service else "some_code"
    error = attrs.evolve(error, code="unreadable" if isinstance(error, Unreadable) else code)
    state = state_of(error, maybe_sent=False)
    assert advise_row(sample_error(type(error).__name__, error.code, state)) == advise_row(error)


def test_the_rate_limit_says_how_long_to_wait() -> None:
    assert "30 s" in advise_call(Throttled(code="rate_limit_exceeded", retry_after=29.4), READ)
    assert "https://top.example" in advise_call(InsufficientBalance(topup_url="https://top.example"), TRY)


@pytest.mark.parametrize("error", errors(), ids=lambda one: type(one).__name__)
def test_a_send_is_told_what_can_be_done_about_one_message(error: ApiError) -> None:
    told = advise_message(error)
    assert told.endswith(".")
    words = ["--rate", "--resend-unknown", "rows", "these", "they", "their keys", "what failed"]
    assert [word for word in words if word in told.lower()] == []
    assert "7 s" in advise_message(Throttled(code="rate_limit_exceeded", retry_after=6.1))


def answering(status: int, body: bytes = b"{}") -> Any:  # noqa: ANN401 - a transport
    async def transport(_: Request, /) -> Answer:
        return Response(status, {}, body)

    return transport


def test_an_endpoint_that_may_have_been_added_is_looked_for(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    async def hang(_: Request, /) -> Answer:
        return Unanswered("no answer in time")

    through(monkeypatch, hang)
    assert main(["webhooks", "create", "https://shop.example/hook", "--secret", "s"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[1] == "msgapi: Check whether it was done before you run it again: a second run would do it twice."


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (404, "already_delivered", "too late"),
        (409, "already_revoked", "the error code"),
        (429, "", "Run it again in"),
    ],
)
def test_a_revoke_that_fails_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, status: int, code: str, said: str
) -> None:
    body = b'{"error":"%s","message":"no","retry_after":3}' % (code or "rate_limit_exceeded").encode()
    through(monkeypatch, answering(status, body))
    assert main(["messages", "revoke", "msg_1"]) == 1
    assert said in capsys.readouterr().err.splitlines()[1]


@pytest.mark.parametrize("kind", [Invalid, Forbidden, NotFound, Conflict, Unprocessable])
def test_a_refusal_after_an_attempt_without_an_answer_is_decided_by_the_service(kind: Any) -> None:  # noqa: ANN401
    # Another channel for the recipient could be a second message.
    meta = Meta(status=404)
    unknown = kind(may_have_happened=True, meta=meta)
    assert advise_row(unknown).startswith("Run the same command again later")
    assert advise_message(unknown) == "Send it again later with its idempotency key, so that it is not sent twice."
    assert advise_row(kind(meta=meta)) != advise_row(unknown)
